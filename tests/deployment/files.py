"""The files of docs/deployment, read as those read them that they are for, and with other paths to be tried at."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from sr_engine.cli.main import commands

ROOT = Path(__file__).parents[2]
DEPLOYMENT = ROOT / "docs" / "deployment"
SYSTEMD = DEPLOYMENT / "systemd"
PROGRAM = "/opt/sr-engine/current/bin/sr-engine"
SCRIPTS = "/opt/sr-engine/deployment"
INSTANCE = "/var/lib/sr-engine/instance"
BACKUPS = "/var/backups/sr-engine"


@dataclass(frozen=True, slots=True)
class Unit:
    """A file for systemd: values by section and key, each key as often as it stands there."""

    name: str
    values: Mapping[tuple[str, str], Sequence[str]]

    def __getitem__(self, key: str) -> Sequence[str]:
        """Of the section `[Service]`."""
        return self.values.get(("Service", key), ())

    def command(self, key: str, paths: Mapping[str, str]) -> list[str]:
        """The one command of a key as words, with some paths replaced by others and the instance named 18081."""
        (line,) = self[key]
        return [moved(word.replace("%i", "18081").replace("%%", "%"), paths) for word in shlex.split(line)]


def units() -> list[Unit]:
    """All services, timers and targets."""
    return [_unit(path) for path in sorted(SYSTEMD.iterdir()) if path.suffix in {".service", ".timer", ".target"}]


def unit(name: str) -> Unit:
    """One of them."""
    return _unit(SYSTEMD / name)


def _unit(path: Path) -> Unit:
    values: dict[tuple[str, str], list[str]] = {}
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(r"\[(\w+)]", line):
            section = found[1]
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            values.setdefault((section, key), []).append(value)
    return Unit(path.name, values)


def moved(text: str, paths: Mapping[str, str]) -> str:
    """With paths replaced by others; the longest first, for one may begin like another."""
    for old in sorted(paths, key=len, reverse=True):
        text = text.replace(old, paths[old])
    return text


def program_in(folder: Path) -> Path:
    """A program `sr-engine` that is this repository's, whatever is installed."""
    program = folder / "sr-engine"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m sr_engine "$@"\n')
    program.chmod(0o755)
    return program


def understood(arguments: Sequence[str]) -> click.Context:
    """What the command line of sr-engine makes of arguments; raises click.UsageError."""
    group: click.Command = commands
    name = "sr-engine"
    left = list(arguments)
    while isinstance(group, click.Group):
        name, *left = left
        found = group.get_command(click.Context(group), name)
        if found is None:
            raise click.UsageError(f"there is no command {name}")
        group = found
    return group.make_context(name, left)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One of a Containerfile."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """Of the form in JSON, in which no shell takes part."""
        return list(json.loads(self.text[self.text.index("[") :]))


def instructions() -> list[Instruction]:
    """Those of the Containerfile, in order."""
    text = (DEPLOYMENT / "Containerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [Instruction(*line.split(" ", 1)) for line in lines]
