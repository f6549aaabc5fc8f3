"""Whatever stands in a file, a value is read or exactly one problem is reported; nothing else happens."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_engine.configuration import UserRole, values
from sr_engine.configuration.reader import Array, ASet, Place, Reader, Unusable

SCALARS: dict[str, Reader[object]] = {
    "text": values.text(),
    "choice": values.choice(("North", "South")),
    "member": values.member(UserRole),
    "boolean": values.boolean(),
    "whole_number": values.whole_number(1, 9),
    "hours": values.hours(0, 9),
    "rate": values.rate(),
    "schema_version": values.schema_version(),
    "eui": values.eui(),
    "url": values.url(),
    "local_time": values.local_time(),
    "day": values.day(),
    "moment": values.moment(),
    "weekday": values.weekday(),
    "time_zone": values.time_zone(),
    "path": values.path_from(Path("/srv")),
    "roles": ASet(Array(values.member(UserRole))),
}

WORDS = st.sampled_from(["IS", "Monday", "North", "Europe", "Europe/London", "00-00-5E-EF-10-00-00-01", "http://["])
PLAIN = st.one_of(
    st.text(),
    WORDS,
    st.text(alphabet="htps:/[]@.%#0159 \n").map(lambda tail: f"http://{tail}"),
    st.integers(),
    st.decimals(),
    st.booleans(),
    st.dates(),
    st.times(),
    st.datetimes(timezones=st.none() | st.timezones()),
)
TOML_VALUES = st.one_of(PLAIN, st.lists(PLAIN, max_size=3), st.dictionaries(st.text(), PLAIN, max_size=2))


@pytest.mark.parametrize("name", SCALARS)
@given(value=TOML_VALUES)
def test_any_value_is_read_or_reported_once(name: str, value: object) -> None:
    problems: list[str] = []
    place = Place("some.toml", problems).inside("key")
    try:
        SCALARS[name].read(value, place)
    except Unusable:
        assert problems
    if name != "roles":
        assert len(problems) <= 1
    assert all(problem.startswith("some.toml: key") for problem in problems)


@given(hours=st.integers(-5, 30))
def test_a_duration_is_read_exactly_within_its_range(hours: int) -> None:
    problems: list[str] = []
    place = Place("some.toml", problems).inside("lead_time_hours")
    if 0 <= hours <= 24:
        assert values.hours(0, 24).read(hours, place) == timedelta(hours=hours)
    else:
        with pytest.raises(Unusable):
            values.hours(0, 24).read(hours, place)
        assert problems == [
            f"some.toml: lead_time_hours: must be a whole number of hours from 0 to 24, not {hours}",
        ]
