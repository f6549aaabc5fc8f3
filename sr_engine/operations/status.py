"""Where everything stands, in counts: releases, regions, answers, lists, messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from sr_engine.domain.sla import Month
from sr_engine.domain.states import AttemptState
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import Firmware
from sr_engine.store import circuits, firmware, kept_changes, lists, outbox, releases, sla, summaries
from sr_engine.store.circuits import OpenCircuit
from sr_engine.store.firmware import RequestSummary
from sr_engine.store.kept_changes import Unfinished
from sr_engine.store.sla import Breaches

FIRMWARE_REQUESTS = 20
"""Firmware requests of meters and PPMIDs that are told of, at most."""


@dataclass(frozen=True, slots=True)
class RegionStatus:
    """A release in one region."""

    region: str
    general_open: bool
    halted: bool
    hubs: int
    """Hubs of the release's model."""
    on_version: int
    """Those of them that run the release's version."""
    states: Mapping[AttemptState, int]
    """Hubs by the state of their newest attempt; hubs nobody has scheduled are in none."""


@dataclass(frozen=True, slots=True)
class ReleaseStatus:
    """A release; `answers` counts what Suppliers have answered, by Approval, where they have answered."""

    firmware: Firmware
    status: str
    cpl_status: str
    regions: tuple[RegionStatus, ...]
    answers: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ListStatus:
    """The upgrade lists of a region."""

    region: str
    cut: int
    hubs: int
    acknowledged: int


@dataclass(frozen=True, slots=True)
class Status:
    """Everything, as of one moment."""

    at: datetime
    releases: tuple[ReleaseStatus, ...]
    lists: tuple[ListStatus, ...]
    firmware_requests: tuple[RequestSummary, ...]
    """The newest 11.1 and 11.4 that were accepted, newest first."""
    breaches: tuple[Breaches, ...]
    """Breaches of service levels that were found in this month, UTC."""
    messages: Mapping[tuple[str, str, str], int]
    """Messages of the outbox by kind, event and state."""
    circuits: tuple[OpenCircuit, ...]
    """Receivers that fail, so that nothing but a message now and then is sent to them."""
    unfinished: Unfinished | None
    """Long lists that were answered and are still to be carried out."""


def status(connection: Connection, now: datetime) -> Status:
    """Count; newest release first, regions by name."""
    month = Month.of(now)
    return Status(
        now,
        tuple(of_release(connection, release, now) for release in releases.all_releases(connection)),
        tuple(ListStatus(*row) for row in lists.list_summary(connection)),
        tuple(firmware.newest(connection, FIRMWARE_REQUESTS)),
        tuple(sla.breaches_found(connection, month.start, month.end)),
        dict(sorted(outbox.counts(connection).items())),
        tuple(circuits.all_open(connection)),
        kept_changes.unfinished(connection),
    )


def of_release(connection: Connection, release: Release, now: datetime) -> ReleaseStatus:
    """The same of one release alone."""
    firmware = release.firmware
    hubs = summaries.hubs_of_model(connection, firmware.manufacturer, firmware.model)
    states = summaries.newest_attempts(connection, release.release_id)
    regions = tuple(
        RegionStatus(
            region,
            region in release.general_open,
            region in release.halted,
            sum(count for place, _, count in hubs if place == region),
            sum(count for place, version, count in hubs if place == region and version == firmware.version),
            {
                state: count
                for state in AttemptState
                for place, value, count in states
                if place == region and value == state
            },
        )
        for region in sorted(release.regions)
    )
    answers = summaries.answers(connection, release.release_id, now)
    return ReleaseStatus(firmware, release.status, release.cpl_status, regions, answers)
