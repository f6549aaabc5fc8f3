"""What the cast of a story can do: each deed is a signed message or an operator's command to the real processor."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from sr_engine.bootstrap import phases_of
from sr_engine.domain.phases import PhasePlan
from sr_engine.domain.terms import Management, Obligation
from sr_engine.importers.csv_table import CsvRefused
from sr_engine.importers.inventory_csv import read_devices
from sr_engine.importers.registration_csv import read_registrations
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Body,
    CommsHubFirmwareResult,
    Decision,
    DeleteCommsHubFirmwareSchedule,
    ExclusionAction,
    Firmware,
    Inventory,
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
from sr_engine.operations.exclusions import confirm_exclusions
from sr_engine.operations.imports import import_devices, import_registrations
from sr_engine.operations.phases import halt, open_gate, resume
from sr_engine.operations.releases import ReleaseRefused, close, open_release, withdraw
from sr_engine.operations.terms import TermsRefused, Wanted, announce, compare
from tests.scenarios.stage import Stage
from tests.scenarios.story import HAN_MANUFACTURER, StoryRefused, Table, moment
from tests.world import FIRMWARE, OLD_VERSION

SCENARIOS = Path(__file__).resolve().parents[2] / "fixtures" / "scenarios"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What whoever did it learns at once."""

    answer: str | None = None
    refused: dict[str, list[str]] = field(default_factory=dict)
    devices: list[str] | None = None
    compared: dict[str, dict[str, int]] = field(default_factory=dict)
    """By regime, how many hubs it would mean what for."""
    refusal: str | None = None
    """Why the operator's command was refused, in words."""


NOTHING = Outcome()
REFUSALS = (ReleaseRefused, TermsRefused, CsvRefused)
"""What an operator's command is refused with."""
Deed = Callable[[Stage, Table], Outcome]


def firmware(version: str) -> Firmware:
    return Firmware(FIRMWARE.manufacturer, FIRMWARE.model, version)


def _period(pair: list[str]) -> Period:
    start, end = pair
    return Period(moment(start), moment(end))


# --- Suppliers ---


def _send(stage: Stage, deed: Table, body: Body, variant: str) -> Outcome:
    name = deed["supplier"]
    supplier = stage.supplier(name)
    answer = stage.world.post(stage.world.signed(supplier, body, variant))
    stage.check_privacy(name, answer.body)
    decoded = stage.world.decoded(answer)
    result = decoded.result
    if isinstance(result, Inventory):
        shown = [f"{one.device_type} {one.model}" for one in result.devices]
        return Outcome(decoded.code, devices=shown)
    if not isinstance(result, CommsHubFirmwareResult):
        return Outcome(decoded.code)
    if "named" in deed and result.schedule_id is not None:
        stage.schedules[deed["named"]] = result.schedule_id
    refused = {
        reason.value.removesuffix("DeviceIDList"): [stage.keys[hub_id] for hub_id in result.refused[reason]]
        for reason in RefusalReason
        if reason in result.refused
    }
    return Outcome(decoded.code, refused)


def _schedules(stage: Stage, deed: Table) -> Outcome:
    replaces = deed.get("replaces")
    body = ScheduleCommsHubFirmware(
        FIRMWARE,
        _period(deed["window"]),
        Phase(deed["phase"]),
        stage.ids(deed["schedules"]),
        accept_han_impact=deed.get("accepts_han_impact", False),
        replaces_schedule_id=None if replaces is None else stage.schedule(replaces),
    )
    return _send(stage, deed, body, "11.5")


def _decides(verb: str, decision: Decision) -> Deed:
    def decides(stage: Stage, deed: Table) -> Outcome:
        body = ApproveCommsHubFirmware(
            FIRMWARE,
            decision,
            stage.ids(deed[verb]),
            defer_until=moment(deed["until"]) if "until" in deed else None,
            accept_han_impact=deed.get("accepts_han_impact", False),
        )
        return _send(stage, deed, body, "11.6")

    return decides


def _deletes(stage: Stage, deed: Table) -> Outcome:
    body = DeleteCommsHubFirmwareSchedule(stage.schedule(deed["deletes"]), stage.ids(deed.get("hubs", ())))
    return _send(stage, deed, body, "11.8")


def _excludes(stage: Stage, deed: Table) -> Outcome:
    until = moment(deed["until"]) if "until" in deed else None
    body = UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, stage.ids(deed["excludes"]), until)
    return _send(stage, deed, body, "11.9")


def _includes(stage: Stage, deed: Table) -> Outcome:
    body = UpdateCommsHubFirmwareExclusion(ExclusionAction.INCLUDE, stage.ids(deed["includes"]))
    return _send(stage, deed, body, "11.9")


def _reads_inventory(stage: Stage, deed: Table) -> Outcome:
    (hub_id,) = stage.ids([deed["reads_inventory"]])
    return _send(stage, deed, ReadInventory(device_id=hub_id), "8.2")


# --- the operator, that is the DCC ---


