"""The configuration reference: every key of every file, with what it must be, what is shipped, and what it means."""

from __future__ import annotations

import ast
import inspect
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from sr_engine.configuration import settings, users
from sr_engine.configuration.advice import ADVICE
from sr_engine.configuration.alerts import ALERTS
from sr_engine.configuration.api import API
from sr_engine.configuration.bank_holidays import BANK_HOLIDAYS
from sr_engine.configuration.catalogue import CATALOGUE
from sr_engine.configuration.console import CONSOLE
from sr_engine.configuration.lifecycle import LIFECYCLE
from sr_engine.configuration.operator_pages import OPERATOR
from sr_engine.configuration.policy import POLICY
from sr_engine.configuration.reader import Array, ASet, Key, Named, Table
from sr_engine.configuration.regions import REGIONS
from sr_engine.configuration.response_codes import RESPONSE_CODES
from sr_engine.configuration.spreadsheets import SPREADSHEETS
from sr_engine.national.parameters import PARAMETERS
from sr_engine.resources import data_directory
from tests.site.comments import meanings
from tests.site.markdown import heading, quoted, table

_INTRODUCTION = """# Configuration reference

Every key, from what checks it at start-up. Files stand in the folder `config` of an instance, but for
`sr-engine.toml` and `users.toml`, which stand beside it. An unknown key, a missing one and a value that is not as
said here are refused, each by file and key. The files as shipped:
"""
ANY = "NAME"
"""In the path of a key: a table that has a name of its own."""
_LONG = 60
_SOURCES = re.compile(r" \((?:FACTS|section)[^)]*\)")
_NONE_FIRST = re.compile(r"(?<![;,] )\bNone(:| means| where| if)")
_NONE = re.compile(r"\bNone(:| means| where| if)")

FILES: Mapping[str, tuple[Table[Any], str]] = {
    "sr-engine.toml": (settings.settings_table(Path()), "Where an instance keeps its things; `init` writes it."),
    "users.toml": (users.USERS, "Who may send Service Requests, and where each receives; `init` writes it."),
    "policy.toml": (POLICY, "What the operator decides for the whole processor."),
    "regions.toml": (REGIONS, "When, how many and how fast hubs are upgraded in each CSP region."),
    "bank_holidays.toml": (BANK_HOLIDAYS, "Bank holidays by nation."),
    "service_requests.toml": (CATALOGUE, "The catalogue of Service Requests."),
    "response_codes.toml": (RESPONSE_CODES, "What response codes mean here."),
    "alerts.toml": (ALERTS, "Which number and body each event is alerted with."),
    "lifecycle.toml": (LIFECYCLE, "What can become of an upgrade."),
    "advice.toml": (ADVICE, "What somebody is told who was refused something."),
    "spreadsheets.toml": (SPREADSHEETS, "What is understood of spreadsheets, and how much is read."),
    "api.toml": (API, "The interface for CRM systems."),
    "console.toml": (CONSOLE, "The console: how people sign in, and what it shows."),
    "operator.toml": (OPERATOR, "The console's pages for operators."),
    "national.toml": (PARAMETERS, "What `sr-engine simulate` assumes; no instance reads it."),
}

_DOCUMENTED_BY: Mapping[str, type] = {
    "sr_engine.configuration.settings._File": settings.Settings,
    "sr_engine.configuration.users._UserEntry": users.User,
    "sr_engine.configuration.users._OrganisationEntry": users.Organisation,
}
"""Records that only carry what a file holds to others, which say what it means."""


@dataclass(frozen=True, slots=True)
class Described:
    """One key, or a table of keys (`leaf` is false)."""

    path: tuple[str, ...]
    must_be: str
    shipped: str
    says: str
    leaf: bool

    @property
    def name(self) -> str:
        return ".".join(self.path)


def page() -> str:
    """The page, in Markdown."""
    shipped = (name for name in FILES if (data_directory("config") / name).is_file())
    text = _INTRODUCTION + ", ".join(f"[{name}](../config/{name})" for name in shipped) + ".\n"
    for file, (_, what) in FILES.items():
        text += heading(2, file, file.removesuffix(".toml")) + f"{what}\n"
        for section, keys in _by_section(described(file)).items():
            text += "\n" + (f"**[{section}]** " if section else "")
            text += table_says(file, section) + "\n\n"
            rows = ((quoted(one.path[-1]), one.must_be, one.shipped, one.says) for one in keys)
            text += table(("Key", "Must be", "As shipped", "Meaning"), rows)
    return text


@cache
def described(file: str) -> tuple[Described, ...]:
    """Every key of a file, in the order in which it is read."""
    path = data_directory("config") / file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return tuple(keys_of(FILES[file][0], text))


def keys_of(read_by: Table[Any], text: str) -> Iterator[Described]:
    """Every key of a table, with what a file that is read by it holds."""
    return _keys(read_by, (), tomllib.loads(text), meanings(text))


