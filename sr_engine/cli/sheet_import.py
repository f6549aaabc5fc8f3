"""`sr-engine spreadsheet import`: decisions from a spreadsheet, carried out, with a report row by row."""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sr_engine.bootstrap import Instance, acting_of
from sr_engine.cli.failures import ANSWERED_WITH_ERROR, ANYTHING_ELSE, Failure
from sr_engine.cli.opening import fully_opened, instance_option
from sr_engine.cli.output import show_table
from sr_engine.client import MOST_DEVICES, Client, Retries, SoftwareKey
from sr_engine.configuration import Spreadsheets, User, load_spreadsheets
from sr_engine.counters import FILE_NAME
from sr_engine.messages.identifiers import canonical_eui
from sr_engine.messages.model import Firmware
from sr_engine.pipeline.acting import Act, ActAnswer, Tally
from sr_engine.resources import data_directory
from sr_engine.spreadsheets.carrying_out import GroupOutcome, acted, sent
from sr_engine.spreadsheets.cells import firmware as read_firmware
from sr_engine.spreadsheets.groups import Group, grouped
from sr_engine.spreadsheets.moments import Moments
from sr_engine.spreadsheets.outcomes import RowOutcome, RowVerdict, outcomes_of_plan
from sr_engine.spreadsheets.reading import Sheet, open_file
from sr_engine.spreadsheets.refusals import CellRefused
from sr_engine.spreadsheets.report import all_outcomes, counted, write_report
from sr_engine.spreadsheets.rows import Reading, read_rows
from sr_engine.spreadsheets.sent import SentRequests
from sr_engine.store.units_of_work import UnitOfWork

