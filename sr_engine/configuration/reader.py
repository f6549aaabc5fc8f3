"""Reads TOML tables by description: which keys there are, what each may hold, and what to say when it does not.

A file is read to its end whatever is wrong with it, so that a person gets every problem in one go.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Generic, NoReturn, Protocol, TypeVar, cast

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class ConfigurationError(Exception):
    """The configuration cannot be used; `problems` names every one, each with its file and key."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Unusable(Exception):
    """A value cannot be read; what is wrong with it has been reported."""


@dataclass(frozen=True, slots=True)
class Place:
    """A key of a file, and the list in which problems with it are collected."""

    file: str
    problems: list[str]
    path: str = ""

    def inside(self, key: str) -> Place:
        """Return the place of `key` in the table that stands here."""
        written = key if _BARE_KEY.fullmatch(key) else f'"{key}"'
        return Place(self.file, self.problems, f"{self.path}.{written}" if self.path else written)

    def item(self, number: int) -> Place:
        """Return the place of an item of the array that stands here, counted from 1."""
        return Place(self.file, self.problems, f"{self.path}[{number}]")

    def report(self, problem: str) -> None:
        """Add a problem to the list."""
        self.problems.append(f"{self.file}: {self.path}: {problem}" if self.path else f"{self.file}: {problem}")

    def refuse(self, problem: str) -> NoReturn:
        """Add a problem to the list and give up this value."""
        self.report(problem)
        raise Unusable


class Reader(Protocol[T_co]):
    """Turns what stands in a file into a value; raises Unusable once it has reported what is wrong."""

    @property
    def wants(self) -> str:
        """What is expected, as the end of the sentence 'must be ...'."""
        ...

    def read(self, value: object, place: Place) -> T_co: ...


@dataclass(frozen=True, slots=True)
class Scalar(Generic[T]):
    """A single value; `convert` raises ValueError or TypeError for one that is not as `wants` says."""

    wants: str
    convert: Callable[[object], T]
    is_shown: bool = True
    """False if it may hold a password, which no message may repeat."""

    def read(self, value: object, place: Place) -> T:
        try:
            return self.convert(value)
        except (ValueError, TypeError):
            place.refuse(f"must be {self.wants}" + (f", not {_shown(value)}" if self.is_shown else ""))


@dataclass(frozen=True, slots=True)
class Array(Generic[T]):
    """An array of values of one kind, in order."""

    item: Reader[T]
    may_be_empty: bool = True

    @property
    def wants(self) -> str:
        return "a list" if self.may_be_empty else "a list of at least one"

    def read(self, value: object, place: Place) -> tuple[T, ...]:
        if not isinstance(value, list) or not (value or self.may_be_empty):
            place.refuse(f"must be {self.wants}, not {_shown(value)}")
        items = [_tried(self.item, item, place.item(number)) for number, item in enumerate(value, 1)]
        usable = tuple(item[0] for item in items if item is not None)
        if len(usable) < len(items):
            raise Unusable
        return usable


@dataclass(frozen=True, slots=True)
class ASet(Generic[T]):
    """An array of values of one kind whose order does not matter, none of them twice."""

    array: Array[T]

    @property
    def wants(self) -> str:
        return self.array.wants

    def read(self, value: object, place: Place) -> frozenset[T]:
        found: set[T] = set()
        for number, item in enumerate(self.array.read(value, place), 1):
            if item in found:
                place.item(number).report("stands in the list already; take it out")
            found.add(item)
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class Key:
    """A key of a table; `field` is the name of the value it becomes (the key's own unless told otherwise)."""

    name: str
    reader: Reader[object]
    field: str = ""
    optional: bool = False
    """Whether it may be left out; the record's own default then stands."""


class Table(Generic[T]):
    """A table with known keys, which becomes a record."""

    wants = "a table"

    def __init__(self, make: Callable[..., T], *keys: Key, check: Callable[[T, Place], None] | None = None) -> None:
        self._make = make
        self._keys = {key.name: key for key in keys}
        self._check = check

    @property
    def keys(self) -> tuple[Key, ...]:
        """Every key there is."""
        return tuple(self._keys.values())

    @property
    def makes(self) -> Callable[..., T]:
        """What makes the record of the fields."""
        return self._make

    def read(self, value: object, place: Place, **given: object) -> T:
        """Read the record; `given` are fields that are known from elsewhere, such as the table's name."""
        if not isinstance(value, dict):
            place.refuse(f"must be {self.wants}, not {_shown(value)}")
        usable = True
        for name in value.keys() - self._keys.keys():
            near = difflib.get_close_matches(name, self._keys, n=1)
            place.inside(name).report("is not a known key" + (f"; is {near[0]} meant?" if near else "; take it out"))
            usable = False
        fields: dict[str, Any] = dict(given)
        for name, key in self._keys.items():
            if name in value:
                found = _tried(key.reader, value[name], place.inside(name))
                if found is None:
                    usable = False
                else:
                    fields[key.field or name] = found[0]
            elif not key.optional:
                place.inside(name).report(f"is missing; it must be {key.reader.wants}")
                usable = False
        if not usable:
            raise Unusable
        record = self._make(**fields)
        if self._check is not None:
            self._check(record, place)
        return record


@dataclass(frozen=True, slots=True)
class Named(Generic[T]):
    """A table of tables of one kind, each under its own name, which becomes the field `name_field`."""

    table: Table[T]
    name_field: str
    name: Reader[object]
    wants: str = "a table of tables, one at least"

    def read(self, value: object, place: Place) -> Mapping[str, T]:
        if not isinstance(value, dict) or not value:
            place.refuse(f"must be {self.wants}, not {_shown(value)}")
        records: dict[str, T] = {}
        for key, content in value.items():
            here = place.inside(key)
            try:
                name = self.name.read(key, here)
                records[key] = self.table.read(content, here, **{self.name_field: name})
            except Unusable:
                continue
        if len(records) < len(value):
            raise Unusable
        return MappingProxyType(records)


def read_file(path: Path, table: Table[T], problems: list[str]) -> T | None:
    """Read a whole file as one record, which is immutable; on problems add them to the list and return None."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        Place(path.name, problems).report(f"cannot be read: {error.strerror} ({path})")
        return None
    except UnicodeDecodeError as error:
        Place(path.name, problems).report(f"is not TOML: {error}")
        return None
    try:
        return cast(T, _record_of(path.name, text, table))
    except _Unreadable as unreadable:
        problems += unreadable.problems
        return None


class _Unreadable(Exception):
    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = problems


# A process that opens many instances, as a replay does, would spend most of its time on the same few texts.
@lru_cache(maxsize=32)
def _record_of(name: str, text: str, table: Table[object]) -> object:
    problems: list[str] = []
    place = Place(name, problems)
    try:
        content = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        place.report(f"is not TOML: {error}")
        raise _Unreadable(problems) from None
    try:
        record = table.read(content, place)
    except Unusable:
        raise _Unreadable(problems) from None
    if problems:
        raise _Unreadable(problems)
    return record


def _tried(reader: Reader[T], value: object, place: Place) -> tuple[T] | None:
    """Read a value in a tuple of one (a value may itself be None); None if it is unusable."""
    try:
        return (reader.read(value, place),)
    except Unusable:
        return None


def _shown(value: object) -> str:
    """A value as its author would recognise it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, str | list | int):
        return repr(value)
    return str(value)
