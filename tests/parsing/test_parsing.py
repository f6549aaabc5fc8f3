"""What is read of a message, what is kept of what is not known, and what is refused."""

from __future__ import annotations

import hashlib
import re
import tomllib
from base64 import b64encode
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from signing import Trust
from sr_engine.messages.model import (
    AlertBody,
    CommsHubAlert,
    CommsHubFirmwareResult,
    FirmwareRefusal,
    RefusalReason,
    Result,
)
from sr_engine.parsing import (
    Alert,
    AttributeLimitsBreach,
    ChangeOfSupplierRequest,
    FirmwareTransferAlert,
    FirmwareWarning,
    FutureDatedDeviceAlert,
    GBCSPayload,
    HubEvent,
    MessageMalformed,
    MessageNotGenuine,
    MessageRefused,
    Outcome,
    PreCommand,
    Response,
    ResponseVersionMismatch,
    SMETS1CHFirmwareNotification,
    Smets1UpdateStatus,
    TransferOutcome,
    Unknown,
    UnsignedRefusal,
    Verdict,
    device_outcomes,
    parse_alert,
    parse_message,
    parse_response,
    to_json,
)
from sr_engine.resources import data_directory
from tests.messages import strategies
from tests.parsing.conftest import BROKER, HUB, NOW, REQUEST_ID, Dcc
from tests.world import eui

OTHER = "00-00-5E-EF-C0-00-00-02"
PARTLY = CommsHubFirmwareResult(1, 7, {RefusalReason.INVALID: (OTHER,)})
PAYLOAD = b64encode(b"payload").decode()


@settings(deadline=None, max_examples=30)
@given(result=strategies.results)
def test_every_result_is_read_as_it_was_written(dcc: Dcc, result: Result | None) -> None:
    data = dcc.response(result)
    response = parse_response(data, dcc.trust, at=NOW)

    assert response.body == result
    assert (response.request_id.text, response.code, response.at) == (REQUEST_ID, "I0", NOW)
    assert (response.data, response.sha256) == (data, hashlib.sha256(data).hexdigest())
    assert (response.signature.eui, response.signature.role) == (BROKER, "89")
    assert response.unknown == ()


@settings(deadline=None, max_examples=30)
@given(body=strategies.alerts)
def test_every_alert_is_read_as_it_was_written(dcc: Dcc, body: AlertBody) -> None:
    alert = parse_alert(dcc.alert(body), dcc.trust, at=NOW)

    assert (alert.body, alert.code, alert.unknown) == (body, "N62", ())
    assert set(alert.device_ids) <= {one.upper() for one in strategy_ids(body)}


def strategy_ids(body: object) -> set[str]:
    """Everything in a body that looks like an id."""
    return set(re.findall(r"[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){7}", repr(body)))


