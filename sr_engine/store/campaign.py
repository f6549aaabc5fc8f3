"""What came of a whole release, for reports over a country: counted in sets, or read row by row, never held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, func, select

from sr_engine.domain.states import AttemptState
from sr_engine.messages.model import Period
from sr_engine.store.tables import (
    attempts,
    decisions,
    devices,
    exchanges,
    off_lists,
    outbox,
    scheduled_hubs,
    sla_breaches,
    upgrade_lists,
)

_ROWS_AT_ONCE = 10_000
_ACTIVATED = attempts.c.state == AttemptState.ACTIVATED.value


@dataclass(frozen=True, slots=True)
class Night:
    """What became of one night of a region."""

    region: str
    period: Period
    listed: int
    """Hubs on its lists, those that the CSP refused among them."""
    activated: int


def activated(connection: Connection, release_id: str) -> int:
    """Attempts at a release that came to a good end."""
    statement = select(func.count()).select_from(attempts).where(attempts.c.release_id == release_id, _ACTIVATED)
    return connection.scalar(statement) or 0


def is_anything_open(connection: Connection) -> bool:
    """Whether any upgrade is under way."""
    return connection.scalar(select(attempts.c.attempt_id).where(attempts.c.is_open).limit(1)) is not None


def is_anything_scheduled(connection: Connection, region: str) -> bool:
    """Whether any hub of a region waits to be listed."""
    statement = select(scheduled_hubs.c.hub_id).where(scheduled_hubs.c.region == region)
    return connection.scalar(statement.limit(1)) is not None


def newest_states(connection: Connection, release_id: str) -> list[tuple[str, str, str, int]]:
    """Region, Supplier, state and number of hubs, by the newest attempt of each hub.

    The Supplier is that whose schedule it rests on, or the hub's first one.
    """
    newest = (
        select(attempts.c.hub_id, func.max(attempts.c.number).label("number"))
        .where(attempts.c.release_id == release_id)
        .group_by(attempts.c.hub_id)
        .subquery()
    )
    by = (attempts.c.region, attempts.c.organisation, attempts.c.state)
    statement = (
        select(*by, func.count())
        .join(newest, and_(newest.c.hub_id == attempts.c.hub_id, newest.c.number == attempts.c.number))
        .where(attempts.c.release_id == release_id)
        .group_by(*by)
        .order_by(*by)
    )
    return [(region, supplier, state, count) for region, supplier, state, count in connection.execute(statement)]


def attempts_by_state(connection: Connection, release_id: str) -> dict[str, int]:
    """Attempts, not hubs, by state: a hub that was missed and then upgraded counts in both."""
    by = attempts.c.state
    statement = select(by, func.count()).where(attempts.c.release_id == release_id).group_by(by).order_by(by)
    return {state: count for state, count in connection.execute(statement)}  # noqa: C416 - a Row is no pair to mypy


def hubs_by_region(connection: Connection) -> dict[str, int]:
    """CHFs of the inventory."""
    by = devices.c.csp_region
    statement = select(by, func.count()).where(devices.c.device_type == "CHF").group_by(by).order_by(by)
    return {region: count for region, count in connection.execute(statement)}  # noqa: C416 - see above


def nights(connection: Connection, release_id: str) -> list[Night]:
    """Every night for which a list was cut, by region and time."""
    by = (upgrade_lists.c.region, upgrade_lists.c.period_start, upgrade_lists.c.period_end)
    listed = connection.execute(
        select(*by, func.sum(upgrade_lists.c.hub_count))
        .where(upgrade_lists.c.release_id == release_id)
        .group_by(*by)
        .order_by(*by)
    ).all()
    of_night = (attempts.c.region, attempts.c.period_start)
    found = connection.execute(
        select(*of_night, func.count())
        .where(attempts.c.release_id == release_id, _ACTIVATED, attempts.c.list_id.is_not(None))
        .group_by(*of_night)
    )
    done = {(region, start): count for region, start, count in found}
    return [
        Night(region, Period(start, end), int(hubs), done.get((region, start), 0))
        for region, start, end, hubs in listed
    ]


def listed(connection: Connection, release_id: str) -> tuple[int, int]:
    """Attempts that stand on a list, and how often one was taken off a list again."""
    on = select(func.count()).where(attempts.c.release_id == release_id, attempts.c.list_id.is_not(None))
    off = (
        select(func.count()).select_from(off_lists.join(upgrade_lists)).where(upgrade_lists.c.release_id == release_id)
    )
    return connection.scalar(on) or 0, connection.scalar(off) or 0


def waits(connection: Connection, release_id: str) -> Iterator[tuple[str, str, datetime, datetime]]:
    """Of each hub that was upgraded: region, Supplier, when its first window began, and when it was active."""
    first = attempts.alias("first")
    statement = (
        select(attempts.c.region, attempts.c.organisation, first.c.window_start, attempts.c.state_at)
        .join(
            first,
            and_(first.c.hub_id == attempts.c.hub_id, first.c.release_id == attempts.c.release_id, first.c.number == 1),
        )
        .where(attempts.c.release_id == release_id, _ACTIVATED)
    )
    found = connection.execution_options(stream_results=True, yield_per=_ROWS_AT_ONCE).execute(statement)
    yield from ((region, supplier, start, at) for region, supplier, start, at in found)


def messages(connection: Connection) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int]]:
    """Messages taken, by interface and what they are, and messages sent, by kind and event."""
    by = (exchanges.c.interface, exchanges.c.service_reference_variant)
    taken = connection.execute(select(*by, func.count()).group_by(*by).order_by(*by))
    kinds = (outbox.c.kind, outbox.c.event)
    sent = connection.execute(select(*kinds, func.count()).group_by(*kinds).order_by(*kinds))
    return {(a, b): count for a, b, count in taken}, {(a, b): count for a, b, count in sent}


def answers(connection: Connection, release_id: str) -> dict[str, int]:
    """Answers of Suppliers in force, by what they say."""
    by = decisions.c.approval
    statement = select(by, func.count()).where(decisions.c.release_id == release_id).group_by(by).order_by(by)
    return {approval: count for approval, count in connection.execute(statement)}  # noqa: C416 - see above


def breaches(connection: Connection) -> dict[tuple[str, str], int]:
    """Breaches of service levels by region and measure."""
    by = (sla_breaches.c.region, sla_breaches.c.measure)
    found = connection.execute(select(*by, func.sum(sla_breaches.c.number)).group_by(*by).order_by(*by))
    return {(region, measure): int(number) for region, measure, number in found}
