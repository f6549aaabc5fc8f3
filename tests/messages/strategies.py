"""Hypothesis strategies for everything that messages say, and request documents to change by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

from hypothesis import strategies as st

from sr_engine.messages import model
from sr_engine.messages.identifiers import COUNTER_MAX, RequestId

NAMESPACE = "http://www.dccinterface.co.uk/ServiceUserGateway"
SUPPLIER = "90-B3-D5-1F-30-01-00-00"
BROKER = "90-B3-D5-1F-30-00-00-02"
HUB = "00-DB-12-34-56-78-90-A2"

HEADER = (
    f"<sr:RequestID>{SUPPLIER}:{BROKER}:1000</sr:RequestID><sr:CommandVariant>8</sr:CommandVariant>"
    "<sr:ServiceReference>11.5</sr:ServiceReference>"
    "<sr:ServiceReferenceVariant>11.5</sr:ServiceReferenceVariant>"
)
SCHEDULE = (
    "<sr:ScheduleCommsHubFirmware><sr:DeviceManufacturer>2B7E</sr:DeviceManufacturer>"
    "<sr:DeviceModel>C1A20001</sr:DeviceModel><sr:FirmwareVersion>9002</sr:FirmwareVersion>"
    "<sr:UpgradeWindow><sr:StartDateTime>2026-12-01T00:00:00Z</sr:StartDateTime>"
    "<sr:EndDateTime>2026-12-20T06:00:00Z</sr:EndDateTime></sr:UpgradeWindow><sr:Phase>Pilot</sr:Phase>"
    f"<sr:DeviceIDList>{HUB}</sr:DeviceIDList></sr:ScheduleCommsHubFirmware>"
)


def request_text(*, header: str = HEADER, body: str = SCHEDULE, version: str = "5.4", attributes: str = "") -> str:
    """A request on three lines: root, Header, Body."""
    return (
        f'<sr:Request xmlns:sr="{NAMESPACE}" schemaVersion="{version}"{attributes}>\n'
        f"<sr:Header>{header}</sr:Header>\n<sr:Body>{body}</sr:Body></sr:Request>"
    )


# --- Values ----------------------------------------------------------------------------------------------------------

euis = st.binary(min_size=8, max_size=8).map(lambda octets: octets.hex("-").upper())
device_ids = st.lists(euis, min_size=1, max_size=12, unique=True).map(tuple)
counters = st.integers(0, COUNTER_MAX)
request_ids = st.builds(RequestId.make, euis, euis, counters)
moments = st.datetimes(datetime(1990, 1, 1), datetime(3000, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001  # bounds take no zone
_characters = st.characters(codec="utf-8", exclude_categories=("Cs", "Cc", "Cn", "Co"))
schedule_ids = st.integers(0, 10**12)
schema_versions = st.sampled_from(["5.0", "5.3", "5.4", "6"])


def texts(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(_characters, min_size=least, max_size=most)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


firmware = st.builds(model.Firmware, texts(0, 30), texts(0, 30), texts(1, 8))
periods = st.builds(model.Period, moments, moments)
regions = st.sampled_from(["North", "Central", "South", "4G North", "4G Central", "4G South", "Unknown", "SMETS1"])
device_types = st.sampled_from(["ESME", "GSME", "GPF", "CHF", "HCALCS", "PPMID", "IHD", "CAD"])
certification = st.sampled_from(["Active", "Cancelled", "Expired", "Withdrawn"])
mpans = texts(13, 13)
uprns = st.integers(1, 10**12 - 1)
property_filters = st.builds(model.PropertyFilter, texts(6, 8), texts(0, 30))

# --- Requests --------------------------------------------------------------------------------------------------------

published: st.SearchStrategy[model.ReadInventory | model.UpdateFirmware | model.UpdatePPMIDFirmware] = st.one_of(
    st.builds(model.ReadInventory, uprn=uprns),
    st.builds(model.ReadInventory, device_id=euis),
    st.builds(model.ReadInventory, mpxn=texts(1, 13)),
    st.builds(model.ReadInventory, property_filter=property_filters),
    st.builds(model.UpdateFirmware, st.binary(max_size=80), texts(1, 8), device_ids),
    st.builds(model.UpdatePPMIDFirmware, st.binary(max_size=80), texts(1, 8), device_ids),
)
"""Of the bodies that are written in full, those that the official schema has too."""
bodies: st.SearchStrategy[model.Body] = st.one_of(
    published,
    st.builds(
        model.ScheduleCommsHubFirmware,
        firmware=firmware,
        window=periods,
        phase=st.sampled_from(model.Phase),
        device_ids=device_ids,
        accept_han_impact=st.booleans(),
        replaces_schedule_id=optional(schedule_ids),
        execution_date_time=optional(moments),
    ),
    st.builds(
        model.ApproveCommsHubFirmware,
        firmware=firmware,
        decision=st.sampled_from(model.Decision),
        device_ids=device_ids,
        defer_until=optional(moments),
        accept_han_impact=st.booleans(),
        execution_date_time=optional(moments),
    ),
    st.builds(model.ReadCommsHubFirmwareSchedule, schedule_id=schedule_ids, start_after_device_id=optional(euis)),
    st.builds(model.ReadCommsHubFirmwareSchedule, device_id=euis),
    st.builds(model.DeleteCommsHubFirmwareSchedule, schedule_id=schedule_ids, device_ids=st.just(()) | device_ids),
    st.builds(
        model.UpdateCommsHubFirmwareExclusion,
        action=st.sampled_from(model.ExclusionAction),
        device_ids=device_ids,
        exclude_until=optional(moments),
        execution_date_time=optional(moments),
    ),
    st.sampled_from(["UpdateInventory", "ReadSchedule", "DisplayMessage"]).map(model.UnofferedBody),
)

# --- Results ---------------------------------------------------------------------------------------------------------

devices = st.builds(
    model.Device,
    device_id=euis,
    device_type=device_types,
    manufacturer=texts(0, 30),
    model=texts(0, 30),
    device_status=optional(st.sampled_from(["Pending", "Commissioned", "Suspended", "Recovered"])),
    smets_chts_version=optional(texts(1, 20)),
    firmware_version=optional(texts(1, 8)),
    firmware_version_status=optional(certification),
    cpl_status=optional(certification),
    date_commissioned=optional(st.dates(date(1990, 1, 1), date(2990, 1, 1))),
    import_mpxn=optional(texts(1, 13)),
    secondary_import_mpan=optional(mpans),
    export_mpan=optional(mpans),
    esme_variant=optional(st.sampled_from(["A", "BDE", "AEG"])),
    uprn=optional(uprns),
    property_filter=optional(property_filters),
    csp_region=optional(regions),
    gbcs_version=optional(texts(0, 40)),
    han_variant=optional(texts(0, 40)),
    s1sp=optional(texts(0, 40)),
    connectivity=optional(st.sampled_from(["Cellular", "Virtual"])),
)
inventories = st.builds(model.Inventory, st.lists(devices, min_size=1, max_size=17).map(tuple))
firmware_results = st.builds(
    model.CommsHubFirmwareResult,
    accepted_device_count=st.integers(0, 50_000),
    schedule_id=optional(schedule_ids),
    refused=st.dictionaries(st.sampled_from(model.RefusalReason), device_ids, max_size=8),
    refused_device_count=optional(st.integers(0, 50_000)),
)
upgrades = st.builds(
    model.CommsHubUpgrade,
    device_id=euis,
    csp_region=regions,
    firmware=firmware,
    status=st.sampled_from(model.UpgradeStatus),
    own_approval=st.sampled_from(model.Approval),
    other_approval=st.sampled_from(model.Approval),
    schedule_id=optional(schedule_ids),
    attempt=optional(st.integers(1, 10**6)),
    defer_until=optional(moments),
    window=optional(periods),
    period=optional(periods),
    status_at=optional(moments),
    status_reason=optional(texts(0, 60)),
)
schedule_reads = st.builds(
    model.ScheduleRead,
    upgrades=st.lists(upgrades, max_size=6).map(tuple),
    more_devices=st.booleans(),
    schedule=optional(
        st.builds(
            model.ScheduleDetails,
            schedule_id=schedule_ids,
            firmware=firmware,
            window=periods,
            phase=st.sampled_from(model.Phase),
            accept_han_impact=st.booleans(),
        )
    ),
)
firmware_warnings = st.builds(
    model.FirmwareWarning,
    of_ppmids=st.booleans(),
    refused=st.dictionaries(st.sampled_from(model.FirmwareRefusal), device_ids, max_size=5),
)
results: st.SearchStrategy[model.Result | None] = st.one_of(
    st.none(), inventories, firmware_warnings, firmware_results, schedule_reads
)

# --- Alerts ----------------------------------------------------------------------------------------------------------

alert_codes = st.sampled_from(["N18", "N27", "N59", "N64", "N999"])
_request_id_texts = request_ids.map(lambda each: each.text)
version_mismatches = st.builds(model.DCCAlertVersionMismatch, alert_codes, optional(euis), optional(_request_id_texts))
alerts: st.SearchStrategy[model.AlertBody] = st.one_of(
    st.builds(model.FirmwareUpgradeRequested, device_types, texts(1, 8), device_ids),
    st.builds(model.CommsHubFirmwareActivation, euis, texts(1, 8)),
    st.builds(model.FirmwareVersionMismatch, euis, st.sampled_from(["CHF", "ESME"]), texts(1, 8), texts(1, 8)),
    st.builds(model.FirmwareDistributionFailure, _request_id_texts, device_ids),
    st.builds(model.DeviceChangeOfSupplier, euis, device_types, texts(1, 13), optional(mpans), optional(mpans)),
    st.builds(
        model.CSPFirmwareDeliveryStatus,
        request_ids.map(lambda each: each.text),
        euis,
        euis,
        texts(1, 8),
        moments,
        st.booleans(),
    ),
    st.builds(model.CommsHubAlert, euis, st.sampled_from(["81A0", "F001"]), optional(moments)),
    st.builds(model.DUISVersionMismatch, version_mismatches, schema_versions),
)


def _of_device(make: Callable[..., model.AlertBody], *rest: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Bodies that are still to be given their device."""
    return st.tuples(*rest).map(lambda values: lambda device_id: make(device_id, *values))


