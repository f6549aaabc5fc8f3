"""Leases on a clock that the test moves: one holder at a time, and one that was paused changes nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, func, select

from sr_engine.bootstrap import triggers
from sr_engine.claims import Claims, Lease, LeaseLost, Terms
from sr_engine.clock import FixedClock
from sr_engine.regions.triggers import Leased, RegionTriggers
from sr_engine.store import counters, leases
from sr_engine.store import tables as table
from sr_engine.store.database import create_tables, open_engine
from sr_engine.store.leases import LeaseState
from sr_engine.store.reading import Reading
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import UnitOfWork
from tests.databases import new_url
from tests.regions.conftest import Nights, hubs
from tests.world import NOW, World

SECOND = timedelta(seconds=1)
LENGTH = 60 * SECOND
NAME = "trigger:Central"


@dataclass
class Time:
    """The clock that tells the time of day, and the one that nobody sets."""

    clock: FixedClock = field(default_factory=lambda: FixedClock(NOW))
    seconds: float = 0

    def passes(self, seconds: float) -> None:
        self.clock.advance(seconds * SECOND)
        self.seconds += seconds

    def jumps(self, seconds: float) -> None:
        """Somebody sets the clock."""
        self.clock.advance(seconds * SECOND)


def claims_of(engine: Engine, time: Time, holder: str) -> Claims:
    """A process of its own on the same database."""
    return Claims(
        transactions=Transactions(engine, time.clock),
        reading=Reading(engine),
        clock=time.clock,
        monotonic=lambda: time.seconds,
        holder=holder,
        terms=Terms(LENGTH, 20 * SECOND),
    )


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(new_url(tmp_path))
    create_tables(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def one(engine: Engine, time: Time) -> Claims:
    return claims_of(engine, time, "one")


@pytest.fixture
def two(engine: Engine, time: Time) -> Claims:
    return claims_of(engine, time, "two")


def on_record(engine: Engine, name: str = NAME) -> LeaseState:
    with engine.connect() as connection:
        found = leases.find(connection, name)
    assert found is not None
    return found


def count(unit_of_work: UnitOfWork) -> int:
    """Work that can be seen to have been done."""
    return counters.draw(unit_of_work.connection, "work")


def counted(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.coalesce(func.max(table.counters.c.value), 0))) or 0


# --- one at a time ---------------------------------------------------------------------------------------------------


def test_a_lease_is_one_process_s_until_it_runs_out(one: Claims, two: Claims, time: Time) -> None:
    async def story() -> None:
        assert await one.claim(NAME) == Lease(NAME, 1, "one")
        time.passes(59)
        assert await two.claim(NAME) is None
        time.passes(1)
        assert await two.claim(NAME) == Lease(NAME, 2, "two")
        assert await one.claim(NAME) is None

    asyncio.run(story())


def test_a_lease_that_is_renewed_does_not_run_out(one: Claims, two: Claims, time: Time) -> None:
    async def story() -> None:
        lease = await one.claim(NAME)
        for _ in range(5):
            time.passes(50)
            await one.renew()
            assert await two.claim(NAME) is None
        assert await one.claim(NAME) == lease

    asyncio.run(story())


def test_what_is_given_back_can_be_had_at_once(one: Claims, two: Claims) -> None:
    async def story() -> None:
        await one.claim(NAME)
        await one.claim("delivery:csp:Central")
        await one.give_back()
        assert one.held == ()
        assert await two.claim(NAME) == Lease(NAME, 2, "two")
        assert await two.claim("delivery:csp:Central") is not None

    asyncio.run(story())


def test_leases_of_different_names_may_be_different_processes_s(one: Claims, two: Claims) -> None:
    async def story() -> None:
        assert await one.claim("trigger:North") is not None
        assert await two.claim("trigger:South") is not None
        assert (one.held, two.held) == (("trigger:North",), ("trigger:South",))

    asyncio.run(story())


def test_a_lease_that_cannot_be_had_costs_no_transaction(engine: Engine, one: Claims, time: Time) -> None:
    class Nothing:
        async def run(self, work: object, *, heavy: bool = False, hubs: object = None) -> None:
            raise AssertionError("a transaction")

    two = Claims(
        transactions=Nothing(),  # type: ignore[arg-type]  # it must not be used
        reading=Reading(engine),
        clock=time.clock,
        monotonic=lambda: time.seconds,
        holder="two",
        terms=Terms(LENGTH, 20 * SECOND),
    )

    async def story() -> None:
        await one.claim(NAME)
        assert await two.claim(NAME) is None

    asyncio.run(story())


def test_of_two_that_saw_the_same_lease_run_out_one_gets_it(engine: Engine, time: Time) -> None:
    with engine.begin() as connection:
        leases.claim(connection, NAME, "dead", NOW, LENGTH)
    seen = on_record(engine)
    time.passes(60)

    async def story() -> list[Lease | None]:
        return await asyncio.gather(*(claims_of(engine, time, str(n)).claim(NAME) for n in range(4)))

    got = [one for one in asyncio.run(story()) if one is not None]
    assert [one.token for one in got] == [seen.token + 1]


def test_a_heartbeat_keeps_a_lease_by_itself(engine: Engine, time: Time) -> None:
    one = Claims(
        transactions=Transactions(engine, time.clock),
        reading=Reading(engine),
        clock=time.clock,
        monotonic=lambda: time.seconds,
        holder="one",
        terms=Terms(LENGTH, timedelta(milliseconds=2)),
    )

    async def story() -> None:
        await one.claim(NAME)
        beating = asyncio.create_task(one.run())
        time.passes(59)
        async with asyncio.timeout(90):
            while on_record(engine).renewed_at == NOW:  # noqa: ASYNC110 - what is waited for is in the database
                await asyncio.sleep(0.002)
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)

    asyncio.run(story())
    assert on_record(engine).expires_at == NOW + 59 * SECOND + LENGTH


# --- fencing ---------------------------------------------------------------------------------------------------------


def test_a_holder_that_was_paused_changes_nothing(engine: Engine, one: Claims, two: Claims, time: Time) -> None:
    async def story() -> None:
        lease = await one.claim(NAME)
        assert lease is not None
        assert await one.fenced(lease).run(count) == 1
        time.passes(600)
        assert await two.claim(NAME) is not None
        with pytest.raises(LeaseLost, match="'trigger:Central' is no longer held under token 1"):
            await one.fenced(lease).run(count, heavy=True)

    asyncio.run(story())
    assert counted(engine) == 1


def test_a_lease_that_ran_out_and_that_nobody_claimed_still_serves(engine: Engine, one: Claims, time: Time) -> None:
    async def story() -> None:
        lease = await one.claim(NAME)
        assert lease is not None
        time.passes(600)
        assert not one.is_good(lease)
        assert await one.fenced(lease).run(count) == 1
        assert await one.claim(NAME) == lease
        assert one.is_good(lease)

    asyncio.run(story())


def test_what_is_let_go_while_it_is_renewed_is_held_no_more(engine: Engine, one: Claims, two: Claims) -> None:
    async def story() -> None:
        lease = await one.claim(NAME)
        assert lease is not None
        await asyncio.gather(one.renew(), one.let_go(NAME))
        assert (one.held, one.is_good(lease)) == ((), False)
        assert await two.claim(NAME) is not None

    asyncio.run(story())


def test_nothing_is_done_under_a_lease_that_was_given_back(engine: Engine, one: Claims) -> None:
    async def story() -> None:
        lease = await one.claim(NAME)
        assert lease is not None
        await one.give_back()
        with pytest.raises(LeaseLost):
            await one.fenced(lease).run(count)

    asyncio.run(story())
    assert counted(engine) == 0


def test_a_heartbeat_finds_out_what_was_lost(
    one: Claims, two: Claims, time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> None:
        lost = await one.claim(NAME)
        await one.claim("kept")
        assert lost is not None
        time.passes(60)
        await two.claim(NAME)
        await one.renew()
        assert one.held == ("kept",)
        assert not one.is_good(lost)

    asyncio.run(story())
    assert "lease 'trigger:Central' lost: it was not renewed in time" in caplog.text
    assert "taken over from process one" in caplog.text


def test_what_shares_a_commit_with_lost_work_is_kept(engine: Engine, one: Claims, two: Claims, time: Time) -> None:
    transactions = Transactions(engine, time.clock)
    one = Claims(
        transactions=transactions,
        reading=Reading(engine),
        clock=time.clock,
        monotonic=lambda: time.seconds,
        holder="one",
        terms=Terms(LENGTH, 20 * SECOND),
    )

    async def story() -> None:
        lease = await one.claim(NAME)
        assert lease is not None
        time.passes(60)
        await two.claim(NAME)
        done = await asyncio.gather(
            transactions.run(count), one.fenced(lease).run(count), transactions.run(count), return_exceptions=True
        )
        assert [type(one) for one in done] == [int, LeaseLost, int]

    asyncio.run(story())
    assert counted(engine) == 2


# --- clocks ----------------------------------------------------------------------------------------------------------


def test_sending_ends_with_the_length_of_a_lease_whatever_the_clock_says(one: Claims, time: Time) -> None:
    async def story() -> None:
        lease = await one.claim(NAME)
        assert lease is not None
        time.jumps(-3600)
        assert one.is_good(lease)
        time.seconds += 59.9
        assert one.is_good(lease)
        time.seconds += 0.1
        assert not one.is_good(lease)

    asyncio.run(story())


def test_a_clock_that_jumps_ahead_costs_a_holder_its_lease_and_nothing_else(
    engine: Engine, one: Claims, two: Claims, time: Time
) -> None:
    async def story() -> None:
        lease = await one.claim(NAME)
        assert lease is not None
        time.jumps(86_400)
        taken = await two.claim(NAME)
        assert taken is not None
        with pytest.raises(LeaseLost):
            await one.fenced(lease).run(count)
        assert await two.fenced(taken).run(count) == 1
        assert await one.claim(NAME) == lease  # until its heartbeat tells it
        await one.renew()
        assert await one.claim(NAME) is None

    asyncio.run(story())


def test_a_clock_that_goes_back_a_little_makes_others_wait_a_little_longer(
    one: Claims, two: Claims, time: Time
) -> None:
    async def story() -> None:
        await one.claim(NAME)
        time.jumps(-60)
        time.passes(119)
        assert await two.claim(NAME) is None
        time.passes(1)
        assert await two.claim(NAME) is not None

    asyncio.run(story())


def test_a_lease_from_further_ahead_than_it_is_long_is_free(one: Claims, two: Claims, time: Time) -> None:
    async def story() -> None:
        await one.claim(NAME)
        time.jumps(-61)
        assert await two.claim(NAME) == Lease(NAME, 2, "two")

    asyncio.run(story())


def test_a_heartbeat_puts_a_lease_right_after_the_clock_went_back(
    engine: Engine, one: Claims, two: Claims, time: Time
) -> None:
    async def story() -> None:
        lease = await one.claim(NAME)
        time.jumps(-86_400)
        await one.renew()
        assert await two.claim(NAME) is None
        assert await one.claim(NAME) == lease

    asyncio.run(story())
    assert on_record(engine).expires_at == NOW - timedelta(days=1) + LENGTH


def test_on_a_clock_that_runs_fast_a_lease_lasts_as_much_longer() -> None:
    assert Terms(20 * SECOND, 5 * SECOND, clock_rate=3600).length_on_clock == timedelta(hours=20)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "work", "renew", "back", "pass", "jump"]), st.integers(0, 2), st.integers(-70, 70)
    ),
    max_size=40,
)


@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
def test_whatever_happens_only_the_newest_claim_works_and_tokens_rise(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    engine, time = open_engine(new_url(tmp_path_factory.mktemp("steps"))), Time()
    create_tables(engine)
    processes = [claims_of(engine, time, name) for name in "abc"]
    claimed: list[Lease] = []
    back: set[Lease] = set()
    mine: dict[int, Lease] = {}

    async def works(process: Claims, lease: Lease) -> None:
        before = counted(engine)
        try:
            await process.fenced(lease).run(count)
        except LeaseLost:
            assert lease != claimed[-1] or lease in back
            assert counted(engine) == before
        else:
            assert lease == claimed[-1]
            assert lease not in back

    async def story() -> None:
        for what, number, seconds in steps:
            process = processes[number]
            if what == "claim":
                lease = await process.claim(NAME)
                if lease is not None:
                    mine[number] = lease
                    if lease not in claimed:
                        claimed.append(lease)
            elif what == "work":
                if number in mine:
                    await works(process, mine[number])
            elif what == "renew":
                await process.renew()
            elif what == "back":
                await process.give_back()
                if number in mine:
                    back.add(mine[number])
            elif what == "pass":
                time.passes(abs(seconds))
            else:
                time.jumps(seconds * 10)
            # Whoever may act outside the database is alone with that, as long as nobody sets the clock.
            if all(done[0] != "jump" for done in steps):
                assert sum(processes[n].is_good(lease) for n, lease in mine.items()) <= 1

    asyncio.run(story())
    assert [one.token for one in claimed] == list(range(1, len(claimed) + 1))
    engine.dispose()


# --- triggers under leases -------------------------------------------------------------------------------------------


def leased(world: World, holder: str, time: Time, region: str = "Central") -> Leased:
    """The trigger of a region, as a process of its own has it."""
    claims = claims_of(world.instance.engine, time, holder)
    (trigger,) = [one for one in triggers(world.instance, lambda: None) if one.name == region]
    return Leased(trigger, claims)


@pytest.fixture
def scheduled(central: Nights) -> Nights:
    """A hub that is due to be listed."""
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])
    return central


def test_of_two_processes_that_look_one_cuts_and_the_other_has_nothing_to_do(scheduled: Nights) -> None:
    world, time = scheduled.world, Time(scheduled.world.clock)
    first, second = leased(world, "one", time), leased(world, "two", time)

    async def story() -> None:
        await first.tick()
        await second.tick()
        world.clock.set(scheduled.due())
        await first.claims.renew()
        await asyncio.gather(second.tick(), first.tick(), second.tick())

    asyncio.run(story())
    assert len(scheduled.lists()) == 1
    assert (first.claims.held, second.claims.held) == ((f"trigger:{scheduled.region.name}",), ())


def test_a_trigger_that_is_overtaken_in_its_middle_does_not_cut(
    scheduled: Nights, caplog: pytest.LogCaptureFixture
) -> None:
    """The process is paused after its first transaction; while it is, another does what is due."""
    world, time = scheduled.world, Time(scheduled.world.clock)
    first, second = leased(world, "one", time), leased(world, "two", time)
    assert isinstance(first.trigger, RegionTriggers)
    paused, go_on = asyncio.Event(), asyncio.Event()

    class Pausing:
        """The transactions of the first process, which stops before its third."""

        def __init__(self) -> None:
            self.run_so_far = 0

        async def run(self, work, *, heavy=False, hubs=None):  # type: ignore[no-untyped-def]  # as what it stands before
            self.run_so_far += 1
            if self.run_so_far == 3:
                paused.set()
                await go_on.wait()
            return await Transactions(world.instance.engine, world.clock).run(work, heavy=heavy, hubs=hubs)

    claims = Claims(
        transactions=Pausing(),
        reading=Reading(world.instance.engine),
        clock=world.clock,
        monotonic=lambda: time.seconds,
        holder="one",
        terms=Terms(LENGTH, 20 * SECOND),
    )

    async def story() -> None:
        await second.tick()
        await second.claims.give_back()
        world.clock.set(scheduled.due())
        looking = asyncio.create_task(replace(first, claims=claims).tick())
        await paused.wait()
        time.passes(60)
        await second.tick()
        assert len(scheduled.lists()) == 1
        go_on.set()
        await looking

    with caplog.at_level(logging.WARNING):
        asyncio.run(story())
    assert len(scheduled.lists()) == 1
    assert "trigger Central stops: the lease 'trigger:Central' is no longer held under token 2" in caplog.text


def test_what_a_dead_process_left_is_done_by_another_once_its_lease_has_run_out(scheduled: Nights) -> None:
    world, time = scheduled.world, Time(scheduled.world.clock)
    dead, alive = leased(world, "one", time), leased(world, "two", time)

    async def story() -> None:
        await dead.tick()
        world.clock.set(scheduled.due() - 30 * SECOND)
        await dead.claims.renew()
        time.passes(30)
        await alive.tick()
        assert scheduled.lists() == []
        time.passes(30)
        await alive.tick()

    asyncio.run(story())
    assert len(scheduled.lists()) == 1


@settings(max_examples=8, deadline=None)
@given(
    jumps=st.lists(st.sampled_from([-90_000, -3_600, -30, 30, 3_600, 40_000, 90_000]), min_size=1, max_size=10),
    who=st.lists(st.integers(0, 1), min_size=10, max_size=10),
)
@example(jumps=[40_000, 90_000, 90_000], who=[0] * 10)
def test_however_the_clock_is_set_no_hub_is_listed_twice(
    tmp_path_factory: pytest.TempPathFactory, jumps: list[int], who: list[int]
) -> None:
    from tests.world import make_world

    world = make_world(tmp_path_factory.mktemp("jumps") / "instance")
    world.open_release()
    central = Nights(world, world.instance.configuration.regions["Central"])
    three, time = hubs(3), Time(world.clock)
    world.add_hubs(three)
    central.schedule(three)
    processes = [leased(world, "one", time), leased(world, "two", time)]

    async def story() -> None:
        await processes[0].tick()
        world.clock.set(central.due())
        for jump, number in zip(jumps, who, strict=False):
            time.jumps(jump)
            await asyncio.gather(processes[number].tick(), processes[1 - number].tick())
            # One that stays here until its night is over would be taken back, and its hubs listed for another.
            central.deliver_all()
        world.clock.set(central.due(1))
        for process in processes:
            await process.claims.renew()
            await process.tick()

    asyncio.run(story())
    times = [hub for one in central.lists() for entry in one.entries for hub in entry.device_ids]
    assert sorted(times) == sorted(hub.chf for hub in three)
    world.close()
