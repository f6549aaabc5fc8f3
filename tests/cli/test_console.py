"""The console script as people run it: a processor that serves, and commands beside it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sr_engine.messages.build import serialise_unsigned
from sr_engine.messages.compose import build_request
from sr_engine.messages.model import Period, Phase, ScheduleCommsHubFirmware
from tests.cli.conftest import keep_to_yourself
from tests.world import BROKER, FIRMWARE, A, TestHub

SCRIPT = Path(sys.executable).parent / "sr-engine"
HUB = TestHub(1, gas=None)
WAIT_SECONDS = 90


def sr_engine(*arguments: object, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [SCRIPT, *map(str, arguments)], input=stdin, capture_output=True, timeout=WAIT_SECONDS, check=False
    )


@dataclass
class Serving:
    """A processor in a process of its own."""

    directory: Path
    process: subprocess.Popen[str]
    url: str
    log: Path

    def stop(self, how: signal.Signals) -> tuple[int, str]:
        """Exit code and what it printed last."""
        self.process.send_signal(how)
        said, _ = self.process.communicate(timeout=WAIT_SECONDS)
        return self.process.returncode, said


def start(directory: Path, log: Path) -> Serving:
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [SCRIPT, "serve", "--dir", directory, "--port", "0"], stdout=subprocess.PIPE, stderr=stderr, text=True
        )
    assert process.stdout is not None
    ready = process.stdout.readline()
    assert ready.startswith("ready: http://127.0.0.1:"), log.read_text()
    return Serving(directory, process, ready.split()[1], log)


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    directory = tmp_path / "instance"
    made = sr_engine("init", directory)
    assert (made.returncode, made.stderr) == (0, b"")
    keep_to_yourself(directory)
    serving = start(directory, tmp_path / "log.txt")
    yield serving
    if serving.process.poll() is None:
        serving.process.kill()
        serving.process.communicate()


@pytest.mark.slow
def test_an_operator_and_a_supplier_bring_a_hub_to_its_schedule(serving: Serving, tmp_path: Path) -> None:
    directory = serving.directory
    (tmp_path / "devices.csv").write_text(
        "device_id,device_type,hub_id,device_status,manufacturer,model,firmware_version,csp_region,import_mpxn\n"
        f"{HUB.chf},CHF,,Commissioned,2B7E,C1A20001,9001,Central,\n"
        f"{HUB.gpf},GPF,{HUB.chf},Commissioned,2B7E,C1A20001,9001,Central,\n"
        f"00005eefe0000001,ESME,{HUB.chf},Commissioned,2B7E,METER,,Central,{HUB.mpan}\n"
    )
    (tmp_path / "registrations.csv").write_text(
        f"mpxn,role,organisation,effective_from\n{HUB.mpan},IS,supplier-a,2026-01-01\n"
    )
    for command in ("inventory", "registration"):
        file = tmp_path / ("devices.csv" if command == "inventory" else "registrations.csv")
        imported = sr_engine(command, "import", file, "--dir", directory)
        assert (imported.returncode, imported.stderr) == (0, b"")

    opened = sr_engine(
        *("release", "open", "--manufacturer", "2B7E", "--model", "C1A20001", "--version", "9002"),
        *("--image-hash", "AB" * 32, "--region", "Central", "--from-version", "9001", "--dir", directory),
    )
    assert opened.stdout == b"opened firmware 9002 for 2B7E C1A20001: it concerns 1 hubs\n"

    signed = sr_engine("sign", "-", "--preserve-counter", "--as", A.name, "--dir", directory, stdin=request())
    assert (signed.returncode, signed.stderr) == (0, b"")
    answer = sr_engine("submit", "-", "--url", serving.url, stdin=signed.stdout)
    assert (answer.returncode, answer.stderr) == (0, b"HTTP 200, I0: 1 hub(s) accepted\n")

    who = sr_engine("verify", "-", "--dir", directory, stdin=answer.stdout)
    assert who.stdout.startswith(f"-: signed by {BROKER}, role 89, serial ".encode())
    assert who.stdout.endswith(f"; RequestID {A.eui}:{BROKER}:1, ResponseCode I0\n".encode())
    why = sr_engine("why", HUB.gpf, "--dir", directory)
    assert b" is scheduled for firmware 9002 and waits for the night of " in why.stdout
    status = sr_engine("status", "--dir", directory)
    assert b"Scheduled 1" in status.stdout

    assert serving.stop(signal.SIGTERM) == (0, "stopped\n")
    log = serving.log.read_text().splitlines()
    exchanges = [line for line in log if "serviceD answered" in line]
    assert len(exchanges) == 1
    of = rf"11\.5 {A.eui}:{BROKER}:1 of {A.eui}"
    assert re.search(rf" INFO sr_engine\.observing\.exchanges: serviceD answered I0 in [0-9.]+ ms: {of}$", exchanges[0])
    assert not any("<" in line or "PRIVATE" in line or "Traceback" in line for line in log)


def test_ctrl_c_stops_it_and_a_taken_port_is_named(serving: Serving) -> None:
    port = int(serving.url.rpartition(":")[2])

    second = sr_engine("serve", "--dir", serving.directory, "--port", port)

    assert second.returncode == 2
    assert second.stdout == b""
    assert second.stderr.decode() == (
        f"sr-engine: port {port} of 127.0.0.1 is taken: stop what listens there, or choose another with --port\n"
    )
    assert serving.stop(signal.SIGINT) == (0, "stopped\n")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def request() -> bytes:
    now = datetime.now(UTC).replace(microsecond=0)
    window = Period(now + timedelta(days=7), now + timedelta(days=60))
    root = build_request(
        schema_version="5.4",
        request_id=f"{A.eui}:{BROKER}:1",
        command_variant=8,
        service_reference="11.5",
        service_reference_variant="11.5",
        body=ScheduleCommsHubFirmware(FIRMWARE, window, Phase.GENERAL, (HUB.chf,)),
    )
    return serialise_unsigned(root)
