"""Firmware releases: what an operator does with them, and what the Suppliers concerned are told.

Whatever is done twice is done once: the second time nothing changes, nobody is told, and nothing is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Connection

from sr_engine.configuration import AlertEvent, Configuration, Policy
from sr_engine.delivery.alerts import Alerts
from sr_engine.domain.changes import HubEvent
from sr_engine.domain.phases import PhasePlan, pilot_shares
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import Firmware
from sr_engine.regions.phases import AT_ONCE, Phases
from sr_engine.store import audit, inventory, phases, releases
from sr_engine.store.units_of_work import UnitOfWork

OPERATOR = "operator"
CPL_STATUSES = ("Active", "Suspended", "Removed")
"""What the Certified Products List can say of a release; only what is Active is scheduled, approved or listed."""
_TOLD_AT_ONCE = 50_000
"""Hubs looked up and told of in one go."""
_LONGEST_NAME = 30
_LONGEST_VERSION = 8
"""As the schema has DeviceManufacturer, DeviceModel and FirmwareVersion: what is longer cannot be told to anybody."""


class ReleaseRefused(Exception):
    """It cannot be done with this release; the text says why."""


@dataclass(frozen=True, slots=True)
class Amendment:
    """What is to be added to a release and removed from it."""

    add_versions: frozenset[str] = frozenset()
    remove_versions: frozenset[str] = frozenset()
    add_regions: frozenset[str] = frozenset()
    add_han_models: frozenset[tuple[str, str]] = frozenset()
    remove_han_models: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Amended:
    """What an amendment changed, in words, and how many hubs the release concerns since."""

    changes: tuple[str, ...]
    hubs: int


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """How far a withdrawal has come."""

    withdrawn_now: bool
    """False: it was withdrawn before."""
    cancelled: int
    """Hubs whose upgrade has been cancelled by this call."""
    more: bool
    """There are others: call again, in the next transaction."""


def find(connection: Connection, firmware: Firmware) -> Release:
    """The release of exactly this firmware; raises ReleaseRefused if there is none."""
    release = releases.by_firmware(connection, firmware)
    if release is None:
        raise ReleaseRefused(f"there is no release of firmware {_named(firmware)}: `sr-engine release list` shows all")
    return release


def plan_by_policy(policy: Policy) -> PhasePlan:
    """The plan of a region for which nothing else is decided: no limit, and the operator opens the gate."""
    defaults = policy.phases
    return PhasePlan(
        pilot_limit=None,
        pilot_closes=None,
        soak=defaults.soak,
        automatic_gate=False,
        failure_percent=defaults.failure_percent,
        minimum_sample=defaults.minimum_sample,
    )


def open_release(
    unit_of_work: UnitOfWork,
    *,
    configuration: Configuration,
    alerts: Alerts,
    draw_id: Callable[[], str],
    firmware: Firmware,
    image_hash: str,
    regions: Collection[str],
    reachable_from: Collection[str],
    han_models: Collection[tuple[str, str]] = (),
    general_open: bool = True,
    phase_plan: PhasePlan | None = None,
) -> tuple[Release, int]:
    """Open a release and send each responsible Supplier `FirmwareUpgradeRequested` naming its own hubs.

    Returns the release and how many hubs it concerns. `image_hash` is 64 hexadecimal digits. With `general_open` false
    only pilot hubs are listed until a region's gate opens. The plan, which is that of the policy if none is given,
    holds for each region; a pilot limit is split over its Suppliers now and for good. Raises ReleaseRefused.
    """
    connection, now = unit_of_work.connection, unit_of_work.now
    _check_text("manufacturer", [firmware.manufacturer], _LONGEST_NAME)
    _check_text("model", [firmware.model], _LONGEST_NAME)
    _check_text("version", [firmware.version], _LONGEST_VERSION)
    _check_concerned(reachable_from, han_models)
    _check_regions(regions, configuration)
    if not regions:
        raise ReleaseRefused(f"name the regions it is for; there are {', '.join(configuration.regions)}")
    if len(image_hash) != 64 or set(image_hash) - set("0123456789abcdefABCDEF"):
        raise ReleaseRefused("the image hash must be the SHA-256 of the image: 64 hexadecimal digits")
    if not reachable_from or firmware.version in reachable_from:
        raise ReleaseRefused("name the versions from which this one is reachable, itself not among them")
    known = releases.by_firmware(connection, firmware)
    if known is not None:
        raise ReleaseRefused(f"{_named(firmware)} was opened before and is {_what_then(known)}")
    plan = phase_plan or plan_by_policy(configuration.policy)
    _check_plan(plan, now)
    release = Release(
        release_id=draw_id(),
        firmware=firmware,
        image_hash=image_hash.upper(),
        status="Open",
        cpl_status="Active",
        management="SupplierManaged",
        regions=frozenset(regions),
        general_open=frozenset(regions) if general_open else frozenset(),
        reachable_from=frozenset(reachable_from),
        han_models=frozenset(han_models),
    )
    releases.add(connection, release, plan, opened_at=now)
    _fix_shares(unit_of_work, release, release.regions, plan)
    hubs = _tell_suppliers(unit_of_work, alerts, release, [(release.regions, release.reachable_from)])
    detail = f"{_named(firmware)} in {', '.join(sorted(regions))}: {hubs} hubs"
    _record(unit_of_work, release, "release opened", detail)
    return release, hubs


def amend(
    unit_of_work: UnitOfWork,
    *,
    configuration: Configuration,
    alerts: Alerts,
    firmware: Firmware,
    amendment: Amendment,
    general_open: bool = True,
    phase_plan: PhasePlan | None = None,
) -> Amended:
    """Add or remove versions, regions and affected HAN models; what is agreed already is judged by it at the cut.

    Suppliers are told of hubs that the release concerns only since. What is there already is not added again.
    `general_open` and `phase_plan` are for the regions that are new: False or a plan is refused if none is. Raises
    ReleaseRefused.
    """
    connection, now = unit_of_work.connection, unit_of_work.now
    release = find(connection, firmware)
    if release.status == "Withdrawn":
        raise ReleaseRefused(f"firmware {_named(firmware)} is withdrawn: there is nothing to amend")
    versions = amendment.add_versions - release.reachable_from
    without = amendment.remove_versions & release.reachable_from
    regions = amendment.add_regions - release.regions
    models = amendment.add_han_models - release.han_models
    spared = amendment.remove_han_models & release.han_models
    _check_amendment(release, amendment)
    _check_regions(regions, configuration)
    if not regions and (phase_plan is not None or not general_open):
        raise ReleaseRefused(
            "pilot, gate and failure threshold are decided when a region is added, and none is new: leave them out"
        )
    if (versions or regions) and release.status != "Open":
        raise ReleaseRefused(
            f"firmware {_named(firmware)} is closed: no versions or regions can be added, for nothing new is accepted"
        )
    plan = phase_plan or plan_by_policy(configuration.policy)
    if regions:
        _check_plan(plan, now)
    releases.add_paths(connection, release.release_id, versions)
    releases.remove_paths(connection, release.release_id, without)
    releases.add_regions(connection, release.release_id, regions, regions if general_open else (), plan)
    releases.add_han_models(connection, release.release_id, models)
    releases.remove_han_models(connection, release.release_id, spared)
    _fix_shares(unit_of_work, release, regions, plan)
    amended = find(connection, firmware)
    hubs = _tell_suppliers(
        unit_of_work, alerts, amended, [(regions, amended.reachable_from), (release.regions, versions)]
    )
    parts = {
        "installs on too": versions,
        "installs no more on": without,
        "new regions": regions,
        "HAN models it may break": {":".join(model) for model in models},
        "HAN models it does not break": {":".join(model) for model in spared},
    }
    changes = tuple(f"{what}: {', '.join(sorted(items))}" for what, items in parts.items() if items)
    if changes:
        _record(unit_of_work, release, "release amended", "; ".join(changes))
    return Amended(changes, hubs)


def close(unit_of_work: UnitOfWork, firmware: Firmware) -> bool:
    """Accept nothing new for a release, while what is agreed goes on; False if it was closed. Raises ReleaseRefused."""
    release = find(unit_of_work.connection, firmware)
    if release.status == "Withdrawn":
        raise ReleaseRefused(f"firmware {_named(firmware)} is withdrawn: it cannot be closed")
    if release.status == "Closed":
        return False
    releases.set_status(unit_of_work.connection, release.release_id, "Closed")
    _record(unit_of_work, release, "release closed", _named(firmware), (release.status, "Closed"))
    return True


def withdraw(unit_of_work: UnitOfWork, machinery: Phases, firmware: Firmware) -> Withdrawal:
    """Withdraw a release: nothing more is listed, and what is not with the CSP is cancelled; the rest goes on.

    One call cancels at most AT_ONCE hubs a region, the first one records the withdrawal. A processor that runs carries
    on by itself. Raises ReleaseRefused.
    """
    connection = unit_of_work.connection
    release = find(connection, firmware)
    withdrawn_now = release.status != "Withdrawn"
    if withdrawn_now:
        releases.set_status(connection, release.release_id, "Withdrawn")
        _record(unit_of_work, release, "release withdrawn", _named(firmware), (release.status, "Withdrawn"))
    cancelled = [
        machinery.cancel(unit_of_work, phase, actor=OPERATOR)
        for phase in phases.of_release(connection, release.release_id).values()
    ]
    return Withdrawal(withdrawn_now, sum(cancelled), AT_ONCE in cancelled)


def set_cpl_status(unit_of_work: UnitOfWork, firmware: Firmware, cpl_status: str) -> bool:
    """Record what the Certified Products List says of a release: one of CPL_STATUSES; False if it said so before.

    Takes effect at once: for requests, and at the next cut for what is agreed. Raises ReleaseRefused.
    """
    if cpl_status not in CPL_STATUSES:
        raise ReleaseRefused(f"{cpl_status!r} is no status of the Certified Products List: {', '.join(CPL_STATUSES)}")
    release = find(unit_of_work.connection, firmware)
    if release.cpl_status == cpl_status:
        return False
    releases.set_cpl_status(unit_of_work.connection, release.release_id, cpl_status)
    _record(unit_of_work, release, "CPL status changed", _named(firmware), (release.cpl_status, cpl_status))
    return True


def _what_then(release: Release) -> str:
    """The status of a release that cannot be opened again, and what to do."""
    if release.status == "Withdrawn":
        return "withdrawn: it cannot be opened again"
    return f"{release.status.lower()}: `sr-engine release amend` changes it"


def _check_text(what: str, values: Iterable[str], longest: int) -> None:
    """Whatever messages, which carry it, could not say."""
    for value in values:
        if not 1 <= len(value) <= longest or value != value.strip() or not value.isprintable():
            raise ReleaseRefused(
                f"the {what} must be 1 to {longest} printable characters without blanks around them, not {value!r}"
            )


def _check_concerned(versions: Iterable[str], han_models: Iterable[tuple[str, str]]) -> None:
    _check_text("version it installs on", versions, _LONGEST_VERSION)
    for manufacturer, model in han_models:
        _check_text("manufacturer of a HAN device", [manufacturer], _LONGEST_NAME)
        _check_text("model of a HAN device", [model], _LONGEST_NAME)


def _check_regions(regions: Iterable[str], configuration: Configuration) -> None:
    unknown = sorted(set(regions) - configuration.regions.keys())
    if unknown:
        known = ", ".join(configuration.regions)
        raise ReleaseRefused(f"not regions that can be upgraded: {', '.join(unknown)}; there are {known}")


def _check_plan(plan: PhasePlan, now: datetime) -> None:
    """What the types leave open."""
    if plan.pilot_limit is not None and plan.pilot_limit < 1:
        raise ReleaseRefused("the pilot limit must be 1 or more; leave it out for none")
    if plan.pilot_closes is not None and plan.pilot_closes <= now:
        raise ReleaseRefused("the pilot would close in the past")
    if plan.soak < timedelta(0):
        raise ReleaseRefused("the soak cannot be shorter than no time")
    if not 0 <= plan.failure_percent <= 100 or plan.minimum_sample < 1:
        raise ReleaseRefused("the share of failures is 0 to 100 percent, judged from a sample of 1 or more")


def _check_amendment(release: Release, amendment: Amendment) -> None:
    _check_concerned(sorted(amendment.add_versions), sorted(amendment.add_han_models))
    version = release.firmware.version
    if version in amendment.add_versions:
        raise ReleaseRefused(f"firmware {version} cannot be installed on itself")
    twice = sorted(amendment.add_versions & amendment.remove_versions)
    twice += sorted(map(":".join, amendment.add_han_models & amendment.remove_han_models))
    if twice:
        raise ReleaseRefused(f"both to be added and to be removed: {', '.join(twice)}")
    if not (release.reachable_from | amendment.add_versions) - amendment.remove_versions:
        raise ReleaseRefused("no version would be left to install it on: close or withdraw the release instead")


def _fix_shares(unit_of_work: UnitOfWork, release: Release, regions: Collection[str], plan: PhasePlan) -> None:
    """Split the pilot limit of some regions over the organisations responsible for hubs of the model there."""
    if plan.pilot_limit is None or not regions:
        return
    connection = unit_of_work.connection
    found = phases.portfolios(connection, release.firmware, regions, unit_of_work.now)
    for region, hubs in found.items():
        phases.add_shares(connection, release.release_id, region, pilot_shares(plan.pilot_limit, hubs))


def _tell_suppliers(
    unit_of_work: UnitOfWork,
    alerts: Alerts,
    release: Release,
    concerned: Iterable[tuple[Collection[str], Collection[str]]],
) -> int:
    """Tell Suppliers of hubs they were not told of, in some regions on some versions; return how many these are."""
    connection, now = unit_of_work.connection, unit_of_work.now
    firmware = release.firmware
    told = 0
    for regions, versions in concerned:
        if not regions or not versions:
            continue
        hub_ids = inventory.hub_ids_of_model(connection, firmware.manufacturer, firmware.model, regions, versions)
        # A million hubs are not held in memory.
        while some := list(islice(hub_ids, _TOLD_AT_ONCE)):
            hubs = inventory.hubs(connection, some, now, with_han=False)
            events = [
                HubEvent(AlertEvent.RELEASE_OPENED, hub_id, organisation, release.release_id, release.release_id)
                for hub_id in some
                for organisation in hubs[hub_id].responsible
            ]
            alerts.post(unit_of_work, events)
            told += len(some)
    return told


def _record(
    unit_of_work: UnitOfWork,
    release: Release,
    action: str,
    detail: str,
    states: tuple[str, str] | None = None,
) -> None:
    """`states` is what it was and what it is, where there is such a thing."""
    before, after = states or (None, None)
    entry = audit.Entry(unit_of_work.now, OPERATOR, action, detail, None, release.release_id, before, after)
    audit.record(unit_of_work.connection, [entry])


def _named(firmware: Firmware) -> str:
    return f"{firmware.manufacturer} {firmware.model} {firmware.version}"
