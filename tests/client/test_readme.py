"""The examples of README.md, run as they stand there, against a processor in a process of its own; and their types."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from tests.conftest import ROOT
from tests.ports import reserved_port
from tests.receiver.conftest import listening
from tests.world import A, B, TestHub, World, make_world

WAIT = 90


def examples() -> tuple[str, str]:
    """The Python of README.md: the client's, then the receiver's."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    client, receiver = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    return client, receiver


def test_the_examples_are_short() -> None:
    client, receiver = examples()

    assert len(client.splitlines()) <= 15
    assert len(receiver.splitlines()) <= 10


@contextmanager
def _served(world: World) -> Iterator[int]:
    command = [sys.executable, "-m", "sr_engine", "serve", "--dir", str(world.directory), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline().split(" (")[0].rpartition(":")[2])
        finally:
            process.send_signal(signal.SIGTERM)


def _run(code: str, name: str) -> ModuleType:
    module = ModuleType(name)
    exec(compile(code, name, "exec"), module.__dict__)
    return module


def test_the_examples_work_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    client, receiver = examples()
    monkeypatch.chdir(tmp_path)
    with reserved_port() as port:
        receives = replace(A, receiving_url=f"http://127.0.0.1:{port}/smartdcc/duis")
        world = make_world(tmp_path / "trial", datetime.now(UTC), suppliers=[receives, B])
        world.add_hubs(
            [TestHub(number, status="Pending" if number == 12 else "Commissioned") for number in range(1, 13)]
        )
        world.open_release()
        with listening(_run(receiver, "receive").receiver, port), _served(world) as processor:
            _run(client.replace("8080", str(processor)), "send")
            said = capsys.readouterr().out
            pause = threading.Event()
            for _ in range(WAIT * 50):
                if "Alert N59" in said:
                    break
                pause.wait(0.02)
                said += capsys.readouterr().out
    world.close()

    lines = [line for line in said.splitlines() if not line.startswith("Alert N59")]
    (alert,) = (line for line in said.splitlines() if line.startswith("Alert N59"))
    assert lines[0].startswith("partly accepted ")
    assert lines[0].count("00-00-5E-EF-C0") == 11
    assert lines[1:] == ["00-00-5E-EF-C0-00-00-0C NotCommissionedDeviceIDList"]
    assert "FirmwareUpgradeRequested(device_type='CHF'" in alert


@pytest.mark.slow
def test_the_types_hold_for_a_program_that_uses_all_three(tmp_path: Path) -> None:
    client, receiver = examples()
    for name, code in (("send.py", client), ("receive.py", receiver)):
        (tmp_path / name).write_text(code)
    program = ROOT / "tests" / "client" / "program.py"
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "from sr_engine.client import Client, read_inventory, schedule, Firmware\n"
        "def send(client: Client) -> None:\n"
        "    client.send(read_inventory(uprn='x'))\n"
        "    print(client.send(read_inventory(uprn=1)).accepted)\n"
        "    client.send('11.5')\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "--config-file", "/dev/null"]

    good = subprocess.run(
        [*command, str(program), str(tmp_path / "send.py"), str(tmp_path / "receive.py")],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    bad = subprocess.run([*command, str(wrong)], capture_output=True, text=True, check=False, cwd=ROOT)

    assert (good.returncode, good.stdout.splitlines()[-1]) == (0, "Success: no issues found in 3 source files"), (
        good.stdout
    )
    assert {int(line) for line in re.findall(r"wrong\.py:(\d+): error", bad.stdout)} == {3, 4, 5}
