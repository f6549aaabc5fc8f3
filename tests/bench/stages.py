"""Where the time of one exchange goes: CPU of each stage of an 11.6 for one hub, without HTTP, 32 at a time, on SQLite.

`python -m tests.bench.stages` measures it alone. What a stage calls that is a stage itself counts there and not twice.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from signing import Blank, Verifier
from sr_engine.clock import SystemClock
from sr_engine.gateway import gathering
from sr_engine.gateway.gathering import Gathering
from sr_engine.messages.schema import Schema
from sr_engine.pipeline import process
from sr_engine.pipeline import reading_ahead as ahead
from sr_engine.pipeline.process import Admitted, Checked, Processor
from sr_engine.pipeline.reading_ahead import reading_ahead
from sr_engine.store.prepared import Prepared
from sr_engine.store.sharing import Shared
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import Foreseen
from tests.bench.exchange import CONNECTIONS, request, wide
from tests.bench.measure import Row
from tests.bench.raw import raw_cost
from tests.world import TestHub, World, make_world

ROUNDS, PER_ROUND = 5, 400
_STAGES: Sequence[tuple[str, object, str]] = (
    ("parsing", process, "parse"),
    ("schema", Schema, "check"),
    ("verification", Verifier, "verify"),
    ("decoding", process, "decode_request"),
    ("the other checks before the transaction", gathering, "together"),
    ("rules", Processor, "judge"),
    ("statements, SQLite's part in them too", Prepared, "all"),
    ("statements, SQLite's part in them too", Prepared, "tuples"),
    ("statements, SQLite's part in them too", Prepared, "run"),
    ("statements, SQLite's part in them too", Prepared, "run_many"),
    ("building the answer", Blank, "filled"),
    ("signing the answer", process, "sign_response"),
    ("reading ahead for all, and writing for all", ahead, "_read_ahead"),
    ("reading ahead for all, and writing for all", Shared, "finish"),
    ("writing what changes", Processor, "carry_out"),
    ("the other steps in the transaction", Processor, "execute"),
    ("transaction: begin, commit, audit link", Transactions, "_run_together"),
)
_REST = "event loop, and what no stage is"


class Stages:
    """CPU seconds of this thread by stage."""

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = 0.0

    def within(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same, which counts as this stage."""

        def counted(*arguments: Any, **named: Any) -> Any:
            self._switch()
            self._open.append(stage)
            try:
                return call(*arguments, **named)
            finally:
                self._switch()
                self._open.pop()

        return counted

    def _switch(self) -> None:
        now = time.thread_time()
        if self._open:
            self.spent[self._open[-1]] += now - self._since
        self._since = now


@contextmanager
def counting(stages: Stages) -> Iterator[None]:
    """Count every stage while this lasts."""
    with ExitStack() as stack:
        for stage, owner, name in _STAGES:
            call = getattr(owner, name)
            setattr(owner, name, stages.within(stage, call))
            stack.callback(setattr, owner, name, call)
        yield


def rows() -> list[Row]:
    """Measure it; the round that took least."""
    raw = raw_cost()
    spent = min(measure(), key=lambda one: sum(one.values()))
    total = sum(spent.values())
    what = "11.6 for one hub, without HTTP, 32 at a time"
    in_order = sorted(spent.items(), key=lambda one: -one[1])
    return [
        Row(f"{what}: all stages", total / raw, "x raw verify + sign"),
        *(Row(f"of which: {stage}", seconds / raw, "x raw verify + sign") for stage, seconds in in_order),
    ]


def measure() -> list[dict[str, float]]:
    """Of each round but the first, CPU seconds of an exchange by stage."""
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder) / "instance", SystemClock().now(), prepare=wide, durable=True)
        try:
            hubs = [TestHub(number) for number in range(1, 1 + ROUNDS * PER_ROUND)]
            world.add_hubs(hubs)
            world.open_release()
            requests = [request(world, hub) for hub in hubs]
            starts = range(0, len(requests), PER_ROUND)
            return [_round(world, requests[start : start + PER_ROUND]) for start in starts][1:]
        finally:
            world.close()


def _round(world: World, requests: Sequence[bytes]) -> dict[str, float]:
    stages = Stages()
    with counting(stages):
        before = time.thread_time()
        asyncio.run(_exchange(world, iter(requests)))
        total = time.thread_time() - before
    stages.spent[_REST] = total - sum(stages.spent.values())
    return {stage: seconds / len(requests) for stage, seconds in stages.spent.items()}


async def _exchange(world: World, requests: Iterator[bytes]) -> None:
    processor, transactions = world.processor, world.instance.transactions
    read_ahead = reading_ahead(processor)
    checks: Gathering[Checked] = Gathering()

    async def one_after_another() -> None:
        for data in requests:
            admitted = await checks.run(processor.admitting("serviceD", data, world.clock.now()))
            if not isinstance(admitted, Admitted):
                raise TypeError(f"the request was not admitted: {admitted}")
            execute = partial(processor.execute, admitted=admitted)
            await transactions.run(execute, foreseen=Foreseen(admitted, read_ahead))

    await asyncio.gather(*(one_after_another() for _ in range(CONNECTIONS)))
    await transactions.close()


if __name__ == "__main__":
    for one in rows():
        sys.stdout.write(f"{one.name}: {one.figure:.2f} {one.unit}\n")
