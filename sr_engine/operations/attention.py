"""What needs an operator's attention now, and what the processor is at; counted no further than it matters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from sr_engine.configuration import Region
from sr_engine.configuration.operator_pages import AttentionRules
from sr_engine.domain.sla import Month
from sr_engine.operations.certificates import CertificateLine, Certificates, to_be_renewed
from sr_engine.store import circuits, csp_exchange, delivery_queue, kept_changes, quarantined, sla, under_way
from sr_engine.store.circuits import OpenCircuit
from sr_engine.store.kept_changes import Unfinished
from sr_engine.store.paging import UpTo
from sr_engine.store.sla import Breaches
from sr_engine.store.under_way import Cutting, Halted


@dataclass(frozen=True, slots=True)
class Overdue:
    """What the CSP of a region owes."""

    region: str
    lists: UpTo
    """Not acknowledged within the limit."""
    reports: UpTo
    """Hubs whose outcome was not told within the limit after their window."""


@dataclass(frozen=True, slots=True)
class Attention:
    """Everything, as of one moment."""

    at: datetime
    halted: tuple[Halted, ...]
    overdue: tuple[Overdue, ...]
    """Of regions where anything is."""
    parked: UpTo
    circuits: tuple[OpenCircuit, ...]
    quarantined: UpTo
    """On which nothing was decided."""
    certificates: tuple[CertificateLine, ...]
    breaches: tuple[Breaches, ...]
    """Found in this month, UTC."""
    unfinished: Unfinished | None
    """Of long lists."""
    is_stuck: bool
    """That has been so for too long."""
    cutting: tuple[Cutting, ...]
    pending: UpTo
    held: UpTo
    news_left: UpTo

    @property
    def matters(self) -> int:
        """How many kinds of things need attention."""
        kinds = (self.halted, self.overdue, self.parked, self.circuits, self.quarantined, self.certificates)
        return sum(map(bool, kinds)) + bool(self.breaches) + self.is_stuck


def attention(
    connection: Connection,
    now: datetime,
    regions: Mapping[str, Region],
    certificates: Certificates,
    rules: AttentionRules,
) -> Attention:
    """Look at everything."""
    month, most = Month.of(now), rules.count_up_to
    unfinished = kept_changes.unfinished(connection)
    return Attention(
        now,
        tuple(under_way.halted(connection)),
        tuple(one for region in regions.values() if (one := overdue(connection, region, now, most)) is not None),
        delivery_queue.number_parked(connection, most),
        tuple(circuits.all_open(connection)),
        quarantined.undecided(connection, most),
        tuple(to_be_renewed(certificates.lines(now, rules.certificate))),
        tuple(sla.breaches_found(connection, month.start, month.end)),
        unfinished,
        unfinished is not None and unfinished.waits(now) >= rules.carried_out,
        tuple(under_way.cutting(connection)),
        delivery_queue.number_pending(connection, most),
        quarantined.waiting(connection, most),
        under_way.news_left(connection, most),
    )


def overdue(connection: Connection, region: Region, now: datetime, most: int) -> Overdue | None:
    """What is overdue in a region, each counted up to `most`; None: nothing."""
    lists = csp_exchange.overdue_lists(connection, region.name, now - region.acknowledgement_sla, most)
    reports = csp_exchange.overdue_reports(connection, region.name, now - region.completion_sla, most)
    return Overdue(region.name, lists, reports) if lists or reports else None
