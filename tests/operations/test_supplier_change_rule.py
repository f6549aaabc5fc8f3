"""Who has left a hub and who has come, from registrations alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from sr_engine.domain.supplier_change import Line, Registration, Turnover, turnover

DAY0 = datetime(2026, 11, 1, tzinfo=UTC)
ORGANISATIONS = ["a", "b", "c", None]


def day(number: int) -> datetime:
    return DAY0 + timedelta(days=number)


def line(*changes: tuple[int, str | None], settled: tuple[int, str | None] | None = (0, "a")) -> Line:
    """Registrations by day; the first one given is the one that was carried out unless another is named."""
    history = [Registration(day(number), one) for number, one in changes]
    return Line(None if settled is None else Registration(day(settled[0]), settled[1]), history)


def moved(electricity: Line, gas: Line, today: int) -> tuple[dict[str, datetime], dict[str, datetime]]:
    found = turnover(electricity, gas, day(today))
    return dict(found.left), dict(found.arrived)


STAYS = line((0, "a"))


def test_one_that_keeps_the_other_fuel_has_not_left() -> None:
    assert moved(line((0, "a"), (3, "b")), STAYS, 4) == ({}, {"b": day(3)})


def test_one_that_has_the_other_fuel_has_not_come() -> None:
    assert moved(line((0, "a"), (3, "b")), line((0, "b"), settled=(0, "b")), 4) == ({"a": day(3)}, {})


def test_one_has_left_when_its_last_fuel_went() -> None:
    left = moved(line((0, "a"), (3, "b")), line((0, "a"), (5, "c")), 6)

    assert left == ({"a": day(5)}, {"b": day(3), "c": day(5)})


def test_what_is_to_come_has_not_happened() -> None:
    assert moved(line((0, "a"), (3, "b")), STAYS, 2) == ({}, {})


def test_a_swap_of_fuels_at_one_moment_is_no_change() -> None:
    swapped = moved(line((0, "a"), (3, "b")), line((0, "b"), (3, "a"), settled=(0, "b")), 4)

    assert swapped == ({}, {})


def test_a_first_registration_is_no_change_of_supplier() -> None:
    nothing = line(settled=None)

    assert moved(line((3, "b"), settled=None), nothing, 4) == ({}, {})


def test_a_change_that_was_carried_out_and_is_cancelled_leads_back_now() -> None:
    gone = line((0, "a"), settled=(3, "b"))

    assert moved(gone, line(settled=None), 5) == ({"b": day(5)}, {"a": day(5)})


def test_a_date_that_is_corrected_changes_nothing_for_who_is_there() -> None:
    assert moved(line((0, "a"), (4, "b"), settled=(3, "b")), line(settled=None), 5) == ({}, {})


@dataclass
class Settled:
    """What comes of turnovers one after another: who was last settled, when somebody last left and who is new."""

    lines: list[Line]
    left: dict[str, datetime] = field(default_factory=dict)
    arrived: dict[str, datetime] = field(default_factory=dict)

    def look(self, now: datetime) -> Turnover:
        found = turnover(self.lines[0], self.lines[1], now)
        self.left |= found.left
        self.arrived = {one: at for one, at in self.arrived.items() if one not in found.left} | dict(found.arrived)
        self.lines = [Line(one.current(now) or one.settled, one.history) for one in self.lines]
        return found


HISTORIES = st.lists(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from(ORGANISATIONS)), max_size=6, unique_by=lambda one: one[0]),
    min_size=2,
    max_size=2,
)


@settings(max_examples=200, deadline=None)
@given(
    histories=HISTORIES,
    first=st.sampled_from(ORGANISATIONS),
    second=st.sampled_from(ORGANISATIONS),
    looks=st.lists(st.integers(0, 10), max_size=6),
)
def test_one_look_at_the_end_finds_what_looks_in_between_find(
    histories: list[list[tuple[int, str | None]]], first: str | None, second: str | None, looks: list[int]
) -> None:
    lines = [
        line((0, holder), *sorted(history, key=lambda one: one[0]), settled=(0, holder))
        for holder, history in zip((first, second), histories, strict=True)
    ]
    at_once, step_by_step = Settled(list(lines)), Settled(list(lines))

    at_once.look(day(10))
    for one in [*sorted(looks), 10]:
        step_by_step.look(day(one))

    assert (at_once.left, at_once.arrived) == (step_by_step.left, step_by_step.arrived)
    assert at_once.lines == step_by_step.lines
    present = {one.current(day(10)).organisation for one in lines} - {None}  # type: ignore[union-attr]  # each has one
    assert at_once.arrived.keys() <= present
    assert at_once.left.keys() & present <= at_once.arrived.keys()
    assert at_once.look(day(10)).is_empty
