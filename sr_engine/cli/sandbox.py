"""Everything to try requests with, by one command: `sandbox`."""

from __future__ import annotations

import shlex
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from sr_engine.cli.failures import Failure
from sr_engine.cli.opening import fully_opened, settings_of
from sr_engine.cli.serve import door_of, listen_on, run_until_told, saying
from sr_engine.clock import SystemClock
from sr_engine.configuration import SETTINGS_FILE
from sr_engine.observing.logs import log_to_stderr
from sr_engine.replay.fixture import FixtureRefused, read_given_file
from sr_engine.replay.remote import GIVEN_FILE
from sr_engine.sandbox.app import sandbox_app
from sr_engine.sandbox.making import CSP_PATH, FIRST_REQUEST, SUPPLIER_PATH, Sandbox, make_sandbox
from sr_engine.sandbox.town import town

_HOST = "127.0.0.1"
_PORT = 8080


@click.command("sandbox", short_help="Processor, CSPs, Suppliers, hubs and a release, to try requests with.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), help=f"Port to listen on, {_PORT} if none is said; 0: any free."
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Keep everything in this folder, and go on there the next time; otherwise in one that is removed at the end.",
)
@click.option(
    "--given",
    "given_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Begin with what a .given.toml of fixtures says instead, so that these can be replayed --to the sandbox.",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 100_000, min_open=True),
    default=1,
    show_default=True,
    help="How many times as fast as real time its clock runs.",
)
def sandbox(port: int | None, directory: Path | None, given_file: Path | None, rate: float) -> None:
    """Run a processor with everybody it talks to until it is told to stop (Ctrl-C or SIGTERM), all on one port.

    There are two Suppliers with keys, 5,000 hubs in six regions, an open firmware release, and the three CSPs, which
    acknowledge lists and report. It prints addresses, keys, and a first request to try. Everything in it is synthetic.
    """
    log_to_stderr()
    with ExitStack() as stack:
        known = directory is not None and (directory / SETTINGS_FILE).is_file()
        if known and directory is not None:
            if not (directory / GIVEN_FILE).is_file():
                raise Failure(
                    f"{directory} has no sandbox, or one that was not finished: remove it, or name a new folder"
                )
            own = settings_of(directory).listen.port
            if given_file is not None or rate != 1 or port not in (None, own):
                raise Failure(f"{directory} has a sandbox on port {own} already: name nothing else, or a new folder")
            port = own
        listening = stack.enter_context(listen_on(_HOST, _PORT if port is None else port))
        port = listening.getsockname()[1]
        if directory is None:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sr-engine-sandbox-"))) / "sandbox"
        made = Sandbox(directory, port) if known else _make(directory, given_file, port, rate)
        with fully_opened(directory) as instance:
            ready = _words(made, [one.id for one in instance.users.organisations()])
            run_until_told(sandbox_app(made, instance), [door_of(instance, [listening])], saying(ready))
    click.echo("stopped")


def _make(directory: Path, given_file: Path | None, port: int, rate: float) -> Sandbox:
    try:
        given = town() if given_file is None else read_given_file(given_file)
    except FixtureRefused as refused:
        raise Failure(str(refused)) from None
    return make_sandbox(directory, given, now=SystemClock().now(), port=port, rate=rate)


def _words(made: Sandbox, suppliers: list[str]) -> str:
    folder = made.directory
    first = folder / FIRST_REQUEST
    command = f"""
A first request, which schedules hubs:

  curl -sS -H 'Content-Type: application/xml' --data-binary @{shlex.quote(str(first))} {made.url}/api/v1/serviceD
"""
    keys = "\n".join(
        f"  {name:<14} {folder / 'pki' / name}/key.pem, receives at {made.url}{SUPPLIER_PATH}/{name}"
        for name in suppliers
    )
    return f"""\
ready: {made.url} (sandbox)

The processor:  {made.url}/api/v1/serviceD, /serviceS, /serviceT
The CSPs:       {made.url}{CSP_PATH}, what they have done so far
The Suppliers, the keys of their requests, and what they were sent (GET):
{keys}
State:          {folder} (sr-engine status --dir {shlex.quote(str(folder))})
{command if first.is_file() else ""}
One of your own:

  sr-engine sign --dir {shlex.quote(str(folder))} --as {suppliers[0]} request.xml --out signed.xml
  sr-engine submit signed.xml --url {made.url}
"""
