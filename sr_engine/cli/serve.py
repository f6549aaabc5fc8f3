"""Running the processor: `serve`."""

from __future__ import annotations

import errno
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import click
import uvicorn
from starlette.applications import Starlette

from sr_engine.bootstrap import Instance, application
from sr_engine.cli.failures import ANYTHING_ELSE, Failure, failure_of
from sr_engine.cli.opening import fully_opened, instance_option
from sr_engine.clock import SystemClock
from sr_engine.configuration import Configuration
from sr_engine.gateway.working import Role
from sr_engine.operations.clocks import clock_differences
from sr_engine.processes import Processes
from sr_engine.serving import ReadyServer
from sr_engine.store.dialects import SQLITE

log = logging.getLogger(__name__)

_STOP_WITHIN_SECONDS = 30
_STOP_ALL_WITHIN_SECONDS = 60
"""That processes have to answer what they have taken, and to give back what they hold."""
_ONE_WRITER = "SQLite has one writer at a time: %d processes answer all requests, but no more a second than one does"
_BACKLOG = 2048
_ACCEPTED_AT_ONCE = 16
"""Connections taken in one turn of the event loop, which takes one of each socket: with a single socket a burst of new
connections would wait through as many commits."""


_SWITCH_SECONDS = 0.001
"""How long a thread may go on while another waits to. The one that writes comes back from the database some twenty
times in a transaction; with Python's own 5 ms it could wait each time for one that reads a large message."""


@click.command(short_help="Run the processor until it is told to stop.")
@instance_option
@click.option("--host", help="Address to listen on, instead of the one in the settings.")
@click.option(
    "--port", type=click.IntRange(0, 65_535), help="Port to listen on, instead of the one in the settings; 0: any free."
)
@click.option(
    "--role",
    "named",
    type=click.Choice([role.value for role in Role], case_sensitive=False),
    default=Role.ALL.value,
    show_default=True,
    help="gateway takes requests; worker runs what is due, and listens only if --port is given, for GET /health/live; "
    "all does both.",
)
@click.option(
    "--workers",
    default=1,
    show_default=True,
    type=click.IntRange(1, 64),
    help="Number of processes of this role, on one port; each that dies is started again.",
)
def serve(*, directory: Path, host: str | None, port: int | None, named: str, workers: int) -> None:
    """Run the processor until it is told to stop (Ctrl-C or SIGTERM).

    Prints one line to stdout once it takes requests, and then one line per exchange to stderr. Several processes may
    serve one instance: each piece of work that is due is done by the one that holds its lease.
    """
    role = Role(named)
    log_to_stderr()
    sys.setswitchinterval(_SWITCH_SECONDS)
    with ExitStack() as sockets:
        # Closed again before others are started: what is wrong is said once, with its exit code.
        with fully_opened(directory) as instance:
            if (official := instance.official_schema) is not None:
                log.info("official DUIS schema %s, from %s", official.version, official.path)
            _warn_of_holidays(instance.configuration, instance.clock.now())
            _warn_of_clocks(instance)
            listen = instance.settings.listen
            taking: list[socket.socket] = []
            address = role.value
            # A worker that nobody asks how it is needs no port, and several on one computer would need several.
            if role is not Role.WORKER or port is not None:
                listening = listen_on(host or listen.host, listen.port if port is None else port)
                taking = [sockets.enter_context(listening)]
                taking += [sockets.enter_context(listening.dup()) for _ in range(_ACCEPTED_AT_ONCE - 1)]
                address = f"http://{url_host(host or listen.host)}:{listening.getsockname()[1]}"
            ready = f"ready: {address} ({instance.settings.environment})"
            if workers == 1:
                run_until_told(application(instance, role=role), taking, saying(ready))
            elif role is not Role.WORKER and instance.engine.dialect.name == SQLITE:
                log.warning(_ONE_WRITER, workers)
        if workers > 1:
            _serve_together(directory, role, taking, workers, ready)
    click.echo("stopped")


def _serve_together(directory: Path, role: Role, taking: list[socket.socket], workers: int, ready: str) -> None:
    """The processes inherit the sockets: whichever is free takes the next connection, and none waits for a dead one."""

    def work(_number: int, is_ready: Callable[[], None], parent: int) -> None:
        try:
            with fully_opened(directory) as instance:
                run_until_told(application(instance, role=role), taking, is_ready, parent=parent)
        except Exception as error:
            failure_of(error).show()
            sys.exit(ANYTHING_ELSE)

    Processes(work, workers, stop_within_seconds=_STOP_ALL_WITHIN_SECONDS).run(saying(ready))


def run_until_told(
    app: Starlette, taking: list[socket.socket], ready: Callable[[], None], *, parent: int | None = None
) -> None:
    """Serve on some sockets until told to stop, and call `ready` once requests are taken; raises Failure.

    `parent` is a descriptor that reports its end when the process that started this one is gone, which ends this one.
    """
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_STOP_WITHIN_SECONDS,
    )
    server = ReadyServer(config, ready, parent=parent)
    # Whoever waits for changes is let go at once, rather than when the time for stopping is up.
    app.state.is_stopping = lambda: server.should_exit
    # uvicorn raises a signal it has obeyed once more when it is done: it must find a handler that lets us return.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, server.handle_exit)
    try:
        server.run(sockets=taking)
    except SystemExit:
        raise Failure("the processor could not start; the lines above say why") from None


def _warn_of_clocks(instance: Instance) -> None:
    """Say so in the log if this computer's clock differs from others' by which work is shared."""
    clock = instance.settings.clock
    with instance.reading_engine.connect() as connection:
        for line in clock_differences(
            connection,
            real=SystemClock(),
            own=instance.clock,
            rate=1.0 if clock is None else clock.rate,
            allowed=instance.configuration.policy.leases.clock_difference,
        ):
            log.warning("%s", line)


def _warn_of_holidays(loaded: Configuration, now: datetime) -> None:
    """Say so in the log if hubs can be scheduled for dates of which nobody knows whether they are bank holidays."""
    furthest = (now + loaded.policy.horizon.upgrade_window).date()
    if furthest > loaded.holidays_complete_until and any(one.bank_holidays for one in loaded.regions.values()):
        log.warning(
            "bank_holidays.toml: complete_until: %s, but hubs can be scheduled up to %s: name those that follow",
            loaded.holidays_complete_until,
            furthest,
        )


def saying(line: str, *, to_stderr: bool = False) -> Callable[[], None]:
    """What prints a line at once: on stdout, or on stderr where stdout is for other things."""

    def say() -> None:
        click.echo(line, err=to_stderr)
        sys.stdout.flush()

    return say


class _OneLine(logging.Formatter):
    """One line per record, whatever a message quotes; times in UTC."""

    converter = staticmethod(time.gmtime)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is the library's
        record.message = "".join(one if one.isprintable() else " " for one in record.message)
        return super().formatMessage(record)


def log_to_stderr() -> None:
    """Have what is logged written to stderr, one line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_OneLine("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("sr_engine").setLevel(logging.INFO)


def listen_on(host: str, port: int) -> socket.socket:
    """A socket that listens; raises Failure, saying what to do, if there can be none."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Failure(
                f"port {port} of {host} is taken: stop what listens there, or choose another with --port"
            ) from None
        raise Failure(f"cannot listen on {host}, port {port}: {error.strerror}") from None


def url_host(host: str) -> str:
    """A host as it is written in a URL."""
    return f"[{host}]" if ":" in host else host