def _opens(stage: Stage, deed: Table) -> Outcome:
    instance = stage.world.instance
    stage.world.run(
        lambda uow: open_release(
            uow,
            configuration=instance.configuration,
            alerts=instance.alerts,
            draw_id=instance.draw_id,
            firmware=firmware(deed["opens"]),
            image_hash="AB" * 32,
            regions=deed.get("regions", tuple(instance.configuration.regions)),
            reachable_from=[OLD_VERSION],
            han_models=[(HAN_MANUFACTURER, model) for model in deed.get("may_break", ())],
            general_open="soak_hours" not in deed,
            phase_plan=_phase_plan(stage, deed),
        )
    )
    return NOTHING


def _phase_plan(stage: Stage, deed: Table) -> PhasePlan:
    """What the story says; else no limit of pilots, and the policy's judgement of failures."""
    policy = stage.world.instance.configuration.policy.phases
    return PhasePlan(
        pilot_limit=deed.get("pilot_limit"),
        pilot_closes=None,
        soak=timedelta(hours=deed.get("soak_hours", 0)),
        automatic_gate={"automatic": True, "by hand": False}[deed.get("gate", "by hand")],
        failure_percent=deed.get("failure_percent", policy.failure_percent),
        minimum_sample=deed.get("minimum_sample", policy.minimum_sample),
    )


def _opens_gate(stage: Stage, deed: Table) -> Outcome:
    stage.world.run(lambda uow: open_gate(uow, FIRMWARE, deed["opens_gate"]))
    return NOTHING


def _halts(stage: Stage, deed: Table) -> Outcome:
    machinery = phases_of(stage.world.instance)
    stage.world.run(lambda uow: halt(uow, machinery, FIRMWARE, deed["halts"], deed["because"]))
    return NOTHING


def _resumes(stage: Stage, deed: Table) -> Outcome:
    machinery = phases_of(stage.world.instance)
    stage.world.run(lambda uow: resume(uow, machinery, FIRMWARE, deed["resumes"]))
    return NOTHING


def _closes(stage: Stage, deed: Table) -> Outcome:
    stage.world.run(lambda uow: close(uow, firmware(deed["closes"])))
    return NOTHING


def _withdraws(stage: Stage, deed: Table) -> Outcome:
    machinery = phases_of(stage.world.instance)
    stage.world.run(lambda uow: withdraw(uow, machinery, firmware(deed["withdraws"])))
    return NOTHING


def _announces(stage: Stage, deed: Table) -> Outcome:
    """A change of the release's obligation or management, whichever the word belongs to."""
    word, instance = deed["announces"], stage.world.instance
    wanted = Wanted(
        obligation=Obligation(word) if word in set(Obligation) else None,
        management=Management(word) if word in set(Management) else None,
        comply_by=moment(deed["comply_by"]) if "comply_by" in deed else None,
        effective_at=moment(deed["takes_effect"]) if "takes_effect" in deed else None,
        consultation_reference=deed["consultation"],
        consultation_date=deed["consulted_on"],
    )
    policy = instance.configuration.policy.compulsion
    stage.world.run(lambda uow: announce(uow, firmware=FIRMWARE, wanted=wanted, policy=policy, alerts=instance.alerts))
    return NOTHING


def _compares(stage: Stage, deed: Table) -> Outcome:
    instance = stage.world.instance
    with instance.reading_engine.connect() as connection:
        found = compare(
            connection,
            firmware=FIRMWARE,
            regions=instance.configuration.regions,
            policy=instance.configuration.policy.compulsion,
            now=instance.clock.now(),
            comply_by=moment(deed["comply_by"]),
        )
    return Outcome(
        compared={
            one.regime: {
                "upgraded": one.planned,
                "without_consent": one.without_consent,
                "left": one.not_planned,
            }
            for one in found.regimes
            if one.region == deed["compares"]
        }
    )


def _confirms_exclusions(stage: Stage, deed: Table) -> Outcome:
    stage.world.run(lambda uow: confirm_exclusions(uow, FIRMWARE, deed["confirms_exclusions"]))
    return NOTHING


def _imports(stage: Stage, deed: Table) -> Outcome:
    world = stage.world
    folder = SCENARIOS / deed["imports"]
    organisations = [one.id for one in world.instance.users.organisations()]
    found = read_devices(folder / "inventory.csv")
    registered = read_registrations(folder / "registrations.csv", organisations)
    world.run(lambda uow: import_devices(uow, found, "inventory.csv"))
    world.run(lambda uow: import_registrations(uow, registered, "registrations.csv"))
    return NOTHING


# --- CSPs ---


