"""`/verify` over HTTP: what passes, in which form it comes back, and what is refused."""

from __future__ import annotations

import hashlib

import pytest

from signing import Signer
from sr_engine.messages.csp import build_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import UpgradeListAcknowledgement
from sr_engine.resources import data_directory
from sr_engine.signservice.service import AcceptedRoles

from .conftest import BROKER, NOW, OTHER, SUPPLIER, Api, Bench, request, response

RESULT = "<sr:GBCSPayload>AAAA</sr:GBCSPayload>"


def test_a_verified_request_comes_back_without_its_signature_as_it_was_digested(shared: Bench, api: Api) -> None:
    signed = api.sign(request(gap="\n")).message

    message = api.verify(signed).message

    assert b"Signature" not in message
    assert hashlib.sha256(message).digest() == shared.verified(signed).digest


def test_a_response_of_the_dcc_passes(shared: Bench, api: Api) -> None:
    signed = Signer(shared.key("broker")).sign_bytes(response(code="I0"))

    assert b"<sr:ResponseCode>I0<" in api.verify(signed).message


def test_a_response_signed_in_another_role_is_refused(shared: Bench, api: Api) -> None:
    refused = api.verify(Signer(shared.key("supplier")).sign_bytes(response()))

    assert refused.refusal == (400, "10")
    assert "has role 87; accepted here: 89" in refused.content["error"]


def test_a_request_signed_by_another_than_its_originator_is_refused(shared: Bench, api: Api) -> None:
    refused = api.verify(Signer(shared.key("other")).sign_bytes(request()))

    assert refused.refusal == (400, "10")
    assert f"signed by {OTHER}, which is not the originator" in refused.content["error"]


def test_a_changed_message_is_refused(api: Api) -> None:
    signed = api.sign(request()).message

    refused = api.verify(signed.replace(b"00-00-5E-EF-10-00-00-01", b"00-00-5E-EF-10-00-00-02"))

    assert refused.refusal == (400, "10")
    assert "changed after it was signed" in refused.content["error"]


def test_an_unsigned_refusal_passes_as_it_is(api: Api) -> None:
    assert api.verify(response(code="E100")).message == response(code="E100")


@pytest.mark.parametrize(
    "message",
    [
        response(code="I0"),
        response(code="I99"),
        response(code="W110501"),
        response(code="I0", result=RESULT),
        response(code="E080201", result=RESULT),
    ],
)
def test_any_other_unsigned_response_passes_only_if_that_is_asked_for(shared: Bench, api: Api, message: bytes) -> None:
    lax = shared.serve(accept_unsigned=True)

    assert api.verify(message).refusal == (400, "10")
    assert "the Response is not signed" in api.verify(message).content["error"]
    assert lax.verify(message).message == message


def test_an_unsigned_request_never_passes(shared: Bench, api: Api) -> None:
    lax = shared.serve(accept_unsigned=True)

    for one in (api, lax):
        assert one.verify(request()).refusal == (400, "10")
        assert "not signed" in one.verify(request()).content["error"]


def test_a_response_with_a_signature_is_verified_even_if_unsigned_ones_pass(shared: Bench) -> None:
    lax = shared.serve(accept_unsigned=True)
    signed = Signer(shared.key("broker")).sign_bytes(response())
    start, end = signed.index(b"<ds:Signature "), signed.index(b"</ds:Signature>") + len("</ds:Signature>")
    twice = signed[:end] + signed[start:end] + signed[end:]

    for wrong in (twice, signed.replace(b"E100", b"E101"), Signer(shared.key("other")).sign_bytes(response())):
        assert lax.verify(wrong).refusal == (400, "10")


def test_unsigned_responses_must_be_valid_even_so(shared: Bench) -> None:
    assert shared.serve(accept_unsigned=True).verify(response(code="nothing")).refusal == (400, "10")


def test_other_roles_may_be_accepted_for_responses(shared: Bench) -> None:
    api = shared.serve(roles=AcceptedRoles({"87"}, {"87", "89"}))

    assert api.verify(Signer(shared.key("supplier")).sign_bytes(response())).status == 200


def test_a_document_that_is_neither_request_nor_response_is_refused(shared: Bench) -> None:
    api = shared.serve(schema=data_directory("xsd") / "csp.xsd")

    message_id = RequestId.make(OTHER, BROKER, 1)
    message = build_csp_message(UpgradeListAcknowledgement(message_id, NOW, "l1", "Central", (SUPPLIER,)))

    refused = api.verify(Signer(shared.key("other")).sign(message))

    assert refused.refusal == (400, "10")
    assert (
        "the document is a UpgradeListAcknowledgement; a Request or a Response is expected" in refused.content["error"]
    )
