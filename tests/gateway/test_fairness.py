"""Shares of the gateway: nobody within its allocation is refused while there is room, and queues are served in turn."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter, defaultdict, deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sr_engine.gateway.fairness import ARRIVING, HEAD_BYTES, OTHERS, Gate, Places, Shares, Visit, claimed_originator
from tests.gateway.conftest import WAIT
from tests.world import A, B

NAMES = ("a", "b", "c")


@dataclass
class Hand:
    """A monotonic clock that somebody moves."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds


def shares(
    *, in_flight: int = 8, at_once: int = 2, threshold: int = 20, allocation: int = 5, **allocations: int
) -> Shares:
    return Shares(in_flight, at_once, threshold, allocation, dict.fromkeys(NAMES, allocation) | allocations)


@dataclass
class Doorkeeper:
    """Sends requests through a gate and remembers what became of each."""

    gate: Gate
    working: list[Visit] = field(default_factory=list)
    waiting: list[tuple[str, asyncio.Task[bool], Visit]] = field(default_factory=list)
    served: list[str] = field(default_factory=list)
    gave_way: Counter[str] = field(default_factory=Counter)

    async def send(self, name: str) -> bool:
        """Whether a request of that name was given a place."""
        visit = self.gate.arrive(name)
        if not visit.claim(name):
            visit.leave()
            return False
        self.waiting.append((name, asyncio.create_task(self._wait(name, visit)), visit))
        await self.look()
        return True

    async def _wait(self, name: str, visit: Visit) -> bool:
        took_turn = await visit.turn()
        if took_turn:
            self.served.append(name)
        return took_turn

    async def look(self) -> None:
        """Let those whose turn has come begin."""
        for _ in range(3):
            await asyncio.sleep(0)
        for one in [one for one in self.waiting if one[1].done()]:
            self.waiting.remove(one)
            name, task, visit = one
            if task.result():
                self.working.append(visit)
            else:
                visit.leave()
                self.gave_way[name] += 1

    async def finish(self, number: int) -> None:
        self.working.pop(number).leave()
        await self.look()

    async def finish_all(self) -> None:
        while self.working:
            await self.finish(0)


