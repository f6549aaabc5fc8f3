"""An instance as README.md makes its first one, and ports for pages."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from sr_engine.cli.main import commands
from tests.conftest import ROOT
from tests.ports import reserved_port
from tests.site.shell import PORTS

_FIRST_INSTANCE = """
init {trial}
inventory import --dir {trial} {fixtures}/inventory.csv
registration import --dir {trial} {fixtures}/registrations.csv
cpl import --dir {trial} {fixtures}/cpl.csv
release open --dir {trial} --manufacturer 2B7E --model C1A20001 --version 9002 --from-version 9001 --image-hash {hash} \
--region Central --region North
"""


@pytest.fixture(scope="session")
def first_instance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder `trial`; nobody changes it."""
    trial = tmp_path_factory.mktemp("first") / "trial"
    for line in _FIRST_INSTANCE.strip().splitlines():
        words = line.format(trial=trial, fixtures=ROOT / "fixtures", hash="AB" * 32).split()
        ran = CliRunner().invoke(commands, words)
        assert ran.exit_code == 0, ran.output
    return trial


@pytest.fixture(scope="session")
def preloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The socket of a process that runs commands."""
    path = str(tmp_path_factory.mktemp("preloaded") / "socket")
    command = [sys.executable, "-m", "tests.site.preloaded", path]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield path
        process.terminate()


@pytest.fixture
def ports() -> Iterator[Mapping[int, int]]:
    """For each port that documents name one that is free."""
    with ExitStack() as held:
        yield {usual: held.enter_context(reserved_port()) for usual in PORTS}
