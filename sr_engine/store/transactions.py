"""Units of work: what is submitted while a transaction runs shares the next one, and its one commit.

A unit of work that fails takes back what it did itself and nothing else; none is answered before the commit. The last
thing in a transaction is the link of its audit records. What several need is read for all of them at once, and what
they write is written at once, as far as their modules know how (`sharing`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Engine

from sr_engine.clock import Clock
from sr_engine.store import audit_chain, notices, sharing, statistics, trips
from sr_engine.store.database import DatabaseAway, QueuesBusy, beside, in_transaction, may_pass
from sr_engine.store.dialects import POSTGRESQL
from sr_engine.store.units_of_work import NO_HUBS, FollowUp, Foreseen, Keeping, ReadAhead, Taken, UnitOfWork, Work

log = logging.getLogger(__name__)

T = TypeVar("T")

PAUSES = (0.05, 0.2, 0.5, *[1.0] * 15)
"""Seconds after which a transaction is tried again whose database was away; then it has failed."""

FOLLOWERS = 2
"""How many do what transactions leave to be done, at most."""

GROUP_LIMIT = 256
"""Units of work that share a commit, at most."""

TURNS = 3
"""Of the event loop, that a transaction waits for what is being checked: some microseconds."""

PATIENCE_SECONDS = 0.002
"""For which a transaction waits for as many as there were, at most; its own statements take several times as long."""

CARRIED_OUT_BEFORE = 2
"""Portions that a transaction carries out before its own work, at most; where it would be more it waits."""

_OUTRUN_AFTER, _MOST_AT_ONCE = 8, 64
"""After so many transactions in which something was carried out that work waits for, twice as much is in each, up to so
many portions: other processes may go on adding to it."""

_ENDING = (KeyboardInterrupt, SystemExit)
"""By which the process ends: nothing is tried again."""


@dataclass(slots=True)
class _Submitted(Generic[T]):
    work: Work[T]
    heavy: bool
    of: str
    hubs: Collection[str] | None
    foreseen: Foreseen[Any] | None
    done: asyncio.Future[T]


class Transactions:
    """Runs units of work one after another, those in flight at the same time in one transaction.

    On SQLite light ones run in the event loop (a thread switch costs more than they do), heavy ones in a worker thread.
    On PostgreSQL all run there: what they wait for, its answers and the lock of whoever writes, is elsewhere, and the
    event loop has other things to do meanwhile.

    What was decided about long lists is carried out in transactions of its own, between others. Work that says which
    hubs it concerns goes on meanwhile, once what it may meet is carried out; all other work waits for all of it, and so
    do heavy ones where there is too much.
    """

    def __init__(
        self, engine: Engine, clock: Clock, follow_up: FollowUp | None = None, keeping: Keeping | None = None
    ) -> None:
        """`follow_up` prepares what transactions leave to be done; `keeping` knows what is kept to be carried out.

        It is written in transactions of its own, between others, and delays none that were submitted before it.
        """
        self._keeping = keeping
        self._to_carry_out = False
        self._carrying_out: asyncio.Task[None] | None = None
        self._holds_up = False
        """Something is kept that work waits for."""
        self._rounds = 0
        """Transactions in which some of it was carried out since."""
        self._engine = engine
        self._waits_elsewhere = engine.dialect.name == POSTGRESQL
        self._clock = clock
        self._follow_up = follow_up
        self._to_follow = False
        self._begins_more = True
        self._following: set[asyncio.Task[None]] = set()
        self.after_follow_up: Callable[[], None] = lambda: None
        """Called after each part."""
        self._waiting: list[_Submitted[Any]] = []
        self._running: asyncio.Task[None] | None = None
        self._was_heavy = False
        self._expected = 0
        """Works that are under way at a time, as far as the last transaction shows."""
        self._enough = asyncio.Event()
        self._served: dict[str, None] = {}
        """Whose heavy ones have run, who was served longest ago first."""

    async def run(
        self,
        work: Work[T],
        *,
        heavy: bool = False,
        of: str = "",
        hubs: Collection[str] | None = None,
        foreseen: Foreseen[Any] | None = None,
    ) -> T:
        """Return what `work` returned, once it is committed; raises what it raised, or what the commit did.

        Raises DatabaseAway if the database stays away for longer than PAUSES.

        `of` says whose it is: heavy ones of several run in turn. `hubs` are the canonical ids, of CHF or GPF, of all
        that it may see or change anything of; None: any. What is `foreseen` is read ahead for those that run together.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Submitted(work, heavy, of, hubs, foreseen, done))
        if heavy or len(self._waiting) >= self._expected:
            self._enough.set()
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._drain())
        # A caller that goes away cancels this, and neither its work nor what others share with it.
        return await done

    async def _drain(self) -> None:
        while self._waiting:
            # Whatever becomes ready meanwhile joins: what came together is checked one turn after it was read.
            for _ in range(TURNS):
                await asyncio.sleep(0)
            if self._waits_elsewhere:
                await self._as_many_as_before()
            if self._keeping is not None and self._is_in_the_way():
                await self._make_way(self._keeping)
                continue
            group = self._next_group()
            results = await self._run_until_known(group)
            if any(result is _IN_THE_WAY for result in results):
                self._waiting = [*group, *self._waiting]
                self._holds_up = True
                if all(one.hubs is not None for one in group) and self._keeping is not None:
                    # It meets too much of it, or would add to it.
                    await self._make_way(self._keeping, group)
                continue
            if self._was_heavy:
                self._rounds = 0
            shared = 0 if self._was_heavy else len(group)
            self._expected = min(shared + len(self._waiting), GROUP_LIMIT)
            for one, result in zip(group, results, strict=True):
                if one.done.cancelled():
                    continue
                if isinstance(result, _Failed):
                    one.done.set_exception(_can_be_raised(result.error))
                else:
                    one.done.set_result(result)
            self._start_to_follow_or_carry_out()

    def _start_to_follow_or_carry_out(self) -> None:
        if self._to_follow:
            self._start_to_follow()
        if self._to_carry_out and self._begins_more and (self._carrying_out is None or self._carrying_out.done()):
            self._carrying_out = asyncio.create_task(self._carry_out())

    async def _carry_out(self) -> None:
        """Carry out what is kept; what fails here is done before anything that needs it, and fails there."""
        keeping = self._keeping
        try:
            while keeping is not None and self._begins_more:
                self._to_carry_out = False
                if await self.run(keeping.carry_out_next, heavy=True, hubs=NO_HUBS):
                    continue
                if self._waits_elsewhere and not self._to_carry_out:
                    await self._look_again()
                # Something may have been kept meanwhile.
                if not self._to_carry_out:
                    return
        except Exception:
            log.exception("what was decided could not be carried out yet")

    async def _look_again(self) -> None:
        if not self._begins_more:
            return
        try:
            await asyncio.to_thread(statistics.look_again, self._engine)
        except Exception:
            # It does so by itself, a little later.
            log.exception("PostgreSQL could not be made to look at what has grown")

    def _is_in_the_way(self) -> bool:
        """What is kept comes first: somebody waits for all of it, and light ones that need not have had their turn."""
        if not self._holds_up or all(one.hubs is not None for one in self._waiting):
            return False
        return not (self._was_heavy and self._light())

    async def _make_way(self, keeping: Keeping, others: Sequence[_Submitted[Any]] = ()) -> None:
        """Carry out a portion; if that fails, so does what waits for it, `others` among that."""
        done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        some = partial(_carry_out_some, keeping, _at_once(self._rounds))
        (result,) = await self._run_until_known([_Submitted(some, True, "", NO_HUBS, None, done)])
        self._was_heavy = True
        self._holds_up = result is True
        self._rounds = self._rounds + 1 if self._holds_up else 0
        if isinstance(result, _Failed):
            held_up = [one for one in self._waiting if one.hubs is None or one in others]
            self._waiting = [one for one in self._waiting if not (one.hubs is None or one in others)]
            for one in held_up:
                if not one.done.cancelled():
                    one.done.set_exception(_can_be_raised(result.error))
        self._start_to_follow_or_carry_out()

    def _light(self) -> list[_Submitted[Any]]:
        """Light ones that wait for nothing else."""
        return [one for one in self._waiting if not one.heavy and not (self._holds_up and one.hubs is None)]

    async def _as_many_as_before(self) -> None:
        """Wait for as many as shared the last transaction or came meanwhile, for PATIENCE_SECONDS at most.

        Who was answered asks again soon, and what a transaction costs is paid once for all that share it; on SQLite, in
        whose transactions the loop stands still, they are there by then. One that is alone is kept waiting once, after
        others were there; a heavy one keeps nobody waiting.
        """
        if len(self._waiting) < self._expected and not any(one.heavy for one in self._waiting):
            self._enough = asyncio.Event()
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._enough.wait()

    @asynccontextmanager
    async def served(self, within: float) -> AsyncIterator[None]:
        """Carry out what a stop has left of long lists, and go on until the end of the block: see `close`."""
        self._to_carry_out = True
        self._start_to_follow_or_carry_out()
        try:
            yield
        finally:
            await self.close(within=within)

    def follow(self) -> None:
        """Look for what transactions of other processes have left to be done."""
        self._to_follow = True
        self._start_to_follow()

    def _start_to_follow(self) -> None:
        """Let one more do what is left to be done; two at a time: one prepares while the other's is written."""
        if self._follow_up is not None and self._begins_more and len(self._following) < FOLLOWERS:
            task = asyncio.create_task(self._follow(self._follow_up))
            self._following.add(task)

    async def _follow(self, follow_up: FollowUp) -> None:
        try:
            while self._begins_more:
                self._to_follow = False
                taken = await self._take(follow_up)
                if taken is not None:
                    await self._write(taken)
                # What was left while it was looked for may not have been seen.
                elif not self._to_follow:
                    return
        except Exception:
            # It is still to be done, and is after the next transaction that leaves something.
            log.exception("what transactions left to be done failed")
        finally:
            # In the same turn of the event loop as the last look at what is left: nothing comes in between.
            self._following.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _take(self, follow_up: FollowUp) -> Taken | None:
        return await _again(follow_up.take, "what is to be done is looked for")

    async def _write(self, taken: Taken) -> None:
        if taken.more:
            self._start_to_follow()
        try:
            if not (taken.beside and self._waits_elsewhere and await self._written_beside(taken.write)):
                await self.run(taken.write, heavy=True, hubs=NO_HUBS)
        finally:
            await asyncio.to_thread(taken.let_go)
        self.after_follow_up()

    async def _written_beside(self, work: Work[None]) -> bool:
        try:
            await _again(partial(self._run_beside, work), "what was done is written")
        except QueuesBusy:
            return False
        return True

    def _run_beside(self, work: Work[None]) -> None:
        """In a transaction that waits for no other, and gives the audit trail nothing to link."""
        with beside(self._engine).begin() as connection:
            notices.forget(connection)
            unit_of_work = UnitOfWork(connection, self._clock.now())
            work(unit_of_work)
            notices.notify(connection)
        _remember(unit_of_work)
        self._to_follow |= unit_of_work.to_follow.is_set()

    def _next_group(self) -> list[_Submitted[Any]]:
        """A heavy one goes alone, when its turn comes; light ones that wait go together, after each heavy one.

        Of heavy ones that of whoever was served longest ago is next: a burst of them waits behind itself.
        """
        light = self._light()[:GROUP_LIMIT]
        first = next(one for one in self._waiting if not (self._holds_up and one.hubs is None))
        self._was_heavy = first.heavy and not (self._was_heavy and light)
        group = [self._next_heavy()] if self._was_heavy else light
        chosen = set(map(id, group))
        self._waiting = [one for one in self._waiting if id(one) not in chosen]
        return group

    def _next_heavy(self) -> _Submitted[Any]:
        oldest: dict[str, _Submitted[Any]] = {}
        for one in self._waiting:
            if one.heavy and not (self._holds_up and one.hubs is None):
                oldest.setdefault(one.of, one)
        whose = next((name for name in oldest if name not in self._served), None)
        if whose is None:
            whose = next(name for name in self._served if name in oldest)
        self._served.pop(whose, None)
        self._served[whose] = None
        return oldest[whose]

    async def _run_until_known(self, group: list[_Submitted[Any]]) -> list[Any]:
        """Run again what failed because the database was away: nobody is told of a failure that may be a success.

        What was committed without our knowing is found by what runs again: each work is safe to do twice.
        """
        apart = self._waits_elsewhere or any(one.heavy for one in group)
        left = list(range(len(group)))
        results: list[Any] = [None] * len(group)
        for wait in (*PAUSES, None):
            some = [group[place] for place in left]
            done = await asyncio.to_thread(self._run_group, some) if apart else self._run_group(some)
            for place, result in zip(left, done, strict=True):
                results[place] = result
            left = [place for place in left if _may_pass(results[place])]
            if not left:
                break
            if wait is None:
                log.error("the database stays away, or in another's way; what waited for it has failed: %s", len(left))
                break
            log.warning("the database was away, or in another's way; tried again in %s s", wait)
            await asyncio.sleep(wait)
        return results

    def _run_group(self, group: list[_Submitted[Any]]) -> list[Any]:
        """In one transaction; if one of them fails, all are done again, in parts that can be taken back one by one.

        That happens next to never, and what it takes to be ready for it costs more than many a unit of work.
        """
        try:
            return self._run_together(group, _alone if len(group) == 1 else _sharing)
        except _InTheWayError:
            return [_IN_THE_WAY for _ in group]
        except BaseException as error:
            # Whatever it is: those who wait would wait for ever.
            if len(group) == 1 or isinstance(error, _ENDING):
                return [_Failed(error) for _ in group]
        try:
            return self._run_together(group, _each_apart)
        except _InTheWayError:
            return [_IN_THE_WAY for _ in group]
        except BaseException as error:
            return [_Failed(error) for _ in group]

    def _run_together(
        self, group: list[_Submitted[Any]], run: Callable[[list[_Submitted[Any]], UnitOfWork], list[Any]]
    ) -> list[Any]:
        with self._engine.begin() as connection:
            notices.forget(connection)
            unit_of_work = UnitOfWork(connection, self._clock.now())
            self._clear_the_way(unit_of_work, [one.hubs for one in group], heavy=group[0].heavy)
            results = run(group, unit_of_work)
            notices.notify(connection)
            audit_chain.link(connection, unit_of_work.now)
        _remember(unit_of_work)
        self._to_follow |= unit_of_work.to_follow.is_set()
        self._to_carry_out |= unit_of_work.to_carry_out.is_set()
        return results

    def _clear_the_way(
        self, unit_of_work: UnitOfWork, hubs: Sequence[Collection[str] | None], *, heavy: bool = False
    ) -> None:
        """Carry out what is kept of some hubs; raises _InTheWayError if anything is and all of it has to be before."""
        if self._keeping is None or not any(one is None or one for one in hubs):
            return
        if not self._keeping.are_left(unit_of_work.connection):
            return
        named = [one for one in hubs if one is not None]
        if len(named) < len(hubs) or (heavy and self._keeping.are_many(unit_of_work.connection)):
            raise _InTheWayError
        concerned = {device_id for some in named for device_id in some}
        if not self._keeping.carry_out_of(unit_of_work, concerned, CARRIED_OUT_BEFORE):
            raise _InTheWayError

    def run_now(self, work: Work[T], *, hubs: Collection[str] | None = None) -> T:
        """Run one unit of work in a transaction of its own, outside an event loop (command line, start-up).

        What it leaves to be done is done before this returns; `hubs` as in `run`.
        """
        result, left = self._run_alone(work, hubs)
        while left and self._follow_up is not None:
            taken = self._follow_up.take(whoever_is_at_it=True)
            if taken is None:
                break
            try:
                self._run_alone(taken.write, NO_HUBS)
            finally:
                taken.let_go()
        return result

    def _run_alone(self, work: Work[T], hubs: Collection[str] | None) -> tuple[T, bool]:
        """What it returned, and whether it, or what was carried out before it or after, left something to be done."""
        left = False
        while True:
            try:
                with self._engine.begin() as connection:
                    notices.forget(connection)
                    unit_of_work = UnitOfWork(connection, self._clock.now())
                    self._clear_the_way(unit_of_work, [hubs])
                    result = work(unit_of_work)
                    notices.notify(connection)
                    audit_chain.link(connection, unit_of_work.now)
                break
            except _InTheWayError:
                left |= self._carry_out_all()
        _remember(unit_of_work)
        left |= unit_of_work.to_follow.is_set()
        if unit_of_work.to_carry_out.is_set():
            left |= self._carry_out_all()
        return result, left

    def _carry_out_all(self) -> bool:
        """Carry out what is kept, each portion in a transaction of its own; whether that left something to be done."""
        left, rounds, more = False, 0, True
        while more and self._keeping is not None:
            some = partial(_carry_out_some, self._keeping, _at_once(rounds))
            more, follows = self._run_alone(some, NO_HUBS)
            left |= follows
            rounds += 1
        return left

    async def close(self, *, within: float | None = None) -> None:
        """Wait for what is under way, and for what follows it.

        After `within` seconds no further part of what follows is begun: other processes do it, or the next start.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._come_to_rest()
        self._begins_more = False
        try:
            await self._come_to_rest()
        finally:
            self._begins_more, self._to_follow, self._to_carry_out = True, False, False

    async def _come_to_rest(self) -> None:
        while under_way := [
            *self._following,
            *(one for one in (self._running, self._carrying_out) if one is not None),
        ]:
            if all(one.done() for one in under_way):
                break
            await asyncio.wait(under_way)


async def _again(do: Callable[[], T], what: str) -> T:
    """Do something in a thread, and again if the database was away: it is safe to do twice."""
    for wait in PAUSES:
        try:
            return await asyncio.to_thread(do)
        except Exception as error:
            if not may_pass(error):
                raise
            log.warning("the database was away; %s again in %s s", what, wait)
            await asyncio.sleep(wait)
    return await asyncio.to_thread(do)


@dataclass(frozen=True, slots=True)
class _Failed:
    error: BaseException


class _InTheWayError(Exception):
    """Something is kept that has to be carried out before this; nothing was done."""


_IN_THE_WAY = object()
"""Instead of a result."""


def _at_once(rounds: int) -> int:
    return min(1 << rounds // _OUTRUN_AFTER, _MOST_AT_ONCE)


def _carry_out_some(keeping: Keeping, number: int, unit_of_work: UnitOfWork) -> bool:
    return all(keeping.carry_out_next(unit_of_work) for _ in range(number))


def _remember(unit_of_work: UnitOfWork) -> None:
    for remember in unit_of_work.once_committed:
        remember()


def _can_be_raised(error: BaseException) -> BaseException:
    """The same, but for a database that is away, and for the one that no future takes.

    All that wait behind the latter would wait for ever.
    """
    if may_pass(error):
        away = DatabaseAway(error)
        away.__cause__ = error
        return away
    if not isinstance(error, StopIteration):
        return error
    told = RuntimeError("a unit of work ended in StopIteration")
    told.__cause__ = error
    return told


def _may_pass(result: object) -> bool:
    return isinstance(result, _Failed) and may_pass(result.error)


def _alone(group: list[_Submitted[Any]], unit_of_work: UnitOfWork) -> list[Any]:
    return [one.work(unit_of_work) for one in group]


def _sharing(group: list[_Submitted[Any]], unit_of_work: UnitOfWork) -> list[Any]:
    with sharing.shared_by(unit_of_work.connection):
        needs: defaultdict[ReadAhead[Any], list[Any]] = defaultdict(list)
        for one in group:
            if one.foreseen is not None:
                needs[one.foreseen.read].append(one.foreseen.needs)
        for read, of_all in needs.items():
            read(unit_of_work, of_all)
        return [one.work(unit_of_work) for one in group]


def _each_apart(group: list[_Submitted[Any]], unit_of_work: UnitOfWork) -> list[Any]:
    return [_attempt(one.work, unit_of_work) for one in group]


def _attempt(work: Work[Any], unit_of_work: UnitOfWork) -> Any:
    remembered = len(unit_of_work.once_committed)
    try:
        with unit_of_work.connection.begin_nested():
            result = work(unit_of_work)
            trips.send_kept(unit_of_work.connection)
            return result
    except BaseException as error:
        if isinstance(error, _ENDING) or not in_transaction(unit_of_work.connection):
            # Where the database has taken back all of it, what the others did is gone too.
            raise
        del unit_of_work.once_committed[remembered:]
        return _Failed(error)