_path = click.Path(path_type=Path)
_SENT = "sent-requests"
_GOOD = {RowVerdict.ACCEPTED, RowVerdict.WOULD_BE_ACCEPTED, RowVerdict.WOULD_BE_SENT, RowVerdict.LEFT_OUT}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command line says of any import."""

    file: Path
    sheet: str | None
    firmware: Firmware | None
    report: Path
    dry_run: bool
    again: bool


@click.command(name="import", short_help="Carry out what a spreadsheet says of hubs; report row by row.")
@click.argument("file", metavar="FILE", type=_path)
@click.option("--sheet", help="Name of the sheet in the workbook; otherwise the one that has hubs in it.")
@click.option("--firmware", metavar="RELEASE", help="Release of rows that name none: 'MANUFACTURER MODEL VERSION'.")
@click.option("--report", type=_path, help="Workbook to write; otherwise FILE-report.xlsx beside FILE.")
@click.option("--dry-run", is_flag=True, help="Change and send nothing; say what would be done.")
@click.option("--again", is_flag=True, help="Do it even if this file was imported before.")
@click.option("--url", help="Send signed Service Requests to the processor at this address.")
@click.option("--key", type=_path, help="With --url: the private key that signs (PEM).")
@click.option("--certificate", type=_path, help="With --url: its certificate (PEM).")
@click.option("--trust", type=_path, help="With --url: folder of the certificates whose answers are believed.")
@click.option("--counters", type=_path, help=f"With --url: file of counters; otherwise {FILE_NAME} beside the key.")
@click.option(
    "--sent", "sent_folder", type=_path, help=f"With --url: what was sent; otherwise {_SENT}/ beside the key."
)
@click.option("--tries", type=click.IntRange(1, 100), help="With --url: how often to send what is not answered; 6.")
@click.option("--config", type=_path, help="With --url: folder with a spreadsheets.toml, instead of the shipped one.")
@click.option("--supplier", metavar="ORG", help="On the instance's machine: the organisation in whose name it is done.")
@click.option("--as", "as_eui", metavar="EUI", help="With --supplier: the User of it, if it has several.")
@instance_option
def import_(
    *,
    file: Path,
    sheet: str | None,
    firmware: str | None,
    report: Path | None,
    dry_run: bool,
    again: bool,
    url: str | None,
    key: Path | None,
    certificate: Path | None,
    trust: Path | None,
    counters: Path | None,
    sent_folder: Path | None,
    tries: int | None,
    config: Path | None,
    supplier: str | None,
    as_eui: str | None,
    directory: Path,
) -> None:
    """Read decisions about hubs from an XLSX or CSV file, carry them out, and write a report with the result beside
    each row.

    With --url, --key, --certificate and --trust, the rows become signed Service Requests. With --supplier, on the
    machine of the instance in --dir, they are done in the name of that Supplier. Either way rows that ask for the same
    become one request, every rule holds, and hubs are accepted or refused one by one. The same file imported again
    is not done again: the report says what became of it the first time.

    Columns, words, dates: `sr-engine spreadsheet template`, or docs/spreadsheets.md.

    Exit codes: 0 all rows accepted; 1 some were not, see the report; 2 a request was not taken or answered; 10 the
    file was refused.
    """
    asked = _Asked(
        file, sheet, _release(firmware), report or file.with_name(f"{file.stem}-report.xlsx"), dry_run, again
    )
    if asked.report.resolve() == file.resolve():
        raise click.UsageError("--report names FILE itself: name another")
    if (url is None) == (supplier is None):
        raise click.UsageError("say how it is to be done: either with --url, or with --supplier")
    if supplier is not None:
        _refuse_options("--supplier", key=key, certificate=certificate, trust=trust, counters=counters)
        _refuse_options("--supplier", sent=sent_folder, tries=tries, config=config)
        with fully_opened(directory) as instance:
            _act(asked, instance, _user(instance, supplier, as_eui))
        return
    _refuse_options("--url", **{"as": as_eui})
    if key is None or certificate is None or trust is None or url is None:
        raise click.UsageError("--url needs --key, --certificate and --trust")
    spreadsheets = load_spreadsheets(config or data_directory("config"))
    signing = SoftwareKey.load(key, certificate)
    retries = Retries() if tries is None else Retries(tries=tries)
    try:
        client = Client(url, key=signing, trust=trust, counters=counters or key.parent / FILE_NAME, retries=retries)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--url") from None
    with client:
        _send(asked, client, signing.eui, SentRequests(sent_folder or key.parent / _SENT), spreadsheets)


def _send(asked: _Asked, client: Client, eui: str, kept: SentRequests, spreadsheets: Spreadsheets) -> None:
    with _progress() as progress:
        sheet, reading, groups = _read(asked, spreadsheets, MOST_DEVICES, progress)
        if asked.dry_run:
            done = [
                GroupOutcome(group, None, "would be sent", outcomes_of_plan(group, spreadsheets)) for group in groups
            ]
        else:
            done = _watched(sent(groups, client, eui, kept, spreadsheets), len(groups), progress)
        outcomes = _report(asked, sheet, reading, done, spreadsheets=spreadsheets, progress=progress)
    _tell(asked, done, outcomes, spreadsheets)


def _act(asked: _Asked, instance: Instance, user: User) -> None:
    spreadsheets, acting, tally = instance.configuration.spreadsheets, acting_of(instance), Tally()

    def do(act: Act) -> ActAnswer:
        prepared = acting.prepare(act)
        if not asked.dry_run:
            return instance.transactions.run_now(lambda unit_of_work: acting.execute(unit_of_work, prepared))
        with instance.reading_engine.connect() as connection:
            return acting.preview(UnitOfWork(connection, instance.clock.now()), prepared, tally)

    with _progress() as progress:
        most = instance.configuration.policy.limits.list_max_devices
        sheet, reading, groups = _read(asked, spreadsheets, most, progress)
        steps = acted(groups, do, spreadsheets, account=_account(), user_eui=user.eui, preview=asked.dry_run)
        done = _watched(steps, len(groups), progress)
        outcomes = _report(asked, sheet, reading, done, spreadsheets=spreadsheets, progress=progress)
    _tell(asked, done, outcomes, spreadsheets)


def _read(
    asked: _Asked, spreadsheets: Spreadsheets, most: int, progress: Progress
) -> tuple[Sheet, Reading, tuple[Group, ...]]:
    _check_writable(asked.report)
    task = progress.add_task("reading", total=None)
    sheet = open_file(asked.file, spreadsheets, sheet=asked.sheet)
    progress.update(task, total=sheet.last_row)
    reading = read_rows(
        sheet, spreadsheets, firmware=asked.firmware, progress=lambda rows: progress.update(task, completed=rows)
    )
    again = datetime.now(UTC).isoformat() if asked.again else ""
    return sheet, reading, grouped(reading, sheet.digest, most=most, again=again)


def _watched(steps: Iterator[GroupOutcome], count: int, progress: Progress) -> list[GroupOutcome]:
    task = progress.add_task("requests", total=count)
    done: list[GroupOutcome] = []
    for step in steps:
        done.append(step)
        progress.update(task, completed=len(done))
    return done


def _report(
    asked: _Asked,
    sheet: Sheet,
    reading: Reading,
    done: Sequence[GroupOutcome],
    *,
    spreadsheets: Spreadsheets,
    progress: Progress,
) -> dict[int, RowOutcome]:
    task = progress.add_task("report", total=sheet.last_row)
    answered: dict[int, RowOutcome] = {}
    for one in done:
        answered |= one.rows
    outcomes = all_outcomes(reading, answered)
    write_report(
        asked.report, sheet, outcomes, spreadsheets, progress=lambda rows: progress.update(task, completed=rows)
    )
    return outcomes


def _tell(
    asked: _Asked, done: Sequence[GroupOutcome], outcomes: dict[int, RowOutcome], spreadsheets: Spreadsheets
) -> None:
    moments = Moments(spreadsheets.time_zone)
    show_table(
        "Requests",
        ("What", "Code", "Detail"),
        (
            (one.group.in_words(moments), one.code or "-", f"{'as before: ' if one.repeated else ''}{one.detail}")
            for one in done
        ),
    )
    show_table("Rows", ("Result", "Rows"), counted(outcomes))
    click.echo(f"report: {asked.report}")
    if asked.dry_run:
        click.echo("dry run: nothing was changed, and nothing was sent")
    if any(outcome.verdict is RowVerdict.NOT_SENT for outcome in outcomes.values()):
        click.get_current_context().exit(ANYTHING_ELSE)
    if any(outcome.verdict not in _GOOD for outcome in outcomes.values()):
        click.get_current_context().exit(ANSWERED_WITH_ERROR)


@contextmanager
def _progress() -> Iterator[Progress]:
    """Bars on a terminal, nothing elsewhere."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        yield progress


