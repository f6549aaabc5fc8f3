"""What can be done in a step: each deed is a signed message, or an operator's command to the real processor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    CommsHubFirmwareResult,
    Decision,
    DeleteCommsHubFirmwareSchedule,
    ExclusionAction,
    Firmware,
    Inventory,
    MeterFirmwareAcknowledgement,
    MeterFirmwareReport,
    Period,
    Phase,
    ReadInventory,
    RefusalReason,
    RefusedHubs,
    ReportEntry,
    ReportStatus,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
    UpgradeListAcknowledgement,
    UpgradeReport,
)
from sr_engine.messages.model import Body as RequestBody
from sr_engine.messages.reading import code_of, schedule_of
from sr_engine.replay.fixture import FixtureRefused, Table, moment, verb_of
from sr_engine.replay.homes import MANUFACTURER, MODEL
from sr_engine.replay.operating import DEEDS as OF_THE_DCC
from sr_engine.replay.operating import REFUSALS, comparison
from sr_engine.replay.requests import composed, repeated, sent_template
from sr_engine.replay.stage import (
    Posted,
    Stage,
    csp_sends,
    device_named,
    feed,
    ids,
    is_unsigned_refusal,
    next_csp_message,
    schedule,
    supplier,
)
from sr_engine.replay.vocabulary import VERBS


@dataclass(frozen=True, slots=True)
class Outcome:
    """What whoever did it learns at once."""

    answer: str | None = None
    posted: Posted | None = None
    refused: dict[str, list[str]] = field(default_factory=dict)
    devices: list[str] | None = None
    compared: dict[str, dict[str, int]] = field(default_factory=dict)
    """By regime, how many hubs it would mean what for."""
    refusal: str | None = None
    """Why the operator's command was refused, in words."""


NOTHING = Outcome()
Deed = Callable[[Stage, Table], Outcome]


def _period(pair: list[str]) -> Period:
    start, end = pair
    return Period(moment(start), moment(end))


# --- Suppliers ---


def _request(stage: Stage, deed: Table) -> Outcome:
    posted = sent_template(stage, deed)
    code = code_of(posted.body)
    if code is not None and (given_out := schedule_of(posted.body)) is not None:
        stage.schedules[str(stage.step)] = given_out
    return Outcome(code, posted)


def _again(stage: Stage, deed: Table) -> Outcome:
    posted = repeated(stage, deed)
    return Outcome(code_of(posted.body), posted)


def _send(stage: Stage, deed: Table, body: RequestBody, variant: str) -> Outcome:
    """A request composed from what a step says; what comes back is told in words."""
    posted = composed(stage, deed["supplier"], body, variant)
    if posted.status != HTTPStatus.OK or is_unsigned_refusal(posted.body):
        return Outcome(code_of(posted.body), posted)
    decoded = stage.decoded(posted.body)
    result = decoded.result
    if isinstance(result, Inventory):
        shown = [f"{one.device_type} {one.model}" for one in result.devices]
        return Outcome(decoded.code, posted, devices=shown)
    if not isinstance(result, CommsHubFirmwareResult):
        return Outcome(decoded.code, posted)
    if "named" in deed and result.schedule_id is not None:
        stage.schedules[deed["named"]] = result.schedule_id
    names = {home.chf: name for name, home in stage.fixture.given.homes.items()}
    refused = {
        reason.value.removesuffix("DeviceIDList"): [names.get(hub_id, hub_id) for hub_id in result.refused[reason]]
        for reason in RefusalReason
        if reason in result.refused
    }
    return Outcome(decoded.code, posted, refused)


def _schedules(stage: Stage, deed: Table) -> Outcome:
    replaces = deed.get("replaces")
    body = ScheduleCommsHubFirmware(
        RELEASED,
        _period(deed["window"]),
        Phase(deed["phase"]),
        ids(stage, deed["schedules"]),
        accept_han_impact=deed.get("accepts_han_impact", False),
        replaces_schedule_id=None if replaces is None else schedule(stage, replaces),
    )
    return _send(stage, deed, body, "11.5")


def _decides(verb: str, decision: Decision) -> Deed:
    def decides(stage: Stage, deed: Table) -> Outcome:
        body = ApproveCommsHubFirmware(
            RELEASED,
            decision,
            ids(stage, deed[verb]),
            defer_until=moment(deed["until"]) if "until" in deed else None,
            accept_han_impact=deed.get("accepts_han_impact", False),
        )
        return _send(stage, deed, body, "11.6")

    return decides


def _deletes(stage: Stage, deed: Table) -> Outcome:
    body = DeleteCommsHubFirmwareSchedule(schedule(stage, deed["deletes"]), ids(stage, deed.get("hubs", ())))
    return _send(stage, deed, body, "11.8")


def _excludes(stage: Stage, deed: Table) -> Outcome:
    until = moment(deed["until"]) if "until" in deed else None
    body = UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, ids(stage, deed["excludes"]), until)
    return _send(stage, deed, body, "11.9")


def _includes(stage: Stage, deed: Table) -> Outcome:
    body = UpdateCommsHubFirmwareExclusion(ExclusionAction.INCLUDE, ids(stage, deed["includes"]))
    return _send(stage, deed, body, "11.9")


def _reads_inventory(stage: Stage, deed: Table) -> Outcome:
    (hub_id,) = ids(stage, [deed["reads_inventory"]])
    return _send(stage, deed, ReadInventory(device_id=hub_id), "8.2")


# --- the operator, that is the DCC ---


def _commands(name: str) -> Deed:
    def commands(stage: Stage, deed: Table) -> Outcome:
        try:
            OF_THE_DCC[name](stage, deed)
        except REFUSALS as refused:
            return Outcome(refusal=str(refused))
        return NOTHING

    return commands


