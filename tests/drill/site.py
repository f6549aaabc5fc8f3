"""An instance that is served by gateways and workers, each a process of its own, as docs/deployment.md has it."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp

from sr_engine.bootstrap import open_instance
from sr_engine.instance import SupplierSeed, create_instance
from sr_engine.operations.releases import open_release
from sr_engine.replay.homes import OLD_VERSION, Home, move_in
from tests.drill.load import FIRMWARE

ROOT = Path(__file__).parents[2]
DEPLOYMENT = ROOT / "docs" / "deployment"
NAMES = ("supplier-a", "supplier-b")
REGIONS = ("North", "Central", "South")
KEYS = ("pki/broker/key.pem", "api.key")
"""What a backup does not hold, and whoever restores it has to bring."""
_START_SECONDS = 60
_SHARED_WITH_NEXT = 2
"""Every second home has two Suppliers."""


class DrillFailed(Exception):
    """Something did not go as it has to."""


def make_homes(number: int) -> list[Home]:
    """So many, of which each Supplier has half and every second has two Suppliers."""
    found = []
    for one in range(1, number + 1):
        electricity = NAMES[one % len(NAMES)]
        shared = one // len(NAMES) % _SHARED_WITH_NEXT == 0
        gas = NAMES[(one + 1) % len(NAMES)] if shared else electricity
        found.append(Home(one, electricity, gas, REGIONS[one % len(REGIONS)]))
    return found


def make_instance(directory: Path, *, receivers: str, database_url: str, homes: Sequence[Home]) -> None:
    """With an open release for homes, and Suppliers that are sent to below an address."""
    suppliers = [
        SupplierSeed(name, f"00-00-5E-EF-10-00-00-A{number}", f"{receivers}/{name}")
        for number, name in enumerate(NAMES, 1)
    ]
    create_instance(directory, now=datetime.now(UTC), suppliers=suppliers, database_url=database_url)
    instance = open_instance(directory)
    try:
        instance.transactions.run_now(lambda unit_of_work: move_in(unit_of_work, homes))
        instance.transactions.run_now(
            lambda unit_of_work: open_release(
                unit_of_work,
                configuration=instance.configuration,
                alerts=instance.alerts,
                draw_id=instance.draw_id,
                firmware=FIRMWARE,
                image_hash="AB" * 32,
                regions=REGIONS,
                reachable_from=(OLD_VERSION,),
            )
        )
    finally:
        instance.engine.dispose()
        instance.reading_engine.dispose()


@dataclass
class Site:
    """Its processes; `directory` is where the instance is now."""

    folder: Path
    directory: Path
    gateway_ports: Sequence[int]
    workers: int
    root: Path = ROOT
    """Where the program is."""
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.program = self.folder / "sr-engine"
        self.program.write_text(f'#!/bin/sh\nPYTHONPATH={self.root} exec {sys.executable} -P -m sr_engine "$@"\n')
        self.program.chmod(0o755)

    @property
    def names(self) -> list[str]:
        """Of its processes."""
        return [f"gateway {port}" for port in self.gateway_ports] + [f"worker {one + 1}" for one in range(self.workers)]

    async def start(self, name: str) -> None:
        """Start a process, and return once it takes requests."""
        arguments = ["serve", "--dir", str(self.directory)]
        role, _, port = name.partition(" ")
        arguments += ["--role", role] + (["--port", port] if role == "gateway" else [])
        with (self.folder / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                str(self.program), *arguments, stdout=asyncio.subprocess.PIPE, stderr=log
            )
        self.processes[name] = process
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), _START_SECONDS)
        if not line.startswith(b"ready: "):
            raise DrillFailed(f"{name} did not start: {(self.folder / f'{name}.log').read_text()[-1500:]}")
        if role == "gateway":
            await self._healthy(port)

    async def _healthy(self, port: str) -> None:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/health/ready") as answer:
            if answer.status != 200:
                raise DrillFailed(f"the gateway on port {port} is not ready: {await answer.text()}")

    async def start_all(self) -> None:
        await asyncio.gather(*(self.start(name) for name in self.names))

    async def stop(self, name: str) -> None:
        """Tell a process to stop, as systemd does."""
        process = self.processes[name]
        process.send_signal(signal.SIGTERM)
        code = await asyncio.wait_for(process.wait(), _START_SECONDS)
        if code != 0:
            raise DrillFailed(f"{name}, told to stop, ended with {code}")

    async def kill_all(self) -> None:
        """At once, as when a computer is lost."""
        for process in self.processes.values():
            if process.returncode is None:
                process.kill()
        for process in self.processes.values():
            await process.wait()

    async def run(self, *command: str) -> str:
        """Run a program to its end; raises DrillFailed."""
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        output, _ = await process.communicate()
        if process.returncode != 0:
            raise DrillFailed(f"{' '.join(command)} ended with {process.returncode}: {output.decode()[-1500:]}")
        return output.decode()

    async def command(self, *arguments: str) -> str:
        """Run a command of sr-engine."""
        return await self.run(str(self.program), *arguments)

    def said(self, words: str) -> list[str]:
        """The processes that have these words in their log."""
        return [name for name in self.names if words in (self.folder / f"{name}.log").read_text("utf-8")]

    def tracebacks(self) -> list[str]:
        """The logs of processes that have one."""
        return [f"the log of {name} has a traceback" for name in self.said("Traceback")]

    async def python(self, code: str, *arguments: str) -> None:
        """Run a piece of Python beside the program's own tests."""
        await self.run("/usr/bin/env", f"PYTHONPATH={self.root}", sys.executable, "-P", "-c", code, *arguments)

    def keep_keys(self) -> None:
        """Put aside what no backup holds."""
        for name in KEYS:
            (self.folder / "safe" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.directory / name, self.folder / "safe" / name)

    def bring_keys(self) -> None:
        """Put it where the settings say."""
        for name in KEYS:
            (self.directory / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.folder / "safe" / name, self.directory / name)
