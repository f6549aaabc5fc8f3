"""What the operator, that is the DCC, does in a step: the commands of the product, in this process."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from sr_engine.bootstrap import phases_of
from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.domain.phases import PhasePlan
from sr_engine.domain.terms import Management, Obligation
from sr_engine.importers.cpl_csv import read_entries
from sr_engine.importers.csv_table import CsvRefused
from sr_engine.importers.inventory_csv import read_devices
from sr_engine.importers.registration_csv import read_registrations
from sr_engine.messages.model import Firmware
from sr_engine.operations.cpl import import_entries
from sr_engine.operations.exclusions import confirm_exclusions
from sr_engine.operations.imports import import_devices, import_registrations
from sr_engine.operations.phases import halt, open_gate, resume
from sr_engine.operations.quarantine import decide, set_thresholds, undecided_of
from sr_engine.operations.releases import ReleaseRefused, close, open_release, withdraw
from sr_engine.operations.terms import TermsRefused, Wanted, announce, compare
from sr_engine.replay.fixture import FixtureRefused, Table, moment
from sr_engine.replay.given import HAN_MANUFACTURER
from sr_engine.replay.homes import MANUFACTURER, MODEL, OLD_VERSION
from sr_engine.replay.stage import Stage, supplier

REFUSALS = (ReleaseRefused, TermsRefused, CsvRefused)
"""What an operator's command is refused with."""
IMAGE_HASH = "AB" * 32
_RELEASED = Firmware(MANUFACTURER, MODEL, "9002")


def _firmware(version: str) -> Firmware:
    return Firmware(MANUFACTURER, MODEL, version)


def _opens(stage: Stage, deed: Table) -> None:
    instance = stage.instance
    instance.transactions.run_now(
        lambda work: open_release(
            work,
            configuration=instance.configuration,
            alerts=instance.alerts,
            draw_id=instance.draw_id,
            firmware=_firmware(deed["opens"]),
            image_hash=IMAGE_HASH,
            regions=deed.get("regions", tuple(instance.configuration.regions)),
            reachable_from=[OLD_VERSION],
            han_models=[(HAN_MANUFACTURER, model) for model in deed.get("may_break", ())],
            general_open="soak_hours" not in deed,
            phase_plan=_phase_plan(stage, deed),
        )
    )


def _phase_plan(stage: Stage, deed: Table) -> PhasePlan:
    """What the step says; else no limit of pilots, and the policy's judgement of failures."""
    policy = stage.instance.configuration.policy.phases
    return PhasePlan(
        pilot_limit=deed.get("pilot_limit"),
        pilot_closes=None,
        soak=timedelta(hours=deed.get("soak_hours", 0)),
        automatic_gate={"automatic": True, "by hand": False}[deed.get("gate", "by hand")],
        failure_percent=deed.get("failure_percent", policy.failure_percent),
        minimum_sample=deed.get("minimum_sample", policy.minimum_sample),
    )


def _opens_gate(stage: Stage, deed: Table) -> None:
    stage.instance.transactions.run_now(lambda work: open_gate(work, _RELEASED, deed["opens_gate"]))


def _halts(stage: Stage, deed: Table) -> None:
    machinery = phases_of(stage.instance)
    because = deed["because"]
    stage.instance.transactions.run_now(lambda work: halt(work, machinery, _RELEASED, deed["halts"], because))


def _resumes(stage: Stage, deed: Table) -> None:
    machinery = phases_of(stage.instance)
    stage.instance.transactions.run_now(lambda work: resume(work, machinery, _RELEASED, deed["resumes"]))


def _closes(stage: Stage, deed: Table) -> None:
    stage.instance.transactions.run_now(lambda work: close(work, _firmware(deed["closes"])))


def _withdraws(stage: Stage, deed: Table) -> None:
    machinery = phases_of(stage.instance)
    stage.instance.transactions.run_now(lambda work: withdraw(work, machinery, _firmware(deed["withdraws"])))


