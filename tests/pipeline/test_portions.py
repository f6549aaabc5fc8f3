"""What a long list comes to, decided and kept with its answer, and carried out portion by portion after it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from sqlalchemy import func, select

from sr_engine.cli.failures import Failure
from sr_engine.cli.opening import Opened
from sr_engine.domain.changes import Changes
from sr_engine.domain.portions import Portion, portions_of
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Body,
    Decision,
    Phase,
    ScheduleCommsHubFirmware,
)
from sr_engine.pipeline.answer import Answer
from sr_engine.pipeline.process import Admitted
from sr_engine.requests.outcome import Outcome
from sr_engine.store import audit_chain, kept_changes
from sr_engine.store.kept_changes import Kept
from sr_engine.store.tables import (
    attempts,
    audit,
    decisions,
    releases,
    schedule_hubs,
    scheduled_hubs,
    schedules,
)
from sr_engine.store.tables import kept_changes as table
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import NO_HUBS, UnitOfWork
from tests.databases import commits_of
from tests.pipeline.hub_by_hub import of_each_hub
from tests.told import TOLD
from tests.world import FIRMWARE, NOW, WINDOW, A, B, SupplierSeed, TestHub, World, edit, make_world

SHARED = [TestHub(number, gas=B.name) for number in range(1, 6)]
OWN = [TestHub(number) for number in range(6, 10)]
HUBS = [*SHARED, *OWN]
ELSEWHERE = TestHub(0x50, gas=B.name)
PORTION = 2


def in_portions(directory: Path) -> None:
    edit(directory / "config" / "policy.toml", "portion_devices = 2_000", f"portion_devices = {PORTION}")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = world_in(tmp_path / "one")
    yield world
    world.close()


def world_in(directory: Path) -> World:
    world = make_world(directory, prepare=in_portions)
    world.add_hubs([*HUBS, ELSEWHERE])
    world.open_release()
    return world


def scheduling(hubs: Sequence[TestHub]) -> Body:
    return ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, tuple(hub.chf for hub in hubs))


def deciding(hubs: Sequence[TestHub], decision: Decision = Decision.APPROVE) -> Body:
    return ApproveCommsHubFirmware(FIRMWARE, decision, tuple(hub.chf for hub in hubs))


def admitted_of(world: World, supplier: SupplierSeed, body: Body) -> Admitted:
    variant = "11.5" if isinstance(body, ScheduleCommsHubFirmware) else "11.6"
    admitted = world.processor.admit("serviceD", world.signed(supplier, body, variant), world.clock.now())
    assert isinstance(admitted, Admitted)
    return admitted


def keeping(world: World, supplier: SupplierSeed, body: Body) -> Callable[[UnitOfWork], Answer]:
    """A unit of work that answers a request, and has what changes for hubs carried out later."""
    admitted = admitted_of(world, supplier, body)
    return lambda uow: world.processor.execute(uow, admitted, keep=True)


def keep(world: World, supplier: SupplierSeed, body: Body) -> Answer:
    """Answer it, and stop right after the commit."""
    stopped = Transactions(world.instance.engine, world.clock)
    return stopped.run_now(keeping(world, supplier, body))


def portions_left(world: World) -> int:
    with world.instance.reading_engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def left_in(uow: UnitOfWork) -> int:
    return uow.connection.scalar(select(func.count()).select_from(table)) or 0


def nothing(_uow: UnitOfWork) -> None:
    """A unit of work that says nothing of what it concerns."""


def state_of(world: World) -> dict[str, Any]:
    """What is known of hubs, what was told of them and what stands in the trail, without numbers that are drawn."""
    with world.instance.reading_engine.connect() as connection:

        def all_of(*columns: Any) -> Counter[Any]:
            return Counter(tuple(row) for row in connection.execute(select(*columns)))

        by_age = select(schedules.c.schedule_id).order_by(schedules.c.created_at)
        numbers = {one: place for place, one in enumerate(connection.scalars(by_age))}
        trail: Counter[Any] = Counter()
        for row in connection.execute(select(audit).order_by(audit.c.audit_id)):
            for hub_id in (row.hubs or "").split(","):
                trail[row.actor, row.action, row.from_state, row.to_state, row.attempt_number, row.detail, hub_id] += 1
        return {
            "attempts": all_of(*(one for one in attempts.columns if one.name not in {"attempt_id", "release_id"})),
            "decisions": Counter(
                (row.hub_id, row.organisation, row.approval, row.decided_at, numbers.get(row.schedule_id))
                for row in connection.execute(select(decisions))
            ),
            "schedule_hubs": Counter(
                (numbers[row.schedule_id], row.hub_id, row.in_force, row.done)
                for row in connection.execute(select(schedule_hubs))
            ),
            "scheduled": all_of(scheduled_hubs.c.hub_id, scheduled_hubs.c.window_end, scheduled_hubs.c.organisation),
            "told": all_of(TOLD.c.hub_id, TOLD.c.event, TOLD.c.organisation),
            "trail": trail,
        }


STORY: Sequence[tuple[SupplierSeed, Body]] = (
    (A, scheduling(HUBS)),
    (B, scheduling(SHARED[1:4])),
    (A, deciding([SHARED[1], *OWN[:2]], Decision.DECLINE)),
    (B, deciding(SHARED)),
    (A, scheduling([*SHARED[:2], *OWN[:2]])),
)


def test_carried_out_in_portions_it_comes_to_what_it_comes_to_at_once(world: World, tmp_path: Path) -> None:
    other = world_in(tmp_path / "other")
    try:
        for supplier, body in STORY:
            at_once = other.post(other.signed(supplier, body, "11.5" if "Schedule" in type(body).__name__ else "11.6"))
            later = keep(world, supplier, body)
            assert (later.code, later.detail) == (at_once.code, at_once.detail)
            assert portions_left(world) > 1, later.detail
            world.run(nothing)
            assert portions_left(world) == 0
            for one in (world, other):
                one.settle()
                one.clock.set(one.clock.now() + timedelta(minutes=1))
        assert_same(state_of(world), state_of(other), of_release(world), of_release(other))
    finally:
        other.close()


def of_release(world: World) -> str:
    with world.instance.reading_engine.connect() as connection:
        return str(connection.scalar(select(attempts.c.release_id)))


def assert_same(mine: dict[str, Any], others: dict[str, Any], *release_ids: str) -> None:
    for name, rows in mine.items():
        assert rows == others[name], name
    assert sum(mine["attempts"].values()) > len(HUBS), "some were attempted more than once"
    assert sum(mine["told"].values()) > 0
    assert len(set(release_ids)) == 2, "these are two worlds"


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    places=st.lists(st.sampled_from(range(len(HUBS))), unique=True, min_size=1),
    size=st.integers(1, len(HUBS)),
    asked=st.sampled_from(["11.5", "11.6 Approve", "11.6 Decline"]),
)
def test_portions_say_all_that_was_decided_and_nothing_else(
    past: World, places: Sequence[int], size: int, asked: str
) -> None:
    hubs = [HUBS[place] for place in places]
    body = scheduling(hubs) if asked == "11.5" else deciding(hubs, Decision[asked.split()[1].upper()])
    outcome = past.run(lambda uow: past.processor.judge(uow, admitted_of(past, A, body)))
    assert isinstance(outcome, Outcome)
    if outcome.changes is None:
        assert outcome.code.startswith("E")
        return
    changes = outcome.changes

    some = portions_of(changes, size)

    assert [hub_id for one in some for hub_id in one.hub_ids] == sorted(changes.concerned())
    assert all(0 < len(one.hub_ids) <= size for one in some)
    kept = [Kept(one, changes.release_id, "user:X", "X", NOW) for one in some]
    found = past.run(lambda uow: _through_the_database(uow, kept))
    assert found == kept
    portions = [one.portion for one in found]
    answers = [one._replace(hub_id=hub_id) for portion in portions for one, hub_id in _for_each(portion, "answers")]
    attempts_changed = [
        one._replace(hub_id=hub_id) for portion in portions for one, hub_id in _for_each(portion, "attempts")
    ]
    changes = of_each_hub(changes)
    assert Counter(answers) == Counter(changes.answers)
    assert Counter(attempts_changed) == Counter(changes.attempts)
    assert Counter(event for portion in portions for event in portion.told()) == Counter(changes.events)
    for name in ("ended_schedules", "forgotten", "unsuited"):
        together = [one for portion in portions for one in getattr(portion, name)]
        assert Counter(together) == Counter(getattr(changes, name)), name
    new = changes.new_schedule
    scheduled = [hub_id for one in some for hub_id in one.hubs(one.scheduled)]
    assert sorted(scheduled) == sorted(() if new is None else new.hub_ids)
    assert {one.schedule_id for one in some} == {None if new is None else new.schedule.schedule_id}


def _for_each(portion: Portion, name: str) -> list[tuple[Any, str]]:
    return [(one, hub_id) for one, hub_ids in portion.each(getattr(portion, name)) for hub_id in hub_ids]


def _through_the_database(uow: UnitOfWork, kept: Sequence[Kept]) -> list[Kept]:
    kept_changes.keep(uow.connection, kept)
    found = []
    while (first := kept_changes.first(uow.connection)) is not None:
        found.append(kept_changes.take(uow.connection, first))
    return found


@pytest.fixture
def past(world: World) -> World:
    """Hubs that have a past of their own, each another."""
    for supplier, body in STORY[:3]:
        world.post(world.signed(supplier, body, "11.5" if isinstance(body, ScheduleCommsHubFirmware) else "11.6"))
    return world


def test_who_says_nothing_of_hubs_waits_for_all_of_it_and_others_pass(world: World) -> None:
    seen: dict[str, int] = {}

    def look(name: str) -> Callable[[UnitOfWork], None]:
        return lambda uow: seen.__setitem__(name, left_in(uow))

    async def story() -> None:
        run = world.instance.transactions.run
        long_list = run(keeping(world, A, scheduling(HUBS)), heavy=True, hubs=[hub.chf for hub in HUBS])
        await asyncio.gather(
            long_list,
            run(look("any")),
            run(look("any heavy"), heavy=True),
            run(look("another hub"), hubs=[ELSEWHERE.chf]),
            run(look("none"), hubs=NO_HUBS),
        )
        await world.instance.transactions.close()

    asyncio.run(story())

    assert seen["any"] == seen["any heavy"] == 0
    assert seen["another hub"] > 0
    assert seen["none"] > 0
    assert portions_left(world) == 0


def test_a_hub_that_is_named_is_as_was_decided_though_others_are_not_yet(world: World) -> None:
    keep(world, A, scheduling(HUBS))
    before = portions_left(world)
    by_gpf = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (SHARED[0].gpf,))
    admitted = admitted_of(world, B, by_gpf)

    async def story() -> Answer:
        transactions = world.instance.transactions
        answer = await transactions.run(lambda uow: world.processor.execute(uow, admitted), hubs=admitted.only_concerns)
        assert portions_left(world) == before - 1
        return answer

    assert asyncio.run(story()).code == "I99"

    world.run(nothing)
    found = state_of(world)
    states = {row[0]: row for row in found["attempts"]}
    assert any(SHARED[0].chf in row and "Scheduled" in row for row in states.values())
    assert (SHARED[0].chf, WINDOW.end, A.name) in found["scheduled"]


def test_what_a_stop_has_left_is_carried_out_before_anything_else_and_once(world: World) -> None:
    keep(world, A, scheduling(HUBS))
    resumed = Transactions(
        world.instance.engine, world.clock, follow_up=world.instance.telling, keeping=world.instance.changing
    )

    async def story() -> int:
        left = await resumed.run(left_in)
        await resumed.close()
        return left

    assert asyncio.run(story()) == 0
    assert asyncio.run(story()) == 0
    found = state_of(world)
    assert Counter(row[0] for row in found["schedule_hubs"]) == {0: len(HUBS)}
    assert {count for rows in found.values() for count in rows.values()} == {1}
    with world.instance.reading_engine.connect() as connection:
        trail = connection.scalars(select(audit.c.at).where(audit.c.hubs.is_not(None))).all()
    assert len(trail) == 2 * -(-len(HUBS) // PORTION) + 1, "each portion has its records"
    with world.instance.engine.begin() as connection:
        audit_chain.link(connection, NOW)


def test_a_portion_that_cannot_be_carried_out_is_told_to_whoever_needs_it_and_nobody_else(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    keep(world, A, scheduling(HUBS))
    with world.instance.engine.begin() as connection:
        first = connection.execute(select(table).order_by(table.c.kept_id).limit(1)).one()
        connection.execute(table.update().where(table.c.kept_id == first.kept_id).values(changes="{}"))

    async def story() -> list[Any]:
        run = world.instance.transactions.run
        return await asyncio.gather(  # type: ignore[return-value]
            run(lambda _uow: "any"), run(lambda _uow: "another", hubs=[ELSEWHERE.chf]), return_exceptions=True
        )

    refused, another = asyncio.run(story())
    assert isinstance(refused, ValidationError)
    assert another == "another"
    with pytest.raises(ValidationError):
        world.run(nothing)

    Transactions(world.instance.engine, world.clock).run_now(
        lambda uow: uow.connection.execute(
            table.update().where(table.c.kept_id == first.kept_id).values(changes=first.changes)
        )
    )
    assert asyncio.run(story()) == ["any", "another"]
    assert portions_left(world) == 0
    assert sum(state_of(world)["attempts"].values()) == len(HUBS)


def test_a_further_long_list_waits_where_there_is_much_and_nobody_else_does(
    world: World,
) -> None:
    keep(world, A, scheduling(HUBS))
    before = portions_left(world)
    seen: dict[str, int] = {}
    assert before > 3

    def look(name: str) -> Callable[[UnitOfWork], None]:
        return lambda uow: seen.__setitem__(name, left_in(uow))

    def at_most(most: int) -> Transactions:
        changing = replace(world.instance.changing, most=most)
        return Transactions(world.instance.engine, world.clock, keeping=changing)

    async def story() -> None:
        run = at_most(2).run
        await asyncio.gather(
            run(look("long"), heavy=True, hubs=[ELSEWHERE.chf]), run(look("short"), hubs=[ELSEWHERE.chf])
        )

    asyncio.run(story())
    assert seen["long"] == 2
    assert seen["short"] >= before - 1

    with world.instance.engine.begin() as connection:
        connection.execute(table.update().values(changes="{}"))

    async def in_vain() -> None:
        await at_most(0).run(look("long"), heavy=True, hubs=[ELSEWHERE.chf])

    with pytest.raises(ValidationError):
        asyncio.run(in_vain())


def test_lists_that_lie_between_each_other_are_in_nobodys_way(world: World) -> None:
    keep(world, A, scheduling(HUBS[::2]))
    before = portions_left(world)
    admitted = admitted_of(world, A, scheduling(HUBS[1::2]))
    seen: list[int] = []

    def work(uow: UnitOfWork) -> Answer:
        seen.append(left_in(uow))
        return world.processor.execute(uow, admitted, keep=True)

    async def story() -> Answer:
        run = world.instance.transactions.run
        answer = await run(work, heavy=True, hubs=admitted.only_concerns)
        await world.instance.transactions.close()
        return answer

    assert asyncio.run(story()).code == "I0"
    assert seen == [before]
    assert sum(state_of(world)["attempts"].values()) == len(HUBS)


def test_a_list_that_meets_much_waits_for_it_outside_its_transaction(world: World) -> None:
    keep(world, A, scheduling(HUBS))
    before = portions_left(world)
    admitted = admitted_of(world, B, deciding(SHARED))
    seen: list[int] = []

    def work(uow: UnitOfWork) -> Answer:
        seen.append(left_in(uow))
        return world.processor.execute(uow, admitted)

    async def story() -> Answer:
        return await world.instance.transactions.run(work, heavy=True, hubs=admitted.only_concerns)

    with commits_of(world.instance.engine) as commits:
        assert asyncio.run(story()).code == "I99"
    assert len(commits) > 1, "portions of their own transactions came first"
    assert seen[-1] < before


def test_the_longer_work_waits_the_more_is_carried_out_at_once(world: World) -> None:
    """So it outruns another process that goes on adding."""
    some = [
        replace(one, schedule_id=None, answers=(), attempts=(), events=(), scheduled=())
        for one in portions_of(changes_of(world, scheduling(HUBS)), 1)
    ]
    release_id = world.run(of_first_release)
    kept = [Kept(one, release_id, "user:X", "X", NOW) for one in some * 10]
    transactions = Transactions(world.instance.engine, world.clock)
    transactions.run_now(lambda uow: kept_changes.keep(uow.connection, kept))

    async def story() -> int:
        return await world.instance.transactions.run(left_in)

    with commits_of(world.instance.engine) as commits:
        assert asyncio.run(story()) == 0
    in_loop = len(commits)
    transactions.run_now(lambda uow: kept_changes.keep(uow.connection, kept))
    with commits_of(world.instance.engine) as commits:
        assert world.run(left_in) == 0
    assert in_loop < len(kept) // 2
    assert len(commits) < len(kept) // 2


def changes_of(world: World, body: Body) -> Changes:
    outcome = world.run(lambda uow: world.processor.judge(uow, admitted_of(world, A, body)))
    assert isinstance(outcome, Outcome)
    assert outcome.changes is not None
    return outcome.changes


def of_first_release(uow: UnitOfWork) -> str:
    return str(uow.connection.scalar(select(releases.c.release_id)))


def test_a_command_that_cannot_tell_suppliers_changes_nothing_meanwhile(world: World) -> None:
    keep(world, A, scheduling(HUBS))
    opened = Opened(world.instance.settings, world.instance.configuration, world.clock, world.instance.engine)

    with pytest.raises(Failure, match="a long list that was answered is still being carried out"):
        opened.transactions.run_now(nothing)

    world.run(nothing)
    opened.transactions.run_now(nothing)


def test_what_is_kept_names_each_hub_once_where_all_are_alike(world: World) -> None:
    keep(world, A, scheduling(OWN))
    with world.instance.reading_engine.connect() as connection:
        texts = connection.scalars(select(table.c.changes)).all()
    assert len(texts) == len(OWN) // PORTION
    for text in texts:
        portion = json.loads(text)["portion"]
        assert portion["scheduled"] is None
        assert [some for _, some in (*portion["answers"], *portion["attempts"])] == [None, None]


def test_nothing_that_was_refused_is_kept(world: World) -> None:
    unknown = [TestHub(0x90), TestHub(0x91), TestHub(0x92)]
    assert keep(world, A, scheduling(unknown)).code == "E110503"
    assert portions_left(world) == 0
    answer = keep(world, A, scheduling([*unknown, *OWN]))
    assert answer.code == "W110501"
    world.run(nothing)
    assert sum(state_of(world)["attempts"].values()) == len(OWN)
