"""A sheet of 100,000 rows, one in a hundred of them bad, imported by the command in a process of its own.

`python -m tests.bench.spreadsheets` measures it alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sr_engine.clock import SystemClock
from sr_engine.configuration import SheetColumn
from sr_engine.messages.model import Period
from sr_engine.spreadsheets.tables import Cell
from sr_engine.spreadsheets.template import TemplateRow, write_template
from tests.bench.country import Country, chf
from tests.bench.cutting import new_release
from tests.bench.measure import Row
from tests.world import FIRMWARE, A

ROWS = 100_000
BAD_EVERY = 100
_WINDOWS = 4
_RELEASE = f"{FIRMWARE.manufacturer} {FIRMWARE.model} {FIRMWARE.version}"
_CHECK_ONLY = ("--url", "http://127.0.0.1:9", "--dry-run")


@dataclass(frozen=True, slots=True)
class Import:
    """One run of the command."""

    seconds: float
    cpu_seconds: float
    """Of all its threads: what it takes on a machine that does nothing else, or less."""
    megabytes: float
    """At most."""
    exit_code: int
    output: str


def rows() -> Iterator[Row]:
    """Measure it: without the processor's part, then with it, on SQLite."""
    with tempfile.TemporaryDirectory() as name:
        directory, sheet = prepared(Path(name), ROWS)
        checked = run_import(sheet, *by_key(directory))
        done = run_import(sheet, *on_the_instance(directory))
    what = f"spreadsheet of {ROWS:,} rows, 1 in {BAD_EVERY} bad: read, checked, grouped, reported"
    yield Row(f"{what}, CPU", checked.cpu_seconds, "s", 20)
    yield Row(f"{what}, wall clock", checked.seconds, "s", 20)
    yield Row("memory of the command at most", checked.megabytes, "MB", 400)
    what = "the same, and carried out on the instance, SQLite"
    yield Row(f"{what}, CPU", done.cpu_seconds, "s")
    yield Row(f"{what}, wall clock", done.seconds, "s")
    yield Row("memory of the command at most, with the processor in it", done.megabytes, "MB")


def prepared(folder: Path, count: int) -> tuple[Path, Path]:
    """An instance with so many hubs of one Supplier that nobody has scheduled, and a sheet that schedules them."""
    now = SystemClock().now().replace(microsecond=0)
    window = Period(now + timedelta(days=5), now + timedelta(days=20))
    world, release_id, regions = new_release(folder / "instance", None, now)
    country = Country(release_id, regions, count, window, now, lambda _: (A.name, None), scheduled=False)
    world.run(lambda uow: country.put(uow.connection))
    world.close()
    sheet = folder / "hubs.xlsx"
    write_template(sheet, world.instance.configuration.spreadsheets, _rows(count, window))
    return folder / "instance", sheet


def is_bad(number: int) -> bool:
    """Whether the row of a hub, counted from 0, cannot be taken."""
    return number % BAD_EVERY == BAD_EVERY - 1


def by_key(directory: Path) -> Sequence[str]:
    """What follows FILE if nobody is asked."""
    pki = directory / "pki"
    key, certificate = pki / A.name / "key.pem", pki / A.name / "certificate.pem"
    return (
        *_CHECK_ONLY,
        *("--key", str(key), "--certificate", str(certificate), "--trust", str(pki / "trust")),
    )


def on_the_instance(directory: Path) -> Sequence[str]:
    """What follows FILE if it is carried out."""
    return "--dir", str(directory), "--supplier", A.name


# What its parent has in memory counts as the peak of a process, too: so a small one starts it.
_MEASURING = """
import json, os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stderr=subprocess.STDOUT)
_, status, used = os.wait4(process.pid, 0)
measured = [used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, os.waitstatus_to_exitcode(status)]
json.dump(measured, sys.stderr)
"""


def run_import(sheet: Path, *options: str) -> Import:
    """Run the command to its end."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "sr_engine", "spreadsheet", "import", str(sheet), *options]
    done = subprocess.run([sys.executable, "-c", _MEASURING, *command], capture_output=True, text=True, check=True)
    cpu_seconds, megabytes, exit_code = json.loads(done.stderr)
    return Import(time.perf_counter() - started, cpu_seconds, megabytes, exit_code, done.stdout)


def _rows(count: int, window: Period) -> Iterator[TemplateRow]:
    for number in range(count):
        # Whole minutes, as people have them; windows differ by where a hub is, say.
        start = window.start.replace(second=0) + timedelta(hours=number * _WINDOWS // count)
        row: dict[SheetColumn, Cell] = {
            SheetColumn.HUB_ID: chf(number),
            SheetColumn.MPXN: f"{1_000_000_000_000 + number}",
            SheetColumn.REGION: "Central",
            SheetColumn.DECISION: "Schedule",
            SheetColumn.FIRMWARE: _RELEASE,
            SheetColumn.WINDOW_START: start,
            SheetColumn.WINDOW_END: start + timedelta(days=12),
            SheetColumn.PHASE: "General",
        }
        if is_bad(number):
            row |= _MISTAKES[number // BAD_EVERY % len(_MISTAKES)]
        yield row


_MISTAKES: Sequence[TemplateRow] = (
    {SheetColumn.HUB_ID: "5.00512E+11"},
    {SheetColumn.WINDOW_START: "25/10/2026 01:30"},
    {SheetColumn.DECISION: "Perhaps"},
    {SheetColumn.FIRMWARE: None},
)


def main() -> None:
    """Measure it alone."""
    for one in rows():
        sys.stdout.write(f"{one.name}: {one.figure:.2f} {one.unit} {'' if one.met is None else one.met}\n")


if __name__ == "__main__":
    main()