def _by_list(stage: Stage, csp: str, hubs: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """By region and upgrade list, what a CSP says of each hub it was sent on it; ids instead of keys."""
    regions = stage.world.instance.configuration.regions
    found: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for key, said in stage.story.of_each(hubs).items():
        hub_id = stage.story.hubs[key].chf
        if hub_id not in stage.on_list:
            raise StoryRefused(f"no CSP was ever sent hub {key!r}")
        region = stage.story.hubs[key].region
        if regions[region].csp_name != csp:
            raise StoryRefused(f"hub {key!r} is in {region}, whose CSP is {regions[region].csp_name!r}, not {csp!r}")
        found[region, stage.on_list[hub_id]][hub_id] = said
    return found


def _acknowledges(stage: Stage, deed: Table) -> Outcome:
    said: dict[str, Any] = dict.fromkeys(deed.get("accepts", ())) | dict(deed.get("refuses", {}))
    for (region, list_id), hubs in _by_list(stage, deed["csp"], said).items():
        accepted = tuple(hub_id for hub_id, reason in hubs.items() if reason is None)
        refused = tuple(RefusedHubs(reason, (hub_id,)) for hub_id, reason in hubs.items() if reason is not None)
        message_id, now = stage.csp_message(region)
        stage.csp_sends(
            UpgradeListAcknowledgement(message_id, now, list_id, region, accepted=accepted, refused=refused)
        )
    return NOTHING


def _reports(stage: Stage, deed: Table) -> Outcome:
    for (region, list_id), hubs in _by_list(stage, deed["csp"], deed["reports"]).items():
        message_id, now = stage.csp_message(region)
        happened = moment(deed["happened"]) if "happened" in deed else now
        entries = []
        for hub_id, said in hubs.items():
            status, _, reason = said.partition(": ")
            entries.append(ReportEntry(hub_id, ReportStatus(status), happened, reason or None))
        stage.csp_sends(UpgradeReport(message_id, now, list_id, region, tuple(entries)))
    return NOTHING


# --- the registration service ---


def _registers(stage: Stage, deed: Table) -> Outcome:
    """Who supplies a hub's electricity, gas or both from a date on; or that such a registration is cancelled."""
    (key,) = stage.story.hubs_named([deed["registration"]])
    hub = stage.story.hubs[key]
    points = {"electricity": (hub.mpan, "IS"), "gas": (hub.mprn, "GS")}
    items = [
        {
            "mpxn": points[fuel][0],
            "role": points[fuel][1],
            "organisation": stage.supplier(deed[fuel]).name,
            "effective_from": moment(deed["from"]).isoformat(),
            "cancelled": deed.get("cancelled", False),
        }
        for fuel in points
        if fuel in deed
    ]
    return Outcome(str(stage.feed(items)))


@dataclass(frozen=True, slots=True)
class Verb:
    """A deed, who does it, and what else a step may say of it."""

    actor: str
    deed: Deed
    details: frozenset[str] = frozenset()


_OF_A_RELEASE = frozenset({"regions", "may_break"})
_OF_ITS_PHASES = frozenset({"pilot_limit", "soak_hours", "gate", "failure_percent", "minimum_sample"})
VERBS = {
    "schedules": Verb(
        "supplier",
        _schedules,
        frozenset({"window", "phase", "accepts_han_impact", "replaces", "named"}),
    ),
    "approves": Verb("supplier", _decides("approves", Decision.APPROVE), frozenset({"accepts_han_impact"})),
    "declines": Verb("supplier", _decides("declines", Decision.DECLINE)),
    "defers": Verb("supplier", _decides("defers", Decision.DEFER), frozenset({"until"})),
    "deletes": Verb("supplier", _deletes, frozenset({"hubs"})),
    "excludes": Verb("supplier", _excludes, frozenset({"until"})),
    "includes": Verb("supplier", _includes),
    "reads_inventory": Verb("supplier", _reads_inventory),
    "opens": Verb("dcc", _opens, _OF_A_RELEASE | _OF_ITS_PHASES),
    "opens_gate": Verb("dcc", _opens_gate),
    "halts": Verb("dcc", _halts, frozenset({"because"})),
    "resumes": Verb("dcc", _resumes),
    "closes": Verb("dcc", _closes),
    "withdraws": Verb("dcc", _withdraws),
    "announces": Verb("dcc", _announces, frozenset({"comply_by", "takes_effect", "consultation", "consulted_on"})),
    "compares": Verb("dcc", _compares, frozenset({"comply_by"})),
    "confirms_exclusions": Verb("dcc", _confirms_exclusions),
    "imports": Verb("dcc", _imports),
    "registration": Verb("registration", _registers, frozenset({"electricity", "gas", "from", "cancelled"})),
    "accepts": Verb("csp", _acknowledges, frozenset({"refuses"})),
    "refuses": Verb("csp", _acknowledges, frozenset({"accepts"})),
    "reports": Verb("csp", _reports, frozenset({"happened"})),
}


def perform(stage: Stage, deed: Table) -> Outcome:
    """Do what a step says; raises StoryRefused for what nobody can do."""
    if not deed:
        return NOTHING
    for name, verb in VERBS.items():
        if name not in deed:
            continue
        if verb.actor not in deed and verb.actor != "dcc":
            raise StoryRefused(f"{name}: says not which {verb.actor}")
        strange = deed.keys() - verb.details - {name, verb.actor}
        if strange:
            raise StoryRefused(f"{name}: {', '.join(sorted(strange))} is not known")
        try:
            return verb.deed(stage, deed)
        except REFUSALS as refused:
            return Outcome(refusal=str(refused))
    raise StoryRefused(f"{', '.join(sorted(deed))}: nobody can do that; there are {', '.join(sorted(VERBS))}")
