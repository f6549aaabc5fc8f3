"""The machine is worth something only if it notices what is wrong: each planted bug has to be found."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.machine.mutations import MUTATIONS, Mutation

PARTS = (
    *("sr_engine", "signing", "config", "xsd", "tests/machine"),
    *(
        "tests/__init__.py",
        "tests/world.py",
        "tests/outbox.py",
        "tests/told.py",
        "tests/loaded.py",
        "tests/databases.py",
        "tests/postgres.py",
    ),
)
FOUND = re.compile(r"AssertionError: \[(.+?)\]|(\w+): ")
"""What was broken or, where the product stopped by itself, with which exception."""


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The product and the machine, in a folder where a bug can be planted."""
    folder = tmp_path_factory.mktemp("planted")
    for part in PARTS:
        source, target = ROOT / part, folder / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return folder


def hunt(folder: Path, *asked: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-W", "error", "-m", "tests.machine.hunt", *asked]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_bug_can_be_planted(mutation: Mutation) -> None:
    assert (ROOT / mutation.file).read_text(encoding="utf-8").count(mutation.old) == 1


def test_the_machine_runs_where_bugs_are_planted(copied: Path) -> None:
    found = hunt(copied, "--examples", "1", "--steps", "2")

    assert (found.returncode, found.stdout) == (0, "nothing found\n"), found.stderr


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_planted_bug_is_found(copied: Path, mutation: Mutation) -> None:
    file = copied / mutation.file
    sound = file.read_text(encoding="utf-8")
    assert sound.count(mutation.old) == 1, f"{mutation.file} holds this {sound.count(mutation.old)} times"
    file.write_text(sound.replace(mutation.old, mutation.new), encoding="utf-8")
    try:
        found = hunt(copied)
    finally:
        file.write_text(sound, encoding="utf-8")

    assert found.returncode == 1, found.stdout + found.stderr
    by = FOUND.match(found.stdout)
    assert by is not None, found.stdout + found.stderr
    print(f"{mutation.name}: found by {by[1] or by[2]}")
