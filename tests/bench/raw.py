"""What one P-256 verification and one signature cost: alone, beside what else is measured, and in several processes.

Two processors may share the units that compute, as two threads of one core do: beside a busy neighbour the same work
then takes more CPU time than alone. So what is measured beside others is compared with what the raw work costs beside
them, in the same seconds.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier, Event

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from tests.bench.measure import cpu_seconds

BURST_SECONDS, EVERY_SECONDS = 0.02, 0.2
"""Of one processor that is a tenth, half of it from whoever shares it."""
COLD = 10
"""Calls after a pause that are not counted: their tables have left the nearer caches."""
_TOGETHER_SECONDS = 1.0

_spawned = multiprocessing.get_context("spawn")


def raw_work() -> Callable[[], object]:
    """One verification and one signature."""
    key, data, algorithm = ec.generate_private_key(ec.SECP256R1()), b"x" * 700, ec.ECDSA(hashes.SHA256())
    signature, public = key.sign(data, algorithm), key.public_key()
    return lambda: (public.verify(signature, data, algorithm), key.sign(data, algorithm))


def raw_cost() -> float:
    """CPU seconds of one verification and one signature, in the best of many rounds: alone, if anything is idle."""
    return cpu_seconds({"raw": raw_work()})["raw"]


class Beside:
    """A process that does the raw work in bursts, while it is told to."""

    def __init__(self, wanted: Event, said: Connection) -> None:
        self._wanted = wanted
        self._said = said

    @contextmanager
    def measuring(self) -> Iterator[list[float]]:
        """In the block; at its end the list holds CPU seconds of one call in each burst that lay wholly in it."""
        found: list[float] = []
        begin = time.perf_counter()
        self._wanted.set()
        yield found
        end = time.perf_counter()
        self._wanted.clear()
        while self._said.poll(2 * BURST_SECONDS):
            began, ended, cost = self._said.recv()
            if begin <= began and ended <= end:
                found.append(cost)


@contextmanager
def beside() -> Iterator[Beside]:
    """Have such a process while this is entered."""
    wanted = _spawned.Event()
    said, says = _spawned.Pipe(duplex=False)
    process = _spawned.Process(target=_in_bursts, args=(wanted, says), daemon=True)
    process.start()
    try:
        said.recv()  # it is ready
        yield Beside(wanted, said)
    finally:
        process.terminate()
        process.join()


def _in_bursts(wanted: Event, says: Connection) -> None:
    work = raw_work()
    says.send(None)
    while True:
        wanted.wait()
        began = time.perf_counter()
        costs: list[float] = []
        while time.perf_counter() - began < BURST_SECONDS:
            start = time.thread_time()
            work()
            costs.append(time.thread_time() - start)
        if len(costs) > 2 * COLD:
            # The median: after another process has had the processor some calls find their tables gone, as at first.
            says.send((began, time.perf_counter(), statistics.median(costs[COLD:])))
        time.sleep(EVERY_SECONDS - BURST_SECONDS)


def processors_worth(processes: int) -> float:
    """How often as much raw work so many processes do in a second, together, as one does alone."""
    alone, together = (_per_second(number) for number in (1, processes))
    return together / alone


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0))


def _per_second(processes: int) -> float:
    barrier = _spawned.Barrier(processes)
    said, says = _spawned.Pipe(duplex=False)
    started = [_spawned.Process(target=_count, args=(barrier, says)) for _ in range(processes)]
    for one in started:
        one.start()
    done = sum(said.recv() for _ in started)
    for one in started:
        one.join()
    return float(done) / _TOGETHER_SECONDS


def _count(barrier: Barrier, says: Connection) -> None:
    work = raw_work()
    work()
    barrier.wait()
    end, done = time.perf_counter() + _TOGETHER_SECONDS, 0
    while time.perf_counter() < end:
        work()
        done += 1
    says.send(done)
