"""What hubs run, as CSPs have read it from them, held against the inventory (section 5, Alerts out)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sr_engine.configuration import AlertEvent
from sr_engine.delivery.alerts import Alerts
from sr_engine.domain.changes import HubEvent
from sr_engine.domain.upgrades import Hub, Release
from sr_engine.messages.model import ReportEntry
from sr_engine.store import audit, inventory, read_versions, upgrades
from sr_engine.store.read_versions import ReadVersion
from sr_engine.store.units_of_work import UnitOfWork

MISMATCH = "firmware version mismatch"


def read_from(entries: Sequence[ReportEntry], since: datetime, now: datetime) -> dict[str, ReadVersion]:
    """By hub, the newest version that a report names; nothing was read later than it is reported, or before `since`."""
    newest: dict[str, ReadVersion] = {}
    for entry in entries:
        hub_id, at = entry.device_id.upper(), max(since, min(entry.at, now))
        if entry.version is not None and (hub_id not in newest or newest[hub_id].at <= at):
            newest[hub_id] = ReadVersion(entry.version, at)
    return newest


def read_later(unit_of_work: UnitOfWork, activated: Mapping[str, datetime]) -> dict[str, ReadVersion]:
    """What was read from some hubs after the time given for each."""
    known = read_versions.newest(unit_of_work.connection, activated)
    return {hub_id: one for hub_id, one in known.items() if one.at > activated[hub_id]}


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
        hubs = inventory.hubs(connection, newer, now, with_han=False)
        said = {hub_id: hub.version for hub_id, hub in hubs.items() if hub.version != newer[hub_id].version}
        corrected: dict[str, list[str]] = defaultdict(list)
        for hub_id in said:
            corrected[newer[hub_id].version].append(hub_id)
        for runs, hub_ids in corrected.items():
            inventory.set_firmware(connection, hub_ids, runs)
        self._tell(unit_of_work, release, said, newer, hubs, actor=actor, key=key)
        return sum(1 for version in said.values() if version is not None)

    def activated_before(
        self,
        unit_of_work: UnitOfWork,
        release: Release,
        read: Mapping[str, ReadVersion],
        *,
        actor: str,
        key: str | None,
    ) -> None:
        """Hubs have only now been reported activated, as of a time before a version was read from them.

        Where that is another than was activated they are told of as if the reports had come in their order: what a hub
        runs is known, and the inventory says so already.
        """
        wanted = release.firmware.version
        others = {hub_id for hub_id, one in read.items() if one.version != wanted}
        if others:
            hubs = inventory.hubs(unit_of_work.connection, others, unit_of_work.now, with_han=False)
            self._tell(unit_of_work, release, dict.fromkeys(hubs, wanted), read, hubs, actor=actor, key=key)

    def _tell(
        self,
        unit_of_work: UnitOfWork,
        release: Release,
        said: Mapping[str, str | None],
        read: Mapping[str, ReadVersion],
        hubs: Mapping[str, Hub],
        *,
        actor: str,
        key: str | None,
    ) -> None:
        """Record, and tell those responsible, of which hubs the inventory `said` something else than was `read`.

        Where it said nothing there is nothing that could be contradicted.
        """
        events: list[HubEvent] = []
        corrected: dict[tuple[str | None, str], list[str]] = defaultdict(list)
        for hub_id, version in said.items():
            runs = read[hub_id]
            corrected[version, runs.version].append(hub_id)
            if version is not None:
                occurrence = f"{runs.version}@{runs.at.timestamp():.6f}"
                events += [
                    HubEvent(
                        AlertEvent.FIRMWARE_VERSION_MISMATCH,
                        hub_id,
                        organisation,
                        release.release_id,
                        occurrence,
                        versions=(version, runs.version),
                    )
                    for organisation in hubs[hub_id].responsible
                ]
        audit.record(
            unit_of_work.connection,
            [
                audit.Entry(
                    unit_of_work.now,
                    actor,
                    MISMATCH,
                    f"the inventory said {version or 'nothing'}, the CSP has read {runs}",
                    key,
                    release.release_id,
                    hubs=tuple(hub_ids),
                )
                for (version, runs), hub_ids in corrected.items()
            ],
        )
        self.alerts.post(unit_of_work, events)