def table_says(file: str, section: str) -> str:
    """What is said of a table of a file; empty for the file itself."""
    return next((one.says for one in described(file) if not one.leaf and one.name == section), "")


def without_meaning(found: tuple[Described, ...]) -> list[str]:
    """The keys of which nothing is said."""
    return [one.name for one in found if one.leaf and not one.says]


def _by_section(found: tuple[Described, ...]) -> dict[str, list[Described]]:
    sections: dict[str, list[Described]] = {}
    for one in found:
        if one.leaf:
            sections.setdefault(".".join(one.path[:-1]), []).append(one)
    return sections


def _keys(
    read_by: Table[Any], path: tuple[str, ...], shipped: Any, comments: Mapping[tuple[str, str], str]
) -> Iterator[Described]:
    documented = _documented(read_by.makes)
    for key in read_by.keys:
        here = (*path, key.name)
        says = _comment(here, comments) or documented.get(key.field or key.name, "")
        value = shipped.get(key.name) if isinstance(shipped, dict) else None
        inner, below, content = _inside(key, here, value)
        if inner is None:
            if not says and not is_dataclass(read_by.makes):
                says = _comment(path, comments)
            optional = "; may be left out" if key.optional else ""
            yield Described(here, _must_be(key.reader) + optional, _shown(value, key, read_by.makes), says, leaf=True)
        else:
            whole = _comment(here, comments) or _of_record(inner.makes, documented.get(key.field or key.name, ""))
            yield Described(below, "", "", whole, leaf=False)
            yield from _keys(inner, below, content, comments)


def _inside(key: Key, here: tuple[str, ...], value: Any) -> tuple[Table[Any] | None, tuple[str, ...], Any]:
    """The table that a key holds, or of which it holds several, with its path; None for a value."""
    reader: Any = key.reader
    if isinstance(reader, Named):
        return reader.table, (*here, ANY), {}
    if isinstance(reader, Array) and isinstance(reader.item, Table):
        return reader.item, here, {}
    found = reader if isinstance(reader, Table) else getattr(reader, "table", None)
    return (found, here, value or {}) if isinstance(found, Table) else (None, here, None)


def _comment(path: tuple[str, ...], comments: Mapping[tuple[str, str], str]) -> str:
    if not path:
        return ""
    first = "" if len(path) == 1 else path[0]
    rest = ".".join(path if len(path) == 1 else [part for part in path[1:] if part != ANY])
    places = ((first, rest), (path[0], "")) if len(path) == 1 else ((first, rest), (first, path[-1]))
    return next((comments[place] for place in places if place in comments), "")


def _must_be(reader: Any) -> str:
    if isinstance(reader, ASet):
        return f"{reader.wants}, each once: {reader.array.item.wants}"
    if isinstance(reader, Array):
        return f"{reader.wants}: {reader.item.wants}"
    return str(reader.wants)


def _shown(value: Any, key: Key, makes: Any) -> str:
    """What is shipped, or what holds if the key is left out."""
    if value is None and key.optional and is_dataclass(makes):
        default = next((one.default for one in fields(makes) if one.name == (key.field or key.name)), MISSING)
        value = None if default is MISSING else default
        return "" if value is None else f"{_toml(value)}, if left out"
    return "" if value is None else _toml(value)


def _toml(value: Any) -> str:
    match value:
        case bool():
            text = str(value).lower()
        case list() | tuple() | frozenset():
            text = f"[{', '.join(_toml(one).strip('`') for one in value)}]"
        case str():
            text = f'"{value}"'
        case _ if hasattr(value, "total_seconds"):
            text = f"{value.total_seconds():g}"
        case _:
            text = str(value)
    return quoted(text if len(text) <= _LONG else f"{text[:_LONG]}…")


@cache
def _documented(makes: Any) -> Mapping[str, str]:
    """What the docstrings of a record's fields say, by field."""
    record = _record(makes)
    if record is None:
        return {}
    (definition,) = ast.parse(inspect.getsource(record)).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, str] = {}
    for one, after in zip(definition.body, definition.body[1:], strict=False):
        if (
            isinstance(one, ast.AnnAssign)
            and isinstance(one.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
        ):
            found[one.target.id] = _for_operators(str(after.value.value))
    return found


def _of_record(makes: Any, of_field: str) -> str:
    """What a table is: what its record says, and the field that holds it."""
    record = _record(makes)
    of_it = "" if record is None else _for_operators((inspect.getdoc(record) or "").split("\n\n")[0])
    return " ".join(filter(None, (of_it, of_field)))


def _record(makes: Any) -> type | None:
    """The record that says what its fields mean; None where a function makes several of them."""
    if not isinstance(makes, type):
        return None
    return _DOCUMENTED_BY.get(f"{makes.__module__}.{makes.__qualname__}", makes)


def _for_operators(docstring: str) -> str:
    """Without what only developers have, and with a word for None that fits a file."""
    text = _SOURCES.sub("", " ".join(docstring.split()))
    text = _NONE_FIRST.sub(r"Left out\1", text)
    return _NONE.sub(r"left out\1", text)
