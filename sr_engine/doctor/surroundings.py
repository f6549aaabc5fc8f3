"""Looks at what an instance needs beside its files: database, clocks, receivers, its own address."""

from __future__ import annotations

import http.client
import resource
import socket
import ssl
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError

from sr_engine.clock import SystemClock
from sr_engine.configuration import Configuration, Settings, UserDirectory, clock_of
from sr_engine.doctor.findings import Finding, error, ok, warning
from sr_engine.operations.clocks import clock_differences
from sr_engine.store import circuits, standing
from sr_engine.store.database import DatabaseError, check_order, check_tables, open_engine, schema_state
from sr_engine.store.schema import Standing

WAIT_SECONDS = 3.0
SPARE_FILES = 200
"""Open files beside connections."""
_AT_ONCE = 16


def database(settings: Settings, loaded: Configuration) -> Iterator[Finding]:
    """That it is there, of the right schema, and what waits in it; and that the clocks agree that rest on it."""
    try:
        engine = open_engine(settings.database_url, read_only=True)
    except DatabaseError as wrong:
        yield error("database", str(wrong), "put database_url right, or let its server be reached")
        return
    try:
        state = schema_state(engine)
        check_tables(engine)
        with engine.connect() as connection:
            check_order(connection)
            yield ok("database", f"{engine.dialect.name}, schema of revision {state.revision}")
            if state.standing is Standing.NEWER:
                yield warning(
                    "database", "a later version has brought its schema forward", "replace this version by that one"
                )
            if state.standing is Standing.MIXED:
                yield warning(
                    "database",
                    "processes of a version before may be at work, and what they would not understand is not used yet",
                    "restart all with this version, then `sr-engine db upgrade --all-replaced`",
                )
            clock = settings.clock
            differences = clock_differences(
                connection,
                real=SystemClock(),
                own=clock_of(settings),
                rate=1.0 if clock is None else clock.rate,
                allowed=loaded.policy.leases.clock_difference,
            )
            for line in differences:
                yield error("clock", line, "let all computers keep their time by NTP")
            if not differences:
                yield ok("clock", "agrees with the database's and with other processes'")
            if given_up := sum(standing.parked(connection).values()):
                says = f"{given_up} message(s) were given up"
                yield warning("deliveries", says, "`sr-engine outbox list` shows them, `resend` sends them again")
            for one in circuits.all_open(connection):
                yield warning(
                    "deliveries",
                    f"{one.destination} has failed since {one.opened_at:%Y-%m-%d %H:%MZ}: {one.last_error}",
                    "ask whoever runs it; what waits is sent once it is back",
                )
    except DatabaseError as wrong:
        yield error("database", str(wrong), "do as it says")
    except SQLAlchemyError as wrong:
        yield error(
            "database", str(getattr(wrong, "orig", wrong)), "look whether its server runs, and lets this user in"
        )
    finally:
        engine.dispose()


def receivers(
    settings: Settings, loaded: Configuration, users: UserDirectory, tls: Mapping[str, ssl.SSLContext]
) -> Iterator[Finding]:
    """That whoever is sent to can be reached; nothing is sent."""
    sought = [("user", f"User {user.eui}", user.receiving_url) for user in users.users()]
    sought += [("csp", f"the CSP of {region.name}", region.endpoint) for region in loaded.regions.values()]
    if settings.relay is not None:
        sought.append(("relay", "the upstream DCC", settings.relay.url))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        said = list(pool.map(lambda one: _reached(one[2], tls.get(one[0])), sought))
    reached = sum(one is None for one in said)
    yield ok("receivers", f"{reached} of {len(sought)} can be reached")
    for (_, name, url), why in zip(sought, said, strict=True):
        if why is not None:
            yield warning(
                "receivers",
                f"{name} at {url} cannot be reached: {why}",
                "put the address right, or ask whoever runs it",
            )


def _reached(url: str, tls: ssl.SSLContext | None) -> str | None:
    """Why not, None if a connection can be made."""
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    try:
        with socket.create_connection((host, parts.port or (443 if secure else 80)), WAIT_SECONDS) as connection:
            if secure:
                context = tls or ssl.create_default_context()
                context.wrap_socket(connection, server_hostname=host).close()
    except (OSError, ValueError) as wrong:
        # A name that can be none, as with a label too long, is no error of the system's.
        return getattr(wrong, "verify_message", "") or getattr(wrong, "strerror", "") or str(wrong)
    return None


def own_address(settings: Settings) -> Iterator[Finding]:
    """That the address is free, or that it is this that serves there."""
    host, port = settings.listen.host, settings.listen.port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        socket.create_server((host, port), family=family).close()
    except OSError as wrong:
        if _lives(settings):
            yield ok("address", f"a processor serves at {host}, port {port}")
            return
        yield error(
            "address",
            f"{host}, port {port}, cannot be listened on: {wrong.strerror}",
            "stop what listens there, or put [listen] right",
        )
        return
    yield ok("address", f"{host}, port {port}, is free")


def _lives(settings: Settings) -> bool:
    host, port = settings.listen.host, settings.listen.port
    if settings.tls is not None:
        # Who it is does not matter, and it may ask for a certificate: that it speaks TLS is enough.
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with suppress(OSError), socket.create_connection((host, port), WAIT_SECONDS) as plain:
            context.wrap_socket(plain).close()
            return True
        return False
    plainly = http.client.HTTPConnection(host, port, timeout=WAIT_SECONDS)
    with suppress(OSError, http.client.HTTPException), closing(plainly) as connection:
        connection.request("GET", "/health/live")
        return connection.getresponse().read().startswith(b"alive")
    return False


def open_files(loaded: Configuration) -> Iterator[Finding]:
    """That as many connections can be open as policy grants."""
    most, (_, allowed) = loaded.policy.connections.most, resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed != resource.RLIM_INFINITY and allowed < most + SPARE_FILES:
        yield warning(
            "open files",
            f"a process may have {allowed} files open, and [connections] of policy.toml grants {most} connections",
            f"raise the limit to {most + SPARE_FILES} (LimitNOFILE of systemd), or lower `most`",
        )