def _check_writable(report: Path) -> None:
    """Nobody should find out that there is no report when all is done; raises OSError."""
    was_there = report.exists()
    report.open("ab").close()
    if not was_there:
        report.unlink()


def _account() -> str:
    """Who is signed in to this computer, for the audit trail."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # somebody without a name, as in containers
        name = str(os.getuid())
    return f"account:{name}"


def _release(text: str | None) -> Firmware | None:
    try:
        return None if text is None else read_firmware(text, None)
    except CellRefused as refused:
        raise click.BadParameter(str(refused), param_hint="--firmware") from None


def _user(instance: Instance, supplier: str, as_eui: str | None) -> User:
    """The User in whose name it is done."""
    if instance.users.organisation(supplier) is None:
        known = ", ".join(organisation.id for organisation in instance.users.organisations())
        raise Failure(f"there is no organisation {supplier!r} in users.toml: {known}")
    users = instance.users.users_of(supplier)
    if as_eui is None:
        if len(users) > 1:
            raise Failure(f"{supplier} has several Users: say which with --as: {', '.join(user.eui for user in users)}")
        return users[0]
    try:
        eui = canonical_eui(as_eui)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--as") from None
    for user in users:
        if user.eui == eui:
            return user
    raise Failure(f"{eui} is no User of {supplier}: it has {', '.join(user.eui for user in users)}")


def _refuse_options(instead: str, **options: object) -> None:
    """What says how to do it in the other way is a mistake, not something to pass over."""
    for name, value in options.items():
        if value is not None:
            raise click.UsageError(f"--{name} does not go with {instead}")