def test_the_other_official_bodies_of_firmware_news_are_read_too(dcc: Dcc) -> None:
    transfer = (
        f"<sr:CommsHubAlert><sr:CommsHubDeviceID>{HUB}</sr:CommsHubDeviceID><sr:AlertCode>8F8A</sr:AlertCode>"
        f"<sr:FirmwareTransferAlert><sr:OtherDeviceID>{OTHER.lower()}</sr:OtherDeviceID><sr:FirmwareVersion>0102"
        "</sr:FirmwareVersion><sr:TransferResponseCode>FileTransferSuccess</sr:TransferResponseCode>"
        "</sr:FirmwareTransferAlert></sr:CommsHubAlert>"
    )
    smets1 = (
        f"<sr:SMETS1CHFirmwareNotification><sr:DeviceID>{HUB}</sr:DeviceID><sr:FirmwareVersion>0102</sr:FirmwareVersion>"
        "<sr:FirmwareVersionUpdateStatus>ActivationSuccessful</sr:FirmwareVersionUpdateStatus>"
        "</sr:SMETS1CHFirmwareNotification>"
    )
    change = (
        f"<sr:ChangeOfSupplier><sr:ChangeOfSupplierServiceRequestID>{REQUEST_ID}</sr:ChangeOfSupplierServiceRequestID>"
        "</sr:ChangeOfSupplier>"
    )
    limits = (
        f"<sr:QuarantinedRequest><sr:ADAttributeLimitsBreach><sr:RequestID>{REQUEST_ID}</sr:RequestID>"
        "<sr:QuarantineEventRef>17</sr:QuarantineEventRef></sr:ADAttributeLimitsBreach></sr:QuarantinedRequest>"
    )
    mismatch = (
        f"<sr:DUISVersionMismatch><sr:ServiceResponseVersionMismatch><sr:RequestID>{REQUEST_ID}</sr:RequestID>"
        "<sr:ServiceReference>11.2</sr:ServiceReference><sr:ServiceReferenceVariant>11.2</sr:ServiceReferenceVariant>"
        "<sr:ServiceRequestDUISVersion>5.4</sr:ServiceRequestDUISVersion></sr:ServiceResponseVersionMismatch>"
        "<sr:ServiceUserDUISVersion>5.0</sr:ServiceUserDUISVersion></sr:DUISVersionMismatch>"
    )
    read = [
        parse_alert(dcc.dcc_alert(one), dcc.trust, at=NOW).body for one in (transfer, smets1, change, limits, mismatch)
    ]

    assert read == [
        FirmwareTransferAlert(HUB, "8F8A", OTHER, "0102", TransferOutcome.SUCCESS),
        SMETS1CHFirmwareNotification(HUB, "0102", Smets1UpdateStatus.ACTIVATION_SUCCESSFUL),
        ChangeOfSupplierRequest(REQUEST_ID),
        AttributeLimitsBreach(REQUEST_ID, "17"),
        ResponseVersionMismatch(REQUEST_ID, "11.2", "11.2", "5.4", "5.0"),
    ]


def test_the_results_of_11_2_and_11_3_are_read_too(dcc: Dcc) -> None:
    bodies = (
        f"<sr:GBCSPayload>{PAYLOAD}</sr:GBCSPayload>",
        f"<sr:PreCommand><sr:GBCSVersion>4.1</sr:GBCSVersion><sr:GBCSPayload>{PAYLOAD}</sr:GBCSPayload></sr:PreCommand>",
        (
            "<sr:FutureDatedDeviceAlertMessage><sr:FutureDatedAlertCode>8F66</sr:FutureDatedAlertCode><sr:GBCSPayload>"
            f"{PAYLOAD}</sr:GBCSPayload><sr:InstructionNumber>1</sr:InstructionNumber><sr:TotalCommandInstructions>2"
            "</sr:TotalCommandInstructions></sr:FutureDatedDeviceAlertMessage>"
        ),
    )
    references = (
        "<sr:ServiceReference>11.3</sr:ServiceReference><sr:ServiceReferenceVariant>11.3</sr:ServiceReferenceVariant>"
    )
    read = [
        parse_response(
            dcc.message(f"<sr:ResponseMessage>{references}{one}</sr:ResponseMessage>", request_id=True),
            dcc.trust,
            at=NOW,
        ).body
        for one in bodies
    ]

    assert read == [
        GBCSPayload(b"payload"),
        PreCommand("4.1", b"payload"),
        FutureDatedDeviceAlert("8F66", b"payload", 1, 2),
    ]


# --- What is not known is kept -------------------------------------------------------------------------------------


def test_an_alert_that_is_not_known_is_kept_whole_with_the_devices_it_names(dcc: Dcc) -> None:
    outage = (
        f"<sr:PowerOutageEvent><sr:CommsHubDeviceID>{HUB.lower()}</sr:CommsHubDeviceID>"
        "<sr:StartDateTime>2026-11-23T08:00:00Z</sr:StartDateTime><sr:MPxN>1234567890123</sr:MPxN></sr:PowerOutageEvent>"
    )
    alert = parse_alert(dcc.dcc_alert(outage), dcc.trust, at=NOW)

    assert isinstance(alert.body, Unknown)
    assert alert.body.element == "PowerOutageEvent"
    assert alert.body.path == "/Response/Body/DCCAlertMessage/DCCAlert/PowerOutageEvent"
    assert "<sr:MPxN>1234567890123</sr:MPxN>" in alert.body.xml
    assert alert.device_ids == (HUB,)


