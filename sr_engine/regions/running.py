"""What hubs run, as CSPs have read it from them, held against the inventory (section 5, Alerts out)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sr_engine.configuration import AlertEvent
from sr_engine.delivery.alerts import Alerts
from sr_engine.domain.changes import HubEvent
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import ReportEntry
from sr_engine.store import audit, inventory, read_versions, upgrades
from sr_engine.store.read_versions import ReadVersion
from sr_engine.store.units_of_work import UnitOfWork

MISMATCH = "firmware version mismatch"


def read_from(entries: Sequence[ReportEntry], now: datetime) -> dict[str, ReadVersion]:
    """By hub, the newest version that a report names; nothing was read later than it is reported."""
    newest: dict[str, ReadVersion] = {}
    for entry in entries:
        hub_id, at = entry.device_id.upper(), min(entry.at, now)
        if entry.version is not None and (hub_id not in newest or newest[hub_id].at <= at):
            newest[hub_id] = ReadVersion(entry.version, at)
    return newest


def read_later(unit_of_work: UnitOfWork, activated: Mapping[str, datetime]) -> set[str]:
    """Those of some hubs from which a version was read after the time given for each."""
    known = read_versions.newest(unit_of_work.connection, activated)
    return {hub_id for hub_id, one in known.items() if one.at > activated[hub_id]}


@dataclass(frozen=True, slots=True)
class Running:
    """Brings the inventory to what hubs run, and tells their Suppliers where it said something else."""

    alerts: Alerts

    def __call__(
        self, unit_of_work: UnitOfWork, release: Release, read: Mapping[str, ReadVersion], *, actor: str, key: str
    ) -> int:
        """Return how many hubs contradict the inventory; what is older than what is known of a hub says nothing.

        `release` is the one whose list the report is about, `key` that of its message.
        """
        connection, now = unit_of_work.connection, unit_of_work.now
        if not read:
            return 0
        before = read_versions.newest(connection, read)
        followed = upgrades.activated_later(connection, {hub_id: one.at for hub_id, one in read.items()})
        newer = {
            hub_id: one
            for hub_id, one in read.items()
            if hub_id not in followed and (hub_id not in before or before[hub_id].at < one.at)
        }
        read_versions.put(connection, newer)
        events: list[HubEvent] = []
        corrected: dict[tuple[str | None, str], list[str]] = defaultdict(list)
        for hub_id, hub in inventory.hubs(connection, newer, now, with_han=False).items():
            said, runs = hub.version, newer[hub_id].version
            if said == runs:
                continue
            corrected[said, runs].append(hub_id)
            if said is None:
                continue  # there is nothing that could be contradicted
            occurrence = f"{runs}@{newer[hub_id].at.timestamp():.6f}"
            events += [
                HubEvent(
                    AlertEvent.FIRMWARE_VERSION_MISMATCH,
                    hub_id,
                    organisation,
                    release.release_id,
                    occurrence,
                    versions=(said, runs),
                )
                for organisation in hub.responsible
            ]
        for (said, runs), hub_ids in corrected.items():
            inventory.set_firmware(connection, hub_ids, runs)
            detail = f"the inventory said {said or 'nothing'}, the CSP has read {runs}"
            entry = audit.Entry(now, actor, MISMATCH, detail, key, release.release_id, hubs=tuple(hub_ids))
            audit.record(connection, [entry])
        self.alerts.post(unit_of_work, events)
        return sum(len(hub_ids) for (said, _), hub_ids in corrected.items() if said is not None)
