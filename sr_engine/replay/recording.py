"""Writes what happened into a fixture as what it expects; what else stands in the file stays as it is."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from sr_engine.messages.reading import written_body
from sr_engine.replay.embedded import EmbeddedStage
from sr_engine.replay.fixture import Fixture, FixtureRefused
from sr_engine.replay.requests import as_written
from sr_engine.replay.runner import HTTP_OK, Played, take
from sr_engine.replay.vocabulary import EXPECTATIONS

_STEP = re.compile(r"^\[\[step\]\]\s*(?:#.*)?$", re.MULTILINE)
_KEY = re.compile(r"\s*([A-Za-z0-9_-]+)\s*(?:\.|=)")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_KEPT = frozenset({"refusal", "detail", "shows", "as_before"})
"""What only its author can word: it stays, and is compared at the next replay."""
_DRAWN = frozenset({"CommsHubFirmwareScheduleID"})
"""Elements whose text is drawn by chance."""


def record(fixture: Fixture, stage: EmbeddedStage) -> str:
    """Play a fixture to its end, whatever happens, and return its text with what happened as what it expects.

    Raises FixtureRefused for a fixture that cannot be played, or whose text is written in a way that is not understood.
    """
    text = fixture.path.read_text("utf-8")
    blocks = _blocks(text)
    if len(blocks) != len(fixture.steps) + 1:
        raise FixtureRefused(f"{fixture.name}: every step must begin with a line [[step]] of its own")
    stage.begin()
    states, versions = stage.states(), stage.versions()
    lines = [blocks[0].rstrip("\n")]
    for step, block in zip(fixture.steps, blocks[1:], strict=True):
        played = take(fixture, step, stage, states, versions)
        states, versions = played.states, played.versions
        kept = [line for key, line in _entries(block) if key not in EXPECTATIONS - _KEPT]
        lines.append("\n".join([*_trimmed(kept), *toml_entries(_found(stage, played))]))
    written = "\n\n".join(lines) + "\n"
    _check(text, written, fixture)
    return written


def record_into(fixture: Fixture, stage: EmbeddedStage) -> bool:
    """The same, into the fixture's file; says whether that changed."""
    before = fixture.path.read_bytes()
    written = record(fixture, stage)
    if b"\r\n" in before:
        written = written.replace("\n", "\r\n")
    if changed := written.encode() != before:
        fixture.path.write_bytes(written.encode())
    return changed


def _found(stage: EmbeddedStage, played: Played) -> dict[str, Any]:
    """What happened in a step, by the keys in which a fixture says it."""
    fixture, outcome = stage.fixture, played.outcome
    found: dict[str, Any] = {}
    posted = outcome.posted
    if posted is not None and posted.status != HTTP_OK:
        found["status"] = posted.status
    found["answer"] = outcome.answer
    if posted is not None and posted.status == HTTP_OK and "request" in played.step.deed:
        body = written_body(posted.body, lambda name, text: _in_words(stage, name, text))
        found["body"] = body or None
    found["devices"] = outcome.devices
    found["compared"] = outcome.compared or None
    found["refused"] = {reason: _names(fixture, names) for reason, names in outcome.refused.items()} or None
    found["responses"] = dict(played.sent.responses) or None
    for key, sent in (
        ("told", played.sent.told),
        ("listed", played.sent.listed),
        ("listed_again", played.sent.listed_again),
    ):
        nested: dict[str, dict[str, list[str]]] = {}
        for (first, second), names in sorted(sent.items()):
            nested.setdefault(first, {})[second] = _names(fixture, names)
        found[key] = nested or None
    found["state"] = _grouped(fixture, played.changed_states)
    found["runs"] = _grouped(fixture, played.changed_versions)
    return {key: value for key, value in found.items() if value is not None}


def _in_words(stage: EmbeddedStage, name: str, text: str) -> str:
    written = as_written(stage, stage.names, text)
    return "{any}" if name in _DRAWN and not written.startswith("{") else written


def _names(fixture: Fixture, names: Iterable[str]) -> list[str]:
    words = fixture.in_words(names)
    return words.split(", ") if words else []


def _grouped(fixture: Fixture, changed: Mapping[str, str]) -> dict[str, str] | None:
    """Hubs by name, a group whose members are all alike by its own."""
    found: dict[str, str] = {}
    for group, members in fixture.given.groups.items():
        values = {changed[one] for one in members if one in changed}
        if len(values) == 1 and all(one in changed for one in members):
            found[group] = values.pop()
        else:
            found |= {one: changed[one] for one in members if one in changed}
    found |= {one: value for one, value in sorted(changed.items()) if one not in fixture.given.homes}
    return found or None


# --- the text of a fixture ---


def _blocks(text: str) -> list[str]:
    starts = [found.start() for found in _STEP.finditer(text)]
    return [text[start:end] for start, end in zip([0, *starts], [*starts, len(text)], strict=True)]


def _entries(block: str) -> list[tuple[str, str]]:
    """Key and text of each entry of a step, several lines where a value has several; comments have no key."""
    found: list[tuple[str, str]] = []
    pending: list[str] = []
    for line in block.splitlines():
        pending.append(line)
        joined = "\n".join(pending)
        if (
            (not line.strip() and len(pending) == 1)
            or line.startswith("[[step]]")
            or (len(pending) == 1 and line.lstrip().startswith("#"))
        ):
            found.append(("", line))
        elif _is_toml(joined):
            key = _KEY.match(joined)
            found.append(("" if key is None else key[1], joined))
        else:
            continue
        pending = []
    return found


def _is_toml(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def _trimmed(lines: list[str]) -> list[str]:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    return lines


def toml_entries(found: Mapping[str, Any]) -> list[str]:
    """Lines of TOML that say these entries of a table."""
    lines: list[str] = []
    for key, value in found.items():
        _write(key, value, lines)
    return lines


def _write(path: str, value: Any, lines: list[str]) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _write(f"{path}.{key if _BARE.fullmatch(key) else _quoted(key)}", inner, lines)
    elif isinstance(value, str) and "\n" in value:
        lines.append(f"{path} = '''\n{value}\n'''")
    elif isinstance(value, list):
        lines.append(f"{path} = [{', '.join(_plain(one) for one in value)}]")
    else:
        lines.append(f"{path} = {_plain(value)}")


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _quoted(value) if isinstance(value, str) else str(value)


def _quoted(text: str) -> str:
    if "'" not in text and '"' in text:
        return f"'{text}'"
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _check(before: str, after: str, fixture: Fixture) -> None:
    """Nothing but what is expected may have changed; raises FixtureRefused."""

    def without(text: str) -> Any:
        content = tomllib.loads(text, parse_float=Decimal)
        for step in content["step"]:
            for key in EXPECTATIONS - _KEPT:
                step.pop(key, None)
        return content

    if without(before) != without(after):
        raise FixtureRefused(f"{fixture.name}: its text is written in a way that recording does not understand")