def test_throttling_and_device_alerts_are_read(dcc: Dcc) -> None:
    more = (
        "<sr:ThrottledAlertSequenceId>4</sr:ThrottledAlertSequenceId><sr:ThrottledAlertCount>9</sr:ThrottledAlertCount>"
    )
    body = (
        f"<sr:CommsHubAlert><sr:CommsHubDeviceID>{HUB}</sr:CommsHubDeviceID><sr:AlertCode>A502</sr:AlertCode>"
        "</sr:CommsHubAlert>"
    )
    throttled = parse_alert(dcc.dcc_alert(body, more=more), dcc.trust, at=NOW)
    device = parse_alert(
        dcc.message(
            "<sr:DeviceAlertMessage><sr:AlertCode>8F66</sr:AlertCode><sr:GBCSPayload>AA==</sr:GBCSPayload>"
            "</sr:DeviceAlertMessage>"
        ),
        dcc.trust,
        at=NOW,
    )

    assert (throttled.throttled_sequence_id, throttled.throttled_count, throttled.event) == (4, 9, HubEvent.LISTED)
    assert (device.code, isinstance(device.body, Unknown)) == ("8F66", True)


def test_what_a_later_version_adds_is_kept_beside_what_is_known(dcc: Dcc) -> None:
    data = dcc.changed(
        dcc.response(PARTLY), "<sr:AcceptedDeviceCount>", "<sr:New a='1'>x</sr:New><sr:AcceptedDeviceCount>"
    )
    data = dcc.changed(data, "</sr:Header>", "<sr:Trace>t</sr:Trace></sr:Header>")
    data = dcc.changed(data, 'schemaVersion="5.4"', 'schemaVersion="6.0" mode="x"')
    response = parse_response(data, dcc.trust, at=NOW)

    assert response.body == PARTLY
    assert [(one.path, one.xml.partition(" ")[0]) for one in response.unknown] == [
        ("/Response/Header/Trace", "<sr:Trace"),
        ("/Response/@mode", "x"),
        ("/Response/Body/ResponseMessage/CommsHubFirmwareResult/New", "<sr:New"),
    ]


def test_a_body_in_a_form_that_is_not_known_is_kept_whole_and_the_code_still_counts(dcc: Dcc) -> None:
    data = dcc.changed(dcc.response(PARTLY, code="W110501"), "Count>1<", "Count>one<")
    response = parse_response(data, dcc.trust, at=NOW)

    assert isinstance(response.body, Unknown)
    assert "<sr:AcceptedDeviceCount>one</sr:AcceptedDeviceCount>" in response.body.xml
    assert response.outcome is Outcome.PARTLY_ACCEPTED
    assert {one.verdict for one in device_outcomes([HUB, OTHER], response).values()} == {Verdict.UNCLEAR}


def test_an_alert_code_or_result_that_is_new_does_not_keep_the_rest_from_being_read(dcc: Dcc) -> None:
    new_code = dcc.changed(dcc.alert(CommsHubAlert(HUB, "A501")), "N62", "N99")
    new_body = dcc.changed(dcc.alert(CommsHubAlert(HUB, "A501")), "</sr:DCCAlert>", "<sr:Another/></sr:DCCAlert>")
    second, third = (parse_alert(one, dcc.trust, at=NOW) for one in (new_code, new_body))

    assert (second.code, second.body) == ("N99", CommsHubAlert(HUB, "A501"))
    assert [one.element for one in third.unknown] == ["Another"]


# --- What became of each device ---------------------------------------------------------------------------------------


def test_a_response_that_was_cut_short_leaves_open_what_it_does_not_name(dcc: Dcc) -> None:
    cut = CommsHubFirmwareResult(1, None, {RefusalReason.INVALID: (OTHER,)}, refused_device_count=2)
    response = parse_response(dcc.response(cut, code="W110601", late=True), dcc.trust, at=NOW)
    outcomes = device_outcomes([HUB, OTHER, BROKER], response)

    assert [one.verdict for one in outcomes.values()] == [Verdict.UNCLEAR, Verdict.REFUSED, Verdict.UNCLEAR]
    assert (response.refused_count, response.accepted_count) == (2, 1)


