"""What one who means ill does to a User that keeps to its ways: answers that fail, and how long the slowest take.

A processor in a process of its own, as an operator runs it; a User with ten requests of one hub a second, over
connections that it keeps; whoever attacks is in other processes, at other addresses. `python -m tests.bench.hostile
[WORD]` measures those attacks alone whose names hold the word.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from sr_engine.clock import SystemClock
from sr_engine.instance import SupplierSeed
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision
from tests.bench.burst import serving_apart
from tests.bench.exchange import cpu_of
from tests.bench.measure import Row
from tests.crash.processes import ROOT
from tests.world import FIRMWARE, A, B, TestHub, World, eui, make_world

PER_SECOND, SECONDS = 10, 20
MOST_MILLISECONDS = 1_000
_HUB = TestHub(1, electricity=A.name, gas=B.name)
_WARM = 20
_MESSAGES = 200
_SIGNATURE = re.compile(rb"(SignatureValue>)(..)")
_ORIGINATOR = re.compile(rb"(RequestID>)[0-9A-F-]{23}")
_GIVE_UP_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Attack:
    """One kind of attack: who does what over how many connections, from which address, with which messages."""

    name: str
    parts: Sequence[tuple[str, str, int, str]] = ()


ATTACKS = (
    Attack("nobody"),
    Attack(
        "1,000 slow heads and 1,000 slow bodies",
        (("slow_head", "127.0.0.2", 1_000, ""), ("slow_body", "127.0.0.3", 1_000, "")),
    ),
    Attack("200 slow bodies that claim to be the User's", (("slow_claim", "127.0.0.2", 200, "of the User"),)),
    Attack(
        "bodies of 100 MB, 8 declared and 8 in chunks at a time",
        (("big_declared", "127.0.0.2", 8, ""), ("big_chunked", "127.0.0.3", 8, "")),
    ),
    Attack("bad signatures of another User, 4 connections", (("flood", "127.0.0.2", 4, "of another"),)),
    Attack("bad signatures that claim to be the User's, 4 connections", (("flood", "127.0.0.2", 4, "of the User"),)),
    Attack("the same from the User's own address", (("flood", "127.0.0.1", 4, "of the User"),)),
    Attack("bad signatures of 200 originators, 4 connections", (("flood", "127.0.0.2", 4, "of many"),)),
    Attack(
        "bad signatures that claim to be the User's, 100 connections", (("flood", "127.0.0.2", 100, "of the User"),)
    ),
    Attack(
        "50 half-closed and 4 broken-off connections, again and again",
        (("half_closed", "127.0.0.2", 50, "of another"), ("reset", "127.0.0.3", 4, "of another")),
    ),
)


@dataclass(frozen=True, slots=True)
class Fared:
    """How the User fared, the process that served it, and what the attackers have counted."""

    seconds: tuple[float, ...]
    """From when each request was due until its answer had come."""
    failures: Counter[str]
    """Requests that were not answered as they should have been, by what came instead."""
    peak: float
    """Megabytes that were resident, at most."""
    cpu: float
    """Cores that were busy with it."""
    attackers: Counter[str]

    def percentile(self, percent: int) -> float:
        """In milliseconds."""
        return 1e3 * sorted(self.seconds)[min(len(self.seconds) - 1, len(self.seconds) * percent // 100)]

    @property
    def error_percent(self) -> float:
        return 100 * self.failures.total() / len(self.seconds)


def rows(word: str = "", seconds: int = SECONDS) -> Iterator[Row]:
    """Measure it, with a processor of its own for each attack."""
    for attack in ATTACKS:
        if word in attack.name:
            fared = measure(attack, seconds)
            what = f"a User at {PER_SECOND} requests a second, attacked by {attack.name}"
            yield Row(f"{what}: median", fared.percentile(50), "ms")
            yield Row(f"{what}: p99", fared.percentile(99), "ms", MOST_MILLISECONDS)
            yield Row(f"{what}: errors {dict(fared.failures) or ''}".rstrip(), fared.error_percent, "%", 0)
            yield Row(f"{what}: memory at most", fared.peak, "MB")
            yield Row(f"{what}: CPU; {_told(fared.attackers)}", 100 * fared.cpu, "% of a core")


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {times:,}" for name, times in sorted(counts.items())) or "nothing else"


def measure(attack: Attack, seconds: int = SECONDS) -> Fared:
    """Send for so long beside an attack."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = make_world(folder / "instance", SystemClock().now(), durable=True)
        world.add_hubs([_HUB])
        world.open_release()
        good = [_request(world, A) for _ in range(_WARM + PER_SECOND * seconds)]
        bad = {
            "of another": [_badly_signed(_request(world, B)) for _ in range(_MESSAGES)],
            "of the User": [_badly_signed(_request(world, A)) for _ in range(_MESSAGES)],
        }
        bad["of many"] = [
            _ORIGINATOR.sub(rb"\g<1>" + eui(0x77, number).encode(), one) for number, one in enumerate(bad["of another"])
        ]
        world.close()
        for name, messages in bad.items():
            (folder / name).write_text(json.dumps([one.decode() for one in messages]), encoding="utf-8")
        serving = stack.enter_context(serving_apart(world.directory))
        asyncio.run(_send(serving.port, good[:_WARM]))
        attackers = Counter[str]()
        with ExitStack() as attacking:
            for kind, address, connections, file in attack.parts:
                arguments = (
                    kind,
                    str(serving.port),
                    address,
                    str(connections),
                    *([str(folder / file)] if file else []),
                )
                attacking.enter_context(_attacker(arguments, attackers))
            before, start = cpu_of([serving]), time.perf_counter()
            taken, failures = asyncio.run(_send(serving.port, good[_WARM:]))
            cpu = (cpu_of([serving]) - before) / (time.perf_counter() - start)
        return Fared(tuple(taken), failures, _peak(serving.pid), cpu, attackers)


