"""`/sign` over HTTP: what comes back is signed by the originator and as DCC's verifier wants it."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing import Participant

from .conftest import (
    BROKER,
    NOW,
    NOW_MS,
    OTHER,
    PLACEHOLDER,
    SUPPLIER,
    Api,
    Bench,
    counter_of,
    request,
    response,
)


def test_a_request_is_signed_by_its_originator_with_the_time_as_its_counter(bench: Bench) -> None:
    api = bench.serve()

    signed = api.sign(request())
    again = api.sign(request())

    assert (signed.status, signed.headers["Content-Type"]) == (200, "application/json")
    assert bench.verified(signed.message).signer == bench.key("supplier").certificate
    assert [counter_of(signed.message), counter_of(again.message)] == [NOW_MS, NOW_MS + 1]


@pytest.mark.parametrize("counter", [1000, "", 2**64 - 1, "007"])
def test_the_counter_that_came_is_replaced_whatever_it_was(api: Api, counter: object) -> None:
    assert NOW_MS <= counter_of(api.sign(request(counter=counter)).message) < NOW_MS + 10_000


def test_the_counter_stays_if_it_is_to_be_preserved(api: Api) -> None:
    assert counter_of(api.sign(request(counter=2**64 - 1), preserveCounter=True).message) == 2**64 - 1
    assert counter_of(api.sign(request(counter=1000), preserveCounter=False).message) >= NOW_MS


def test_a_preserved_counter_must_be_one(api: Api) -> None:
    refused = api.sign(request(counter="007"), preserveCounter=True)

    assert refused.refusal == (400, "10")
    assert "RequestID" in refused.content["error"]


@pytest.mark.parametrize("signature", [PLACEHOLDER, PLACEHOLDER * 2, "<ds:Signature xmlns:ds='urn:x'/>"])
def test_an_existing_signature_is_replaced_whatever_is_in_it(shared: Bench, api: Api, signature: str) -> None:
    answer = api.sign(request(signature=signature))

    if "urn:x" in signature:
        assert answer.refusal == (400, "10")
    else:
        assert answer.message.count(b"<ds:Signature ") == 1
        assert shared.verified(answer.message)


def test_what_was_signed_already_is_signed_anew(shared: Bench, api: Api) -> None:
    once = api.sign(request()).message

    twice = api.sign(once).message

    assert counter_of(twice) > counter_of(once)
    assert shared.verified(twice).root.tag == shared.verified(once).root.tag


@pytest.mark.parametrize("gap", ["\n  ", "\t", "\r\n", " "])
def test_white_space_between_elements_is_dropped(shared: Bench, api: Api, gap: str) -> None:
    signed = api.sign(request(gap=gap, counter=5), preserveCounter=True).message

    assert re.search(rb">\s+<", signed) is None
    compact = api.sign(request(counter=5), preserveCounter=True).message
    assert shared.verified(signed).digest == shared.verified(compact).digest


@settings(max_examples=40, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\t\n "), max_size=30))
def test_text_values_stay_as_they_are(shared: Bench, api: Api, text: str) -> None:
    # An 8.4 body has open content in our schema.
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    body = f"<sr:UpdateInventory>\n <sr:DeviceID>{escaped}</sr:DeviceID>\n</sr:UpdateInventory>"
    message = re.sub(rb"<sr:ReadInventory>.*</sr:ReadInventory>", lambda _: body.encode(), request())
    message = message.replace(b">8.2<", b">8.4<")

    signed = api.sign(message).message

    namespace = {"sr": "http://www.dccinterface.co.uk/ServiceUserGateway"}
    assert shared.verified(signed).root.findtext(".//sr:DeviceID", namespaces=namespace) == text


def test_euis_are_found_without_regard_to_case_and_kept_as_they_are(shared: Bench, api: Api) -> None:
    signed = api.sign(request(originator=SUPPLIER.lower())).message

    assert SUPPLIER.lower().encode() in signed
    assert shared.verified(signed).signer.eui == SUPPLIER


def test_an_unknown_originator_is_said_to_have_no_key(api: Api) -> None:
    refused = api.sign(request(originator="00-00-5E-EF-10-00-00-A1"))

    assert refused.refusal == (400, "3")
    assert refused.content["error"].startswith("there is no key here to sign for 00-00-5E-EF-10-00-00-A1")


def test_a_key_of_another_role_signs_no_request(api: Api) -> None:
    assert api.sign(request(originator=BROKER)).refusal == (400, "3")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (response(), "the document is a Response; only a Request is signed here"),
        (b"<Request/>", "only a Request is signed here"),
        (b"<sr:Request", "not well-formed"),
        (b"", "the document is empty"),
        (b"<!DOCTYPE x><x/>", "DOCTYPE"),
        (request().replace(b"<sr:Body>", b"<sr:Body><!-- a comment -->"), "a comment"),
        (request(version="five"), "schemaVersion"),
        (request().replace(b"<sr:CommandVariant>8", b"<sr:CommandVariant>10"), "CommandVariant"),
        (request(originator="nobody"), "RequestID"),
    ],
)
def test_what_is_no_valid_request_is_refused(api: Api, message: bytes, reason: str) -> None:
    refused = api.sign(message)

    assert refused.refusal == (400, "10")
    assert reason in refused.content["error"]


def test_during_a_rotation_the_newest_certificate_that_is_valid_signs(bench: Bench) -> None:
    day = timedelta(days=1)
    bench.pki.issue(Participant("next", SUPPLIER, "87", NOW + day, NOW + 30 * day))
    bench.pki.issue(Participant("newer", SUPPLIER, "87", NOW - day / 2, NOW + 2 * day))
    api = bench.serve()

    def signer() -> int:
        return bench.verified(api.sign(request()).message).signer.serial

    assert signer() == bench.key("newer").serial
    bench.clock.set(NOW + day)
    assert signer() == bench.key("next").serial
    bench.clock.set(NOW + 31 * day)
    assert signer() == bench.key("supplier").serial


def test_an_originator_whose_certificates_have_run_out_is_told_so(bench: Bench) -> None:
    api = bench.serve()
    bench.clock.set(NOW + timedelta(days=20 * 366))

    refused = api.sign(request(originator=OTHER))

    assert refused.refusal == (400, "3")
    assert f"no certificate of {OTHER}, the originator in RequestID, is valid now" in refused.content["error"]
