"""Measuring: CPU time per call, interleaved, so that what else the machine does falls on all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

Measured = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report; `target` None where nothing is promised."""

    name: str
    figure: float
    unit: str
    target: float | None = None
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.figure >= self.target if self.at_least else self.figure <= self.target

    def as_json(self) -> dict[str, object]:
        values = asdict(self)
        del values["at_least"]
        return {**values, "figure": round(self.figure, 3), "met": self.met}


def cpu_seconds(calls: Mapping[str, Measured], *, rounds: int = 40, seconds: float = 0.02) -> dict[str, float]:
    """CPU seconds of each call in the best of alternated rounds of at least `seconds` each.

    The best, not the median: what else runs on the core only ever adds to a round, and adds more to what touches much
    memory than to bare arithmetic, so a median of ratios would say how busy the machine was.
    """
    repeats = {name: _repeats(call, seconds) for name, call in calls.items()}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            for _ in range(repeats[name]):
                call()
            samples[name].append((time.process_time() - start) / repeats[name])
    return {name: min(values) for name, values in samples.items()}


def _repeats(call: Measured, seconds: float) -> int:
    call()
    start = time.perf_counter()
    call()
    once = max(time.perf_counter() - start, 1e-7)
    return max(1, round(seconds / once))
