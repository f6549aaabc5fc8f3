"""`python -m tests.soak MINUTES`: everything on, mixed traffic, processes killed at random; ends with a report.

Writes soak-report.html and soak-report.json. 0 only if nothing was lost or doubled, no answer was 5xx but 503, and no
process that was measured for five minutes or more grows.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.crash.__main__ import ENGINES, QUICKLY
from tests.postgres import postgres_server
from tests.soak.report import lines, write
from tests.soak.site import Plan
from tests.soak.stage import Soaked, soak


def run(minutes: float, *, seed: int, engine: str, folder: Path, quietly: bool = False) -> Soaked:
    """With an instance in a folder of its own below `folder`."""
    with ExitStack() as stack:
        server = (
            stack.enter_context(postgres_server(durable=True, settings=QUICKLY)) if engine == "postgresql" else None
        )
        say = (lambda _: None) if quietly else _say
        return soak(Plan(folder / f"{engine}-{seed}", minutes * 60, seed, server, say))


def _say(line: str) -> None:
    print(line, flush=True)


def main() -> int:
    """0 if all is well."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("minutes", type=float, help="of traffic; a few more go by until all has come to rest")
    parser.add_argument("--seed", type=int, default=1, help="the same seed draws the same faults and requests")
    parser.add_argument("--database", choices=ENGINES, default=ENGINES[0])
    parser.add_argument("--report", type=Path, default=Path(), metavar="FOLDER", help="where the report is written")
    wanted = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="sr-engine-soak-"))
    soaked = run(wanted.minutes, seed=wanted.seed, engine=wanted.database, folder=folder)
    page, _ = write(soaked, wanted.report)
    for line in lines(soaked):
        _say(line)
    _say(f"the report is {page}")
    if soaked.objections:
        _say(f"the instance and its logs are in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
