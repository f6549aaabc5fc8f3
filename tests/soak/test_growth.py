"""Slopes: what grows is told from what only goes up and down."""

from __future__ import annotations

import pytest

from tests.soak.growth import MEGABYTE, Growth, Sample, growths, not_judged, slope


def life(name: str = "gateway 1", *, seconds: int = 1_800, start: float = 100.0, per_hour: float = 0.0) -> list[Sample]:
    """A sample every 3 s and 20 exchanges a second; memory goes up and down by a megabyte beside what it grows."""
    return [
        Sample(
            name,
            at,
            at * 20,
            int((start + at / 3_600 * per_hour + at % 2) * MEGABYTE),
            40 + at % 5,
            12,
        )
        for at in range(0, seconds, 3)
    ]


def test_the_slope_of_a_line_is_found_whatever_its_height() -> None:
    assert slope([(x, 7 + 2.5 * x) for x in range(10)]) == pytest.approx(2.5)
    assert slope([(3, 1), (3, 9)]) == 0


def test_what_goes_up_and_down_does_not_grow() -> None:
    (growth,) = growths(life())

    assert growth.memory_per_hour == pytest.approx(0, abs=0.5)
    assert growth.objections() == []


def test_a_leak_is_told_in_megabytes_an_hour_and_a_thousand_exchanges() -> None:
    (growth,) = growths(life(per_hour=90))

    assert growth.memory_per_hour == pytest.approx(90, abs=1)
    assert growth.memory_per_thousand == pytest.approx(90 / 72, abs=0.05)
    (objection,) = growth.objections()
    assert objection.startswith("memory of gateway 1 grows by ")


def test_what_a_process_takes_while_it_warms_up_is_no_growth() -> None:
    cold = [
        Sample(one.process, one.seconds, one.exchanges, int(min(one.seconds, 240) * MEGABYTE), one.files, one.threads)
        for one in life()
    ]

    (growth,) = growths(cold)

    assert growth.objections() == []


def test_of_a_process_that_was_killed_soon_no_slope_is_told() -> None:
    assert [one.process for one in growths([*life(seconds=12), *life("gateway 2")])] == ["gateway 2"]


def test_what_was_measured_for_a_short_time_is_shown_and_not_judged() -> None:
    (growth,) = growths(life(seconds=120, per_hour=5_000))

    assert growth.memory_per_hour > 4_000
    assert (growth.judged, growth.objections()) == (False, [])


def test_a_long_soak_that_says_nothing_of_a_process_that_lived_for_all_of_it_is_not_content() -> None:
    found = growths([*life("gateway 1"), *life("worker 1", seconds=200)])
    both = ["gateway 1", "worker 1"]

    assert not_judged(found, both, 1_800) == ["worker 1 was not measured for long enough to be judged"]
    assert not_judged([], both, 1_800) == [f"{one} was not measured for long enough to be judged" for one in both]
    assert not_judged([], both, 300) == []


def test_files_and_threads_that_are_not_closed_are_told() -> None:
    leaking = Growth("worker 1", 1_500, 90, 90, 90, 0, 0, 400, 50)

    assert leaking.objections() == [
        "open files of worker 1 grow by 400.0 an hour",
        "threads of worker 1 grow by 50.0 an hour",
    ]
