"""Units of work: they share a commit, fail alone, and are answered only when they are on disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, event, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from sr_engine.clock import FixedClock
from sr_engine.store import counters
from sr_engine.store import transactions as store_transactions
from sr_engine.store.database import create_tables, open_engine
from sr_engine.store.tables import counters as table
from sr_engine.store.transactions import GROUP_LIMIT, Transactions
from sr_engine.store.units_of_work import UnitOfWork
from tests.databases import commits_of, new_url, only_sqlite
from tests.world import NOW

WAIT = 20
"""Seconds after which nothing more is expected to happen."""

Work = Callable[[UnitOfWork], str]


def transactions(engine: Engine) -> Transactions:
    return Transactions(engine, FixedClock(NOW))


def write(name: str) -> Work:
    """Store a row and say so."""

    def work(uow: UnitOfWork) -> str:
        uow.connection.execute(table.insert().values(name=name, value=1))
        return name

    return work


def write_and_fail(name: str) -> Work:
    def work(uow: UnitOfWork) -> str:
        write(name)(uow)
        raise LookupError(name)

    return work


def names(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.scalars(select(table.c.name)))


def test_units_submitted_together_share_one_commit(engine: Engine) -> None:
    async def story() -> list[str]:
        shared = transactions(engine)
        return await asyncio.gather(*(shared.run(write(f"n{n}")) for n in range(20)))

    with commits_of(engine) as commits:
        answers = asyncio.run(story())

    assert answers == [f"n{n}" for n in range(20)]
    assert names(engine) == set(answers)
    assert len(commits) == 1


def test_a_commit_is_shared_by_a_limited_number(engine: Engine) -> None:
    async def story() -> None:
        shared = transactions(engine)
        await asyncio.gather(*(shared.run(write(f"n{n}")) for n in range(GROUP_LIMIT + 1)))

    with commits_of(engine) as commits:
        asyncio.run(story())

    assert len(names(engine)) == GROUP_LIMIT + 1
    assert len(commits) == 2


@pytest.fixture
def postgresql(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(new_url(tmp_path, "postgresql"))
    yield engine
    engine.dispose()


def test_those_who_were_answered_together_share_the_next_commit_too_though_none_is_as_soon_as_the_other(
    postgresql: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_transactions, "PATIENCE_SECONDS", WAIT)
    shared, rounds = transactions(postgresql), 5

    async def ask_again_and_again(who: int) -> None:
        for number in range(rounds):
            # Many more turns of the loop than a transaction waits for what is being checked.
            for _ in range(10 * who if number else 0):
                await asyncio.sleep(0)
            await shared.run(write(f"n{who}-{number}"))

    async def story() -> None:
        async with asyncio.TaskGroup() as tasks:
            for who in range(4):
                tasks.create_task(ask_again_and_again(who))

    with commits_of(postgresql) as commits:
        asyncio.run(asyncio.wait_for(story(), WAIT))

    assert len(names(postgresql)) == 4 * rounds
    assert len(commits) == rounds


def test_one_that_is_alone_waits_for_nobody(postgresql: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_transactions, "PATIENCE_SECONDS", 2 * WAIT)
    shared = transactions(postgresql)

    async def story() -> None:
        for number in range(5):
            await shared.run(write(f"n{number}"))

    asyncio.run(asyncio.wait_for(story(), WAIT))

    assert len(names(postgresql)) == 5


def test_those_who_do_not_come_again_are_waited_for_once_and_not_for_long(postgresql: Engine) -> None:
    shared = transactions(postgresql)

    async def story() -> None:
        await asyncio.gather(*(shared.run(write(f"n{n}")) for n in range(5)))
        for number in range(3):
            await shared.run(write(f"alone-{number}"))

    with commits_of(postgresql) as commits:
        asyncio.run(asyncio.wait_for(story(), WAIT))

    assert len(commits) == 4


def test_a_heavy_one_keeps_nobody_waiting(postgresql: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_transactions, "PATIENCE_SECONDS", 2 * WAIT)
    shared = transactions(postgresql)

    async def story() -> None:
        await asyncio.gather(*(shared.run(write(f"n{n}")) for n in range(5)))
        await shared.run(write("heavy"), heavy=True)
        await shared.run(write("light"))

    asyncio.run(asyncio.wait_for(story(), WAIT))

    assert {"heavy", "light"} <= names(postgresql)


def test_a_unit_that_fails_takes_back_its_own_work_and_no_other(engine: Engine) -> None:
    async def story() -> list[str | BaseException]:
        shared = transactions(engine)
        works = [write("before"), write_and_fail("failing"), write("before"), write("after")]
        return await asyncio.gather(*(shared.run(work) for work in works), return_exceptions=True)

    first, failed, repeated, last = asyncio.run(story())

    assert (first, last) == ("before", "after")
    assert isinstance(failed, LookupError)
    assert isinstance(repeated, IntegrityError)
    assert names(engine) == {"before", "after"}


def test_a_unit_that_stops_an_iteration_fails_and_holds_up_nobody(engine: Engine) -> None:
    def stop(_: UnitOfWork) -> str:
        raise StopIteration

    async def story() -> list[str | BaseException]:
        shared = transactions(engine)
        return await asyncio.gather(*(shared.run(work) for work in (stop, write("after"))), return_exceptions=True)

    failed, last = asyncio.run(asyncio.wait_for(story(), 90))

    assert isinstance(failed, RuntimeError)
    assert (last, names(engine)) == ("after", {"after"})


class _Unusual(BaseException):
    """What no `except Exception` takes."""


@pytest.mark.parametrize("heavy", [False, True])
def test_a_unit_that_ends_in_something_unusual_is_told_of_it_and_holds_up_nobody(engine: Engine, heavy: bool) -> None:
    def end(uow: UnitOfWork) -> str:
        write("unusual")(uow)
        raise _Unusual

    async def story() -> Sequence[str | BaseException]:
        shared = transactions(engine)
        submitted = (shared.run(write("before")), shared.run(end, heavy=heavy), shared.run(write("after")))
        answers = await asyncio.gather(*submitted, return_exceptions=True)
        assert await shared.run(write("later")) == "later"
        return answers

    first, failed, last = asyncio.run(asyncio.wait_for(story(), 10))

    assert isinstance(failed, _Unusual)
    assert (first, last) == ("before", "after")
    assert names(engine) == {"before", "after", "later"}


@settings(max_examples=25, deadline=None)
@given(plan=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=20))
def test_whatever_fails_and_however_heavy_exactly_the_others_are_stored(plan: list[tuple[bool, bool]]) -> None:
    engine = open_engine("sqlite:///file::memory:?cache=shared&uri=true")
    create_tables(engine)

    async def story() -> Sequence[str | BaseException]:
        shared = transactions(engine)
        return await asyncio.gather(
            *(
                shared.run((write_and_fail if fails else write)(f"n{n}"), heavy=heavy)
                for n, (fails, heavy) in enumerate(plan)
            ),
            return_exceptions=True,
        )

    answers = asyncio.run(story())

    assert [isinstance(answer, LookupError) for answer in answers] == [fails for fails, _ in plan]
    assert names(engine) == {f"n{n}" for n, (fails, _) in enumerate(plan) if not fails}
    engine.dispose()


def test_nobody_is_answered_before_the_commit(engine: Engine) -> None:
    seen: list[bool] = []

    async def story() -> None:
        shared = transactions(engine)
        answer = asyncio.create_task(shared.run(write("n")))

        def at_commit(_connection: object) -> None:
            seen.append(answer.done())

        event.listen(engine, "commit", at_commit)
        await answer

    asyncio.run(story())
    assert seen == [False]


def test_what_is_to_be_remembered_is_once_it_is_committed_and_only_of_what_was(engine: Engine) -> None:
    remembered: list[str] = []

    def write_and_remember(name: str, *, fail: bool = False) -> Work:
        def work(uow: UnitOfWork) -> str:
            write(name)(uow)
            uow.once_committed.append(lambda: remembered.append(name))
            if fail:
                raise LookupError(name)
            return name

        return work

    def refuse(_connection: object) -> None:
        assert remembered == []
        raise OSError("the disk is gone")

    async def story() -> None:
        shared = transactions(engine)
        event.listen(engine, "commit", refuse)
        with pytest.raises(OSError, match="the disk is gone"):
            await shared.run(write_and_remember("n"))
        event.remove(engine, "commit", refuse)
        works = [write_and_remember("n"), write_and_remember("failing", fail=True), write_and_remember("m")]
        await asyncio.gather(*(shared.run(work) for work in works), return_exceptions=True)
        await shared.run(write_and_remember("heavy"), heavy=True)

    asyncio.run(story())
    transactions(engine).run_now(write_and_remember("alone"))

    assert remembered == ["n", "m", "heavy", "alone"]


def test_a_commit_that_fails_fails_all_that_share_it(engine: Engine) -> None:
    def refuse(_connection: object) -> None:
        raise OSError("the disk is gone")

    async def story() -> Sequence[str | BaseException]:
        shared = transactions(engine)
        event.listen(engine, "commit", refuse)
        failed = await asyncio.gather(*(shared.run(write(f"n{n}")) for n in range(3)), return_exceptions=True)
        event.remove(engine, "commit", refuse)
        assert names(engine) == set()
        assert await shared.run(write("afterwards")) == "afterwards"
        return failed

    assert [type(one) for one in asyncio.run(story())] == [OSError] * 3
    assert names(engine) == {"afterwards"}


@only_sqlite
def test_a_transaction_that_the_database_itself_gives_up_fails_all_that_share_it(engine: Engine) -> None:
    """SQLite undoes a whole transaction by itself when, for instance, the disk is full."""

    def fill_the_disk(uow: UnitOfWork) -> str:
        pages = uow.connection.scalar(text("PRAGMA page_count"))
        uow.connection.execute(text(f"PRAGMA max_page_count = {pages}"))
        uow.connection.execute(table.insert(), [{"name": f"{n:030}", "value": n} for n in range(100_000)])
        return "never"

    async def story() -> Sequence[str | BaseException]:
        shared = transactions(engine)
        return await asyncio.gather(
            shared.run(write("before")), shared.run(fill_the_disk), shared.run(write("after")), return_exceptions=True
        )

    assert [type(one) for one in asyncio.run(story())] == [OperationalError] * 3
    assert names(engine) == set()


def test_a_caller_that_goes_away_undoes_nothing(engine: Engine) -> None:
    async def story() -> str:
        shared = transactions(engine)
        leaving = asyncio.create_task(shared.run(write("leaving")))
        staying = asyncio.create_task(shared.run(write("staying")))
        await asyncio.sleep(0)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        answer = await staying
        await shared.close()
        return answer

    assert asyncio.run(story()) == "staying"
    assert names(engine) == {"leaving", "staying"}


def test_a_heavy_unit_runs_in_another_thread_and_on_sqlite_light_ones_in_the_event_loops(engine: Engine) -> None:
    def thread(_uow: UnitOfWork) -> int:
        return threading.get_ident()

    async def story() -> list[int]:
        shared = transactions(engine)
        return list(await asyncio.gather(shared.run(thread), shared.run(thread, heavy=True)))

    light, heavy = asyncio.run(story())
    assert heavy != threading.get_ident()
    assert (light == threading.get_ident()) is (engine.dialect.name == "sqlite")


def test_the_event_loop_goes_on_while_a_heavy_unit_runs(engine: Engine) -> None:
    async def story() -> str:
        shared = transactions(engine)
        loop, go_on = asyncio.get_running_loop(), threading.Event()

        def wait_for_the_loop(_uow: UnitOfWork) -> str:
            loop.call_soon_threadsafe(go_on.set)
            return "the loop answered" if go_on.wait(10) else "the loop stood still"

        return await shared.run(wait_for_the_loop, heavy=True)

    assert asyncio.run(story()) == "the loop answered"


def test_heavy_units_of_one_that_come_in_a_burst_wait_behind_themselves(engine: Engine) -> None:
    order: list[str] = []

    def note(name: str) -> Callable[[UnitOfWork], None]:
        return lambda _: order.append(name)

    async def story() -> None:
        shared = Transactions(engine, FixedClock(NOW))
        burst = [shared.run(note(f"a{n}"), heavy=True, of="a") for n in range(4)]
        others = [shared.run(note(f"b{n}"), heavy=True, of="b") for n in range(2)]
        await asyncio.gather(*burst, *others, shared.run(note("own"), heavy=True))
        # Whoever was served longest ago is next, whether or not it had anything waiting since.
        await asyncio.gather(*(shared.run(note(f"{name}4"), heavy=True, of=name) for name in "ab"))

    asyncio.run(story())
    assert order == ["a0", "b0", "own", "a1", "b1", "a2", "a3", "b4", "a4"]


def test_light_units_pass_between_heavy_ones(engine: Engine) -> None:
    order: list[str] = []

    def note(name: str) -> Callable[[UnitOfWork], None]:
        return lambda _uow: order.append(name)

    async def story() -> None:
        shared = transactions(engine)
        await asyncio.gather(
            *(shared.run(note(f"heavy{n}"), heavy=True) for n in range(3)),
            *(shared.run(note("light")) for n in range(2)),
        )

    asyncio.run(story())
    assert order == ["heavy0", "light", "light", "heavy1", "heavy2"]


def test_closing_waits_for_what_is_under_way(engine: Engine) -> None:
    async def story() -> None:
        shared = transactions(engine)
        under_way = asyncio.create_task(shared.run(write("n"), heavy=True))
        await asyncio.sleep(0)
        await shared.close()
        assert names(engine) == {"n"}
        await under_way

    asyncio.run(story())


def test_outside_an_event_loop_a_unit_has_a_transaction_of_its_own(engine: Engine) -> None:
    shared = transactions(engine)
    with pytest.raises(LookupError):
        shared.run_now(write_and_fail("failing"))

    assert shared.run_now(write("n")) == "n"
    assert names(engine) == {"n"}


def test_numbers_of_a_counter_are_given_out_once_though_a_unit_fails(engine: Engine) -> None:
    def draw(uow: UnitOfWork) -> int:
        return counters.draw(uow.connection, "c", 3)

    def draw_and_fail(uow: UnitOfWork) -> int:
        draw(uow)
        raise LookupError

    async def story() -> list[int | BaseException]:
        shared = transactions(engine)
        works = [draw, draw_and_fail, draw]
        return await asyncio.gather(*(shared.run(work) for work in works), return_exceptions=True)

    first, _, last = asyncio.run(story())
    assert (first, last) == (1, 4)
