"""How a simulated CSP behaves: what it accepts, what it does to each hub, and what it says of it when.

What happens to a hub in a night depends on the seed, the hub and the night alone; when it happens, also on whether the
list was there when the night began.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import blake2b

from sr_engine.messages.model import ListEntry, Period, RefusedHubs, ReportEntry, ReportStatus

NO_CAPACITY = "no capacity left in this night"
NOT_REACHED = "the hub cannot be reached"
NIGHT_OVER = "the list arrived when the night was over"
UNKNOWN_LIST = "no such list is known here"
FAILURE = "image verification failed"
OTHER_VERSION = "FFFFFFFF"
"""The firmware that hubs of a `mismatch` run."""
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The habits of a CSP; shares are in per cent of hubs unless they say of what. By default it does all it should.

    Delays are on the clock of the instance.
    """

    capacity: int | None = None
    """Hubs it accepts for one night; None: any number."""
    refuse: float = 0
    fail: float = 0
    mismatch: float = 0
    """Hubs that it reports Activated although they run firmware that nobody has asked for, and says so."""
    lose: float = 0
    """Hubs whose outcome it never reports."""
    late: float = 0
    """Hubs whose outcome it reports only `late_by` later."""
    late_by: timedelta = timedelta(days=3)
    out_of_order: float = 0
    """Hubs of which it reports the outcome before it reports the delivery."""
    duplicate: float = 0
    """Reports it sends twice: half of them as they are, half under another MessageID."""
    lose_acknowledgement: float = 0
    """Acknowledgements of lists that never arrive; each is drawn anew when the list is sent again. The list is carried
    out all the same."""
    delay: timedelta = timedelta(0)
    """From what happens, and from the arrival of a list, to the message about it."""
    seed: int = 0
    report_size: int = 500
    """Hubs in one report, at most."""


class Again(StrEnum):
    """Whether a report is sent a second time, and how."""

    NO = "no"
    SAME_BYTES = "same bytes"
    SAME_CONTENT = "same content"


@dataclass(frozen=True, slots=True)
class Step:
    """One report: what it says, and when it is sent."""

    at: datetime
    entries: tuple[ReportEntry, ...]
    again: Again = Again.NO


@dataclass(frozen=True, slots=True)
class Reply:
    """What a list is answered."""

    accepted: tuple[str, ...]
    refused: tuple[RefusedHubs, ...]


def reply(behaviour: Behaviour, entries: Sequence[ListEntry], taken: Counter[Period], arrived: datetime) -> Reply:
    """Accept hubs as long as the night is not over and has room.

    `taken` counts the hubs accepted for each night, and is brought on.
    """
    accepted: list[str] = []
    refused: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        for hub_id in entry.device_ids:
            if arrived >= entry.period.end:
                refused[NIGHT_OVER].append(hub_id)
            elif _happens(behaviour, "refuse", behaviour.refuse, hub_id, entry.period):
                refused[NOT_REACHED].append(hub_id)
            elif behaviour.capacity is not None and taken[entry.period] >= behaviour.capacity:
                refused[NO_CAPACITY].append(hub_id)
            else:
                taken[entry.period] += 1
                accepted.append(hub_id)
    return Reply(tuple(accepted), tuple(RefusedHubs(reason, tuple(hub_ids)) for reason, hub_ids in refused.items()))


def steps(behaviour: Behaviour, entry: ListEntry, hub_ids: Sequence[str], arrived: datetime) -> list[Step]:
    """The reports about accepted hubs of one night, in the order in which they are sent.

    Firmware is on a hub after a third of the night and active after two thirds; where the list has arrived during the
    night, of what was left of it then.
    """
    period = entry.period
    begun_at = max(period.start, arrived)
    third = (period.end - begun_at) / 3
    delivered_at, ended_at = begun_at + third, begun_at + third * 2
    sent: dict[datetime, list[ReportEntry]] = defaultdict(list)
    for hub_id in hub_ids:

        def happens(what: str, percent: float, hub_id: str = hub_id) -> bool:
            return _happens(behaviour, what, percent, hub_id, period)

        outcome_told_at = ended_at + behaviour.delay
        if happens("late", behaviour.late):
            outcome_told_at += behaviour.late_by
        if happens("fail", behaviour.fail):
            outcome = ReportEntry(hub_id, ReportStatus.FAILED, ended_at, FAILURE)
        elif happens("mismatch", behaviour.mismatch):
            outcome = ReportEntry(hub_id, ReportStatus.ACTIVATED, ended_at, version=OTHER_VERSION)
        else:
            outcome = ReportEntry(hub_id, ReportStatus.ACTIVATED, ended_at)
        disordered = happens("order", behaviour.out_of_order)
        delivery_told_at = outcome_told_at + _TICK if disordered else delivered_at + behaviour.delay
        sent[delivery_told_at].append(ReportEntry(hub_id, ReportStatus.DELIVERED, delivered_at))
        if not happens("lose", behaviour.lose):
            sent[outcome_told_at].append(outcome)
    return [
        Step(at, some, _again(behaviour, at, some))
        for at, entries in sorted(sent.items())
        for start in range(0, len(entries), behaviour.report_size)
        for some in [tuple(entries[start : start + behaviour.report_size])]
    ]


def acknowledgement_is_lost(behaviour: Behaviour, entries: Sequence[ListEntry], before: int) -> bool:
    """Whether what a list is answered never arrives; `before` is how often it was answered already."""
    first = entries[0]
    what = f"acknowledgement {before}"
    return _happens(behaviour, what, behaviour.lose_acknowledgement, first.device_ids[0], first.period)


def _again(behaviour: Behaviour, at: datetime, entries: Sequence[ReportEntry]) -> Again:
    drawn = _draw(behaviour, "duplicate", entries[0].device_id, at)
    if drawn >= behaviour.duplicate:
        return Again.NO
    return Again.SAME_BYTES if drawn < behaviour.duplicate / 2 else Again.SAME_CONTENT


def _happens(behaviour: Behaviour, what: str, percent: float, hub_id: str, period: Period) -> bool:
    return percent > 0 and _draw(behaviour, what, hub_id, period.start) < percent


def _draw(behaviour: Behaviour, what: str, hub_id: str, at: datetime) -> float:
    """A number from 0 to below 100; chance is of no use to anybody here, so it need not be secret."""
    # A hash is a number drawn by all that goes into it, at a tenth of the cost of seeding a generator.
    drawn = blake2b(f"{behaviour.seed} {what} {hub_id} {at.timestamp()}".encode(), digest_size=8).digest()
    return int.from_bytes(drawn) / (1 << 64) * 100
