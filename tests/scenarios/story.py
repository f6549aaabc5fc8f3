"""A scenario file as values: its cast and its steps; what is misspelt in one is found before anything is played."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from sr_engine.instance import SupplierSeed
from tests.world import TestHub

Table = Mapping[str, Any]
T = TypeVar("T")

EXPECTATIONS = frozenset(
    {"answer", "refused", "refusal", "devices", "compared", "told", "listed", "listed_again", "state", "runs", "shows"}
)
"""What a step may say of its outcome."""
TOLD_OF_A_STEP = frozenset({"number", "at", "says"})
MOMENT = "%a %Y-%m-%d %H:%M"
HAN_MANUFACTURER = "4D42"


class StoryRefused(Exception):
    """A file that is no story; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: when, in words, what is done (empty: time passes), and what is expected of it."""

    number: int
    at: datetime
    says: str
    deed: Table
    expected: Table


@dataclass(frozen=True, slots=True)
class Story:
    """A scenario: who takes part, and what happens."""

    name: str
    title: str
    wish: str
    suppliers: Mapping[str, SupplierSeed]
    hubs: Mapping[str, TestHub]
    groups: Mapping[str, tuple[str, ...]]
    """Names that stand for many hubs alike: `Estate` for `Estate 1`, `Estate 2` and so on."""
    steps: tuple[Step, ...]
    spreadsheets: bool
    """Nothing is known of the hubs until somebody imports it."""

    def hubs_named(self, names: Iterable[str]) -> list[str]:
        """The hubs that some names stand for. Raises StoryRefused for one that is not in the cast."""
        found: list[str] = []
        for name in names:
            if name not in self.hubs and name not in self.groups:
                raise StoryRefused(f"hub {name!r} is not in the cast")
            found += self.groups.get(name, (name,))
        return found

    def in_words(self, hubs: Iterable[str]) -> str:
        """Hubs by their names, a group that is complete by its own; what stands there twice is named twice."""
        counted = Counter(hubs)
        words: list[str] = []
        for name, members in self.groups.items():
            complete = min(counted[hub] for hub in members)
            words += [name] * complete
            words += [hub for hub in members for _ in range(counted[hub] - complete)]
        return ", ".join(words)

    def of_each(self, said: Mapping[str, T]) -> dict[str, T]:
        """What is said of hubs, by each hub; of one of a group it may be said otherwise further down."""
        return {hub: value for name, value in said.items() for hub in self.hubs_named([name])}


def read_story(path: Path) -> Story:
    """Raises StoryRefused, naming the place."""
    return story_of(tomllib.loads(path.read_text(encoding="utf-8")), path.name)


def story_of(content: Table, name: str) -> Story:
    """Raises StoryRefused, naming the place."""
    _only(content, {"title", "wish", "spreadsheets", "supplier", "hub", "step"}, name)
    _all(content, {"title", "wish", "supplier", "hub", "step"}, name)
    suppliers = {one: _supplier(number, one, table, name) for number, (one, table) in _each(content, "supplier")}
    hubs: dict[str, TestHub] = {}
    groups: dict[str, tuple[str, ...]] = {}
    for _, (one, table) in _each(content, "hub"):
        keys = tuple(f"{one} {number}" for number in range(1, table["homes"] + 1)) if "homes" in table else (one,)
        groups[one] = keys
        hubs |= {key: _hub(len(hubs) + number, one, table, suppliers, name) for number, key in enumerate(keys, 1)}
    steps = tuple(_step(table, name) for table in content["step"])
    if [step.number for step in steps] != list(range(1, len(steps) + 1)):
        raise StoryRefused(f"{name}: steps are numbered from 1, each one more than the one before")
    for before, after in pairwise(steps):
        if after.at < before.at:
            raise StoryRefused(f"{name}, step {after.number}: is earlier than the step before it")
    return Story(
        name,
        content["title"],
        content["wish"],
        suppliers,
        hubs,
        groups,
        steps,
        bool(content.get("spreadsheets", False)),
    )


def moment(text: str) -> datetime:
    """A time in UTC such as `Mon 2026-11-23 09:00`; the weekday must be right."""
    try:
        found = datetime.strptime(text, MOMENT).replace(tzinfo=UTC)
    except ValueError:
        raise StoryRefused(f"{text!r} is no time such as 'Mon 2026-11-23 09:00'") from None
    if found.strftime(MOMENT) != text:
        raise StoryRefused(f"{text!r}: that day is a {found:%A}")
    return found


def _each(content: Table, kind: str) -> list[tuple[int, tuple[str, Table]]]:
    return list(enumerate(content[kind].items(), 1))


def _supplier(number: int, name: str, table: Table, file: str) -> SupplierSeed:
    _only(table, {"roles"}, f"{file}, supplier {name}")
    eui = f"00-00-5E-EF-10-00-01-{number:02X}"
    return SupplierSeed(identity(name), eui, f"http://127.0.0.1:{8090 + number}/duis", tuple(table["roles"]))


def identity(supplier: str) -> str:
    """The short name that users.toml gives a Supplier."""
    return supplier.lower().replace(" ", "-")


def _hub(number: int, name: str, table: Table, suppliers: Collection[str], file: str) -> TestHub:
    where = f"{file}, hub {name}"
    _only(table, {"home", "homes", "region", "electricity", "gas", "han"}, where)
    for fuel in ("electricity", "gas"):
        if fuel in table and table[fuel] not in suppliers:
            raise StoryRefused(f"{where}: {fuel} is of {table[fuel]!r}, who is not in the cast")
    supplied = {fuel: identity(table[fuel]) if fuel in table else None for fuel in ("electricity", "gas")}
    han = (HAN_MANUFACTURER, table["han"]) if "han" in table else None
    return TestHub(number, supplied["electricity"], supplied["gas"], table["region"], han=han)


def _step(table: Table, file: str) -> Step:
    where = f"{file}, step {table.get('number', 'without a number')}"
    _all(table, TOLD_OF_A_STEP, where)
    try:
        at = moment(table["at"])
    except StoryRefused as refused:
        raise StoryRefused(f"{where}: {refused}") from None
    expected = {key: value for key, value in table.items() if key in EXPECTATIONS}
    deed = {key: value for key, value in table.items() if key not in EXPECTATIONS | TOLD_OF_A_STEP}
    return Step(table["number"], at, table["says"], deed, expected)


def _all(table: Table, needed: Collection[str], where: str) -> None:
    missing = sorted(set(needed) - table.keys())
    if missing:
        raise StoryRefused(f"{where}: {', '.join(missing)} is missing")


def _only(table: Table, known: Collection[str], where: str) -> None:
    strange = sorted(table.keys() - set(known))
    if strange:
        raise StoryRefused(f"{where}: {', '.join(strange)} is not known; there are {', '.join(sorted(known))}")
