"""Value objects are what frozen dataclasses are, but for what the type checker sees to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from sr_engine.value_objects import value_object


@dataclass(frozen=True, slots=True)
class Frozen:
    name: str
    number: int = 1
    said: str = field(default="", compare=False)


@value_object
class Value:
    name: str
    number: int = 1
    said: str = field(default="", compare=False)


def test_they_are_equal_and_have_hashes_as_frozen_ones() -> None:
    one = Value("a", 2, said="one")

    assert one == Value("a", number=2, said="another") == replace(Value("a"), number=2)
    assert one != Value("a")
    assert one != Frozen("a", 2)
    assert hash(one) == hash(Frozen("a", 2)) == hash(Value("a", 2, "another"))


def test_they_have_the_attributes_that_are_declared_and_no_others() -> None:
    with pytest.raises(AttributeError, match="further"):
        setattr(Value("a"), "further", 1)  # noqa: B010 - as whoever does not know the type


def test_the_type_checker_sees_that_something_is_assigned() -> None:
    one = Value("a")

    # Were it not said to be wrong, what ignores it would be.
    one.number = 2  # type: ignore[misc]

    assert one.number == 2
