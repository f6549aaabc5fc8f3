"""What an operator sees of exclusions, and confirms about them: never whose they are, nor why."""

from __future__ import annotations

from collections.abc import Mapping

from sr_engine.messages.model import Firmware
from sr_engine.operations.releases import ReleaseRefused, find
from sr_engine.store import audit, exclusions
from sr_engine.store.units_of_work import UnitOfWork


def confirm_exclusions(
    unit_of_work: UnitOfWork, firmware: Firmware, region: str | None = None
) -> Mapping[str, tuple[str, ...]]:
    """Confirm that a compulsory upgrade need not heed the exclusions of the hubs that a release can be installed on.

    In one region, or in all of the release. A confirmation lasts as long as the exclusion; it changes nothing while the
    upgrade is voluntary. Returns the hubs by region, without those confirmed before. Raises ReleaseRefused.
    """
    connection, now = unit_of_work.connection, unit_of_work.now
    release = find(connection, firmware)
    if region is not None and region not in release.regions:
        named = f"{firmware.manufacturer} {firmware.model} {firmware.version}"
        there_are = ", ".join(sorted(release.regions))
        raise ReleaseRefused(f"firmware {named} is not released in region {region}; its regions are {there_are}")
    regions = release.regions if region is None else {region}
    confirmed = exclusions.confirm(connection, release, regions, now)
    audit.record(
        connection,
        [
            audit.Entry(now, "operator", "exclusion confirmed", place, None, release.release_id, hubs=hub_ids)
            for place, hub_ids in confirmed.items()
        ],
    )
    return confirmed
