"""Running the sign/verify service: `sign-server`."""

from __future__ import annotations

import ipaddress
import logging
import socket
import ssl
import sys
from contextlib import ExitStack
from pathlib import Path

import click

from sr_engine import configuration
from sr_engine.cli.failures import Failure
from sr_engine.cli.messages import key_password
from sr_engine.cli.opening import instance_option, settings_of
from sr_engine.cli.serve import listen_on, url_host
from sr_engine.clock import SystemClock
from sr_engine.configuration import clock_of
from sr_engine.counters import FILE_NAME
from sr_engine.observing.logs import log_to_stderr
from sr_engine.resources import data_directory
from sr_engine.signservice.server import Options, Tls, parts_of, run
from sr_engine.signservice.service import AcceptedRoles
from sr_engine.signservice.workers import Workers

log = logging.getLogger(__name__)

_OURS = "ours"
_BACKLOG = 2048

_path = click.Path(path_type=Path)


@click.command("sign-server", short_help="Sign and verify messages over HTTP.")
@instance_option
@click.option("--keys", type=_path, help="Folder of keys: folders in it with a key.pem and a certificate.pem.")
@click.option("--trust", type=_path, help="Folder of trusted certificates; with --keys, instead of an instance.")
@click.option(
    "--counters",
    type=_path,
    help=f"File of counters, on a local disk; otherwise {FILE_NAME} in the instance or --keys.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8100, show_default=True, type=click.IntRange(0, 65_535), help="Port to listen on; 0: any free."
)
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Number of processes.")
@click.option("--schema", default=_OURS, show_default=True, metavar="ours|PATH", help="Our schema or another XSD.")
@click.option(
    "--role",
    "roles",
    multiple=True,
    help="Remote-party role that may sign Responses, instead of the policy's; repeats.",
)
@click.option("--accept-unsigned", is_flag=True, help="/verify lets every valid Response pass that is not signed.")
@click.option(
    "--token-file", type=_path, help="Ask for tokens: a file with a line `TOKEN EUI[,EUI...]` for each caller."
)
@click.option("--tls-cert", type=_path, help="Serve HTTPS with this certificate (PEM).")
@click.option("--tls-key", type=_path, help="Its private key (PEM).")
@click.option(
    "--tls-client-ca",
    type=_path,
    help="Ask for client certificates of these issuers (PEM); each may sign for the EUI-64 in its subject.",
)
def sign_server(
    *,
    directory: Path,
    keys: Path | None,
    trust: Path | None,
    counters: Path | None,
    host: str,
    port: int,
    workers: int,
    schema: str,
    roles: tuple[str, ...],
    accept_unsigned: bool,
    token_file: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
) -> None:
    """Sign and verify messages over HTTP, with the API of the DCC Boxed signing tool.

    POST /sign and POST /verify take {"message": BASE64} and answer the same. Keys, trusted certificates and tokens that
    change are read again within a second or two, or on SIGHUP. Any address but the loopback one needs --token-file or
    --tls-client-ca. The password of encrypted keys is taken from the environment variable SR_ENGINE_KEY_PASSWORD.

    Prints one line to stdout once it takes requests, and what it refuses to stderr.
    """
    if (keys is None) != (trust is None):
        raise click.UsageError("--keys and --trust belong together; without them the instance's are used")
    tls = _tls(tls_cert, tls_key, tls_client_ca)
    if token_file is not None and tls_client_ca is not None:
        raise click.UsageError("callers are known by --token-file or by --tls-client-ca, not by both")
    if token_file is None and tls_client_ca is None and not _is_loopback(host):
        raise click.UsageError(f"{host} can be reached by others: it needs --token-file or --tls-client-ca")
    if keys is None or trust is None:
        settings = settings_of(directory)
        policy = configuration.load(settings.config_directory).policy
        keys, trust, clock = directory / "pki", settings.trust_directory, clock_of(settings)
        counters = counters or directory / FILE_NAME
    else:
        policy = configuration.load(data_directory("config")).policy
        clock = SystemClock()
    options = Options(
        keys=keys,
        trust=trust,
        counters=counters or keys / FILE_NAME,
        schema=data_directory("xsd") / "duis.xsd" if schema == _OURS else Path(schema),
        roles=AcceptedRoles(policy.certificate_roles.requests, frozenset(roles) or policy.certificate_roles.responses),
        crl_grace=policy.trust.crl_grace,
        clock=clock,
        accept_unsigned=accept_unsigned,
        tokens=token_file,
        tls=tls,
        key_password=key_password(),
    )
    log_to_stderr()
    if token_file is not None and tls is None and not _is_loopback(host):
        log.warning("tokens and messages cross the network unencrypted: consider --tls-cert and --tls-key")
    _serve(options, host, port, workers)
    click.echo("stopped")


def _serve(options: Options, host: str, port: int, workers: int) -> None:
    try:
        # Once here, so that what is wrong is said once and with its exit code.
        with parts_of(options):
            pass
        with ExitStack() as open_sockets:
            listening = [open_sockets.enter_context(one) for one in _listening(host, port, workers)]
            scheme = "http" if options.tls is None else "https"
            address = f"{scheme}://{url_host(host)}:{listening[0].getsockname()[1]}"

            def ready() -> None:
                click.echo(f"ready: {address}")
                sys.stdout.flush()

            if workers == 1:
                run(options, listening[0], ready)
            else:
                Workers(options, listening).run(ready)
    except SystemExit:
        raise Failure("the service could not start; the lines above say why") from None


def _listening(host: str, port: int, workers: int) -> list[socket.socket]:
    """One listening socket for each worker, all on one address."""
    first = listen_on(host, port)
    if workers == 1:
        return [first]
    # The first finds a free port, or that somebody has it: sockets that share a port would not notice.
    address, family = first.getsockname(), first.family
    first.close()
    return [socket.create_server(address[:2], family=family, backlog=_BACKLOG, reuse_port=True) for _ in range(workers)]


def _tls(certificate: Path | None, key: Path | None, client_authorities: Path | None) -> Tls | None:
    if certificate is None and key is None:
        if client_authorities is not None:
            raise click.UsageError("--tls-client-ca needs --tls-cert and --tls-key")
        return None
    if certificate is None or key is None:
        raise click.UsageError("--tls-cert and --tls-key belong together")
    for path in (certificate, key, client_authorities):
        if path is not None and not path.is_file():
            raise Failure(f"there is no file {path}")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key, password="")
        if client_authorities is not None:
            context.load_verify_locations(client_authorities)
    except (ssl.SSLError, OSError):
        raise Failure(
            "--tls-cert, --tls-key (not encrypted) and --tls-client-ca must be PEM files that match"
        ) from None
    return Tls(certificate, key, client_authorities)


def _is_loopback(host: str) -> bool:
    """Whether every address the host name stands for can be reached from this machine only."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Failure(f"cannot listen on {host}: {error.strerror}") from None
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)
