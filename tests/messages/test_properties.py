"""What holds for every message, whatever it says and whatever is done to it on its way.

Each property runs briefly in `make test` and at length in `make test-all` (marker `slow`).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from signing import DocumentRefused, Signer, SigningError, VerifiedDocument, parse
from signing.canonical import inclusive
from sr_engine.messages.build import ANY_DEVICE, build_alert, build_response
from sr_engine.messages.compose import build_request
from sr_engine.messages.csp import build_csp_message, decode_csp_message
from sr_engine.messages.decode import DecodedResponse, decode_request, decode_response
from sr_engine.messages.model import AlertBody, Body, CspMessage, Header, Result, ServiceRequest, UnofferedBody
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.messages.signed import sign_response
from tests.fuzz.mutations import mutate
from tests.messages import strategies
from tests.messages.conftest import NOW, ROLE, Exchange
from tests.signing.test_series import PredictableKey

ROOT = Path(__file__).resolve().parents[2]

_CHECKS = [HealthCheck.too_slow, HealthCheck.data_too_large]
SHORT = settings(max_examples=200, deadline=None, suppress_health_check=_CHECKS)
LONG = settings(max_examples=5_000, deadline=None, suppress_health_check=_CHECKS)


@dataclass(frozen=True, slots=True)
class Message:
    """An unsigned message, what it says, and how its receiver reads it."""

    root: etree._Element
    says: object
    read: Callable[[VerifiedDocument], object]
    of_csp: bool = False


def schema_of(exchange: Exchange, message: Message) -> Schema:
    return exchange.csp if message.of_csp else exchange.duis


# --- Every legal message ----------------------------------------------------------------------------------------------


@st.composite
def requests(draw: st.DrawFn) -> Message:
    body: Body = draw(strategies.bodies)
    header = Header(
        schema_version=draw(strategies.schema_versions),
        request_id=draw(strategies.request_ids),
        first_in_sequence=draw(st.booleans()),
        preceding_request_id=draw(strategies.optional(strategies.request_ids)),
        command_variant=draw(st.integers(1, 9)),
        service_reference=draw(st.sampled_from(["8.2", "11.5", "11.9"])),
        service_reference_variant=draw(st.sampled_from(["8.2", "11.5", "11.9"])),
        body_element=body.element if isinstance(body, UnofferedBody) else type(body).__name__,
    )
    root = build_request(
        schema_version=header.schema_version,
        request_id=header.request_id.text,
        command_variant=header.command_variant,
        service_reference=header.service_reference,
        service_reference_variant=header.service_reference_variant,
        body=body,
        first_in_sequence=header.first_in_sequence,
        preceding_request_id=header.preceding_request_id,
    )
    return Message(root, ServiceRequest(header, body), decode_request)


@st.composite
def responses(draw: st.DrawFn) -> Message:
    result: Result | None = draw(strategies.results)
    request_id, response_id = draw(strategies.request_ids), draw(strategies.optional(strategies.request_ids))
    at = draw(strategies.moments)
    code = draw(st.sampled_from(["I0", "I99", "W110501", "E110503", "E100"]))
    root = build_response(
        schema_version="5.4",
        request_id=request_id.text,
        code=code,
        at=at,
        service_reference="11.5",
        service_reference_variant="11.5",
        result=result,
        response_id=None if response_id is None else response_id.text,
    )
    milliseconds = at.replace(microsecond=at.microsecond // 1000 * 1000)
    says = ("5.4", request_id, response_id, code, milliseconds, "11.5", result, None, None)
    return Message(root, says, _response)


@st.composite
def alerts(draw: st.DrawFn) -> Message:
    body: AlertBody = draw(strategies.alerts)
    code = draw(strategies.alert_codes)
    root = build_alert(schema_version="5.3", alert_code=code, body=body, at=NOW)
    at = NOW.astimezone(UTC).replace(microsecond=NOW.microsecond // 1000 * 1000)
    return Message(root, ("5.3", None, None, "I0", at, None, None, code, body), _response)


@given(body=strategies.alerts_about_a_device, code=strategies.alert_codes, device_ids=strategies.device_ids)
@SHORT
def test_alerts_that_differ_in_their_device_only_are_signed_in_series_as_one_by_one(
    body: Callable[[str], AlertBody], code: str, device_ids: tuple[str, ...]
) -> None:
    signer = Signer(PredictableKey())

    def alert(device_id: str) -> etree._Element:
        return build_alert(schema_version="5.4", alert_code=code, body=body(device_id), at=NOW)

    series = signer.series(alert(ANY_DEVICE), ANY_DEVICE)

    assert [series.sign(one) for one in device_ids] == [signer.sign(alert(one)) for one in device_ids]


_HEADER_TEXTS = st.one_of(
    st.text("0123456789ABCDEFabcdef:.-", max_size=30),
    st.text("ab &<>\"'\t\n%é\ue001", max_size=8),
)


@given(texts=st.tuples(*[_HEADER_TEXTS] * 5), at=strategies.moments)
@SHORT
def test_an_answer_without_a_result_has_the_bytes_of_its_tree_when_that_is_signed(
    texts: tuple[str, str, str, str, str], at: datetime
) -> None:
    schema_version, request_id, code, reference, variant = texts
    said = {"request_id": request_id, "service_reference": reference, "service_reference_variant": variant}
    signer = Signer(PredictableKey())

    signed = sign_response(signer, schema_version=schema_version, code=code, at=at, result=None, **said)

    root = build_response(schema_version=schema_version, code=code, at=at, result=None, **said)
    assert signed == signer.sign(root)


@st.composite
def csp_messages(draw: st.DrawFn) -> Message:
    message: CspMessage = draw(strategies.csp_messages)
    return Message(build_csp_message(message), message, decode_csp_message, of_csp=True)


def _response(document: VerifiedDocument) -> tuple[object, ...]:
    read: DecodedResponse = decode_response(document)
    header = (read.schema_version, read.request_id, read.response_id, read.code, read.at, read.service_reference)
    return (*header, read.result, read.alert_code, read.alert)


messages = st.one_of(requests(), responses(), alerts(), csp_messages())


def receive(exchange: Exchange, message: Message, data: bytes) -> VerifiedDocument:
    """Judge in the order of the processor."""
    document = parse(data)
    schema_of(exchange, message).check(document)
    return exchange.verifier.verify(document, roles={ROLE}, at=NOW)


# --- Sign then verify, decode after build -----------------------------------------------------------------------------


def assert_read_as_written(exchange: Exchange, message: Message) -> None:
    before = inclusive(message.root)

    verified = receive(exchange, message, exchange.signer.sign(message.root))

    assert inclusive(verified.root) == before
    assert message.read(verified) == message.says


@SHORT
@given(message=messages)
def test_any_legal_message_verifies_once_signed_and_is_read_as_it_was_written(
    exchange: Exchange, message: Message
) -> None:
    assert_read_as_written(exchange, message)


@pytest.mark.slow
@LONG
@given(message=messages)
def test_any_legal_message_verifies_once_signed_and_is_read_as_it_was_written_at_length(
    exchange: Exchange, message: Message
) -> None:
    assert_read_as_written(exchange, message)


# --- Mutations --------------------------------------------------------------------------------------------------------


def assert_mutation_is_harmless(exchange: Exchange, message: Message, data: st.DataObject) -> None:
    """A mutated message is refused, or says what the original said; verification alone guards the content as well."""
    signed = exchange.signer.sign(message.root)
    changed = mutate(signed, lambda below: data.draw(st.integers(0, below - 1)))
    try:
        alone = exchange.verifier.verify(parse(changed), roles={ROLE}, at=NOW)
    except SigningError:
        return
    assert inclusive(alone.root) == inclusive(message.root)
    assert alone.signer.eui == exchange.verifier.verify(parse(signed), roles={ROLE}, at=NOW).signer.eui
    try:
        verified = receive(exchange, message, changed)
    except SchemaRefused:
        return  # of the Signature, whose form the schema describes as well
    assert message.read(verified) == message.says


@SHORT
@given(message=messages, data=st.data())
def test_a_mutated_message_that_verifies_says_what_the_original_said(
    exchange: Exchange, message: Message, data: st.DataObject
) -> None:
    assert_mutation_is_harmless(exchange, message, data)


@pytest.mark.slow
@LONG
@given(message=messages, data=st.data())
def test_a_mutated_message_that_verifies_says_what_the_original_said_at_length(
    exchange: Exchange, message: Message, data: st.DataObject
) -> None:
    assert_mutation_is_harmless(exchange, message, data)


# --- Arbitrary bytes --------------------------------------------------------------------------------------------------

_MARKUP = [
    *"<>/!?-[]&;=%#x:'\" \t\r\n\x00\x01\ufeff\ufffe\u00e9\U0001f4a1",
    *(
        "<a>",
        "</a>",
        "<a/>",
        "<b:a",
        "xmlns:b",
        "xmlns",
        "='urn:b'",
        "='b'",
        "<!--",
        "-->",
        "<![CDATA[",
        "]]>",
        "<?x",
        "?>",
    ),
    *(
        "<?xml version='1.0'",
        " encoding='UTF-8'",
        " encoding='UTF-16'",
        "<!DOCTYPE a",
        "[<!ENTITY b 'c'>]",
        "&b;",
        "&#0;",
    ),
    *("&#x10FFFF;", "&amp;", "xml:id", "\u00e9" * 300),
]
_CODECS = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7", "cp037"])
anything = (
    st.binary(max_size=400)
    | st.lists(st.sampled_from(_MARKUP), max_size=40).map("".join).map(str.encode)
    | st.builds(lambda text, codec: f"<a>{text}</a>".encode(codec, "replace"), st.text(max_size=100), _CODECS)
)


def assert_only_our_refusals(exchange: Exchange, data: bytes) -> None:
    try:
        document = parse(data)
    except DocumentRefused:
        return
    assert document.data == data
    for schema in (exchange.duis, exchange.csp):
        with pytest.raises(SchemaRefused):
            schema.check(document)
    with pytest.raises(SigningError):
        exchange.verifier.verify(document, roles={ROLE}, at=NOW)


@SHORT
@given(data=anything)
def test_arbitrary_bytes_raise_nothing_but_our_refusals(exchange: Exchange, data: bytes) -> None:
    assert_only_our_refusals(exchange, data)


@pytest.mark.slow
@LONG
@given(data=anything)
def test_arbitrary_bytes_raise_nothing_but_our_refusals_at_length(exchange: Exchange, data: bytes) -> None:
    assert_only_our_refusals(exchange, data)


def judge_within(*, size: int, mebibytes: int, seconds: int) -> list[list[str]]:
    """Judge hostile documents of that size in a process that may take so much memory, and so long for each."""
    limits = [str(size), str(mebibytes), str(seconds)]
    command = [sys.executable, "-m", "tests.fuzz.bounded", *limits]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    lines = [line.split("\t") for line in run.stdout.splitlines()]
    assert run.returncode == 0, f"after {lines[-1:]}: {run.stderr[-2000:]}"
    return lines


def test_a_hostile_document_of_a_mebibyte_takes_a_bounded_time_and_memory() -> None:
    *judged, peak = judge_within(size=1024 * 1024, mebibytes=1024, seconds=2)

    assert len(judged) > 250
    assert {outcome for outcome, *_ in judged} == {"DocumentRefused", "ProfileRefused"}
    assert int(peak[1]) < 256


@pytest.mark.slow
def test_a_hostile_document_of_the_largest_size_takes_a_bounded_time_and_memory() -> None:
    *judged, peak = judge_within(size=16 * 1024 * 1024, mebibytes=2048, seconds=10)

    assert {outcome for outcome, *_ in judged} == {"DocumentRefused", "ProfileRefused"}
    assert int(peak[1]) < 1024
