"""The command: several workers, kills, restarts, and a client with the semantics of fetch."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from signing import Participant, make_pki
from sr_engine.cli.main import commands
from sr_engine.clock import SystemClock

from .conftest import SUPPLIER, WAIT, Api, counter_of, request, response, until

_MAIN = "from sr_engine.cli.main import main; main()"


@dataclass(frozen=True, slots=True)
class Running:
    """A service in processes of its own."""

    process: subprocess.Popen[str]
    api: Api

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(one) for one in children]


@contextmanager
def running(folder: Path, *options: str) -> Iterator[Running]:
    """Serve a PKI on a free port until the end of the block."""
    keys = ("--keys", str(folder / "pki"), "--trust", str(folder / "pki" / "trust"))
    arguments = ["sign-server", *keys, "--counters", str(folder / "counters"), "--port", "0", *options]
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, *arguments], stdout=subprocess.PIPE, stderr=log, text=True
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("ready: http://127.0.0.1:"), (folder / "log").read_text()
        yield Running(process, Api(int(line.rpartition(":")[2]), {}))
    finally:
        process.terminate()
        process.communicate(timeout=WAIT)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("processes")
    make_pki(path / "pki", [Participant("supplier", SUPPLIER, "87")], now=SystemClock().now())
    return path


@pytest.mark.slow
def test_counters_increase_over_two_workers_and_a_kill_of_each_and_a_restart_of_all(folder: Path) -> None:
    seen: list[int] = []
    with running(folder, "--workers", "2") as service:
        first = service.workers()
        assert len(first) == 2
        for worker in [*first, None]:
            seen += _under_load(service.api)
            if worker is not None:
                os.kill(worker, signal.SIGKILL)
                # The next connection to its socket waits for the worker that takes its place.
        until(lambda: len(service.workers()) == 2 and not set(first) & set(service.workers()))
        service.process.kill()
    with running(folder) as service:
        seen += _under_load(service.api)

    assert len(set(seen)) == len(seen) == 4 * 4 * 25


def _under_load(api: Api) -> list[int]:
    """Counters drawn by four callers at a time; each caller's own must increase, and exceed all drawn before."""
    before = counter_of(api.sign(request()).message)
    drawn: list[list[int]] = [[] for _ in range(4)]

    def call(into: list[int]) -> None:
        into.extend(counter_of(api.sign(request()).message) for _ in range(25))

    threads = [threading.Thread(target=call, args=(into,)) for into in drawn]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    for one in drawn:
        assert len(one) == 25
        assert one == sorted(one)
        assert one[0] > before
    return [value for one in drawn for value in one]


def test_a_service_that_is_told_to_stops_and_leaves_no_worker(folder: Path) -> None:
    with running(folder, "--workers", "2") as service:
        workers = service.workers()
        service.process.send_signal(signal.SIGHUP)
        assert service.api.verify(response()).status == 200
        service.process.send_signal(signal.SIGTERM)
        out, _ = service.process.communicate(timeout=WAIT)

    assert (service.process.returncode, out) == (0, "stopped\n")
    assert not [one for one in workers if Path(f"/proc/{one}").exists()]


@pytest.mark.reference
@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed; the other tests use plain HTTP")
def test_a_client_that_uses_fetch_signs_the_published_11_1_and_verifies_the_answer(
    folder: Path, duis_reference: Path
) -> None:
    sample = duis_reference / "messages" / "published" / "11.1_UPDATE_FIRMWARE_REQUEST_DUIS.XML"
    official = duis_reference / "schema" / "DUIS-5.4.xsd"
    client = Path(__file__).with_name("client.mjs")
    node = shutil.which("node")
    assert node is not None
    for options in ((), ("--schema", str(official))):
        with running(folder, *options) as service:
            arguments = [node, str(client), f"http://127.0.0.1:{service.api.port}", str(sample)]
            done = subprocess.run(arguments, capture_output=True, text=True, timeout=WAIT, check=True)

        said = json.loads(done.stdout)
        assert said["statuses"] == {"sign": 200, "verify": 200, "unsigned": 400, "get": 405}
        assert said["refusal"]["errorCode"] == "10"
        assert f"<sr:RequestID>{SUPPLIER}:90-B3-D5-1F-30-00-00-02:" in said["verified"]
        assert "Signature" in said["signed"]
        assert "Signature" not in said["verified"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--host", "0.0.0.0"], "0.0.0.0 can be reached by others: it needs --token-file or --tls-client-ca"),
        (["--keys", "x"], "--keys and --trust belong together"),
        (["--tls-cert", "x"], "--tls-cert and --tls-key belong together"),
        (["--tls-client-ca", "x"], "--tls-client-ca needs --tls-cert and --tls-key"),
        (["--tls-cert", "x", "--tls-key", "y"], "there is no file x"),
        (["--tls-cert", __file__, "--tls-key", __file__], "must be PEM files that match"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: list[str], reason: str) -> None:
    result = CliRunner().invoke(commands, ["sign-server", *options])

    assert result.exit_code == 2
    assert reason in result.output


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"--keys": "nowhere"}, 3, "there is no folder of keys"),
        ({"--trust": "nowhere"}, 3, "there is no trust directory"),
        ({"--schema": "nowhere.xsd"}, 2, "is not a usable XML Schema"),
        ({"--token-file": "nowhere"}, 2, "cannot be read as a file of tokens"),
        ({"--counters": "nowhere/counters"}, 2, "the file of counters nowhere/counters cannot be opened"),
    ],
)
def test_what_is_missing_is_said_at_the_start(folder: Path, changes: dict[str, str], code: int, reason: str) -> None:
    options = {"--keys": str(folder / "pki"), "--trust": str(folder / "pki" / "trust"), "--port": "0"} | changes
    result = CliRunner().invoke(commands, ["sign-server", *(part for option in options.items() for part in option)])

    assert result.exit_code == code
    assert reason in result.output
