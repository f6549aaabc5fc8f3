"""Running the processor: `serve`."""

from __future__ import annotations

import errno
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click
import uvicorn
from starlette.applications import Starlette

from sr_engine.application import application
from sr_engine.bootstrap import Instance
from sr_engine.cli.failures import ANYTHING_ELSE, Failure, failure_of
from sr_engine.cli.opening import fully_opened, instance_option
from sr_engine.clock import SystemClock
from sr_engine.configuration import Configuration
from sr_engine.connections import Crowd
from sr_engine.gateway.working import Role
from sr_engine.heap import keep_what_is_there, share_arenas
from sr_engine.monitoring import counting_of, layout_of, monitoring_of
from sr_engine.observing.cells import Cells
from sr_engine.observing.logs import log_to_stderr
from sr_engine.operations.clocks import clock_differences
from sr_engine.processes import Processes
from sr_engine.serving import Door, GuardedServer, take_short_turns
from sr_engine.store.dialects import SQLITE
from sr_engine.tls import Renewable
from sr_engine.transport import connection_limits, incoming_tls, outgoing_tls, peers_of, watched_tls

log = logging.getLogger(__name__)

_STOP_WITHIN_SECONDS = 30
_STOP_ALL_WITHIN_SECONDS = 60
"""That processes have to answer what they have taken, and to give back what they hold."""
_ONE_WRITER = "SQLite has one writer at a time: %d processes answer all requests, but no more a second than one does"
_METRICS_ELSEWHERE = (
    "change [monitoring.metrics] in sr-engine.toml: without host and port, metrics are where requests arrive, which "
    "several processes of one instance need"
)
_BACKLOG = 2048
_ACCEPTED_AT_ONCE = 16
"""Connections taken in one turn of the event loop, which takes one of each socket: with a single socket a burst of new
connections would wait through as many commits."""


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
    help="gateway takes requests; worker runs what is due, and listens only if --port is given, for /health and "
    "/metrics; all does both.",
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
    _allow_connections()
    with ExitStack() as sockets:
        # Closed again before others are started: what is wrong is said once, with its exit code.
        with fully_opened(directory) as instance:
            log_to_stderr(instance.settings.monitoring.logging.format)
            if (official := instance.official_schema) is not None:
                log.info("official DUIS schema %s, from %s", official.version, official.path)
            incoming_tls(instance.settings)
            outgoing_tls(instance.settings)
            _warn_of_holidays(instance.configuration, instance.clock.now())
            _warn_of_others(instance)
            listen = instance.settings.listen
            taking: list[socket.socket] = []
            address = role.value
            # A worker that nobody asks how it is needs no port, and several on one computer would need several.
            if role is not Role.WORKER or port is not None:
                listening = listen_on(host or listen.host, listen.port if port is None else port)
                taking = [sockets.enter_context(listening)]
                taking += [sockets.enter_context(listening.dup()) for _ in range(_ACCEPTED_AT_ONCE - 1)]
                scheme = "http" if instance.settings.tls is None else "https"
                address = f"{scheme}://{url_host(host or listen.host)}:{listening.getsockname()[1]}"
            ready = f"ready: {address} ({instance.settings.environment})"
            cells = Cells(layout_of(instance.configuration).columns, workers)
            watching = [sockets.enter_context(one) for one in _listening_for_monitoring(instance)]
            served = Served(role, taking, watching, cells)
            if workers == 1:
                _serve_alone(instance, served, 0, saying(ready))
            elif role is not Role.WORKER and instance.engine.dialect.name == SQLITE:
                log.warning(_ONE_WRITER, workers)
        if workers > 1:
            _serve_together(directory, served, workers, ready)
    click.echo("stopped")


def _listening_for_monitoring(instance: Instance) -> list[socket.socket]:
    """Where metrics can be fetched, if they have a listener of their own."""
    metrics = instance.settings.monitoring.metrics
    if metrics is None or metrics.host is None or metrics.port is None:
        return []
    listening = listen_on(metrics.host, metrics.port, instead=_METRICS_ELSEWHERE)
    log.info("metrics: http://%s:%d/metrics", url_host(metrics.host), listening.getsockname()[1])
    return [listening]


