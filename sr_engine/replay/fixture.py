"""A fixture as values: what is given, and its steps; what is misspelt in one is found before anything is played.

The format is described in `docs/fixtures.md`.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from sr_engine.configuration.reader import Place, Unusable
from sr_engine.replay.given import GIVEN_KEYS, Given, read_given
from sr_engine.replay.shapes import MOMENT, shapes
from sr_engine.replay.vocabulary import DCC, EXPECTATIONS, OF_A_STEP, REGISTRATION, VERBS

Table = Mapping[str, Any]
T = TypeVar("T")

_EUI = re.compile(r"[0-9A-F]{2}(?:-[0-9A-F]{2}){7}")
GIVEN_SUFFIX = ".given.toml"
"""How the names of files end that say what is given, and are no fixtures themselves."""


class FixtureRefused(Exception):
    """A file that is no fixture, or a step that nobody can take; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: when, in words, what is done (empty: time passes), and what is expected of it."""

    number: int
    at: datetime
    says: str
    deed: Table
    expected: Table


@dataclass(frozen=True, slots=True)
class Fixture:
    """What is given, and what happens."""

    path: Path
    title: str
    wish: str
    given: Given
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        return self.path.name

    def hubs_named(self, names: Iterable[str]) -> list[str]:
        """The hubs that some names stand for; an id stands for itself. Raises FixtureRefused for what is not given."""
        found: list[str] = []
        for name in names:
            if name not in self.given.homes and name not in self.given.groups and not _EUI.fullmatch(name):
                raise FixtureRefused(f"hub {name!r} is not given{_near(name, self.given.groups)}")
            found += self.given.groups.get(name, (name,))
        return found

    def in_words(self, names: Iterable[str]) -> str:
        """Hubs by their names, a group that is complete by its own; what stands there twice is named twice."""
        counted = Counter(names)
        words: list[str] = []
        for name, members in self.given.groups.items():
            if not any(counted[hub] for hub in members):
                continue
            complete = min(counted[hub] for hub in members)
            words += [name] * complete
            words += [hub for hub in members for _ in range(counted[hub] - complete)]
        others = sorted(name for name in counted.elements() if name not in self.given.homes)
        return ", ".join([*words, *others])

    def of_each(self, said: Mapping[str, T]) -> dict[str, T]:
        """What is said of hubs, by each hub; of one of a group it may be said otherwise further down."""
        return {hub: value for name, value in said.items() for hub in self.hubs_named([name])}


def fixtures_in(paths: Iterable[Path]) -> list[Path]:
    """The files of fixtures: those named, and all below the folders named, in the order of their names."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(one for one in path.rglob("*.toml") if not one.name.endswith(GIVEN_SUFFIX))
        else:
            found.append(path)
    return list(dict.fromkeys(found))


@dataclass(frozen=True, slots=True)
class Shelf:
    """What was read of files that several fixtures name."""

    files: dict[Path, Table] = field(default_factory=dict)
    given: dict[str, Given] = field(default_factory=dict)


def read_fixture(path: Path, shelf: Shelf | None = None) -> Fixture:
    """Raises FixtureRefused, naming file and key of everything that is wrong."""
    return fixture_of(_read(path), path, shelf)


def fixture_of(content: Table, path: Path, shelf: Shelf | None = None) -> Fixture:
    """Raises FixtureRefused, naming file and key of everything that is wrong."""
    place = Place(path.name, [])
    for key in content.keys() - GIVEN_KEYS - {"title", "wish", "given", "step"}:
        place.inside(key).report(f"is not a known key{_near(key, [*GIVEN_KEYS, 'title', 'wish', 'given', 'step'])}")
    title = content.get("title")
    if not isinstance(title, str) or not title.strip():
        place.inside("title").report("is missing; it must be text that is not empty")
    given = _given(content, path, place, shelf or Shelf())
    steps = _steps(content.get("step"), given, place)
    if place.problems or given is None:
        raise FixtureRefused("\n".join(place.problems))
    return Fixture(path, str(title), str(content.get("wish", "")), given, steps)


def read_given_file(path: Path) -> Given:
    """What a file says that is given. Raises FixtureRefused, naming file and key of everything that is wrong."""
    content = _read(path)
    place = Place(path.name, [])
    try:
        return read_given(content, place, key=json.dumps(content, sort_keys=True, default=str))
    except Unusable:
        raise FixtureRefused("\n".join(place.problems)) from None


