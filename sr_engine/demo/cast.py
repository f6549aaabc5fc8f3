"""Who takes part in the demonstration: an instance of its own, and a process for each party."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from rich.console import Console

from sr_engine.bootstrap import open_instance
from sr_engine.configuration import ClockSettings
from sr_engine.demo import supplier
from sr_engine.demo.country import HUBS, REGIONS, populate
from sr_engine.instance import SupplierSeed, create_instance

RATE = 14_400
"""Four hours a second: the nights of a week pass in under a minute."""
STARTS_AT = datetime(2026, 11, 21, 6, 0, tzinfo=UTC)
"""A Saturday: what is agreed by Sunday is upgraded in the nights before Friday, in every region."""
FAIL_PERCENT = 2
"""Upgrades that fail."""
_SETTING_UP = timedelta(seconds=5)
_START_SECONDS = 60
_LOOK_SECONDS = 0.1
_SUPPLIERS = (("supplier-a", "00-00-5E-EF-10-00-00-A1"), ("supplier-b", "00-00-5E-EF-10-00-00-A2"))


class DemoFailed(Exception):
    """Something did not happen as it should."""


@dataclass(slots=True)
class Cast:
    """Who takes part, at which port."""

    directory: Path
    processor_port: int
    first: SupplierSeed
    second: SupplierSeed
    csp_ports: dict[str, int]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def suppliers(self) -> tuple[SupplierSeed, SupplierSeed]:
        return self.first, self.second

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.processor_port}"


def set_up(directory: Path) -> Cast:
    ports = iter(_free_ports(3 + len(REGIONS)))
    processor_port = next(ports)
    first, second = (
        SupplierSeed(name, eui, f"http://127.0.0.1:{next(ports)}{supplier.RECEIVING_PATH}") for name, eui in _SUPPLIERS
    )
    csp_ports = {region: next(ports) for region in REGIONS}
    clock = ClockSettings(datetime.now(UTC) + _SETTING_UP, STARTS_AT, RATE)
    create_instance(
        directory,
        now=STARTS_AT - timedelta(days=1),
        suppliers=(first, second),
        port=processor_port,
        environment="demonstration",
        clock=clock,
    )
    _configure(directory, csp_ports)
    return Cast(directory, processor_port, first, second, csp_ports)


def _configure(directory: Path, csp_ports: dict[str, int]) -> None:
    """Point the regions at the CSPs of the demonstration, and look for due work every second."""
    regions = directory / "config" / "regions.toml"
    text = regions.read_text(encoding="utf-8")
    for region, port in csp_ports.items():
        text = re.sub(
            rf'(\[region\.{region}\].*?\nendpoint = )"[^"]*"',
            rf'\g<1>"http://127.0.0.1:{port}/lists"',
            text,
            count=1,
            flags=re.DOTALL,
        )
    regions.write_text(text, encoding="utf-8")
    policy = directory / "config" / "policy.toml"
    text = policy.read_text(encoding="utf-8")
    policy.write_text(re.sub(r"\ntick_seconds = \d+", "\ntick_seconds = 1", text), encoding="utf-8")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@contextmanager
def processes(cast: Cast, console: Console) -> Iterator[None]:
    """Start everyone, each in a process of its own; stop all, whatever happens."""
    log = (cast.directory / "serve.log").open("wb")
    interrupted = signal.signal(signal.SIGTERM, _interrupt)
    try:
        directory = str(cast.directory)
        serve = [sys.executable, "-m", "sr_engine", "serve", "--dir", directory]
        cast.processes["processor"] = subprocess.Popen(serve, stdout=log, stderr=log)
        for one, part in ((cast.first, "schedules"), (cast.second, "approves")):
            port = one.receiving_url.split(":")[2].split("/")[0]
            arguments = [directory, one.name, port, cast.url, part]
            cast.processes[one.name] = _start("sr_engine.demo.supplier", arguments)
        loaded = open_instance(cast.directory)
        populated = loaded.transactions.run_now
        populated(lambda unit_of_work: populate(unit_of_work, cast.first, cast.second))
        for region in cast.csp_ports:
            arguments = ["simulate-csp", "--dir", directory, "--region", region, "--fail", str(FAIL_PERCENT)]
            cast.processes[f"csp {region}"] = _start("sr_engine", arguments, stdout=log)
        loaded.engine.dispose()
        loaded.reading_engine.dispose()
        _await_start(cast)
        console.print(f"{len(cast.processes)} processes talk HTTP; {HUBS:,} hubs are in the inventory.")
        yield
    finally:
        signal.signal(signal.SIGTERM, interrupted)
        for process in cast.processes.values():
            process.terminate()
        for process in cast.processes.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        log.close()


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _start(module: str, arguments: Sequence[str], *, stdout: BinaryIO | None = None) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=stdout)


def _await_start(cast: Cast) -> None:
    addresses = [f"{cast.url}/health/live"]
    addresses += [f"http://127.0.0.1:{port}/stats" for port in cast.csp_ports.values()]
    addresses += [one.receiving_url.replace(supplier.RECEIVING_PATH, "/stats") for one in (cast.first, cast.second)]
    give_up = time.monotonic() + _START_SECONDS
    while addresses:
        check_alive(cast)
        try:
            with urllib.request.urlopen(addresses[0], timeout=2):
                addresses.pop(0)
        except (urllib.error.URLError, OSError):
            if time.monotonic() > give_up:
                raise DemoFailed(f"nothing answers at {addresses[0]}") from None
            time.sleep(_LOOK_SECONDS)


def check_alive(cast: Cast) -> None:
    for name, process in cast.processes.items():
        if process.poll() is not None:
            log = (cast.directory / "serve.log").read_text(encoding="utf-8", errors="replace")
            raise DemoFailed(f"process {name} ended with {process.returncode}\n{log[-2000:]}")


def supplier_stats(cast: Cast) -> dict[str, dict[str, int]]:
    """What each Supplier has counted."""
    return {one.name: _get(one.receiving_url.replace(supplier.RECEIVING_PATH, "/stats")) for one in cast.suppliers}


def csp_stats(cast: Cast) -> dict[str, dict[str, int]]:
    """What the CSP of each region has counted."""
    return {region: _get(f"http://127.0.0.1:{port}/stats") for region, port in cast.csp_ports.items()}


def _get(url: str) -> dict[str, int]:
    with urllib.request.urlopen(url, timeout=5) as response:
        stats: dict[str, int] = json.load(response)
    return stats
