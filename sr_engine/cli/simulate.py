"""A whole country's release, played and compared: `simulate`."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from sr_engine.cli.failures import Failure


@click.command("simulate", short_help="Play a release for a whole synthetic country and write a report.")
@click.option("--hubs", type=click.IntRange(1, 15_000_000), required=True, help="Hubs of the country.")
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same seed gives the same country and figures."
)
@click.option(
    "--parameters",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file like config/national.toml, which is used otherwise.",
)
@click.option(
    "--regime",
    "names",
    multiple=True,
    type=click.Choice(["Voluntary", "Mandatory", "DCCManaged"]),
    help="Terms under which it is played; may be repeated. Voluntary, if none is named; models stand beside it.",
)
@click.option(
    "--database",
    metavar="URL",
    help="postgresql://USER@HOST/NAME: beside this database, which has to be there, one is made and dropped for each "
    "instance. SQLite files in the folder, if it is left out.",
)
@click.option(
    "--processes",
    type=click.IntRange(1, 16),
    help="Campaigns played side by side; as many as there are processors, if it is left out.",
)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder for the report.")
@click.option("--force", is_flag=True, help="Replace the report that the folder holds, once the new one is there.")
@click.option("--keep", is_flag=True, help="Leave the simulated instances in the folder instance below it.")
def simulate(
    *,
    hubs: int,
    seed: int,
    file: Path | None,
    names: tuple[str, ...],
    database: str | None,
    processes: int | None,
    out: Path,
    force: bool,
    keep: bool,
) -> None:
    """Play the release of a firmware for a synthetic country on a virtual clock, and write a report.

    Suppliers send signed requests, the processor answers, plans, lists and alerts, and the CSPs report, all in this
    process and as they would over HTTP. Beside it the report sets the same campaign under other terms, by a portal and
    by spreadsheets, as models, and prints every assumption.
    """
    # Nobody else needs what the simulation loads.
    from sr_engine.national.campaign import CampaignFailed  # noqa: PLC0415 - see above
    from sr_engine.national.comparison import Regime  # noqa: PLC0415 - see above
    from sr_engine.national.parameters import load  # noqa: PLC0415 - see above
    from sr_engine.national.report import write  # noqa: PLC0415 - see above
    from sr_engine.national.simulation import disk_needed, processors  # noqa: PLC0415 - see above
    from sr_engine.national.simulation import simulate as run  # noqa: PLC0415 - see above
    from sr_engine.national.sites import Site  # noqa: PLC0415 - see above

    parameters = load(file)
    regimes = [Regime(name) for name in dict.fromkeys(names or ("Voluntary",))]
    instances = out / "instance"
    if instances.exists() and any(instances.iterdir()):
        raise Failure(f"{instances} is not empty: name another folder with --out")
    _refuse_to_overwrite(out, file, force=force)
    at_once = min(processes or processors(), len(regimes))
    out.mkdir(parents=True, exist_ok=True)
    tell = Tell(time.monotonic())
    needed = disk_needed(hubs, len(regimes), at_once, keep=keep)
    if database is None:
        free = shutil.disk_usage(out).free
        if free < needed:
            raise Failure(
                f"{out} has {_gigabytes(free)} free, and {_gigabytes(needed)} may be needed: name another folder"
            )
    tell(f"{_gigabytes(needed)} of disk at most, {'which are kept' if keep else 'for as long as it lasts'}")
    with _interrupted_by_sigterm(), tempfile.TemporaryDirectory(dir=out, prefix="working-") as folder:
        try:
            found = run(
                parameters,
                hubs=hubs,
                seed=seed,
                regimes=regimes,
                site=Site(instances if keep else Path(folder), database),
                say=tell,
                processes=at_once,
                keep=keep,
            )
        except CampaignFailed as failed:
            raise Failure(str(failed)) from None
    page = write(found, out)
    problems = [problem for figures in found.played for problem in figures.problems()]
    for figures in found.played:
        result = figures.result
        click.echo(
            f"{result.name}: {result.upgraded:,} of {result.hubs:,} hubs upgraded in {result.days} days; "
            f"{figures.messages:,} messages, {figures.messages_per_second:,.0f} a second; "
            f"{figures.seconds / result.hubs * 1000:.2f} ms a hub"
        )
    click.echo(f"report: {page}")
    if problems:
        raise Failure("\n".join(problems))


def _refuse_to_overwrite(out: Path, parameters: Path | None, *, force: bool) -> None:
    """Raises Failure if the report would take the place of anything but one that is to be replaced."""
    # Nobody else needs what the simulation loads.
    from sr_engine.national.report import holds_report, written_before  # noqa: PLC0415 - see above

    # Parameters that are read from the folder are written there again as they are.
    there = [path for path in written_before(out) if parameters is None or not path.samefile(parameters)]
    if not there:
        return
    names = ", ".join(path.name for path in there)
    if not holds_report(out):
        raise Failure(f"{out} holds {names}, which a report would overwrite: name another folder with --out")
    if not force:
        raise Failure(
            f"{out} holds a report already ({names}): name another folder with --out, or --force to replace it"
        )


@dataclass(frozen=True, slots=True)
class Tell:
    """Says how far it has come, with the seconds since it began; every process that plays has a copy."""

    started: float

    def __call__(self, words: str) -> None:
        click.echo(f"{time.monotonic() - self.started:7.1f} s  {words}", err=True)


@contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Whoever ends it by a signal finds nothing left of what it was working on."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _gigabytes(number: int) -> str:
    return f"{number / 1e9:,.1f} GB"
