"""`python -m tests.upgrade`: the first release serves under load, is upgraded, and everything is judged."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.drill.site import DrillFailed
from tests.postgres import postgres_server
from tests.upgrade.first_release import HistoryMissing
from tests.upgrade.playing import Wanted, Way, play

ENGINES = ("sqlite", "postgresql")


def main() -> int:
    """0 if all is as it has to be."""
    parser = argparse.ArgumentParser(prog="python -m tests.upgrade", description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, default="sqlite")
    parser.add_argument("--requests", type=int, default=600, help="before the upgrade, and again after it")
    parser.add_argument("--way", choices=list(Way), default=Way.REPLACED, help="what becomes of its processes")
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sr-engine-upgrade-")))
        server = stack.enter_context(postgres_server(durable=True)) if asked.engine == "postgresql" else None
        try:
            result = play(Wanted(folder, asked.requests, server, Way(asked.way), _say))
        except (DrillFailed, HistoryMissing) as failed:
            _say(f"not as it should be: {failed}")
            return 1
    for line in (*result.lines(), *(f"wrong: {one}" for one in result.violations)):
        _say(line)
    return 1 if result.violations else 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
