"""Playing message fixtures, and the traffic of an instance: `replay`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click

from sr_engine.cli.failures import ANSWERED_WITH_ERROR, Failure
from sr_engine.replay.fixture import fixtures_in
from sr_engine.replay.junit import write_junit
from sr_engine.replay.running import Result, Verdict, replay, replay_to


@click.command("replay", short_help="Play message fixtures and compare what happens with what they say.")
@click.argument("paths", metavar="DIR|FILE...", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--to", "url", metavar="URL", help="Send them to a processor that runs, instead of one in this process.")
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path),
    envvar="SR_ENGINE_DIR",
    metavar="DIR",
    help="With --to: folder of its instance, or a copy with its configuration, Users and test keys.",
)
@click.option("--concurrent", "at_once", type=click.IntRange(1, 64), default=1, help="Play so many at a time.")
@click.option("--junit", "junit", type=click.Path(path_type=Path, dir_okay=False), help="Write JUnit XML to this file.")
@click.option("--record", is_flag=True, help="Write what happens into the fixtures, as what they expect.")
@click.option(
    "--from-log",
    "log",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="INSTANCE",
    help="Play the traffic in the inbox of an instance instead, against this build.",
)
@click.option(
    "--before",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="DATABASE",
    help="With --from-log: a copy of its database from before that traffic; otherwise it is taken back.",
)
@click.option("-v", "--verbose", is_flag=True, help="Name the fixtures that pass, too.")
def replay_(
    *,
    paths: tuple[Path, ...],
    url: str | None,
    directory: Path | None,
    at_once: int,
    junit: Path | None,
    record: bool,
    log: Path | None,
    before: Path | None,
    verbose: bool,
) -> None:
    """Play the message fixtures in files and folders, on a clock that stands still, and say what differs.

    Each fixture has a processor of its own in this process, as docs/fixtures.md describes. Exit codes: 0 if everything
    is as the fixtures say, 1 if anything is not, 2 for anything else.
    """
    started = time.monotonic()
    if log is not None:
        _refuse_with_log(paths, url, junit, record=record)
        _from_log(log, before)
        return
    if not paths:
        raise click.UsageError("name a folder or files of fixtures, or an instance with --from-log")
    if url is not None and record:
        raise click.UsageError("--record writes what happens on a clock that stands still: leave --to out")
    if before is not None:
        raise click.UsageError("--before goes with --from-log")
    if junit is not None and not junit.absolute().parent.is_dir():
        raise click.UsageError(f"--junit: there is no folder {junit.parent}")
    files = fixtures_in(paths)
    if not files:
        raise Failure(f"there are no fixtures, that is no .toml files, in {', '.join(map(str, paths))}")
    results: list[Result] = []
    for result in _results(files, url, directory, at_once, record=record):
        _say(result, verbose=verbose)
        results.append(result)
    if junit is not None:
        write_junit(junit, results)
    counts = {verdict: sum(one.verdict is verdict for one in results) for verdict in Verdict}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    click.echo(f"{len(results)} fixtures: {told}; {time.monotonic() - started:.1f} s")
    if not all(one.good for one in results):
        click.get_current_context().exit(ANSWERED_WITH_ERROR)


def _results(
    files: list[Path], url: str | None, directory: Path | None, at_once: int, *, record: bool
) -> Iterator[Result]:
    if url is None:
        return replay(files, at_once=at_once, record=record)
    if directory is None:
        raise click.UsageError("--to needs --dir: the folder with configuration, Users and test keys of that processor")
    from sr_engine.replay.remote import Target  # noqa: PLC0415 - nobody else needs it

    return replay_to(Target.at(url, directory), files, at_once=at_once)


def _say(result: Result, *, verbose: bool) -> None:
    if not result.good:
        click.echo(f"{result.verdict}: {result.path}\n{result.words}\n")
    elif result.verdict is Verdict.SKIPPED:
        click.echo(f"{result.verdict}: {result.path}: {result.words}")
    elif verbose:
        words = f" ({result.words})" if result.words else ""
        click.echo(f"{result.verdict}: {result.path}{words}")
    sys.stdout.flush()


def _refuse_with_log(paths: tuple[Path, ...], url: str | None, junit: Path | None, *, record: bool) -> None:
    if paths or url is not None or junit is not None or record:
        raise click.UsageError("--from-log plays the traffic of an instance: it goes with --before, and nothing else")


def _from_log(log: Path, before: Path | None) -> None:
    from sr_engine.replay.from_log import replay_log  # noqa: PLC0415 - nobody else needs it

    told = replay_log(log, before, click.echo)
    if told.differences:
        click.get_current_context().exit(ANSWERED_WITH_ERROR)