def _announces(stage: Stage, deed: Table) -> None:
    """A change of the release's obligation or management, whichever the word belongs to."""
    word, instance = deed["announces"], stage.instance
    wanted = Wanted(
        obligation=Obligation(word) if word in set(Obligation) else None,
        management=Management(word) if word in set(Management) else None,
        comply_by=moment(deed["comply_by"]) if "comply_by" in deed else None,
        effective_at=moment(deed["takes_effect"]) if "takes_effect" in deed else None,
        consultation_reference=deed["consultation"],
        consultation_date=deed["consulted_on"],
    )
    policy = instance.configuration.policy.compulsion
    instance.transactions.run_now(
        lambda work: announce(work, firmware=_RELEASED, wanted=wanted, policy=policy, alerts=instance.alerts)
    )


def comparison(stage: Stage, deed: Table) -> dict[str, dict[str, int]]:
    """By regime, how many hubs it would mean what for."""
    instance = stage.instance
    if deed["compares"] not in instance.configuration.regions:
        raise FixtureRefused(f"compares: there is no region {deed['compares']!r}")
    with instance.reading_engine.connect() as connection:
        found = compare(
            connection,
            firmware=_RELEASED,
            regions=instance.configuration.regions,
            policy=instance.configuration.policy.compulsion,
            now=instance.clock.now(),
            comply_by=moment(deed["comply_by"]),
        )
    return {
        one.regime: {"upgraded": one.planned, "without_consent": one.without_consent, "left": one.not_planned}
        for one in found.regimes
        if one.region == deed["compares"]
    }


def _confirms_exclusions(stage: Stage, deed: Table) -> None:
    region = deed["confirms_exclusions"]
    stage.instance.transactions.run_now(lambda work: confirm_exclusions(work, _RELEASED, region))


def _imports(stage: Stage, deed: Table) -> None:
    """The spreadsheets of a folder, which is relative to that of the fixture."""
    instance = stage.instance
    folder = stage.fixture.path.parent / deed["imports"]
    organisations = [one.id for one in instance.users.organisations()]
    found = read_devices(folder / "inventory.csv")
    registered = read_registrations(folder / "registrations.csv", organisations)
    instance.transactions.run_now(lambda work: import_devices(work, found, "inventory.csv"))
    instance.transactions.run_now(lambda work: import_registrations(work, registered, "registrations.csv"))
    if (folder / "cpl.csv").is_file():
        entries = read_entries(folder / "cpl.csv")
        instance.transactions.run_now(lambda work: import_entries(work, entries, "cpl.csv"))


def _limits(stage: Stage, deed: Table) -> None:
    """How much a Supplier may send in an hour, on its own word."""
    eui = supplier(stage, deed["limits"]).eui
    wanted = Thresholds(deed.get("most_requests"), deed.get("most_devices"))
    stage.instance.transactions.run_now(lambda work: set_thresholds(work, eui, Breach.USER, wanted))


def _decides(verb: str, *, release: bool) -> Callable[[Stage, Table], None]:
    def decides(stage: Stage, deed: Table) -> None:
        eui = supplier(stage, deed[verb]).eui
        for event_ref in stage.instance.transactions.run_now(lambda work: undecided_of(work, eui)):
            stage.instance.transactions.run_now(lambda work, ref=event_ref: decide(work, ref, release=release))  # type: ignore[misc]

    return decides


DEEDS: dict[str, Callable[[Stage, Table], None]] = {
    "opens": _opens,
    "opens_gate": _opens_gate,
    "halts": _halts,
    "resumes": _resumes,
    "closes": _closes,
    "withdraws": _withdraws,
    "announces": _announces,
    "confirms_exclusions": _confirms_exclusions,
    "imports": _imports,
    "limits": _limits,
    "releases_request": _decides("releases_request", release=True),
    "deletes_request": _decides("deletes_request", release=False),
}
