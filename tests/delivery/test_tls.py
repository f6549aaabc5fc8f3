"""What is shown to receivers at https addresses, and whom the processor trusts there."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from sr_engine.peers import certified_eui
from sr_engine.store.outbox import UPGRADE_LIST, Outgoing, put
from sr_engine.store.tables import outbox
from tests.authority import Authority, common_name, unique_identifier
from tests.gateway.conftest import still
from tests.gateway.guarded import append, guarded
from tests.world import BROKER, SECONDS, A, TestHub, World, edit, make_world

CSP = "csp:North"
SECRET = "a-part-of-the-address-that-nobody-else-knows"


class Receiver(BaseHTTPRequestHandler):
    """Takes everything, and notes who brought it."""

    brought_by: list[str | None]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        connection: ssl.SSLSocket = self.connection
        shown = connection.getpeercert(binary_form=True)
        self.brought_by.append(None if shown is None else certified_eui(shown))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(HTTPServer):
    def handle_error(self, *_: object) -> None:
        """A handshake that fails is what is tested."""


@contextmanager
def receiver(
    servers: Authority, clients: Authority, *, address: str = "127.0.0.1", not_after: datetime | None = None
) -> Iterator[tuple[int, list[str | None]]]:
    """The port of a receiver that lets in whoever shows a certificate of the clients' authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own = servers.issue("receiver", common_name("receiver"), address=address, not_after=not_after)
    context.load_cert_chain(*own)
    context.load_verify_locations(clients.path)
    context.verify_mode = ssl.CERT_REQUIRED
    brought_by: list[str | None] = []
    with Server(("127.0.0.1", 0), type("Noting", (Receiver,), {"brought_by": brought_by})) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.server_address[1], brought_by
        server.shutdown()
        thread.join()


@contextmanager
def delivering(folder: Path, port: int, settings: str) -> Iterator[World]:
    """A world that has an alert for Supplier A, and a list for a CSP, both of whom receive at a port by https."""

    def prepare(directory: Path) -> None:
        still(directory)
        edit(directory / "users.toml", "http://127.0.0.1:8091/", f"https://127.0.0.1:{port}/{SECRET}/")
        edit(directory / "config" / "regions.toml", "http://127.0.0.1:8090/north", f"https://127.0.0.1:{port}/{SECRET}")
        append(directory, settings)

    world = make_world(folder, prepare=prepare)
    world.add_hubs([TestHub(1, gas=None)])
    world.open_release()
    listed = Outgoing("list-1", UPGRADE_LIST, CSP, "upgrade_list", b"<list/>")
    world.run(lambda uow: put(uow.connection, [listed], uow.now))
    with guarded(world):
        yield world
    world.close()


def tried(world: World, destination: str = f"user:{A.eui}") -> str | None:
    """What came of the first try at the alert, or the list; empty if it was taken, None before."""
    statement = select(outbox.c.state, outbox.c.last_error).where(outbox.c.destination == destination)
    with world.instance.reading_engine.connect() as connection:
        state, error = connection.execute(statement).first() or ("", None)
    return "" if state == "Delivered" else error


def test_a_receiver_sees_the_certificate_of_the_settings(tmp_path: Path) -> None:
    servers, clients = Authority(tmp_path, "servers"), Authority(tmp_path, "clients")
    certificate, key = clients.issue("own", unique_identifier(BROKER))
    own = f'[outgoing_tls.users]\ncertificate = "{certificate}"\nkey = "{key}"\ntrusted = "{servers.path}"'
    with receiver(servers, clients) as (port, brought_by), delivering(tmp_path / "i", port, own) as world:
        _until(lambda: tried(world) == "")

    assert brought_by == [BROKER]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("", "CertificateError"),
        ('[outgoing_tls.users]\ntrusted = "{folder}/others.pem"', "CertificateError"),
        ('[outgoing_tls.csps]\ntrusted = "{folder}/servers.pem"', "CertificateError"),
        ('[outgoing_tls.users]\ntrusted = "{folder}/servers.pem"', ""),
    ],
)
def test_to_a_receiver_that_is_not_trusted_or_does_not_trust_nothing_is_sent(
    tmp_path: Path, settings: str, said: str
) -> None:
    servers, clients, _ = (Authority(tmp_path, name) for name in ("servers", "clients", "others"))
    settings = settings.replace("{folder}", str(tmp_path))
    with receiver(servers, clients) as (port, brought_by), delivering(tmp_path / "i", port, settings) as world:
        _until(lambda: bool(tried(world)))
        assert said in (tried(world) or "")

    assert brought_by == []


@pytest.mark.parametrize(("named", "to"), [("users", f"user:{A.eui}"), ("csps", "csp:North")])
def test_what_is_shown_to_suppliers_and_csps_is_what_the_settings_name_for_each(
    tmp_path: Path, named: str, to: str
) -> None:
    servers, clients = Authority(tmp_path, "servers"), Authority(tmp_path, "clients")
    certificate, key = clients.issue("own", unique_identifier(BROKER))
    own = f'[outgoing_tls.{named}]\ncertificate = "{certificate}"\nkey = "{key}"\ntrusted = "{servers.path}"'
    other = {f"user:{A.eui}", CSP} - {to}
    with receiver(servers, clients) as (port, brought_by), delivering(tmp_path / "i", port, own) as world:
        _until(lambda: tried(world, to) == "" and all(tried(world, one) for one in other))

    assert brought_by == [BROKER]


@pytest.mark.parametrize("kind", ["users", "csps"])
@pytest.mark.parametrize(
    ("made", "said"),
    [
        ({"not_after": datetime.now(UTC) - timedelta(hours=1)}, "certificate has expired"),
        ({"address": "192.0.2.1"}, "IP address mismatch"),
    ],
)
def test_a_receiver_whose_certificate_is_of_another_name_or_time_gets_nothing_and_the_queue_says_why(
    tmp_path: Path, kind: str, made: dict[str, Any], said: str
) -> None:
    servers, clients = Authority(tmp_path, "servers"), Authority(tmp_path, "clients")
    certificate, key = clients.issue("own", unique_identifier(BROKER))
    own = f'[outgoing_tls.{kind}]\ncertificate = "{certificate}"\nkey = "{key}"\ntrusted = "{servers.path}"'
    to = CSP if kind == "csps" else f"user:{A.eui}"
    with receiver(servers, clients, **made) as (port, brought_by), delivering(tmp_path / "i", port, own) as world:
        _until(lambda: bool(tried(world, to)))
        error = tried(world, to) or ""

    assert said in error
    assert not [one for one in (SECRET, str(key), str(tmp_path)) if one in error]
    assert brought_by == []


def _until(true: Callable[[], bool]) -> None:
    for _ in range(SECONDS * 20):
        if true():
            return
        time.sleep(0.05)
    raise TimeoutError(f"it did not come true within {SECONDS} s")
