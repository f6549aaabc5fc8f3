"""The cutting of a region's lists for a period, from its plan to the last list: what of it is durable.

A run is planned once; each list is cut in a transaction that also moves the run on, so that a run goes on after a stop
where it was, with the same hubs, and none is listed twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Update, bindparam, case, exists, null, select

from sr_engine.domain.states import AttemptState
from sr_engine.messages.model import Period
from sr_engine.store import scheduled
from sr_engine.store.dialects import POSTGRESQL, SQLITE
from sr_engine.store.overlays import exclusion_runs
from sr_engine.store.sets import is_one_of, is_one_of_many, members
from sr_engine.store.tables import UtcDateTime, attempts, decisions, exclusions, list_runs
from sr_engine.store.waiting import Alike, Member, key_of


@dataclass(frozen=True, slots=True)
class Run:
    """How far the cutting for a period has come; `planned_at` None: the places that are left are to be given away."""

    region: str
    period_start: datetime
    planned_at: datetime | None
    limits: Mapping[Alike, str]
    """By group of hubs chosen, the last of them by CHF id."""
    places: int
    chosen: int = 0
    """Hubs, those listed among them."""
    left_out: int = 0
    """Hubs for which there was no place."""
    lists: int = 0
    hubs: int = 0
    after: tuple[str, str] = ("", "")
    """Release and CHF id of the last hub on a list."""
    filling: bool = False

    @property
    def key(self) -> tuple[datetime | None, int]:
        """Who has seen the run so may move it on, and nobody else."""
        return self.planned_at, self.lists


_OF = (list_runs.c.region == bindparam("key_region"), list_runs.c.period_start == bindparam("key_period"))
_RUN = select(list_runs).where(*_OF)
_HUBS_LISTED = select(list_runs.c.hubs).where(*_OF)
_MOVE = list_runs.update().where(*_OF, list_runs.c.lists == bindparam("seen_lists"))


_WHICH = {
    # SQLite finds a row by its number in half the time, PostgreSQL by either in the same.
    SQLITE: is_one_of(attempts.c.attempt_id, "attempt_ids"),
    # Not that they are open: indexes of what is would lead to all that is at the release.
    POSTGRESQL: is_one_of_many(attempts.c.hub_id, "hub_ids"),
}


def _put_on_list(dialect: str, *, looked_at: bool) -> Update:
    """Hubs that were `looked_at` one by one need not be looked at once more; of others it is seen that they are alike.

    Those whose record may not suit the release are among the ones looked at (`store.changed_hubs`).
    """
    excluded = exists().where(exclusions.c.hub_id == attempts.c.hub_id, exclusion_runs("now"))
    statement = attempts.update().where(
        _WHICH[dialect],
        attempts.c.release_id == bindparam("of_release_id"),
        attempts.c.number == bindparam("of_number"),
        attempts.c.state == AttemptState.SCHEDULED.value,
    )
    if not looked_at:
        statement = statement.where(
            attempts.c.organisation == bindparam("of_organisation"),
            attempts.c.window_start == bindparam("of_window_start"),
            attempts.c.window_end == bindparam("of_window_end"),
            attempts.c.pilot == bindparam("of_pilot"),
            attempts.c.compulsory == bindparam("of_compulsory"),
            ~excluded,
        )
    return statement.values(
        state=AttemptState.LISTED.value,
        list_id=bindparam("new_list_id"),
        period_start=bindparam("new_period_start"),
        period_end=bindparam("new_period_end", type_=UtcDateTime),
        # By the attempt itself: one that was looked at may be compelled, or agreed, since the night was planned.
        compelled_until=case((attempts.c.compulsory, bindparam("new_period_end", type_=UtcDateTime)), else_=null()),
        state_at=bindparam("new_state_at"),
        reason=None,
    )


_PUT_ON_LIST = {
    (dialect, looked_at): _put_on_list(dialect, looked_at=looked_at)
    for dialect in _WHICH
    for looked_at in (False, True)
}
_ON_LIST = select(attempts.c.hub_id).where(
    attempts.c.list_id == bindparam("list_id"), is_one_of(attempts.c.hub_id, "hub_ids"), attempts.c.is_open
)
_OTHERS_AGREED = select(decisions.c.hub_id, decisions.c.organisation).where(
    is_one_of_many(decisions.c.hub_id, "hub_ids"),
    decisions.c.release_id == bindparam("release_id"),
    decisions.c.organisation != bindparam("organisation"),
)


def find(connection: Connection, region: str, period: Period, *, to_move: bool = False) -> Run | None:
    """The run for a period, if its cutting has begun; until the transaction ends nobody else has it `to_move`."""
    statement = _RUN.with_for_update() if to_move else _RUN
    row = connection.execute(statement, {"key_region": region, "key_period": period.start}).one_or_none()
    if row is None:
        return None
    return Run(
        region,
        period.start,
        row.planned_at,
        _limits_of(row.plan),
        row.places,
        row.chosen,
        row.left_out,
        row.lists,
        row.hubs,
        (row.after_release or "", row.after_hub or ""),
        row.filling,
    )


def hubs_listed(connection: Connection, region: str, period: Period) -> int | None:
    """How many hubs the run for a period has put on lists; None if its cutting has not begun."""
    found: int | None = connection.scalar(_HUBS_LISTED, {"key_region": region, "key_period": period.start})
    return found


def begin(connection: Connection, run: Run) -> None:
    """Note that a run was planned; raises IntegrityError if it was before."""
    row = {"region": run.region, "period_start": run.period_start, **_planned(run), **_progress(run)}
    connection.execute(list_runs.insert(), row)


def plan_again(connection: Connection, seen: Run, run: Run) -> None:
    """Note what became of the places that were left; raises as `move` does."""
    _change(connection, seen, run, {**_planned(run), **_progress(run)})


def move(connection: Connection, seen: Run, run: Run) -> None:
    """Note how far a run has come; raises RuntimeError if somebody else has moved it on since it was `seen`."""
    _change(connection, seen, run, _progress(run))


def _change(connection: Connection, seen: Run, run: Run, values: Mapping[str, object]) -> None:
    where = {"key_region": run.region, "key_period": run.period_start, "seen_lists": seen.lists}
    if connection.execute(_MOVE.values(values), where).rowcount != 1:
        raise RuntimeError(f"the lists of {run.region} for {run.period_start:%Y-%m-%dT%H:%MZ} are being cut twice")


def put_on_list(
    connection: Connection,
    some: Sequence[Member],
    *,
    list_id: str,
    region: str,
    period: Period,
    now: datetime,
    group: Alike,
    looked_at: bool,
) -> set[str] | None:
    """Make Listed those of some hubs of a group that still may be; return which these were, None for all.

    Of hubs that were `looked_at` one by one it is only seen that they are Scheduled.
    """
    hub_ids = [hub_id for hub_id, _, _ in some]
    values: dict[str, object] = {
        "of_release_id": group.release_id,
        "of_number": group.number,
        "new_list_id": list_id,
        "new_period_start": period.start,
        "new_period_end": period.end,
        "new_state_at": now,
    }
    dialect = connection.dialect.name
    if dialect == SQLITE:
        values["attempt_ids"] = members([attempt_id or 0 for _, _, attempt_id in some])
    else:
        values["hub_ids"] = members(hub_ids)
    if looked_at:
        scheduled.leave(connection, hub_ids)
    else:
        values |= {
            "of_organisation": group.organisation,
            "of_window_start": group.window.start,
            "of_window_end": group.window.end,
            "of_pilot": group.pilot,
            "of_compulsory": group.compulsory,
            "now": now,
        }
    done = connection.execute(_PUT_ON_LIST[dialect, looked_at], values).rowcount
    listed = None
    if done != len(hub_ids):
        listed = set(connection.scalars(_ON_LIST, {"list_id": list_id, "hub_ids": members(hub_ids)}))
    if looked_at:
        if listed is not None:
            scheduled.enter(connection, [hub_id for hub_id in hub_ids if hub_id not in listed])
    else:
        scheduled.leave_group(connection, key_of(region, group), hub_ids if listed is None else listed)
    return listed


def others_agreed(
    connection: Connection, together: Iterable[tuple[Alike, Sequence[Member]]]
) -> list[Sequence[tuple[str, str]]]:
    """Of some hubs of each group, CHF id and organisation of whoever has answered beside the one by which they count.

    Nobody of a group for which nobody need have.
    """
    return [
        [] if alike.compulsory or not some else _agreed_beside(connection, alike, [hub_id for hub_id, _, _ in some])
        for alike, some in together
    ]


def _agreed_beside(connection: Connection, alike: Alike, hub_ids: Sequence[str]) -> Sequence[tuple[str, str]]:
    asked = {"hub_ids": members(hub_ids), "release_id": alike.release_id, "organisation": alike.organisation}
    found: Sequence[Any] = connection.execute(_OTHERS_AGREED, asked).all()
    return found


def _planned(run: Run) -> dict[str, object]:
    return {
        "plan": _text_of(run.limits),
        "chosen": run.chosen,
        "left_out": run.left_out,
        "filling": run.filling,
    }


def _progress(run: Run) -> dict[str, object]:
    release_id, hub_id = run.after
    return {
        "planned_at": run.planned_at,
        "places": run.places,
        "lists": run.lists,
        "hubs": run.hubs,
        "after_release": release_id,
        "after_hub": hub_id,
    }


def _text_of(limits: Mapping[Alike, str]) -> str:
    return json.dumps(
        [
            [
                one.release_id,
                one.organisation,
                one.window.start.isoformat(),
                one.window.end.isoformat(),
                one.pilot,
                one.compulsory,
                one.number,
                limit,
            ]
            for one, limit in limits.items()
        ]
    )


def _limits_of(text: str | None) -> dict[Alike, str]:
    return {
        Alike(
            release_id,
            organisation,
            Period(datetime.fromisoformat(start), datetime.fromisoformat(end)),
            pilot,
            compulsory,
            number,
        ): limit
        for release_id, organisation, start, end, pilot, compulsory, number, limit in json.loads(text or "[]")
    }
