"""`python -m tests.crash`: the crash matrix in its long form, on both engines, with a table of points and kills."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.crash.stage import Play, Result, play
from tests.postgres import postgres_server

ENGINES = ("sqlite", "postgresql")
QUICKLY = {"recovery_init_sync_method": "syncfs"}
"""A server that was stopped at once opens every file of its folder otherwise, which takes seconds."""


def run(engine: str, kills: int, seed: int, *, folder: Path, whole: bool = True, only: Sequence[str] = ()) -> Result:
    """One engine, with an instance in a folder of its own below `folder`."""
    with ExitStack() as stack:
        server = (
            stack.enter_context(postgres_server(durable=True, settings=QUICKLY)) if engine == "postgresql" else None
        )
        directory = folder / f"{engine}-{seed}"
        return play(Play(directory, engine, kills, seed, server, whole, only, _say))


def _say(line: str) -> None:
    print(line, flush=True)


def table(results: list[Result]) -> list[str]:
    """Kills by point and engine."""
    names = dict.fromkeys(name for one in results for name in one.rows)
    width = max(map(len, names))
    lines = [f"{'point':{width}}  " + "  ".join(f"{one.engine:>10}" for one in results)]
    for name in names:
        cells = (str(one.tally.kills[name]) if name in one.rows else "-" for one in results)
        lines.append(f"{name:{width}}  " + "  ".join(f"{cell:>10}" for cell in cells))
    lines.append(f"{'all':{width}}  " + "  ".join(f"{one.tally.kills.total():>10}" for one in results))
    return lines


def main() -> int:
    """0 if nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--kills", type=int, default=500, help="over all engines")
    parser.add_argument("--seed", type=int, default=1, help="the same seed has the same points in the same order")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="both if left out")
    parser.add_argument(
        "--point", action="append", default=[], help="a part of the names of the points that are wanted"
    )
    wanted = parser.parse_args()
    engines = wanted.engine or list(ENGINES)
    folder = Path(tempfile.mkdtemp(prefix="sr-engine-crash-"))
    kills = -(-wanted.kills // len(engines))
    results = [run(engine, kills, wanted.seed, folder=folder, only=wanted.point) for engine in engines]
    for line in table(results):
        _say(line)
    for one in results:
        _say(
            f"{one.engine}: seed {one.seed}, {one.seconds:.0f} s, "
            f"{len(one.evidence.sent)} requests in {one.tries} POSTs"
        )
        for problem in one.violations:
            _say(f"  wrong: {problem}")
        if one.unmet:
            _say(f"  never met: {', '.join(one.unmet)}")
    if any(one.violations for one in results):
        _say(f"the instances and their logs are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
