"""The service levels of a month, region by region: measured, and as rows of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from sqlalchemy import Connection

from sr_engine.configuration import Region
from sr_engine.domain.sla import Completion, Levels, Month, Timing, timing
from sr_engine.domain.states import Lifecycle
from sr_engine.regions.sla import outcome_alerts
from sr_engine.store import sla

MEASURED = (
    *("within", "late", "overdue", "waiting", "share_percent"),
    *("median_seconds", "percentile_95_seconds", "longest_seconds"),
)
COLUMNS = (
    *("region", "month"),
    *("acknowledgement_limit_seconds", *(f"acknowledgement_{name}" for name in MEASURED)),
    *("completion_limit_seconds", "hubs", "activated_in_night", "activated_in_window", "activated_later"),
    *("failed", "missed", "under_way", "done_in_window_percent", "completion_breaches"),
    *("alert_limit_seconds", *(f"alert_queued_{name}" for name in MEASURED)),
    *(f"alert_delivered_{name}" for name in MEASURED),
)
"""Of the report as CSV."""


@dataclass(frozen=True, slots=True)
class RegionLevels:
    """What was measured in a region, and by which limits."""

    region: Region
    levels: Levels


def measure(
    connection: Connection, regions: Iterable[Region], lifecycle: Lifecycle, month: Month, now: datetime
) -> list[RegionLevels]:
    """The service levels of a month as they stand at `now`."""
    return [RegionLevels(region, _levels(connection, region, lifecycle, month, now)) for region in regions]


def _levels(connection: Connection, region: Region, lifecycle: Lifecycle, month: Month, now: datetime) -> Levels:
    start, end = month.start, month.end
    alerts = sla.alert_times(
        connection,
        region.name,
        start,
        end,
        now=now,
        limit=region.alert_sla,
        events=outcome_alerts(lifecycle),
    )
    return Levels(
        _acknowledgement(sla.lists_delivered(connection, region.name, start, end), region.acknowledgement_sla, now),
        _completion(sla.completion(connection, region.name, start, end, now=now, limit=region.completion_sla)),
        timing(alerts.queued, region.alert_sla, overdue=alerts.overdue, waiting=alerts.to_be_queued),
        timing(alerts.delivered, None, waiting=alerts.to_be_delivered),
    )


def _acknowledgement(found: Sequence[sla.SentList], limit: timedelta, now: datetime) -> Timing:
    seconds: dict[int, int] = {}
    overdue = waiting = 0
    for one in found:
        if one.acknowledged_at is not None:
            took = -(-(one.acknowledged_at - one.delivered_at) // timedelta(seconds=1))
            seconds[took] = seconds.get(took, 0) + 1
        elif now > one.delivered_at + limit:
            overdue += 1
        else:
            waiting += 1
    return timing(seconds, limit, overdue=overdue, waiting=waiting)


def _completion(found: Iterable[tuple[str, bool, int]]) -> Completion:
    counts = dict.fromkeys(("in_night", "in_window", "later", "failed", "missed", "under_way"), 0)
    breaches = 0
    for kind, breach, count in found:
        counts[kind] += count
        breaches += count if breach else 0
    return Completion(**counts, breaches=breaches)


def rows(found: Iterable[RegionLevels], month: Month) -> Iterable[tuple[object, ...]]:
    """One row per region, for COLUMNS; what was not measured is empty."""
    for one in found:
        levels, region, done = one.levels, one.region, one.levels.completion
        yield (
            *(region.name, str(month)),
            *(_seconds(region.acknowledgement_sla), *_timed(levels.acknowledgement)),
            *(_seconds(region.completion_sla), done.hubs, done.in_night, done.in_window, done.later),
            *(done.failed, done.missed, done.under_way, percent(done.share), done.breaches),
            *(_seconds(region.alert_sla), *_timed(levels.alert_queued)),
            *_timed(levels.alert_delivered),
        )


def _timed(one: Timing) -> tuple[object, ...]:
    times = (one.median, one.percentile_95, one.longest)
    return one.within, one.late, one.overdue, one.waiting, percent(one.share), *map(_seconds, times)


def _seconds(duration: timedelta | None) -> int | None:
    return None if duration is None else int(duration.total_seconds())


def percent(share: Fraction | None) -> str | None:
    """A share with one decimal, never rounded up to a hundred or down to nothing."""
    if share is None:
        return None
    tenths = share * 1000
    whole = min(round(tenths), 999) if share < 1 else 1000
    if share > 0:
        whole = max(whole, 1)
    return f"{whole / 10:.1f}"