@dataclass(frozen=True, slots=True)
class Served:
    """What processes of one parent have in common."""

    role: Role
    taking: Sequence[socket.socket]
    """Where requests arrive."""
    watching: Sequence[socket.socket]
    """Where monitoring asks, and whichever is free answers for all."""
    cells: Cells


def _serve_alone(
    instance: Instance, served: Served, number: int, ready: Callable[[], None], *, parent: int | None = None
) -> None:
    """Serve as process number so-and-so."""
    incoming = incoming_tls(instance.settings)
    counting = counting_of(instance, served.cells, number)
    app = application(
        instance, role=served.role, watched=watched_tls(instance.settings, {}, incoming), counting=counting
    )
    doors = [door_of(instance, served.taking, incoming)]
    if served.watching:
        limits = connection_limits(instance.configuration.policy)
        doors.append(Door(served.watching, Crowd(limits), application=monitoring_of(instance, counting)))
    keep_what_is_there()
    share_arenas()
    take_short_turns()
    run_until_told(app, doors, ready, parent=parent)


def door_of(instance: Instance, taking: Sequence[socket.socket], tls: Renewable | None = None) -> Door:
    """Where requests of an instance arrive, with the limits of its policy."""
    limits = connection_limits(instance.configuration.policy)
    return Door(taking, Crowd(limits, is_proxy=peers_of(instance.settings).is_proxy), tls)


def _serve_together(directory: Path, served: Served, workers: int, ready: str) -> None:
    """The processes inherit the sockets: whichever is free takes the next connection, and none waits for a dead one."""

    def work(number: int, is_ready: Callable[[], None], parent: int) -> None:
        try:
            with fully_opened(directory) as instance:
                _serve_alone(instance, served, number, is_ready, parent=parent)
        except Exception as error:
            failure_of(error).show()
            sys.exit(ANYTHING_ELSE)

    Processes(work, workers, stop_within_seconds=_STOP_ALL_WITHIN_SECONDS).run(saying(ready))


def run_until_told(
    app: Starlette, doors: Sequence[Door], ready: Callable[[], None], *, parent: int | None = None
) -> None:
    """Serve through some doors until told to stop, and call `ready` once requests are taken; raises Failure.

    `parent` is a descriptor that reports its end when the process that started this one is gone, which ends this one.
    """
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_STOP_WITHIN_SECONDS,
    )
    server = GuardedServer(config, ready, doors, parent=parent)
    # Whoever waits for changes is let go at once, rather than when the time for stopping is up.
    app.state.is_stopping = lambda: server.should_exit
    # uvicorn raises a signal it has obeyed once more when it is done: it must find a handler that lets us return.
    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, server.handle_exit)
    try:
        server.run()
    except SystemExit:
        raise Failure("the processor could not start; the lines above say why") from None


def _allow_connections() -> None:
    """Let the process have as many files and connections open as the system allows it to ask for."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _warn_of_others(instance: Instance) -> None:
    """Say so in the log if this computer's clock differs from others' by which work is shared, or their version may."""
    clock = instance.settings.clock
    with instance.reading_engine.connect() as connection:
        if instance.changing.mixed(connection):
            log.warning(
                "processes of a version before may be at work: once none is, `sr-engine db upgrade --all-replaced`"
            )
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


def listen_on(host: str, port: int, *, instead: str = "choose another with --port") -> socket.socket:
    """A socket that listens; raises Failure, saying what to do, if there can be none."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Failure(f"port {port} of {host} is taken: stop what listens there, or {instead}") from None
        raise Failure(f"cannot listen on {host}, port {port}: {error.strerror}") from None


def url_host(host: str) -> str:
    """A host as it is written in a URL."""
    return f"[{host}]" if ":" in host else host