def moment(text: object) -> datetime:
    """A time in UTC such as `Mon 2026-11-23 09:00`; the weekday must be right."""
    try:
        found = datetime.strptime(str(text), MOMENT).replace(tzinfo=UTC)
    except ValueError:
        raise FixtureRefused(f"{text!r} is no time such as 'Mon 2026-11-23 09:00'") from None
    if found.strftime(MOMENT) != text:
        raise FixtureRefused(f"{text!r}: that day is a {found:%A}")
    return found


def _read(path: Path) -> Table:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FixtureRefused(f"{path.name}: is not TOML: {error}") from None
    except OSError as error:
        raise FixtureRefused(f"{path.name}: cannot be read: {error.strerror} ({path})") from None


def _given(content: Table, path: Path, place: Place, shelf: Shelf) -> Given | None:
    """What the fixture says itself, over what the file says that it names."""
    own = {key: value for key, value in content.items() if key in GIVEN_KEYS}
    named = content.get("given")
    where = place
    if named is not None:
        if not isinstance(named, str):
            place.inside("given").report("must be the name of a file, relative to the folder of this one")
            return None
        file = path.parent / named
        if file not in shelf.files:
            shelf.files[file] = _read(file)
        base = dict(shelf.files[file])
        where = Place(f"{path.name}, with {named}", place.problems)
        for key, value in own.items():
            before = base.get(key)
            base[key] = before | value if isinstance(before, dict) and isinstance(value, dict) else value
        own = base
    key = json.dumps(own, sort_keys=True, default=str)
    try:
        return shelf.given.get(key) or shelf.given.setdefault(key, read_given(own, where, key=key))
    except Unusable:
        return None


def _steps(content: object, given: Given | None, place: Place) -> tuple[Step, ...]:
    if not isinstance(content, list) or not content:
        place.inside("step").report("is missing; it must be a list of steps, one at least")
        return ()
    steps: list[Step] = []
    kinds = shapes()
    before = None if given is None else given.at
    for number, table in enumerate(content, 1):
        here = place.inside("step").item(number)
        if not isinstance(table, dict):
            here.report("must be a table")
            continue
        if table.get("number", number) != number:
            here.inside("number").report(f"must be {number}: steps are numbered from 1, each one more than the last")
        at = _time_of(table, before, here)
        if at is None:
            continue
        if before is not None and at < before:
            here.inside("at").report("is earlier than the step before it, or than what is given")
        before = at
        expected = {key: value for key, value in table.items() if key in EXPECTATIONS}
        deed = {key: value for key, value in table.items() if key not in EXPECTATIONS | OF_A_STEP}
        _check_deed(deed, here)
        for key in table.keys() & kinds.keys():
            with suppress(Unusable):
                kinds[key].read(table[key], here.inside(key))
        steps.append(Step(number, at, str(table.get("says", "")), deed, expected))
    return tuple(steps)


def _time_of(table: Table, before: datetime | None, place: Place) -> datetime | None:
    if "at" not in table:
        return before
    try:
        return moment(table["at"])
    except FixtureRefused as refused:
        place.inside("at").report(str(refused))
        return None


def verb_of(deed: Table) -> str | None:
    """What is done, by the key that says so; None where time passes and nothing else happens."""
    return next((name for name in VERBS if name in deed), None)


def _check_deed(deed: Table, place: Place) -> None:
    if not deed:
        return
    name = verb_of(deed)
    if name is None:
        for key in deed:
            place.inside(key).report(f"is not a known key{_near(key, [*VERBS, *EXPECTATIONS])}")
        return
    verb = VERBS[name]
    if verb.actor not in (DCC, REGISTRATION) and verb.actor not in deed:
        place.report(f"{name}: says not which {verb.actor}")
    known = verb.details | {name, verb.actor}
    for key in deed.keys() - known:
        place.inside(key).report(f"is not known of {name!r}{_near(key, [*known, *EXPECTATIONS])}")


def _near(word: str, words: Iterable[str]) -> str:
    near: Sequence[str] = difflib.get_close_matches(word, list(words), n=1)
    return f"; is {near[0]} meant?" if near else ""
