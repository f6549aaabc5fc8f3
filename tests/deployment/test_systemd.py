"""The units for systemd: what they start is ours and starts, takes requests and stops, and systemd finds no fault."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deployment.files import (
    BACKUPS,
    DEPLOYMENT,
    INSTANCE,
    PROGRAM,
    SCRIPTS,
    SYSTEMD,
    moved,
    program_in,
    understood,
    unit,
    units,
)
from tests.ports import reserved_port
from tests.world import make_world

SERVICES = [one.name for one in units() if one.name.endswith(".service")]
WAIT = 90
MOST_EXPOSED = 20
"""In tenths, by systemd's own measure: 0 is nothing, 100 everything."""
_AS_RESTRICTED = "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
"""PR_SET_MDWE with PR_MDWE_REFUSE_EXEC_GAIN, as MemoryDenyWriteExecute has it; kernels before 6.3 do not know it."""


def test_every_command_that_is_started_is_one_that_there_is(tmp_path: Path) -> None:
    paths = {INSTANCE: str(tmp_path)}
    started = [one.command("ExecStart", paths) for one in units() if one["ExecStart"]]
    direct = [words[1:] for words in started if words[0] == PROGRAM]

    contexts = [understood(arguments) for arguments in direct]

    assert [one.params["named"] for one in contexts] == ["gateway", "worker"]
    assert {one.params["directory"] for one in contexts} == {tmp_path}
    assert contexts[0].params["port"] == 18081
    others = [words for words in started if words[0] != PROGRAM]
    assert [words[0] for words in others] == ["/bin/sh", "/bin/sh"]
    assert all((DEPLOYMENT / Path(words[1]).name).is_file() and words[2] == PROGRAM for words in others)


def test_a_gateway_starts_with_no_writable_memory_to_execute_is_ready_and_stops_in_its_time(tmp_path: Path) -> None:
    world = make_world(tmp_path / "instance")
    world.close()
    gateway = unit("sr-engine-gateway@.service")
    assert gateway["MemoryDenyWriteExecute"] == ["yes"]
    with reserved_port() as port, (tmp_path / "log").open("wb") as log:
        paths = {INSTANCE: str(world.directory), PROGRAM: str(program_in(tmp_path)), "18081": str(port)}
        command = [sys.executable, "-c", _AS_RESTRICTED, *gateway.command("ExecStart", paths)]
        with subprocess.Popen(command, stdout=log, stderr=log) as process:
            try:
                asked = subprocess.run(
                    gateway.command("ExecStartPost", paths), timeout=WAIT, capture_output=True, text=True, check=False
                )
            finally:
                process.send_signal(signal.SIGTERM)
            (seconds,) = gateway["TimeoutStopSec"]
            stopped = process.wait(float(seconds))

    assert asked.returncode == 0, asked.stderr
    assert stopped == 0, (tmp_path / "log").read_text()


def test_processes_run_as_nobody_special_and_write_where_they_have_to_alone() -> None:
    for name in SERVICES:
        one = unit(name)
        assert one["User"] == ["sr-engine"]
        assert one["ProtectSystem"] == ["strict"]
        assert one["StateDirectory"] == ["sr-engine"]
        assert list(one["ReadWritePaths"]) == ([BACKUPS] if name == "sr-engine-backup.service" else [])


def test_what_serves_is_started_again_however_often_a_start_fails() -> None:
    served = [one for one in units() if one["Restart"] == ["always"]]

    assert {one.name for one in served} == {"sr-engine-gateway@.service", "sr-engine-worker@.service"}
    assert all(one.values["Unit", "StartLimitIntervalSec"] == ["0"] for one in served)


def test_every_timer_starts_a_service_that_there_is() -> None:
    timers = [one.name for one in units() if one.name.endswith(".timer")]

    assert timers
    assert {name.replace(".timer", ".service") for name in timers} <= set(SERVICES)


@pytest.mark.parametrize("name", [one.name for one in units()])
def test_systemd_finds_no_fault_with_a_unit(name: str, tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    paths = {PROGRAM: "/bin/true", SCRIPTS: str(DEPLOYMENT)}
    for file in SYSTEMD.iterdir():
        # Verified is an instance of a template.
        (tmp_path / file.name.replace("@.", "@18081.")).write_text(moved(file.read_text(encoding="utf-8"), paths))
    file_name = name.replace("@.", "@18081.")

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / file_name)],
        capture_output=True,
        text=True,
        timeout=WAIT,
        check=False,
    )

    # What it says of units that are the system's own is nothing of ours.
    ours = [line for line in (done.stdout + done.stderr).splitlines() if re.search("sr-engine", line)]
    assert ours == []


@pytest.mark.parametrize("name", SERVICES)
def test_systemd_finds_a_service_little_exposed(name: str) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    measure = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}"]

    done = subprocess.run([*measure, str(SYSTEMD / name)], capture_output=True, text=True, timeout=WAIT, check=False)

    if "nknown option" in done.stderr or "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze looks at running services only")
    assert done.returncode == 0, done.stdout[-300:] + done.stderr
