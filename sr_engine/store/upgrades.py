"""Answers, schedules and attempts: reading them for a set of hubs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import Connection, and_, bindparam, func, or_, select

from sr_engine.domain.states import AttemptState
from sr_engine.domain.upgrades import Answer, Attempt, Hub, HubUpgrade, Release, Schedule
from sr_engine.messages.model import Approval, Firmware, Period, Phase, ScheduleDetails
from sr_engine.store import inventory, overlays
from sr_engine.store.known_hubs import KnownHubs
from sr_engine.store.overlays import Overlays, QuietDays
from sr_engine.store.prepared import Prepared, Row
from sr_engine.store.sets import is_one_of, is_one_of_many, members
from sr_engine.store.tables import attempts, decisions, releases, schedule_hubs, schedules

# Attempts at the release, and those open at another, each hub's in order.
_ATTEMPTS = Prepared(
    select(attempts)
    .where(
        or_(attempts.c.release_id == bindparam("release_id"), attempts.c.is_open),
        is_one_of_many(attempts.c.hub_id, "hub_ids"),
    )
    .order_by(attempts.c.number)
)
_ANSWERS = Prepared(
    select(
        decisions.c.hub_id,
        decisions.c.organisation,
        decisions.c.approval,
        decisions.c.request_id,
        decisions.c.defer_until,
        schedule_hubs.c.schedule_id,
        decisions.c.accept_han_impact,
    )
    .outerjoin(
        schedule_hubs,
        and_(
            schedule_hubs.c.schedule_id == decisions.c.schedule_id,
            schedule_hubs.c.hub_id == decisions.c.hub_id,
            schedule_hubs.c.in_force,
        ),
    )
    .where(decisions.c.release_id == bindparam("release_id"), is_one_of_many(decisions.c.hub_id, "hub_ids"))
)
_REQUEST_IDS = Prepared(
    select(decisions.c.hub_id, decisions.c.organisation, decisions.c.request_id).where(
        decisions.c.release_id == bindparam("release_id"), is_one_of(decisions.c.hub_id, "hub_ids")
    )
)
_RUN_OUT = (
    select(decisions.c.release_id, decisions.c.hub_id, decisions.c.organisation)
    .where(
        decisions.c.defer_until.is_not(None),
        decisions.c.defer_until <= bindparam("now"),
        decisions.c.approval == Approval.DEFERRED.value,
    )
    .order_by(decisions.c.defer_until, decisions.c.hub_id)
    .limit(bindparam("at_most"))
)
_LAST_ACTIVATED = func.max(attempts.c.state_at).filter(attempts.c.state == AttemptState.ACTIVATED.value)
# The state is no condition of what is looked for: PostgreSQL would go through all that are Activated, which it may take
# to be fewer than they are.
_ACTIVATED = Prepared(
    select(attempts.c.hub_id, _LAST_ACTIVATED)
    .where(is_one_of_many(attempts.c.hub_id, "hub_ids"))
    .group_by(attempts.c.hub_id)
    .having(_LAST_ACTIVATED.is_not(None))
)
_SCHEDULES = Prepared(select(schedules).where(is_one_of(schedules.c.schedule_id, "schedule_ids")))
_SCHEDULE = Prepared(
    select(schedules, releases.c.manufacturer, releases.c.model, releases.c.version)
    .join(releases)
    .where(schedules.c.schedule_id == bindparam("schedule_id"))
)
_SCHEDULE_ID = Prepared(select(schedules.c.schedule_id).where(schedules.c.schedule_id == bindparam("schedule_id")))
_IN_SCHEDULE = select(schedule_hubs.c.hub_id).where(
    schedule_hubs.c.schedule_id == bindparam("schedule_id"), is_one_of(schedule_hubs.c.hub_id, "hub_ids")
)


_NO_ANSWERS: Mapping[str, Answer] = {}


@dataclass(frozen=True, slots=True)
class Past:
    """What has been answered and tried of some hubs, and what is laid over them; all by CHF id."""

    attempts: Mapping[str, Attempt]
    """The newest at the release."""
    at_another: Set[str]
    """Hubs with an attempt open at another release."""
    answers: Mapping[str, Mapping[str, Answer]]
    overlays: Mapping[str, Overlays]

    @property
    def quiet(self) -> dict[str, Sequence[Period]]:
        """The quiet days of hubs that have some."""
        return {hub_id: laid.quiet for hub_id, laid in self.overlays.items() if laid.quiet}

    @property
    def of_its_own(self) -> Set[str]:
        """Hubs of which nobody else need have the same: something was answered, tried, or is laid over them."""
        return self.attempts.keys() | self.answers.keys() | self.overlays.keys()

    def with_home(self, hub: Hub) -> HubUpgrade:
        """All of a hub."""
        hub_id = hub.hub_id
        laid = self.overlays.get(hub_id, overlays.NOTHING)
        return HubUpgrade(
            hub,
            self.answers.get(hub_id, _NO_ANSWERS),
            self.attempts.get(hub_id),
            hub_id in self.at_another,
            laid.exclusions,
            laid.quiet,
        )

    def without(self, hub_ids: Collection[str]) -> Past:
        """The same without some of the hubs."""
        return Past(
            {hub_id: one for hub_id, one in self.attempts.items() if hub_id not in hub_ids},
            self.at_another - set(hub_ids),
            {hub_id: some for hub_id, some in self.answers.items() if hub_id not in hub_ids},
            {hub_id: laid for hub_id, laid in self.overlays.items() if hub_id not in hub_ids},
        )

    def and_of(self, others: Past) -> Past:
        """The same of some more hubs."""
        return Past(
            {**self.attempts, **others.attempts},
            self.at_another | others.at_another,
            {**self.answers, **others.answers},
            {**self.overlays, **others.overlays},
        )


def past_of(
    connection: Connection,
    hub_ids: Collection[str],
    release: Release,
    now: datetime,
    quiet_days: QuietDays | None,
    *,
    quiet: Mapping[str, Sequence[Period]] | None = None,
) -> Past:
    """The past of hubs and a release; overlays, which cost two queries, only where `quiet_days` says how long they are.

    The `quiet` days need not be asked for again where they were.
    """
    return _ask_for_past(connection, hub_ids, release, now, quiet_days, quiet=quiet)()


def _ask_for_past(
    connection: Connection,
    hub_ids: Collection[str],
    release: Release,
    now: datetime,
    quiet_days: QuietDays | None,
    *,
    quiet: Mapping[str, Sequence[Period]] | None = None,
) -> Callable[[], Past]:
    """The same, read when what is returned is called."""
    of_hubs = {"hub_ids": members(hub_ids), "release_id": release.release_id}
    attempts_found, answers_found = _ATTEMPTS.ask(connection, of_hubs), _ANSWERS.ask(connection, of_hubs)

    def take() -> Past:
        laid = {} if quiet_days is None else overlays.of(connection, hub_ids, now, quiet_days, quiet=quiet)
        newest, others = _attempts(attempts_found.all(), release)
        return Past(newest, others, _answers(connection, answers_found.all()), laid)

    return take


def _given(past: Past) -> Past:
    return past


def load(
    connection: Connection,
    hub_ids: Collection[str],
    release: Release,
    now: datetime,
    *,
    quiet_days: QuietDays | None = None,
) -> dict[str, HubUpgrade]:
    """By CHF id, everything the rules need to know of these hubs and this release.

    Exclusions and quiet days, which cost two more queries, only where `quiet_days` says how long the latter are.
    """
    wanted = list(hub_ids)
    if not wanted:
        return {}
    take_past = _ask_for_past(connection, wanted, release, now, quiet_days)
    hubs = inventory.hubs(connection, wanted, now, with_han=bool(release.han_models))
    past = take_past()
    return {hub_id: past.with_home(hub) for hub_id, hub in hubs.items()}


def load_alike(
    connection: Connection,
    hub_ids: Collection[str],
    release: Release,
    now: datetime,
    *,
    quiet_days: QuietDays | None = None,
    known: KnownHubs | None = None,
    past: Past | None = None,
) -> dict[str, HubUpgrade]:
    """The same, which hubs share that are alike and have no past; it bears the id of one of them.

    What is `known` of their homes, or of their `past`, is not read again.
    """
    wanted = list(hub_ids)
    if not wanted:
        return {}
    if past is None:
        quiet = None if known is None else known.quiet
        take_past = _ask_for_past(connection, wanted, release, now, quiet_days, quiet=quiet)
    else:
        take_past = partial(_given, past)
    if known is None:
        homes = inventory.hubs_alike(connection, wanted, now, with_han=bool(release.han_models))
    else:
        homes = known.alike
    past = take_past()
    own, at_another = past.of_its_own, past.at_another
    found: dict[str, HubUpgrade] = {}
    for hub, alike in homes:
        plain = [hub_id for hub_id in alike if hub_id not in own and hub_id not in at_another]
        elsewhere = [hub_id for hub_id in alike if hub_id not in own and hub_id in at_another]
        for some in (plain, elsewhere):
            if some:
                found.update(dict.fromkeys(some, past.with_home(hub.of(some[0]))))
        if len(plain) + len(elsewhere) < len(alike):
            found |= {hub_id: past.with_home(hub.of(hub_id)) for hub_id in alike if hub_id in own}
    return found


def _attempts(rows: Sequence[Row], release: Release) -> tuple[dict[str, Attempt], set[str]]:
    """By hub, the newest attempt at the release; and the hubs with an attempt open at another."""
    newest: dict[str, Attempt] = {}
    others: set[str] = set()
    for row in rows:
        if row.release_id == release.release_id:
            newest[row.hub_id] = attempt_of(row)
        else:
            others.add(row.hub_id)
    return newest, others


def attempt_of(row: Row) -> Attempt:
    """The attempt a row of the table stands for."""
    return Attempt(
        number=row.number,
        state=AttemptState(row.state),
        window=Period(row.window_start, row.window_end),
        pilot=row.pilot,
        organisation=row.organisation,
        state_at=row.state_at,
        attempt_id=row.attempt_id,
        list_id=row.list_id,
        period=None if row.period_start is None else Period(row.period_start, row.period_end),
        reason=row.reason,
        compulsory=row.compulsory,
        reported_at=row.reported_at,
    )


def _answers(connection: Connection, found: Sequence[Row]) -> dict[str, dict[str, Answer]]:
    schedule_by_id = _schedules(connection, {row.schedule_id for row in found if row.schedule_id is not None})
    answers: dict[str, dict[str, Answer]] = defaultdict(dict)
    for hub_id, organisation, approval, request_id, defer_until, schedule_id, accepts in found:
        schedule = None if schedule_id is None else schedule_by_id[schedule_id]
        answers[hub_id][organisation] = Answer(Approval(approval), request_id, schedule, defer_until, accepts)
    return answers


def _schedules(connection: Connection, schedule_ids: Collection[int]) -> dict[int, Schedule]:
    if not schedule_ids:
        return {}
    found = _SCHEDULES.all(connection, {"schedule_ids": members(sorted(schedule_ids))})
    return {row.schedule_id: _schedule_of(row) for row in found}


def _schedule_of(row: Row) -> Schedule:
    window = Period(row.window_start, row.window_end)
    return Schedule(row.schedule_id, row.organisation, window, Phase(row.phase), row.request_id)


def find_schedule(connection: Connection, schedule_id: int) -> tuple[str, Schedule, ScheduleDetails] | None:
    """Release id, schedule and details of a schedule."""
    row = _SCHEDULE.one_or_none(connection, {"schedule_id": schedule_id})
    if row is None:
        return None
    schedule = _schedule_of(row)
    details = ScheduleDetails(
        schedule.schedule_id,
        Firmware(row.manufacturer, row.model, row.version),
        schedule.window,
        schedule.phase,
        row.accept_han_impact,
    )
    return row.release_id, schedule, details


def schedule_exists(connection: Connection, schedule_id: int) -> bool:
    """True if the number is taken."""
    return _SCHEDULE_ID.scalar(connection, {"schedule_id": schedule_id}) is not None


def hubs_of_schedule(
    connection: Connection,
    schedule_id: int,
    *,
    only_in_force: bool = False,
    after: str | None = None,
    limit: int | None = None,
) -> list[str]:
    """CHF ids of a schedule, ascending, beginning after the one named."""
    statement = select(schedule_hubs.c.hub_id).where(schedule_hubs.c.schedule_id == schedule_id)
    if only_in_force:
        statement = statement.where(schedule_hubs.c.in_force)
    if after is not None:
        statement = statement.where(schedule_hubs.c.hub_id > after)
    return list(connection.scalars(statement.order_by(schedule_hubs.c.hub_id).limit(limit)))


def in_schedule(connection: Connection, schedule_id: int, hub_ids: Collection[str]) -> set[str]:
    """Those of some hubs that a schedule was set for, whether it is in force for them or not."""
    return set(connection.scalars(_IN_SCHEDULE, {"schedule_id": schedule_id, "hub_ids": members(hub_ids)}))


def request_ids(connection: Connection, hub_ids: Collection[str], release_id: str) -> dict[tuple[str, str], str]:
    """By hub and organisation, the RequestID of that Supplier's latest request for this hub and release."""
    found = _REQUEST_IDS.all(connection, {"hub_ids": members(hub_ids), "release_id": release_id})
    return {(hub_id, organisation): request_id for hub_id, organisation, request_id in found}


def deferrals_run_out(connection: Connection, now: datetime, *, limit: int) -> list[tuple[str, str, str]]:
    """Release, hub and organisation of deferred answers whose time has come, the first first."""
    found = connection.execute(_RUN_OUT, {"now": now, "at_most": limit})
    return [(release_id, hub_id, organisation) for release_id, hub_id, organisation in found]


def activated_later(connection: Connection, activated: Mapping[str, datetime]) -> set[str]:
    """Those of some hubs on which any firmware was activated after the time given for each."""
    newest = _ACTIVATED.all(connection, {"hub_ids": members(activated)})
    return {hub_id for hub_id, at in newest if at > activated[hub_id]}