@pytest.mark.parametrize(
    ("many", "late", "verdict"), [(2, True, "accepted"), (1_500, True, "unclear"), (1_500, False, "accepted")]
)
def test_meters_that_are_not_named_were_accepted_unless_the_list_may_have_been_cut(
    dcc: Dcc, many: int, late: bool, verdict: str
) -> None:
    refused = tuple(eui(0xE0, number) for number in range(many))
    body = FirmwareWarning(of_ppmids=False, refused={FirmwareRefusal.INVALID: refused})
    data = dcc.response(body, code="W110101", variant="11.1", late=late)
    outcomes = device_outcomes([*refused, HUB], parse_response(data, dcc.trust, at=NOW))

    assert outcomes[HUB].verdict.value == verdict
    assert sum(one.verdict is Verdict.REFUSED for one in outcomes.values()) == many


def test_another_list_of_refused_meters_leaves_open_who_was_accepted(dcc: Dcc) -> None:
    body = FirmwareWarning(of_ppmids=False, refused={FirmwareRefusal.INVALID: (OTHER,)})
    data = dcc.response(body, code="W110101", variant="11.1")
    old = "</sr:DSPUpdateFirmwareWarning>"
    later = dcc.changed(data, old, f"<sr:TooColdList>{HUB}</sr:TooColdList>{old}")
    response = parse_response(later, dcc.trust, at=NOW)

    assert [one.element for one in response.unknown] == ["TooColdList"]
    assert device_outcomes([HUB, OTHER], response)[HUB].verdict is Verdict.UNCLEAR


def test_of_what_stands_there_twice_none_is_read(dcc: Dcc) -> None:
    count = "<sr:AcceptedDeviceCount>1</sr:AcceptedDeviceCount>"
    twice = dcc.changed(dcc.response(PARTLY), count, count + count.replace("1", "2"))
    code = dcc.changed(
        dcc.response(None), "</sr:ResponseCode>", "</sr:ResponseCode><sr:ResponseCode>E1</sr:ResponseCode>"
    )

    assert isinstance(parse_response(twice, dcc.trust, at=NOW).body, Unknown)
    with pytest.raises(MessageMalformed, match="Header holds ResponseCode twice"):
        parse_response(code, dcc.trust, at=NOW)


def test_of_a_schedule_that_is_taken_back_whole_those_are_named_that_were_not(dcc: Dcc) -> None:
    with_csp = CommsHubFirmwareResult(5, 7, {RefusalReason.OTHER_REQUEST_IN_PROGRESS: (OTHER,)})
    response = parse_response(dcc.response(with_csp, code="W110801", variant="11.8"), dcc.trust, at=NOW)

    (outcome,) = device_outcomes([], response).values()
    assert (outcome.verdict, outcome.reason) == (Verdict.REFUSED, RefusalReason.OTHER_REQUEST_IN_PROGRESS)


def test_hub_events_are_those_of_the_shipped_configuration() -> None:
    alerts = tomllib.loads((data_directory("config") / "alerts.toml").read_text(encoding="utf-8"))["alert"]
    shipped = {one["hub_alert_code"] for one in alerts.values() if "hub_alert_code" in one}

    assert {event.value for event in HubEvent} == shipped
    assert all(
        HubEvent.of(one["hub_alert_code"]).name.lower() in name  # type: ignore[union-attr]
        for name, one in alerts.items()
        if "hub_alert_code" in one
    )
    assert HubEvent.of("8F66") is None


# --- What is refused --------------------------------------------------------------------------------------------------


