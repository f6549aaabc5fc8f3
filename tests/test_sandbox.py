"""The sandbox as somebody meets it who has nothing else: one command, and what it prints can be pasted."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from signing import Trust, Verifier, parse
from sr_engine.clock import SystemClock
from sr_engine.messages.decode import DecodedResponse, decode_response
from sr_engine.replay.fixture import read_given_file
from sr_engine.sandbox.making import FIRST_REQUEST, make_sandbox

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures"
SECONDS = 90


@contextmanager
def sandbox(*arguments: object) -> Iterator[str]:
    """Runs one; gives what it prints once it is ready."""
    command = [sys.executable, "-m", "sr_engine", "sandbox", "--port", "0", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        lines: list[str] = []
        while "sr-engine submit" not in "".join(lines[-2:]):
            line = process.stdout.readline()
            assert line, "the sandbox ended before it was ready"
            lines.append(line)
        yield "".join(lines)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
        process.stdout.close()


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    assert found is not None, text
    return found[1]


def _pasted(told: str) -> bytes:
    """What the printed command line answers."""
    if shutil.which("curl") is None:
        pytest.skip("there is no curl on this computer")
    command = _found(r"(?m)^  (curl .*)$", told)
    return subprocess.run(command, shell=True, check=True, capture_output=True).stdout


def _decoded(data: bytes, directory: Path) -> DecodedResponse:
    verifier = Verifier(Trust.from_directory(directory / "pki" / "trust"))
    return decode_response(verifier.verify(parse(data), roles={"89"}, at=SystemClock().now()))


def _received(url: str, number: int) -> list[str]:
    """The files of what a Supplier was sent, once they are so many."""
    give_up = time.monotonic() + SECONDS
    while time.monotonic() < give_up:
        with urllib.request.urlopen(f"{url}/sandbox/suppliers/supplier-a", timeout=SECONDS) as answer:
            files: list[str] = json.load(answer)
        if len(files) >= number:
            return files
        time.sleep(0.05)
    raise TimeoutError(f"supplier-a was not sent {number} messages")


def test_the_command_that_is_printed_works_and_fixtures_can_be_sent_to_it(tmp_path: Path) -> None:
    given = FIXTURES / "messages" / "town.given.toml"
    with sandbox("--dir", tmp_path / "box", "--given", given) as told:
        url = _found(r"ready: (http://\S+)", told)
        answer = _decoded(_pasted(told), tmp_path / "box")
        replay = [sys.executable, "-m", "sr_engine", "replay", "--to", url, "--dir", str(tmp_path / "box")]
        replayed = subprocess.run(
            [*replay, "--concurrent", "4", str(FIXTURES / "messages" / "11.7"), str(FIXTURES / "messages" / "repeats")],
            capture_output=True,
            text=True,
            check=False,
        )

    assert answer.code in {"I0", "W110501"}
    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert re.match(r"15 fixtures: 15 passed", replayed.stdout), replayed.stdout


@pytest.mark.slow
def test_a_sandbox_has_hubs_suppliers_that_hear_of_them_and_goes_on_where_it_was(tmp_path: Path) -> None:
    box = tmp_path / "box"
    with sandbox("--dir", box) as told:
        first = _decoded(_pasted(told), box)
        files = _received(_found(r"ready: (http://\S+)", told), 1)
        alert = _decoded(Path(files[0]).read_bytes(), box)
    port = _found(r"ready: http://127.0.0.1:(\d+)", told)
    command = [sys.executable, "-m", "sr_engine", "sandbox", "--dir", str(box)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    again = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    process.stdout.read()
    assert process.wait(SECONDS) == 0
    process.stdout.close()

    assert first.code == "I0"
    assert alert.alert_code == "N59"
    assert again == f"ready: http://127.0.0.1:{port} (sandbox)\n"


@pytest.mark.parametrize(("owner", "hubs"), [("Us", 1), ("Ghost", 0)])
def test_the_first_request_is_of_a_user_with_homes_or_none_is_offered(tmp_path: Path, owner: str, hubs: int) -> None:
    suppliers = '[supplier.Ghost]\nroles = ["IS"]\nstatus = "Unknown"\n[supplier.Us]\nroles = ["IS"]\n'
    file = tmp_path / "s.given.toml"
    file.write_text(f'{suppliers}[hub.House]\nregion = "North"\nelectricity = "{owner}"\n', encoding="utf-8")
    now = datetime(2026, 11, 23, 9, tzinfo=UTC)

    made = make_sandbox(tmp_path / "box", read_given_file(file), now=now, port=1, rate=1)

    request = made.directory / FIRST_REQUEST
    listed = re.findall(r"DeviceIDList>([^<]+)<", request.read_text("utf-8")) if request.is_file() else []
    assert len(listed) == hubs


def test_a_folder_whose_sandbox_was_not_finished_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sr-engine.toml").touch()

    ran = subprocess.run(
        [sys.executable, "-m", "sr_engine", "sandbox", "--dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ran.returncode == 2
    assert "has no sandbox, or one that was not finished: remove it, or name a new folder" in ran.stderr