alerts_about_a_device: st.SearchStrategy[Callable[[str], model.AlertBody]] = st.one_of(
    _of_device(model.CommsHubFirmwareActivation, texts(1, 8)),
    _of_device(model.FirmwareVersionMismatch, st.just("CHF"), texts(1, 8), texts(1, 8)),
    _of_device(model.CommsHubAlert, st.sampled_from(["81A0", "F001"]), optional(moments)),
    _of_device(
        lambda device_id, code, request_id, version: model.DUISVersionMismatch(
            model.DCCAlertVersionMismatch(code, device_id, request_id), version
        ),
        alert_codes,
        optional(_request_id_texts),
        schema_versions,
    ),
)
"""By the id of the device."""

# --- CSP exchange ----------------------------------------------------------------------------------------------------

_list_ids = st.from_regex(r"[A-Za-z0-9.:_\-]{1,64}", fullmatch=True)
_hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
_envelope: dict[str, st.SearchStrategy[Any]] = {
    "message_id": request_ids,
    "created": moments,
    "list_id": _list_ids,
    "region": regions,
}
csp_messages: st.SearchStrategy[model.CspMessage] = st.one_of(
    st.builds(
        model.UpgradeList,
        **_envelope,
        firmware=firmware,
        image_hash=_hashes,
        entries=st.lists(st.builds(model.ListEntry, periods, device_ids), min_size=1, max_size=4).map(tuple),
        replaces=optional(_list_ids),
    ),
    st.builds(
        model.UpgradeListAcknowledgement,
        **_envelope,
        accepted=st.just(()) | device_ids,
        refused=st.lists(st.builds(model.RefusedHubs, texts(0, 60), device_ids), max_size=3).map(tuple),
    ),
    st.builds(model.UpgradeListWithdrawal, **_envelope, reason=texts(0, 60), device_ids=st.just(()) | device_ids),
    st.builds(
        model.UpgradeReport,
        **_envelope,
        entries=st.lists(
            st.builds(
                model.ReportEntry,
                euis,
                st.sampled_from(model.ReportStatus),
                moments,
                optional(texts(0, 60)),
                optional(texts(1, 8)),
            ),
            min_size=1,
            max_size=6,
        ).map(tuple),
    ),
    st.builds(
        model.FirmwareImage,
        message_id=request_ids,
        created=moments,
        image_id=_hashes,
        image_hash=_hashes,
        image=st.binary(max_size=80),
    ),
    st.builds(
        model.MeterFirmwareList,
        **_envelope,
        version=texts(1, 8),
        image_id=_hashes,
        image_hash=_hashes,
        hubs=st.dictionaries(euis, device_ids, min_size=1, max_size=4),
    ),
    st.builds(
        model.MeterFirmwareAcknowledgement,
        **_envelope,
        accepted=st.just(()) | device_ids,
        refused=st.lists(st.builds(model.RefusedHubs, texts(0, 60), device_ids), max_size=3).map(tuple),
    ),
    st.builds(
        model.MeterFirmwareReport,
        **_envelope,
        entries=st.lists(
            st.builds(
                model.ReportEntry,
                euis,
                st.sampled_from([model.ReportStatus.DELIVERED, model.ReportStatus.FAILED]),
                moments,
                optional(texts(0, 60)),
            ),
            min_size=1,
            max_size=6,
        ).map(tuple),
    ),
)