def _request(world: World, supplier: SupplierSeed) -> bytes:
    return world.signed(supplier, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (_HUB.chf,)), "11.6")


def _badly_signed(data: bytes) -> bytes:
    return _SIGNATURE.sub(lambda found: found[1] + (b"AA" if found[2] != b"AA" else b"BB"), data, count=1)


@contextmanager
def _attacker(arguments: Sequence[str], counts: Counter[str]) -> Iterator[None]:
    """Somebody who attacks during the block; what was counted is added to `counts`."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.attackers", *arguments], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        try:
            if process.stdout.readline() != "ready\n":
                raise RuntimeError(f"{arguments[0]} could not attack")
            yield
        finally:
            process.terminate()
            said = process.stdout.read()
            if said:
                counts.update(json.loads(said))


async def _send(port: int, requests: Sequence[bytes]) -> tuple[list[float], Counter[str]]:
    """Send each when it is due, whether or not the earlier ones have been answered."""
    taken: list[float] = []
    failures = Counter[str]()
    url, headers = f"http://127.0.0.1:{port}/api/v1/serviceD", {"Content-Type": "application/xml"}
    limit = aiohttp.ClientTimeout(total=_GIVE_UP_SECONDS)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=limit) as session:

        async def one(due: float, data: bytes) -> None:
            try:
                async with session.post(url, data=data, headers=headers) as answer:
                    body = await answer.read()
                    if answer.status != 200 or b"ResponseCode>I" not in body:
                        failures[f"HTTP {answer.status} {answer.headers.get('DUIS-Response-Detail', '')}"] += 1
            except (aiohttp.ClientError, TimeoutError) as error:
                failures[type(error).__name__] += 1
            taken.append(time.perf_counter() - due)

        start = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number, data in enumerate(requests):
                due = start + number / PER_SECOND
                await asyncio.sleep(due - time.perf_counter())
                tasks.create_task(one(due, data))
    return taken, failures


def _peak(process: int) -> float:
    """Megabytes that a process has had resident, at most."""
    text = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    return int(text.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    for row in rows(sys.argv[1] if sys.argv[1:] else "", int(sys.argv[2]) if sys.argv[2:] else SECONDS):
        print(f"{row.name}: {row.figure:.1f} {row.unit}{' NOT MET' if row.met is False else ''}", flush=True)
