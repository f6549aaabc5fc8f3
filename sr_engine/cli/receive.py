"""A Supplier's receiving end that writes what comes as JSON Lines: `receive`."""

from __future__ import annotations

import asyncio
import signal
import sys
from datetime import timedelta
from pathlib import Path

import click
import uvicorn

from sr_engine import configuration
from sr_engine.cli.failures import Failure
from sr_engine.cli.opening import instance_option, settings_of
from sr_engine.cli.serve import listen_on, saying, url_host
from sr_engine.clock import Clock, SystemClock
from sr_engine.configuration import clock_of
from sr_engine.observing.logs import log_to_stderr
from sr_engine.receiver import JsonLines, Pull, Receiver
from sr_engine.receiver.inbox import Inbox
from sr_engine.resources import data_directory
from sr_engine.serving import ReadyServer

_path = click.Path(path_type=Path)


@click.command(short_help="Be a Supplier's receiving end: Responses and Alerts as JSON Lines.")
@instance_option
@click.option("--trust", "trust_directory", type=_path, help="Folder of trusted certificates, instead of an instance.")
@click.option(
    "--inbox", type=_path, default=Path("inbox.db"), show_default=True, help="File in which messages are kept."
)
@click.option("--out", default="-", metavar="FILE", help="Where lines are appended; stdout if it is left out or `-`.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8091, show_default=True, type=click.IntRange(0, 65_535), help="Port to listen on; 0: any free."
)
@click.option("--path", default="/smartdcc/duis", show_default=True, help="Path at which messages are taken.")
@click.option("--pull", "pull_url", metavar="URL", help="Processor from which is fetched what was missed.")
@click.option("--token-file", type=_path, help="File with the User's token; with --pull.")
@click.option("--every", default=60.0, show_default=True, type=click.FloatRange(0.1), help="Seconds between two pulls.")
@click.option("--retry-parked", is_flag=True, help="Try once more what could not be written, try after try.")
def receive(
    *,
    directory: Path,
    trust_directory: Path | None,
    inbox: Path,
    out: str,
    host: str,
    port: int,
    path: str,
    pull_url: str | None,
    token_file: Path | None,
    every: float,
    retry_parked: bool,
) -> None:
    """Take Responses and Alerts, and write each once as a line of JSON, alerts of one device in order.

    A message is verified and kept in the inbox before it is answered 204; what cannot be validated is answered 400 with
    the reason. Lines have the form of `sr-engine parse --schema`. Whose signature is believed comes from --trust,
    otherwise from the instance. Runs until it is told to stop (Ctrl-C or SIGTERM); prints a line to stderr once it
    takes messages.

    Exit codes: 0 stopped, 3 certificates missing, 2 anything else.
    """
    if (pull_url is None) != (token_file is None):
        raise click.UsageError("--pull and --token-file belong together")
    clock: Clock = SystemClock()
    config = data_directory("config")
    if trust_directory is None:
        settings = settings_of(directory)
        config, trust_directory, clock = settings.config_directory, settings.trust_directory, clock_of(settings)
    log_to_stderr()
    receiver = Receiver(
        inbox,
        trust_directory,
        JsonLines(None if out == "-" else Path(out)),
        pull=None if pull_url is None or token_file is None else _pull(pull_url, token_file, every),
        clock=clock,
        path=path,
        roles=configuration.load(config).policy.certificate_roles.responses,
    )
    # Once here, so that what is wrong with it is said in one line.
    Inbox(inbox).close()
    if retry_parked:
        asyncio.run(_retried(receiver))
    with listen_on(host, port) as listening:
        address = f"http://{url_host(host)}:{listening.getsockname()[1]}{path}"
        served = uvicorn.Config(
            receiver,
            loop="uvloop",
            http="httptools",
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
        )
        server = ReadyServer(served, saying(f"ready: {address}", to_stderr=True))
        # As in `serve`: uvicorn raises a signal it has obeyed once more.
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, server.handle_exit)
        try:
            server.run(sockets=[listening])
        except SystemExit:
            raise Failure("the receiver could not start; the lines above say why") from None
    click.echo("stopped", err=True)


def _pull(url: str, token_file: Path, every: float) -> Pull:
    token = token_file.read_text(encoding="utf-8").strip()
    if not token or len(token.split()) != 1:
        raise Failure(f"{token_file} does not hold one token")
    try:
        return Pull(url, token, every=timedelta(seconds=every))
    except ValueError as error:
        raise Failure(f"nothing can be fetched with --pull and --token-file: {error}") from None


async def _retried(receiver: Receiver) -> None:
    async with receiver.running():
        count = await receiver.retry_parked()
    print(f"{count} messages are tried once more", file=sys.stderr)
