"""How much processes grow while they live: slopes by least squares, and the limits they are held to; pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

MEGABYTE = 1_000_000
_HOUR = 3_600.0
LEAST_SECONDS = 20.0
"""Of a life after its warm-up: of shorter ones no slope is told."""
JUDGED_FROM_SECONDS = 300.0
"""From here on a slope says something: what was measured for less time is shown and not judged."""
LONGEST_WARM_UP_SECONDS, WARM_UP_SHARE = 600.0, 1 / 3
"""Of a life, at most: caches fill, code is loaded, connections are opened."""
_ROOM = 1.2
"""Samples begin a little later than the traffic, and end a little earlier."""
MOST_MEMORY_PER_HOUR, MOST_MEMORY_PER_THOUSAND = 50.0, 0.5
"""Megabytes that a process may grow, in an hour and in a thousand exchanges; above both it leaks."""
MOST_FILES_PER_HOUR, MOST_THREADS_PER_HOUR = 60.0, 12.0
"""Both go up and down with the connections and the work that there is."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A process at one moment; `seconds` since the soak began, `exchanges` over all processes since then."""

    process: str
    seconds: float
    exchanges: int
    memory: int
    """Bytes that are resident."""
    files: int
    """Open ones, sockets included."""
    threads: int


@dataclass(frozen=True, slots=True)
class Growth:
    """Of one process over its life without the warm-up; memory in megabytes."""

    process: str
    seconds: float
    first: float
    last: float
    peak: float
    memory_per_hour: float
    memory_per_thousand: float
    """For each thousand exchanges."""
    files_per_hour: float
    threads_per_hour: float

    @property
    def judged(self) -> bool:
        """Whether it was measured for long enough."""
        return self.seconds >= JUDGED_FROM_SECONDS

    def objections(self) -> list[str]:
        """What grows too fast; nothing of what was measured for too short a time."""
        if not self.judged:
            return []
        found = []
        if self.memory_per_hour > MOST_MEMORY_PER_HOUR and self.memory_per_thousand > MOST_MEMORY_PER_THOUSAND:
            found.append(
                f"memory of {self.process} grows by {self.memory_per_hour:.1f} MB an hour, "
                f"{self.memory_per_thousand:.2f} MB in a thousand exchanges"
            )
        if self.files_per_hour > MOST_FILES_PER_HOUR:
            found.append(f"open files of {self.process} grow by {self.files_per_hour:.1f} an hour")
        if self.threads_per_hour > MOST_THREADS_PER_HOUR:
            found.append(f"threads of {self.process} grow by {self.threads_per_hour:.1f} an hour")
        return found


def not_judged(growths: Sequence[Growth], processes: Sequence[str], seconds: float) -> list[str]:
    """Which processes that live for all of a soak it says nothing of, although it lasts for long enough to."""
    if seconds < JUDGED_FROM_SECONDS / (1 - WARM_UP_SHARE) * _ROOM:
        return []
    judged = {one.process for one in growths if one.judged}
    return [f"{one} was not measured for long enough to be judged" for one in processes if one not in judged]


def slope(points: Sequence[tuple[float, float]]) -> float:
    """By how much the second grows while the first grows by 1, by least squares; 0 where the first stands still."""
    if not points:
        return 0.0
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    spread = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / spread if spread else 0.0


def growths(samples: Sequence[Sample]) -> list[Growth]:
    """Of each process that has lived for long enough, in the order in which they were met."""
    lives: dict[str, list[Sample]] = defaultdict(list)
    for one in samples:
        lives[one.process].append(one)
    found = []
    for process, life in lives.items():
        warm_up = min(LONGEST_WARM_UP_SECONDS, WARM_UP_SHARE * (life[-1].seconds - life[0].seconds))
        warm = [one for one in life if one.seconds >= life[0].seconds + warm_up]
        if warm[-1].seconds - warm[0].seconds >= LEAST_SECONDS:
            found.append(_growth(process, warm))
    return found


def _growth(process: str, warm: Sequence[Sample]) -> Growth:
    memory = [one.memory / MEGABYTE for one in warm]
    hours = [one.seconds / _HOUR for one in warm]
    return Growth(
        process,
        warm[-1].seconds - warm[0].seconds,
        memory[0],
        memory[-1],
        max(memory),
        slope(list(zip(hours, memory, strict=True))),
        slope([(one.exchanges / 1_000, mega) for one, mega in zip(warm, memory, strict=True)]),
        slope([(hour, one.files) for hour, one in zip(hours, warm, strict=True)]),
        slope([(hour, one.threads) for hour, one in zip(hours, warm, strict=True)]),
    )