def test_only_what_the_dcc_signed_and_what_was_asked_for_is_read(dcc: Dcc) -> None:
    response, alert = dcc.response(None, code="I99"), dcc.alert(CommsHubAlert(HUB, "A501"))
    by_user = dcc.user.sign_bytes(response)
    for data, why in (
        (response.replace(b"I99", b"E99"), "changed after it was signed"),
        (by_user, "role 87"),
        (response[: response.index(b"<ds:Signature")] + b"</sr:Response>", "Signature"),
    ):
        with pytest.raises(MessageNotGenuine, match=why):
            parse_message(data, dcc.trust, at=NOW)
    with pytest.raises(MessageNotGenuine, match="no certificate"):
        parse_message(response, Trust(), at=NOW)
    with pytest.raises(MessageNotGenuine, match="not valid before"):
        parse_message(response, dcc.trust, at=NOW - timedelta(days=900))
    with pytest.raises(MessageMalformed, match="not an Alert"):
        parse_alert(response, dcc.trust, at=NOW)
    with pytest.raises(MessageMalformed, match="not a Response"):
        parse_response(alert, dcc.trust, at=NOW)
    assert isinstance(parse_message(response, dcc.trust, at=NOW), Response)
    assert isinstance(parse_message(alert, dcc.trust, at=NOW), Alert)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("<sr:ResponseCode>I99</sr:ResponseCode>", "", "lacks ResponseCode"),
        ("2026-11-23T09:00:00.000Z", "yesterday", "yesterday"),
        (f"<sr:RequestID>{REQUEST_ID}</sr:RequestID>", "", "answers nothing"),
        (f"<sr:RequestID>{REQUEST_ID}</sr:RequestID>", "<sr:RequestID>17</sr:RequestID>", "not a RequestID"),
    ],
)
def test_a_genuine_document_without_the_header_of_a_response_is_refused(dcc: Dcc, old: str, new: str, why: str) -> None:
    data = dcc.changed(dcc.response(None, code="I99"), old, new)

    with pytest.raises(MessageMalformed, match=why):
        parse_message(data, dcc.trust, at=NOW)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<sr:SomethingElse/>",
        "<sr:DCCAlertMessage><sr:DCCAlertCode>N1</sr:DCCAlertCode><sr:DCCAlert/></sr:DCCAlertMessage>",
    ],
)
def test_a_genuine_document_that_is_no_message_is_refused(dcc: Dcc, body: str) -> None:
    with pytest.raises(MessageMalformed):
        parse_message(dcc.message(body), dcc.trust, at=NOW)


def test_the_reason_of_a_refusal_is_one_line_and_not_a_long_one(dcc: Dcc) -> None:
    data = dcc.alert(CommsHubAlert(HUB, "A501"))
    before, name, after = data.partition(b"<ds:X509IssuerName>")
    forged = before + name + b"CN=x\n2026-11-23 CRITICAL all keys are gone" + b"y" * 900 + after[after.index(b"<") :]

    with pytest.raises(MessageNotGenuine, match=r"no certificate .* CN=x 2026-11-23 CRITICAL") as raised:
        dcc.parser.message(forged, at=NOW)
    assert len(raised.value.reason.splitlines()) == 1
    assert len(str(raised.value)) < 600


def test_an_unsigned_refusal_passes_only_as_an_answer(dcc: Dcc) -> None:
    signed = dcc.response(None, code="E100")
    unsigned = signed[: signed.index(b"<ds:Signature")] + b"</sr:Response>"
    success = unsigned.replace(b"E100", b"I99")
    answer = dcc.parser.answer(unsigned, at=NOW)

    assert isinstance(answer, UnsignedRefusal)
    assert (answer.code, answer.request_id.text) == ("E100", REQUEST_ID)
    for parse, data in ((dcc.parser.response, unsigned), (dcc.parser.answer, success), (dcc.parser.message, unsigned)):
        with pytest.raises(MessageNotGenuine):
            parse(data, at=NOW)
    assert isinstance(dcc.parser.answer(signed, at=NOW), Response)


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_whatever_the_dcc_signs_is_read_or_refused_and_nothing_breaks(dcc: Dcc, data: st.DataObject) -> None:
    """Elements are taken away, doubled, renamed and emptied at random."""
    message = data.draw(st.sampled_from([dcc.response(PARTLY, code="W110501"), dcc.alert(CommsHubAlert(HUB, "A501"))]))
    root = etree.fromstring(message)
    root.remove(root[-1])
    for _ in range(data.draw(st.integers(1, 3))):
        element = data.draw(st.sampled_from(list(root.iter())))
        parent = element.getparent()
        match data.draw(st.integers(0, 3)):
            case 0 if parent is not None:
                parent.remove(element)
            case 1 if parent is not None:
                parent.append(etree.fromstring(etree.tostring(element, with_tail=False)))
            case 2:
                element.tag = f"{{{etree.QName(element).namespace}}}Renamed"
            case _:
                element.text = data.draw(st.sampled_from(["", "x", "-1", "99999999999999999999999", HUB]))
    refused = None
    try:
        exported = to_json(parse_message(dcc.signer.sign(root), dcc.trust, at=NOW))
    except MessageRefused as error:
        refused = error
    assert exported["schema_version"] == "5.4" if refused is None else refused.reason
