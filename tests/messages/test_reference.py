"""Our schema beside the official one, and the published samples."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from signing import parse
from sr_engine.messages.build import build_alert, build_response
from sr_engine.messages.compose import build_request
from sr_engine.messages.model import AlertBody, Body, FirmwareRefusal, FirmwareWarning, Inventory
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.resources import data_directory
from tests.messages import strategies
from tests.messages.conftest import NOW, Exchange
from tests.messages.strategies import BROKER, HUB, NAMESPACE, SUPPLIER

pytestmark = pytest.mark.reference

XS = "{http://www.w3.org/2001/XMLSchema}"
OUR_SERVICES = {"11.5", "11.6", "11.7", "11.8", "11.9"}
OUR_CODES = {f"E110{service}{number:02}" for service in range(5, 10) for number in range(1, 10)} | {
    "W110501",
    "W110601",
    "W110801",
    "W110901",
}


@pytest.fixture(scope="module")
def official(duis_reference: Path) -> Schema:
    return Schema(duis_reference / "schema" / "DUIS-5.4.xsd")


def _accepts(schema: Schema, data: bytes) -> bool:
    try:
        schema.check(parse(data))
    except SchemaRefused:
        return False
    return True


def _without_comments(path: Path) -> bytes:
    parser = etree.XMLParser(remove_comments=True, huge_tree=True, resolve_entities=False, no_network=True)
    return etree.tostring(etree.parse(str(path), parser), encoding="UTF-8", xml_declaration=True)


# --- What we send is valid by the official schema -----------------------------------------------------------------


@settings(deadline=None)
@given(inventory=strategies.inventories | st.none())
def test_our_answers_to_8_2_are_valid_officially(
    exchange: Exchange, official: Schema, inventory: Inventory | None
) -> None:
    root = build_response(
        schema_version="5.4",
        request_id=f"{SUPPLIER}:{BROKER}:1",
        code="E080201" if inventory is None else "I0",
        at=NOW,
        service_reference="8.2",
        service_reference_variant="8.2",
        result=inventory,
    )
    assert _accepts(official, exchange.signer.sign(root))


@settings(deadline=None)
@given(body=strategies.alerts, code=strategies.alert_codes)
def test_our_alerts_are_valid_officially(exchange: Exchange, official: Schema, body: AlertBody, code: str) -> None:
    root = build_alert(schema_version="5.4", alert_code=code, body=body, at=NOW)
    assert _accepts(official, exchange.signer.sign(root))


@settings(deadline=None)
@given(body=strategies.published)
def test_our_requests_of_published_kinds_are_valid_officially(exchange: Exchange, official: Schema, body: Body) -> None:
    root = build_request(
        schema_version="5.4",
        request_id=f"{SUPPLIER}:{BROKER}:1",
        command_variant=8,
        service_reference="8.2",
        service_reference_variant="8.2",
        body=body,
    )
    assert _accepts(official, exchange.signer.sign(root))


@settings(deadline=None)
@given(warning=strategies.firmware_warnings)
def test_our_warnings_to_11_1_and_11_4_are_valid_officially(
    exchange: Exchange, official: Schema, warning: FirmwareWarning
) -> None:
    variant = "11.4" if warning.of_ppmids else "11.1"
    root = build_response(
        schema_version="5.4",
        request_id=f"{SUPPLIER}:{BROKER}:1",
        code="W110401" if warning.of_ppmids else "W110101",
        at=NOW,
        service_reference=variant,
        service_reference_variant=variant,
        result=warning,
    )
    assert _accepts(official, exchange.signer.sign(root))


# --- What is published is valid by ours ----------------------------------------------------------------------------


def test_all_published_samples_are_valid_by_ours(duis_reference: Path, duis: Schema) -> None:
    folder = duis_reference / "messages"
    samples = [path for path in sorted(folder.glob("*/*.[xX][mM][lL]")) if "xxe" not in path.name]
    assert len(samples) > 30
    assert [path.name for path in samples if not _accepts(duis, _without_comments(path))] == []


def _values(root: etree._Element, kind: str, name: str) -> set[str]:
    found = root.find(f"{XS}{kind}[@name='{name}']")
    assert found is not None
    return {value for each in found.iter(f"{XS}enumeration") if (value := each.get("value")) is not None}


def _names(root: etree._Element, kind: str, name: str) -> set[str]:
    found = root.find(f"{XS}{kind}[@name='{name}']")
    assert found is not None
    return {value for each in found.iter(f"{XS}element") if (value := each.get("name")) is not None}


@pytest.fixture(scope="module")
def ours_and_theirs(duis_reference: Path) -> tuple[etree._Element, etree._Element]:
    ours = etree.parse(str(data_directory("xsd") / "duis.xsd")).getroot()
    types = etree.parse(str(data_directory("xsd") / "types.xsd")).getroot()
    ours.extend(list(types))
    return ours, etree.parse(str(duis_reference / "schema" / "DUIS-5.4.xsd")).getroot()


@pytest.mark.parametrize(
    ("kind", "name", "added"),
    [
        ("simpleType", "ServiceReference", OUR_SERVICES),
        ("simpleType", "ServiceReferenceVariant", OUR_SERVICES),
        ("simpleType", "ResponseCode", OUR_CODES),
        ("simpleType", "DeviceType", set()),
        ("simpleType", "DeviceStatus", set()),
        ("simpleType", "CSPRegion", set()),
        ("simpleType", "ESMEVariant", set()),
    ],
)
def test_our_lists_are_the_official_ones_and_our_own_codes(
    ours_and_theirs: tuple[etree._Element, etree._Element], kind: str, name: str, added: set[str]
) -> None:
    ours, theirs = ours_and_theirs
    published = _values(theirs, kind, name)
    assert published
    assert _values(ours, kind, name) == published | added
    assert not published & added


def test_our_alert_codes_are_the_official_ones(ours_and_theirs: tuple[etree._Element, etree._Element]) -> None:
    ours, theirs = ours_and_theirs
    assert _values(ours, "simpleType", "DCCAlertCode") == _values(theirs, "complexType", "DCCAlertMessage")


def test_every_published_body_result_and_alert_is_known(
    ours_and_theirs: tuple[etree._Element, etree._Element],
) -> None:
    ours, theirs = ours_and_theirs
    envelope = {
        "Header",
        "Body",
        "RequestID",
        "FirstInSequence",
        "PrecedingServiceRequestID",
        "CommandVariant",
        "ServiceReference",
        "ServiceReferenceVariant",
    }
    uplift = {
        "ScheduleCommsHubFirmware",
        "ApproveCommsHubFirmware",
        "ReadCommsHubFirmwareSchedule",
        "DeleteCommsHubFirmwareSchedule",
        "UpdateCommsHubFirmwareExclusion",
    }
    results = {"CommsHubFirmwareResult", "CommsHubFirmwareScheduleRead"}
    bodies = _names(theirs, "complexType", "Request") - envelope
    assert len(bodies) == 130
    assert _names(ours, "complexType", "RequestBody") == bodies | uplift
    assert _names(ours, "complexType", "ResponseMessage") == _names(theirs, "complexType", "ResponseMessage") | results
    assert _names(ours, "complexType", "DCCAlert") == _names(theirs, "complexType", "DCCAlert")


# --- Both judge the envelope, 8.2 and the alerts alike ---------------------------------------------------------------

_request_ids = st.sampled_from(
    [
        f"{SUPPLIER}:{BROKER}:{counter}"
        for counter in (
            *("0", "1", "01", "-1", "", "+1", "1.0", "18446744073709551615", "18446744073709551616"),
            *("9" * 19, "9" * 20, "18446744073709551609", "18446744073709551620", "18446744073709552000"),
        )
    ]
    + [f" {SUPPLIER.lower()}:{BROKER}:1\n", f"{SUPPLIER}:1", f"{SUPPLIER}: {BROKER}:1", ""]
) | st.builds("{}:{}:{}".format, strategies.euis, strategies.euis, st.integers(0, 2**65))
_versions = st.sampled_from(["5", "05.4", "5.40", " 5.4", "five", "", "5.", "+5.4", "5,4"])
_variants = st.sampled_from(["1", "8", "9", "0", "10", "08", "+8", " 8 ", "8.0", "", "-8"])
_references = st.sampled_from(["8.2", "1.1", "14.1", "8.20", " 8.2", "", "99"])
_booleans = st.sampled_from(["true", "1", "TRUE", " false ", "", "0"])
_inner = st.sampled_from(
    [
        *(f"<sr:UPRN>{uprn}</sr:UPRN>" for uprn in ("1", "0", "-1", "999999999999", "1000000000000", "0001", "x")),
        *(f"<sr:DeviceID>{eui}</sr:DeviceID>" for eui in (HUB, HUB.lower(), f" {HUB} ", HUB[:-1], f"{HUB}-00", "")),
        *(f"<sr:MPxN>{mpxn}</sr:MPxN>" for mpxn in ("", "1", "1234567890123", "12345678901234", " ")),
        "<sr:PropertyFilter><sr:PostCode>AB1 2CD</sr:PostCode><sr:AddressIdentifier/></sr:PropertyFilter>",
        "<sr:PropertyFilter><sr:PostCode>AB1</sr:PostCode><sr:AddressIdentifier/></sr:PropertyFilter>",
        "<sr:PropertyFilter><sr:PostCode>AB1 2CD</sr:PostCode></sr:PropertyFilter>",
        f"<sr:DeviceID>{HUB}</sr:DeviceID><sr:DeviceID>{HUB}</sr:DeviceID>",
        "",
        "<sr:Other/>",
    ]
)


@settings(deadline=None, max_examples=150)
@given(
    request_id=_request_ids,
    version=_versions | st.just("5.4"),
    variant=_variants | st.just("8"),
    reference=_references | st.just("8.2"),
    first=st.none() | _booleans,
    preceding=st.none() | _request_ids,
    inner=_inner,
)
def test_both_schemas_judge_8_2_requests_alike(
    *,
    duis: Schema,
    official: Schema,
    request_id: str,
    version: str,
    variant: str,
    reference: str,
    first: str | None,
    preceding: str | None,
    inner: str,
) -> None:
    header = f"<sr:RequestID>{request_id}</sr:RequestID>"
    if first is not None:
        header += f"<sr:FirstInSequence>{first}</sr:FirstInSequence>"
    if preceding is not None:
        header += f"<sr:PrecedingServiceRequestID>{preceding}</sr:PrecedingServiceRequestID>"
    header += (
        f"<sr:CommandVariant>{variant}</sr:CommandVariant><sr:ServiceReference>{reference}</sr:ServiceReference>"
        "<sr:ServiceReferenceVariant>8.2</sr:ServiceReferenceVariant>"
    )
    text = strategies.request_text(
        header=header, body=f"<sr:ReadInventory>{inner}</sr:ReadInventory>", version=version
    ).encode()
    assert _accepts(duis, text) == _accepts(official, text)


_images = st.sampled_from(
    ["", "QUJD", "QUJDRA==", " QU\nJD ", "QUJ", "QUJDRB==", "=", "QUJDR===", "Q!==", "QUJDRA==QUJD", "Ω"]
) | st.binary(max_size=40).map(lambda octets: base64.b64encode(octets).decode())
_image_versions = st.sampled_from(["0002012F", "1", "", "123456789", " 1 "])
_lists = st.sampled_from(
    [
        HUB,
        HUB.lower(),
        f"{HUB},{HUB}",
        f"{HUB},{HUB.lower()}",
        "",
        f"{HUB},",
        f",{HUB}",
        f"{HUB}, {HUB}",
        f" {HUB}",
        HUB[1:],
    ]
)


@settings(deadline=None, max_examples=150)
@given(
    name=st.sampled_from(["UpdateFirmware", "UpdatePPMIDFirmware"]),
    image=_images,
    version=_image_versions,
    device_ids=_lists,
    order=st.permutations(range(3)) | st.just([0, 1, 2]),
    present=st.sets(st.integers(0, 2)) | st.just({0, 1, 2}),
)
def test_both_schemas_judge_11_1_and_11_4_alike(
    *,
    duis: Schema,
    official: Schema,
    name: str,
    image: str,
    version: str,
    device_ids: str,
    order: list[int],
    present: set[int],
) -> None:
    parts = [
        f"<sr:FirmwareImage>{image}</sr:FirmwareImage>",
        f"<sr:FirmwareVersion>{version}</sr:FirmwareVersion>",
        f"<sr:DeviceIDList>{device_ids}</sr:DeviceIDList>",
    ]
    inner = "".join(parts[number] for number in order if number in present)
    text = strategies.request_text(body=f"<sr:{name}>{inner}</sr:{name}>").replace(">11.5<", ">11.1<").encode()
    assert _accepts(duis, text) == _accepts(official, text)


@pytest.mark.parametrize(
    ("octets", "ids", "valid"),
    [(10_240_000, 1, True), (10_240_001, 1, False), (0, 50_000, True), (0, 50_001, False)],
)
def test_both_schemas_take_an_image_and_a_list_of_the_largest_size_and_nothing_larger(
    duis: Schema, official: Schema, octets: int, ids: int, valid: bool
) -> None:
    image = base64.b64encode(bytes(octets)).decode()
    body = (
        f"<sr:UpdateFirmware><sr:FirmwareImage>{image}</sr:FirmwareImage><sr:FirmwareVersion>1</sr:FirmwareVersion>"
        f"<sr:DeviceIDList>{','.join([HUB] * ids)}</sr:DeviceIDList></sr:UpdateFirmware>"
    )
    text = strategies.request_text(body=body).replace(">11.5<", ">11.1<").encode()
    assert (_accepts(duis, text), _accepts(official, text)) == (valid, valid)


def test_the_lists_of_a_warning_stand_in_the_official_order(
    ours_and_theirs: tuple[etree._Element, etree._Element],
) -> None:
    _, theirs = ours_and_theirs
    for kind in ("DSPUpdateFirmwareWarning", "DSPUpdatePPMIDFirmwareWarning"):
        found = theirs.find(f"{XS}complexType[@name='{kind}']")
        assert found is not None
        names = [each.get("name") for each in found.iter(f"{XS}element")]
        assert names == [reason.value for reason in FirmwareRefusal]


@pytest.mark.parametrize("index", range(21))
@pytest.mark.parametrize("change", ["remove", "double", "empty", "lengthen", "move"])
def test_both_schemas_judge_a_changed_device_alike(duis: Schema, official: Schema, index: int, change: str) -> None:
    root = _full_inventory()
    device = root.find(f".//{{{NAMESPACE}}}Device")
    assert device is not None
    assert len(device) == 21
    _change(device, device[index], change)
    text = etree.tostring(root)
    assert _accepts(duis, text) == _accepts(official, text)


_ALERTS = [
    (
        "<sr:CSPFirmwareDeliveryStatus><sr:UpdateFirmwareRequestID>{id}</sr:UpdateFirmwareRequestID><sr:CommsHubDeviceID>"
        "{eui}</sr:CommsHubDeviceID><sr:TargetDeviceID>{eui}</sr:TargetDeviceID><sr:FirmwareVersion>1</sr:FirmwareVersion>"
        "<sr:TimeStamp>2026-01-01T00:00:00</sr:TimeStamp><sr:CommsHubTransferStatus>Success</sr:CommsHubTransferStatus>"
        "</sr:CSPFirmwareDeliveryStatus>"
    ),
    (
        "<sr:FirmwareVersionMismatch><sr:DeviceID>{eui}</sr:DeviceID><sr:DeviceType>CHF</sr:DeviceType>"
        "<sr:FirmwareVersionSMI>1</sr:FirmwareVersionSMI><sr:FirmwareVersionDevice>2</sr:FirmwareVersionDevice>"
        "</sr:FirmwareVersionMismatch>"
    ),
    (
        "<sr:QuarantinedRequest><sr:ADDCCThresholdBreach><sr:RequestID>{id}</sr:RequestID><sr:QuarantineEventRef>"
        "12345678901234567890</sr:QuarantineEventRef></sr:ADDCCThresholdBreach></sr:QuarantinedRequest>"
    ),
    (
        "<sr:DUISVersionMismatch><sr:DCCAlertVersionMismatch><sr:DCCAlertCode>N1</sr:DCCAlertCode><sr:DeviceID>{eui}"
        "</sr:DeviceID></sr:DCCAlertVersionMismatch><sr:ServiceUserDUISVersion>5.0</sr:ServiceUserDUISVersion>"
        "</sr:DUISVersionMismatch>"
    ),
    (
        "<sr:DUISVersionMismatch><sr:ServiceResponseVersionMismatch><sr:RequestID>{id}</sr:RequestID><sr:ServiceReference>"
        "8.2</sr:ServiceReference><sr:ServiceReferenceVariant>8.2</sr:ServiceReferenceVariant><sr:ServiceRequestDUISVersion>"
        "5.4</sr:ServiceRequestDUISVersion></sr:ServiceResponseVersionMismatch><sr:ServiceUserDUISVersion>5.0"
        "</sr:ServiceUserDUISVersion></sr:DUISVersionMismatch>"
    ),
    (
        "<sr:CommsHubAlert><sr:CommsHubDeviceID>{eui}</sr:CommsHubDeviceID><sr:AlertCode>8F1C</sr:AlertCode><sr:TimeStamp>"
        "2026-01-01T00:00:00Z</sr:TimeStamp><sr:FirmwareTransferAlert><sr:UpdateFirmwareRequestID>{id}"
        "</sr:UpdateFirmwareRequestID><sr:OtherDeviceID>{eui}</sr:OtherDeviceID><sr:FirmwareVersion>1</sr:FirmwareVersion>"
        "<sr:TransferResponseCode>FileTransferSuccess</sr:TransferResponseCode></sr:FirmwareTransferAlert></sr:CommsHubAlert>"
    ),
    (
        "<sr:ChangeOfSupplier><sr:ChangeOfSupplierServiceRequestID>{id}</sr:ChangeOfSupplierServiceRequestID>"
        "<sr:ECoSErrorCode>E65</sr:ECoSErrorCode></sr:ChangeOfSupplier>"
    ),
    (
        "<sr:ChangeOfSupplier><sr:DeviceChangeOfSupplier><sr:DeviceID>{eui}</sr:DeviceID><sr:DeviceType>ESME</sr:DeviceType>"
        "<sr:MPxNs><sr:ImportMPxN>1</sr:ImportMPxN><sr:SecondaryImportMPAN>1234567890123</sr:SecondaryImportMPAN>"
        "<sr:ExportMPAN>1234567890123</sr:ExportMPAN></sr:MPxNs></sr:DeviceChangeOfSupplier></sr:ChangeOfSupplier>"
    ),
    (
        "<sr:FirmwareUpgradeRequested><sr:DeviceType>CHF</sr:DeviceType><sr:FirmwareVersion>1</sr:FirmwareVersion>"
        "<sr:DeviceList>{eui}</sr:DeviceList></sr:FirmwareUpgradeRequested>"
    ),
    (
        "<sr:FirmwareDistributionFailure><sr:UpdateFirmwareRequestID>{id}</sr:UpdateFirmwareRequestID><sr:MeterIDs>{eui}"
        "</sr:MeterIDs></sr:FirmwareDistributionFailure>"
    ),
    (
        "<sr:CommsHubFirmwareActivation><sr:DeviceID>{eui}</sr:DeviceID><sr:FirmwareVersion>1</sr:FirmwareVersion>"
        "</sr:CommsHubFirmwareActivation>"
    ),
]


@pytest.mark.parametrize("body", _ALERTS, ids=lambda body: body[4:].partition(">")[0])
def test_both_schemas_judge_an_alert_and_every_change_to_it_alike(duis: Schema, official: Schema, body: str) -> None:
    text = (
        f'<sr:Response xmlns:sr="{NAMESPACE}" schemaVersion="5.4"><sr:Header><sr:ResponseCode>I0</sr:ResponseCode>'
        "<sr:ResponseDateTime>2026-01-01T00:00:00Z</sr:ResponseDateTime></sr:Header><sr:Body><sr:DCCAlertMessage>"
        "<sr:DCCAlertCode>N64</sr:DCCAlertCode><sr:ThrottledAlertSequenceId>1</sr:ThrottledAlertSequenceId>"
        "<sr:ThrottledAlertCount>2</sr:ThrottledAlertCount>"
        f"<sr:DCCAlert>{body.format(id=f'{SUPPLIER}:{BROKER}:1', eui=HUB)}</sr:DCCAlert></sr:DCCAlertMessage></sr:Body>"
        "</sr:Response>"
    ).encode()
    assert _accepts(duis, text)
    assert _accepts(official, text)
    for index in range(len(list(etree.fromstring(text).iter()))):
        for change in ("remove", "double", "empty", "lengthen", "move"):
            root = etree.fromstring(text)
            element = list(root.iter())[index]
            parent = element.getparent()
            if parent is not None:
                _change(parent, element, change)
                changed = etree.tostring(root)
                assert _accepts(duis, changed) == _accepts(official, changed), (change, changed)


def _change(parent: etree._Element, element: etree._Element, change: str) -> None:
    match change:
        case "remove":
            parent.remove(element)
        case "double":
            element.addnext(etree.fromstring(etree.tostring(element)))
        case "empty":
            element.text = None
        case "lengthen":
            element.text = (element.text or "") + "0" * 30
        case "move":
            parent.insert(0, element)


def _full_inventory() -> etree._Element:
    values = {
        "DeviceID": HUB,
        "DeviceType": "ESME",
        "DeviceStatus": "Commissioned",
        "DeviceManufacturer": "2B7E",
        "DeviceModel": "C1A20001",
        "SMETSCHTSVersion": "SMETS2 V5.1",
        "DeviceFirmwareVersion": "9001",
        "DeviceFirmwareVersionStatus": "Active",
        "CPLStatus": "Active",
        "DateCommissioned": "2025-12-28Z",
        "ImportMPxN": "1234567890123",
        "SecondaryImportMPAN": "1234567890123",
        "ExportMPAN": "1234567890123",
        "ESMEVariant": "ADE",
        "UPRN": "123456789012",
        "PropertyFilter": "",
        "CSPRegion": "4G North",
        "DeviceGBCSVersion": "4.2",
        "HANVariant": "Single Band",
        "S1SP": "S",
        "Connectivity": "Cellular",
    }
    device = "".join(f"<sr:{name}>{value}</sr:{name}>" for name, value in values.items()).replace(
        "<sr:PropertyFilter>",
        "<sr:PropertyFilter><sr:PostCode>AB1 2CD</sr:PostCode><sr:AddressIdentifier>1</sr:AddressIdentifier>",
    )
    return etree.fromstring(
        f'<sr:Response xmlns:sr="{NAMESPACE}" schemaVersion="5.4"><sr:Header><sr:RequestID>{SUPPLIER}:{BROKER}:1'
        "</sr:RequestID><sr:ResponseCode>I0</sr:ResponseCode><sr:ResponseDateTime>2026-01-01T00:00:00Z"
        "</sr:ResponseDateTime></sr:Header><sr:Body><sr:ResponseMessage><sr:ServiceReference>8.2</sr:ServiceReference>"
        f"<sr:ServiceReferenceVariant>8.2</sr:ServiceReferenceVariant><sr:DSPInventory><sr:Device>{device}</sr:Device>"
        "</sr:DSPInventory></sr:ResponseMessage></sr:Body></sr:Response>"
    )
