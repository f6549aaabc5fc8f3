"""One process of the service: its parts put together, and served over HTTP or HTTPS."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from signing import Trust, Verifier
from sr_engine.clock import Clock
from sr_engine.connections import CLIENT_CERTIFICATE
from sr_engine.counters import Counters
from sr_engine.messages.schema import Schema
from sr_engine.serving import ReadyServer
from sr_engine.signservice.app import Receive, Scope, Send, SignApplication
from sr_engine.signservice.keys import KeyRing
from sr_engine.signservice.permissions import Access, ClientCertificates, OpenAccess, Tokens
from sr_engine.signservice.service import AcceptedRoles, SignService
from sr_engine.watching import Watched, Watcher

_STOP_WITHIN_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Tls:
    """The service's own certificate and key, in PEM, and who issues the certificates that clients must show, if any."""

    certificate: Path
    key: Path
    client_authorities: Path | None


@dataclass(frozen=True, slots=True)
class Options:
    """All that the operator decides; every worker is given the same."""

    keys: Path
    trust: Path
    counters: Path
    schema: Path
    roles: AcceptedRoles
    crl_grace: timedelta
    clock: Clock
    accept_unsigned: bool = False
    tokens: Path | None = None
    tls: Tls | None = None
    key_password: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Parts:
    """The service of one process, ready to be served."""

    application: SignApplication
    watcher: Watcher


@contextlib.contextmanager
def parts_of(options: Options) -> Iterator[Parts]:
    """Read and check everything the service needs.

    Raises KeyUnavailable, SchemaUnusable, CountersUnusable or TokensUnusable, each naming the file.
    """
    trust = Trust.from_directory(options.trust, crl_grace=options.crl_grace)
    keys = KeyRing(options.keys, roles=options.roles.requests, password=options.key_password)
    watched = [
        Watched("the trusted certificates", options.trust, trust.reload),
        Watched("the signing keys", options.keys, keys.reload, pattern="*.pem"),
    ]
    access: Access = OpenAccess()
    if options.tokens is not None:
        access = tokens = Tokens(options.tokens)
        watched.append(Watched("the tokens", options.tokens, tokens.reload))
    elif options.tls is not None and options.tls.client_authorities is not None:
        access = ClientCertificates()
    schema = Schema(options.schema, signature_apart=True)
    counters = Counters(options.counters)
    try:
        service = SignService(
            schema=schema,
            verifier=Verifier(trust),
            keys=keys,
            counters=counters,
            clock=options.clock,
            roles=options.roles,
            accept_unsigned=options.accept_unsigned,
        )
        watcher = Watcher(watched)
        yield Parts(SignApplication(service, access, background=[watcher.running]), watcher)
    finally:
        counters.close()


def server_config(application: SignApplication, tls: Tls | None = None) -> uvicorn.Config:
    """How the application is served: with as little as possible around it."""
    return uvicorn.Config(
        application,
        loop="uvloop",
        http=_CertifiedProtocol if tls is not None else "httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_STOP_WITHIN_SECONDS,
        ssl_certfile=None if tls is None else str(tls.certificate),
        ssl_keyfile=None if tls is None else str(tls.key),
        ssl_ca_certs=None if tls is None or tls.client_authorities is None else str(tls.client_authorities),
        ssl_cert_reqs=ssl.CERT_NONE if tls is None or tls.client_authorities is None else ssl.CERT_REQUIRED,
    )


def run(options: Options, listening: socket.socket, ready: Callable[[], None], *, parent: int | None = None) -> None:
    """Serve in this process until SIGTERM or SIGINT; SIGHUP has all files read again.

    `ready` is called once requests are taken. `parent` is a descriptor that reports its end when the process that
    started this one is gone, which ends this one too. Raises what `parts_of` does, and SystemExit if the server does
    not start.
    """
    with parts_of(options) as parts:
        server = ReadyServer(server_config(parts.application, options.tls), ready, parent=parent)
        # uvicorn raises a signal it has obeyed once more when it is done: it must find a handler that lets us return.
        for one in (signal.SIGTERM, signal.SIGINT):
            signal.signal(one, server.handle_exit)
        signal.signal(signal.SIGHUP, lambda _signal, _frame: parts.watcher.read_all())
        server.run(sockets=[listening])


class _CertifiedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which hands the client's TLS certificate on in the scope of each request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        tls: Any = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True)
        application: Any = self.app

        async def certified(scope: Scope, receive: Receive, send: Send) -> None:
            scope[CLIENT_CERTIFICATE] = certificate
            await application(scope, receive, send)

        self.app = certified
