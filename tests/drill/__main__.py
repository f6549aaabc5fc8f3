"""`python -m tests.drill`, as `make drill`: restarts all under load, loses it, restores it, and says at what cost."""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.drill.playing import Wanted, play
from tests.drill.site import DrillFailed
from tests.postgres import postgres_server

ENGINES = ("sqlite", "postgresql")


def main() -> int:
    """0 if all is as it has to be."""
    parser = argparse.ArgumentParser(prog="python -m tests.drill", description=__doc__)
    parser.add_argument("--engine", choices=ENGINES, default="sqlite")
    parser.add_argument("--rate", type=float, default=40, help="requests a second")
    parser.add_argument("--lost-seconds", type=float, default=20, help="between the backup and the loss")
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sr-engine-drill-")))
        server = stack.enter_context(postgres_server(durable=True)) if asked.engine == "postgresql" else None
        try:
            result = play(Wanted(folder, asked.rate, asked.lost_seconds, server, _say))
        except DrillFailed as failed:
            _say(f"not as it should be: {failed}")
            return 1
    for line in result.lines():
        _say(line)
    for problem in dict.fromkeys(result.wrong):
        _say(f"not as it should be: {problem}")
    return 1 if result.wrong else 0


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
