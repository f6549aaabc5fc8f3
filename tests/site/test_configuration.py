"""The configuration reference beside the files and what checks them: every key, with its meaning."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sr_engine.configuration import values
from sr_engine.configuration.reader import Key, Table
from sr_engine.resources import data_directory
from tests.site import settings
from tests.site.comments import meanings

SHIPPED = sorted(data_directory("config").glob("*.toml"))


@pytest.fixture(scope="module")
def page() -> str:
    return settings.page()


def keys_in(content: Any) -> Iterator[str]:
    """The names of the keys of a file that hold a value."""
    for name, value in content.items():
        tables = [value] if isinstance(value, dict) else [one for one in _listed(value) if isinstance(one, dict)]
        if tables:
            for table in tables:
                yield from keys_in(table)
        else:
            yield name


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def part_of(page: str, file: str) -> str:
    return page.partition(f"{{#{file.removesuffix('.toml')}}}")[2].split("\n## ")[0]


def test_every_file_stands_in_it() -> None:
    assert {path.name for path in SHIPPED} | {"sr-engine.toml", "users.toml"} == set(settings.FILES)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda path: path.name)
def test_every_key_of_a_shipped_file_stands_in_it(page: str, file: Path) -> None:
    told = part_of(page, file.name)

    named = set(keys_in(tomllib.loads(file.read_text("utf-8")))) - _regions_of(file)
    assert {name for name in named if f"| `{name}` |" not in told} == set()


def _regions_of(file: Path) -> set[str]:
    """Regions are names, not keys, of a country's shares."""
    country = tomllib.loads(file.read_text("utf-8")).get("country", {})
    return set(country.get("region_percent", ()))


@pytest.mark.parametrize("file", settings.FILES)
def test_every_key_that_is_read_has_a_meaning(page: str, file: str) -> None:
    found = settings.described(file)

    assert found
    assert settings.without_meaning(found) == []
    assert [one.name for one in found if one.leaf and one.says not in page.replace("\\|", "|")] == []


@dataclass(frozen=True, slots=True)
class Lamp:
    """A lamp."""

    height: int
    """In metres."""
    colour: str


def test_a_key_of_which_nothing_is_said_is_missed() -> None:
    table = Table(Lamp, Key("height", values.whole_number(1, 9)), Key("colour", values.text()))

    found = tuple(settings.keys_of(table, "height = 3\ncolour = 'red'\n"))

    assert settings.without_meaning(found) == ["colour"]
    assert (found[0].must_be, found[0].shipped, found[0].says) == ("a whole number from 1 to 9", "`3`", "In metres.")


def test_comments_are_read_where_a_person_would_look() -> None:
    text = """\
# About the file.
#
# [lamp.NAME]   One lamp, of those
#               that stand here.
#   height, depth   How high, and
#                   how deep.

[lamp.first]
height = 3

# The switch.
[switch]
# When it goes on, and off.
on = 1
off = 2
kind = "a" # which kind of switch
"""

    assert meanings(text) == {
        ("lamp", ""): "One lamp, of those that stand here.",
        ("lamp", "height"): "How high, and how deep.",
        ("lamp", "depth"): "How high, and how deep.",
        ("switch", ""): "The switch.",
        ("switch", "on"): "When it goes on, and off.",
        ("switch", "off"): "When it goes on, and off.",
        ("switch", "kind"): "which kind of switch",
    }