def run(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(story)


_steps = st.lists(
    st.one_of(
        st.sampled_from(NAMES),
        st.integers(0, 5),
        st.floats(0.01, 0.7),
    ),
    max_size=120,
)


@settings(max_examples=50)
@given(
    steps=_steps,
    in_flight=st.integers(1, 12),
    at_once=st.integers(1, 6),
    threshold=st.integers(1, 20),
    allocation=st.integers(1, 6),
)
def test_nobody_who_sent_less_than_its_allocation_in_the_last_second_is_refused_while_there_is_room(
    steps: list[str | int | float], in_flight: int, at_once: int, threshold: int, allocation: int
) -> None:
    async def story() -> None:
        clock = Hand()
        keeper = Doorkeeper(
            Gate(shares(in_flight=in_flight, at_once=at_once, threshold=threshold, allocation=allocation), clock)
        )
        taken: dict[str, deque[float]] = defaultdict(deque)
        for step in steps:
            match step:
                case str():
                    lately = sum(clock.seconds - at < 1 for at in taken[step])
                    held = len(keeper.working) + len(keeper.waiting)
                    outcome = await keeper.send(step)
                    if outcome:
                        taken[step].append(clock.seconds)
                    elif lately < allocation:
                        # A quarter is kept for those who have no place yet.
                        room = in_flight - in_flight // 4
                        assert held >= room, f"{step} was refused with {held} of {in_flight} places taken"
                case int() if step < len(keeper.working):
                    await keeper.finish(step)
                case float():
                    clock.seconds += step
            assert len(keeper.working) <= at_once
            assert len(keeper.working) + len(keeper.waiting) <= in_flight
            assert not keeper.waiting or keeper.working, "nobody waits while nothing is worked on"
        await keeper.finish_all()
        assert not keeper.waiting

    run(story())


@settings(max_examples=50)
@given(first=st.lists(st.sampled_from(NAMES), max_size=30), at_once=st.integers(1, 3))
def test_queues_are_served_in_turn_each_in_its_order(first: list[str], at_once: int) -> None:
    async def story() -> None:
        keeper = Doorkeeper(Gate(shares(in_flight=50, at_once=at_once, threshold=100, allocation=50), Hand()))
        for name in first:
            await keeper.send(name)
        left = Counter(name for name, _, _ in keeper.waiting)
        already = len(keeper.served)
        await keeper.finish_all()

        assert Counter(keeper.served) == Counter(first)
        served = keeper.served[already:]
        for name in NAMES:
            turns = [number for number, one in enumerate(served) if one == name]
            for before, after in itertools.pairwise(turns):
                between = Counter(served[before + 1 : after])
                assert all(between[other] <= 1 for other in NAMES)
                # Whoever still had some waiting had a turn in between.
                assert all(between[other] or other not in served[after:] for other in NAMES if other != name)
        assert Counter(served) == left

    run(story())


def test_a_burst_waits_behind_itself() -> None:
    async def story() -> None:
        keeper = Doorkeeper(Gate(shares(in_flight=40, at_once=1, threshold=100, allocation=40), Hand()))
        for _ in range(30):
            await keeper.send("a")
        await keeper.send("b")
        await keeper.finish(0)
        await keeper.finish(0)

        assert "b" in keeper.served

    run(story())


def test_above_the_operating_threshold_a_burst_gets_what_is_left_and_its_neighbour_all_it_asks_for() -> None:
    async def story() -> None:
        clock = Hand()
        keeper = Doorkeeper(Gate(shares(in_flight=50, at_once=10, threshold=15, allocation=10), clock))
        got: Counter[tuple[str, bool]] = Counter()
        for tick in range(1000):  # ten seconds
            clock.seconds = tick / 100
            got["a", await keeper.send("a")] += 1
            if tick % 10 == 0:
                got["b", await keeper.send("b")] += 1
            await keeper.finish_all()

        assert got["b", True] == 100
        assert got["b", False] == 0
        # Its allocation, and at first what the threshold still allows.
        assert 100 <= got["a", True] <= 130

    run(story())


def test_below_the_operating_threshold_everybody_may_take_more_than_its_allocation() -> None:
    async def story() -> None:
        keeper = Doorkeeper(Gate(shares(in_flight=30, at_once=30, threshold=20, allocation=2), Hand()))

        assert [await keeper.send("a") for _ in range(21)] == [True] * 20 + [False]

    run(story())


def test_a_user_may_have_an_allocation_of_its_own() -> None:
    async def story() -> None:
        keeper = Doorkeeper(Gate(shares(in_flight=30, at_once=30, threshold=5, allocation=1, b=7), Hand()))
        for _ in range(5):
            await keeper.send("a")

        assert [await keeper.send("b") for _ in range(8)] == [True] * 7 + [False]

    run(story())


def test_with_all_places_taken_the_longest_queue_makes_room_for_whoever_has_less_waiting() -> None:
    async def story() -> None:
        keeper = Doorkeeper(Gate(shares(in_flight=6, at_once=1, threshold=100, allocation=50), Hand()))
        outcomes = [await keeper.send("a") for _ in range(7)]
        assert outcomes == [True] * 6 + [False]

        assert [await keeper.send("b") for _ in range(4)] == [True, True, False, False]
        assert keeper.gave_way == {"a": 2}
        await keeper.finish_all()
        assert Counter(keeper.served) == {"a": 4, "b": 2}

    run(story())


def test_a_user_within_its_allocation_is_not_asked_to_make_room_for_one_beyond_its_own() -> None:
    async def story() -> None:
        keeper = Doorkeeper(Gate(shares(in_flight=5, at_once=1, threshold=100, allocation=2, a=50), Hand()))
        for _ in range(3):
            await keeper.send("a")
        for _ in range(2):
            await keeper.send("b")

        assert await keeper.send("b") is False
        assert await keeper.send("a") is True
        assert keeper.gave_way == {"b": 1}

    run(story())


def test_what_is_worked_on_for_long_leaves_places_to_those_who_have_none() -> None:
    async def story() -> None:
        keeper = Doorkeeper(Gate(shares(in_flight=40, at_once=8, threshold=100, allocation=50), Hand()))
        for _ in range(20):
            await keeper.send("a")
        assert keeper.served == ["a"] * 6

        await keeper.send("b")
        assert keeper.served == ["a"] * 6 + ["b"]

    run(story())


def test_a_burst_has_few_worked_on_while_others_are_about_and_many_while_they_are_not() -> None:
    async def story() -> None:
        for neighbour, in_work in ((False, 12), (True, 4)):
            keeper = Doorkeeper(Gate(shares(in_flight=40, at_once=16, threshold=100, allocation=2), Hand()))
            if neighbour:
                await keeper.send("b")
                await keeper.finish_all()
            for _ in range(20):
                await keeper.send("a")

            assert len(keeper.working) == in_work
            await keeper.finish_all()
            assert keeper.served.count("a") == 20

    run(story())


def test_whoever_goes_away_gives_its_place_back() -> None:
    async def story() -> None:
        gate = Gate(shares(in_flight=2, at_once=1, threshold=100, allocation=50), Hand())
        keeper = Doorkeeper(gate)
        await keeper.send("a")
        await keeper.send("b")
        _, task, visit = keeper.waiting.pop()
        task.cancel()
        await keeper.finish(0)
        visit.leave()
        visit.leave()

        assert [await keeper.send("a") for _ in range(3)] == [True, True, False]
        await keeper.finish_all()
        assert keeper.served == ["a", "a", "a"]

    run(story())


@dataclass
class Slow:
    """Requests whose bodies come slowly, or not at all."""

    gate: Gate
    gave_way: list[Visit] = field(default_factory=list)

    def arrive(self, origin: str) -> Visit:
        visit = self.gate.arrive(origin)
        visit.on_giving_way = lambda: self.gave_way.append(visit)
        return visit

    def begin(self, name: str, origin: str = "") -> Visit | None:
        """One that has said whose it is; None if there was no place for it."""
        visit = self.arrive(origin or name)
        if visit.claim(name):
            return visit
        visit.leave()
        return None


def test_whoever_sends_many_bodies_slowly_leaves_places_to_others() -> None:
    slow = Slow(Gate(shares(in_flight=8, at_once=2, threshold=100, allocation=50), Hand()))

    assert [slow.begin("a") is not None for _ in range(7)] == [True] * 6 + [False]
    assert slow.begin("b") is not None
    assert slow.gave_way == []


def test_slow_bodies_in_the_name_of_a_user_keep_none_out_that_comes_from_elsewhere() -> None:
    slow = Slow(Gate(shares(in_flight=8, at_once=2, threshold=100, allocation=50), Hand()))

    of_somebody = [slow.begin("a", "somewhere") for _ in range(6)]
    assert slow.begin("a", "somewhere") is None

    assert [slow.begin("a", "elsewhere") is not None for _ in range(2)] == [True, True]
    assert slow.gave_way == [of_somebody[5], of_somebody[4]], "the newest of the address that has most"
    assert slow.begin("a", "a third place") is not None
    assert slow.begin("a", "elsewhere") is None, "no address has more than one too many"


def test_slow_bodies_of_several_who_have_taken_every_place_give_way_to_whoever_has_fewer() -> None:
    async def story() -> None:
        slow = Slow(Gate(shares(in_flight=8, at_once=2, threshold=100, allocation=50), Hand()))
        of_a = [slow.begin("a") for _ in range(6)]
        of_b = [slow.begin("b") for _ in range(2)]

        first = slow.begin("c")
        assert first is not None
        assert await first.turn()
        assert [slow.begin("c") is not None for _ in range(2)] == [True, True]
        assert slow.gave_way == [of_a[5], of_a[4], of_a[3]], "the newest of whoever has most"
        assert [slow.begin("c"), slow.begin("a"), slow.begin("b")] == [None] * 3, "nobody has more than one too many"
        late = of_a[5]
        assert late is not None
        assert not await late.turn(), "its body came whole all the same"
        late.leave()
        for visit in (*of_a[:3], *of_b, first):
            assert visit is not None
            visit.leave()
        assert slow.begin("a") is not None

    run(story())


def test_requests_of_which_nothing_has_come_keep_nobody_out() -> None:
    slow = Slow(Gate(shares(in_flight=2), Hand()))
    first = slow.arrive("somewhere")
    elsewhere = slow.arrive("elsewhere")
    silent = [slow.arrive("somewhere") for _ in range(2 * ARRIVING - 1)]

    assert slow.gave_way == [first], "the oldest of the address that has most"
    assert not first.claim("a"), "what has given way has, whatever comes of it later"
    assert elsewhere.claim("b")
    for visit in (first, *silent):
        visit.leave()
    assert [slow.begin("a") is not None for _ in range(2)] == [True, False]


_moves = st.lists(st.tuples(st.sampled_from(["arrive", "claim", "turn", "leave"]), st.integers(0, 40)), max_size=150)


@settings(max_examples=50)
@given(moves=_moves, in_flight=st.integers(1, 6), at_once=st.integers(1, 4))
def test_whatever_comes_slowly_gives_way_or_leaves_every_place_is_given_back(
    moves: list[tuple[str, int]], in_flight: int, at_once: int
) -> None:
    async def story() -> None:
        rules = shares(in_flight=in_flight, at_once=at_once, threshold=1000, allocation=1000)
        slow = Slow(Gate(rules, Hand()))
        arriving: list[Visit] = []
        reading: list[Visit] = []
        turns: list[tuple[Visit, asyncio.Task[bool]]] = []
        for move, number in moves:
            name = NAMES[number % len(NAMES)]
            match move:
                case "arrive":
                    arriving.append(slow.arrive(name))
                case "claim" if arriving:
                    visit = arriving.pop(number % len(arriving))
                    if visit.claim(name):
                        reading.append(visit)
                    else:
                        visit.leave()
                case "turn" if reading:
                    visit = reading.pop(number % len(reading))
                    turns.append((visit, asyncio.create_task(visit.turn())))
                    await asyncio.sleep(0)
                case "leave" if turns:
                    visit, turn = turns.pop(number % len(turns))
                    turn.cancel()
                    visit.leave()
                    await asyncio.sleep(0)
            here = [visit for visit in (*reading, *(visit for visit, _ in turns)) if not visit.gave_way]
            assert len(here) <= in_flight
        for visit in (*arriving, *reading, *(visit for visit, _ in turns)):
            visit.leave()
        await asyncio.gather(*(turn for _, turn in turns), return_exceptions=True)

        new = [slow.begin(NAMES[number % len(NAMES)]) for number in range(in_flight)]
        working = [visit for visit in new if visit is not None]
        assert len(working) == in_flight
        tasks = [asyncio.create_task(visit.turn()) for visit in working]
        for visit, task in zip(working, tasks, strict=True):
            async with asyncio.timeout(WAIT):
                assert await task
            visit.leave()
        assert not [visit for visit in slow.gave_way if not visit.gave_way]

    run(story())


@settings(max_examples=50)
@given(st.lists(st.text(min_size=1), max_size=50))
def test_shares_are_forgotten_when_idle_and_strangers_have_one_together(names: list[str]) -> None:
    async def story() -> None:
        clock = Hand()
        gate = Gate(shares(in_flight=100, at_once=100, threshold=1000, allocation=1000), clock)
        keeper = Doorkeeper(gate)
        for name in (*names, *NAMES):
            assert await keeper.send(name)
        assert set(gate.remembered) <= {OTHERS, *NAMES}
        await keeper.finish_all()
        clock.seconds += 1.5

        await keeper.send("a")

        assert set(gate.remembered) == {"a"}

    run(story())


@settings(max_examples=50)
@given(st.integers(0, 40), st.lists(st.sampled_from(NAMES), max_size=60))
def test_places_are_never_more_than_there_are_and_a_quarter_is_for_those_who_have_none(
    number: int, names: list[str]
) -> None:
    places, held = Places(number), Counter[str]()
    for name in names:
        free = number - held.total()
        assert places.free_for(name) is (free > (number // 4 if held[name] else 0))
        if places.free_for(name):
            places.take(name)
            held[name] += 1
    for name in list(held.elements()):
        places.give_back(name)
    assert number == 0 or all(places.free_for(name) for name in NAMES)


def test_the_originator_is_read_from_the_first_bytes_however_it_is_written() -> None:
    head = b'<?xml version="1.0" encoding="UTF-8"?><%bRequest schemaVersion="5.4"><%bHeader><%bRequestID>%b:%b:1</'

    for prefix in (b"sr:", b"", b"n-1.x:"):
        written = head % (prefix, prefix, prefix, b"\n " + A.eui.lower().encode(), B.eui.encode())
        assert claimed_originator(written) == A.eui


def test_what_names_no_originator_has_none() -> None:
    late = b"<sr:RequestID>" + A.eui.encode() + b":"
    for head in (
        b"",
        b"<sr:RequestID>",
        b"<sr:RequestID>00-00-5E-EF-10-00-00:",
        b"\x00\xff" * 50,
        late.rjust(HEAD_BYTES + 1),
    ):
        assert claimed_originator(head) is None