def _compares(stage: Stage, deed: Table) -> Outcome:
    return Outcome(compared=comparison(stage, deed))


# --- CSPs ---


def _by_list(stage: Stage, csp: str, said: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """By region and list, what a CSP says of each device it was sent on it; ids instead of names."""
    found: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    homes, groups = stage.fixture.given.homes, stage.fixture.given.groups
    for name, what in said.items():
        for one in groups.get(name, (name,)):
            device_id = device_named(stage.fixture, one)
            if device_id is None:
                raise FixtureRefused(f"hub {one!r} is not given")
            if device_id not in stage.on_list:
                raise FixtureRefused(f"no CSP was ever sent hub {one!r}")
            region = homes[one if one in homes else one.rpartition(" ")[0]].region
            of_region = stage.regions()[region].csp_name
            if of_region != csp:
                raise FixtureRefused(f"hub {one!r} is in {region}, whose CSP is {of_region!r}, not {csp!r}")
            found[region, stage.on_list[device_id]][device_id] = what
    return found


def _acknowledges(stage: Stage, deed: Table) -> Outcome:
    said: dict[str, Any] = dict.fromkeys(deed.get("accepts", ())) | dict(deed.get("refuses", {}))
    for (region, list_id), devices in _by_list(stage, deed["csp"], said).items():
        accepted = tuple(hub_id for hub_id, reason in devices.items() if reason is None)
        refused = tuple(RefusedHubs(reason, (one,)) for one, reason in devices.items() if reason is not None)
        message_id = next_csp_message(stage, region)
        message = UpgradeListAcknowledgement(message_id, stage.now(), list_id, region, accepted, refused)
        csp_sends(stage, region, message)
    return NOTHING


def _reports(stage: Stage, deed: Table) -> Outcome:
    runs = {device_named(stage.fixture, name): version for name, version in deed.get("found", {}).items()}
    for (region, list_id), devices in _by_list(stage, deed["csp"], deed["reports"]).items():
        happened = moment(deed["happened"]) if "happened" in deed else stage.now()
        entries = []
        for hub_id, said in devices.items():
            status, _, reason = said.partition(": ")
            entries.append(ReportEntry(hub_id, ReportStatus(status), happened, reason or None, runs.get(hub_id)))
        message = UpgradeReport(next_csp_message(stage, region), stage.now(), list_id, region, tuple(entries))
        csp_sends(stage, region, message)
    return NOTHING


def _brings(stage: Stage, deed: Table) -> Outcome:
    for (region, list_id), devices in _by_list(stage, deed["csp"], deed["brings"]).items():
        now = stage.now()
        entries = []
        for device_id, said in devices.items():
            status, _, reason = said.partition(": ")
            entries.append(ReportEntry(device_id, ReportStatus(status), now, reason or None))
        csp_sends(
            stage, region, MeterFirmwareReport(next_csp_message(stage, region), now, list_id, region, tuple(entries))
        )
    return NOTHING


def _refuses_devices(stage: Stage, deed: Table) -> Outcome:
    for (region, list_id), devices in _by_list(stage, deed["csp"], deed["refuses_devices"]).items():
        refused = tuple(RefusedHubs(reason, (one,)) for one, reason in devices.items())
        message_id = next_csp_message(stage, region)
        csp_sends(stage, region, MeterFirmwareAcknowledgement(message_id, stage.now(), list_id, region, (), refused))
    return NOTHING


# --- the registration service ---


def _registers(stage: Stage, deed: Table) -> Outcome:
    """Who supplies a hub's electricity, gas or both from a date on; or that such a registration is cancelled."""
    (name,) = stage.fixture.hubs_named([deed["registration"]])
    home = stage.fixture.given.homes[name]
    points = {"electricity": (home.mpan, "IS"), "gas": (home.mprn, "GS")}
    if not points.keys() & deed.keys():
        raise FixtureRefused("registration: says neither electricity nor gas")
    items = [
        {
            "mpxn": points[fuel][0],
            "role": points[fuel][1],
            "organisation": supplier(stage, deed[fuel]).name,
            "effective_from": moment(deed["from"]).isoformat(),
            "cancelled": deed.get("cancelled", False),
        }
        for fuel in points
        if fuel in deed
    ]
    return Outcome(str(feed(stage, items)))


RELEASED = Firmware(MANUFACTURER, MODEL, "9002")
"""The firmware that `schedules`, `approves` and the like are about; a request of one's own may name any."""
_DEEDS: dict[str, Deed] = {
    "request": _request,
    "again": _again,
    "schedules": _schedules,
    "approves": _decides("approves", Decision.APPROVE),
    "declines": _decides("declines", Decision.DECLINE),
    "defers": _decides("defers", Decision.DEFER),
    "deletes": _deletes,
    "excludes": _excludes,
    "includes": _includes,
    "reads_inventory": _reads_inventory,
    "compares": _compares,
    "registration": _registers,
    "accepts": _acknowledges,
    "refuses": _acknowledges,
    "reports": _reports,
    "brings": _brings,
    "refuses_devices": _refuses_devices,
    **{name: _commands(name) for name in OF_THE_DCC},
}


def perform(stage: Stage, deed: Table) -> Outcome:
    """Do what a step says; raises FixtureRefused for what nobody can do."""
    name = verb_of(deed)
    if name is None:
        return NOTHING
    try:
        return _DEEDS[name](stage, deed)
    except KeyError as missing:
        if missing.args[0] not in VERBS[name].details:
            raise
        raise FixtureRefused(f"{name}: {missing.args[0]} is missing") from None
