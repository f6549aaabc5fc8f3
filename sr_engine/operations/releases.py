"""Opening firmware releases: what an operator does, and what the Suppliers concerned are told."""

from __future__ import annotations

from collections.abc import Callable, Collection

from sr_engine.configuration import AlertEvent, Configuration
from sr_engine.delivery.alerts import Alerts
from sr_engine.domain.changes import HubEvent
from sr_engine.domain.phases import PhasePlan
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import Firmware
from sr_engine.store import audit, inventory, releases
from sr_engine.store.transactions import UnitOfWork


class ReleaseRefused(Exception):
    """The release cannot be opened as asked; the text says why."""


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
    only pilot hubs are listed until the operator opens a region's gate. Raises ReleaseRefused.
    """
    unknown = sorted(set(regions) - configuration.regions.keys())
    if unknown or not regions:
        known = ", ".join(configuration.regions)
        raise ReleaseRefused(
            f"not regions that can be upgraded: {', '.join(unknown) or 'none named'}; there are {known}"
        )
    if len(image_hash) != 64 or set(image_hash) - set("0123456789abcdefABCDEF"):
        raise ReleaseRefused("the image hash must be the SHA-256 of the image: 64 hexadecimal digits")
    if not reachable_from or firmware.version in reachable_from:
        raise ReleaseRefused("name the versions from which this one is reachable, itself not among them")
    if releases.by_firmware(unit_of_work.connection, firmware) is not None:
        raise ReleaseRefused(f"{firmware.manufacturer} {firmware.model} {firmware.version} was opened before")
    if phase_plan is None:
        defaults = configuration.policy.phases
        phase_plan = PhasePlan(
            pilot_limit=None,
            pilot_closes=None,
            soak=defaults.soak,
            automatic_gate=False,
            failure_percent=defaults.failure_percent,
            minimum_sample=defaults.minimum_sample,
        )
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
    connection, now = unit_of_work.connection, unit_of_work.now
    releases.add(connection, release, phase_plan, opened_at=now)
    hub_ids = list(
        inventory.hub_ids_of_model(
            connection, firmware.manufacturer, firmware.model, release.regions, release.reachable_from
        )
    )
    hubs = inventory.hubs(connection, hub_ids, now, with_han=False)
    events = [
        HubEvent(AlertEvent.RELEASE_OPENED, hub_id, organisation, release.release_id, release.release_id)
        for hub_id in hub_ids
        for organisation in hubs[hub_id].responsible
    ]
    alerts.post(unit_of_work, events, release)
    detail = f"{firmware.manufacturer} {firmware.model} {firmware.version} in {', '.join(sorted(regions))}"
    entry = audit.Entry(now, "operator", "release opened", f"{detail}: {len(hub_ids)} hubs", None, release.release_id)
    audit.record(connection, [entry])
    return release, len(hub_ids)


def open_gate(unit_of_work: UnitOfWork, firmware: Firmware, region: str) -> bool:
    """Let hubs of the General phase be listed in a region; False if the gate was open. Raises ReleaseRefused."""
    release = releases.by_firmware(unit_of_work.connection, firmware)
    if release is None or region not in release.regions:
        raise ReleaseRefused(f"no release of this firmware in region {region}")
    opened = releases.open_gate(unit_of_work.connection, release.release_id, region)
    if opened:
        entry = audit.Entry(
            unit_of_work.now, "operator", "gate opened", f"{region}: General phase", None, release.release_id
        )
        audit.record(unit_of_work.connection, [entry])
    return opened
