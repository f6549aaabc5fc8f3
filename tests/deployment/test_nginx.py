"""The example of a reverse proxy: a real nginx before two gateways, with client certificates."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from sr_engine.messages.model import ReadInventory
from tests.authority import Authority, common_name, unique_identifier
from tests.deployment.files import INSTANCE, PROGRAM, program_in, unit
from tests.deployment.nginx import WAIT, Reply, ask, program, serving
from tests.gateway.conftest import still
from tests.ports import reserved_port
from tests.world import A, B, TestHub, World, make_world

HUB = TestHub(1)
SERVICE = "/api/v1/serviceD"
PROXY = '\n[proxy]\naddresses = ["127.0.0.1"]\nclient_certificate = "required"\n'
MEBIBYTE = 1024 * 1024

pytestmark = pytest.mark.slow


@dataclass
class Place:
    """Where nginx listens, and who can connect."""

    world: World
    port: int
    servers: Authority
    clients: Authority
    gateways: list[subprocess.Popen[bytes]]
    gateway_ports: list[int]

    def context(self, certificate: tuple[Path, Path] | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.servers.path))
        # The server's certificate is for its address, and here the name chooses among servers.
        context.check_hostname = False
        if certificate is not None:
            context.load_cert_chain(*certificate)
        return context

    def as_user(self, eui: str) -> ssl.SSLContext:
        return self.context(self.clients.issue(eui, unique_identifier(eui)))

    def inventory(self, context: ssl.SSLContext, **headers: str) -> Reply:
        """A's request."""
        data = self.world.signed(A, ReadInventory(device_id=HUB.chf), "8.2")
        return ask(self.port, context, SERVICE, data, headers={k.replace("_", "-"): v for k, v in headers.items()})


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    program()
    folder = tmp_path_factory.mktemp("nginx")
    servers, clients = Authority(folder, "servers"), Authority(folder, "clients")
    certificate, key = servers.issue("server", common_name("127.0.0.1"))
    revoked, _ = clients.issue("revoked", unique_identifier(A.eui))
    crl = clients.revoke([revoked])

    def prepare(directory: Path) -> None:
        still(directory)
        with (directory / "sr-engine.toml").open("a", encoding="utf-8") as settings:
            settings.write(PROXY)

    world = make_world(folder / "instance", datetime.now(UTC), prepare=prepare)
    world.add_hubs([HUB])
    with ExitStack() as stack:
        stack.callback(world.close)
        ports = [stack.enter_context(reserved_port()) for _ in range(3)]
        gateways = [stack.enter_context(_gateway(folder, world, port)) for port in ports[1:]]
        for one in gateways:
            stack.callback(one.kill)
        paths = {
            "/etc/sr-engine/tls/server.pem": str(certificate),
            "/etc/sr-engine/tls/server-key.pem": str(key),
            "/etc/sr-engine/tls/client-ca.pem": str(clients.path),
            "/etc/sr-engine/tls/client-crl.pem": str(crl),
            "127.0.0.1:8081": f"127.0.0.1:{ports[1]}",
            "127.0.0.1:8082": f"127.0.0.1:{ports[2]}",
        }
        (folder / "run").mkdir()
        stack.enter_context(serving(folder / "run", paths, ports[0]))
        yield Place(world, ports[0], servers, clients, gateways, ports[1:])


def _gateway(folder: Path, world: World, port: int) -> subprocess.Popen[bytes]:
    """As its unit starts it; returns once it is ready."""
    gateway = unit("sr-engine-gateway@.service")
    paths = {INSTANCE: str(world.directory), PROGRAM: str(program_in(folder)), "18081": str(port)}
    process = subprocess.Popen(
        gateway.command("ExecStart", paths), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    subprocess.run(gateway.command("ExecStartPost", paths), timeout=WAIT, check=True)
    return process


def test_a_user_is_answered_over_its_own_connection_and_over_no_other(place: Place) -> None:
    own = place.inventory(place.as_user(A.eui))
    others = place.inventory(place.as_user(B.eui))

    assert own.status == 200
    assert b"ResponseCode>I0<" in own.body
    assert b"ResponseCode>E100<" in others.body
    assert HUB.chf.encode() not in others.body


def test_nobody_is_let_in_without_a_certificate_or_with_one_that_is_revoked_or_of_another_authority(
    place: Place, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path, "strangers").issue("stranger", unique_identifier(A.eui))
    revoked = (place.clients.path.parent / "revoked.crt", place.clients.path.parent / "revoked.key")

    for certificate in (None, stranger, revoked):
        assert place.inventory(place.context(certificate)).status == 400


def test_what_a_client_says_of_its_certificate_counts_for_nothing(place: Place) -> None:
    certificate, _ = place.clients.issue("forged", unique_identifier(A.eui))
    said = {
        "X_Client_Certificate": quote(certificate.read_text(encoding="ascii")),
        "X_Client_Verified": "SUCCESS",
        "X_Forwarded_For": "127.0.0.1",
    }

    assert b"ResponseCode>E100<" in place.inventory(place.as_user(B.eui), **said).body
    people = ask(place.port, place.context(), "/api/v2/hubs", host="people.example", headers={"X-Client-Verified": "x"})
    assert people.status == 401


def test_who_connects_to_a_gateway_past_the_proxy_is_not_let_in(place: Place) -> None:
    data = place.world.signed(A, ReadInventory(device_id=HUB.chf), "8.2")
    command = ["curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--data-binary", "@-"]
    command += ["--header", "Content-Type: application/xml", f"http://127.0.0.1:{place.gateway_ports[0]}{SERVICE}"]

    assert subprocess.run(command, input=data, capture_output=True, timeout=WAIT, check=True).stdout == b"403"


def test_people_come_without_a_certificate_and_get_to_their_pages_alone(place: Place) -> None:
    context = place.context()

    page = ask(place.port, context, "/console/sign-in", host="people.example")
    assert (page.status, b"<form" in page.body) == (200, True)
    assert ask(place.port, context, SERVICE, b"<x/>", host="people.example").status == 404
    for path in ("/metrics", "/health/ready", "/operator/quarantine", "/"):
        assert ask(place.port, context, path, host="people.example").status == 404
        assert ask(place.port, place.as_user(A.eui), path).status == 404
    # With the one name in the handshake and the other in the request nobody gets round the certificate.
    assert ask(place.port, context, SERVICE, b"<x/>", name="people.example", host="duis.example").status == 421


def test_what_is_too_large_is_refused_by_the_processor_and_what_is_far_too_large_by_the_proxy(place: Place) -> None:
    context = place.as_user(A.eui)

    by_processor = ask(place.port, context, SERVICE, b"x" * (16 * MEBIBYTE + 1))
    by_proxy = ask(place.port, context, SERVICE, b"x" * (18 * MEBIBYTE))

    assert (by_processor.status, by_processor.headers["Content-Type"]) == (413, "application/problem+xml")
    assert by_proxy.status == 413


def test_other_suites_than_those_of_the_processor_are_not_spoken(place: Place) -> None:
    context = place.as_user(A.eui)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305")

    with pytest.raises((ssl.SSLError, ConnectionError)):
        place.inventory(context)


def test_with_a_gateway_killed_among_requests_every_one_is_answered_by_the_other(place: Place) -> None:
    context = place.as_user(A.eui)
    first, _ = place.gateways

    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(place.inventory, context) for _ in range(60)]
        asked[10].result()
        first.kill()
        answers = [one.result() for one in asked]
    first.wait(WAIT)

    assert [b"ResponseCode>I0<" in one.body for one in answers] == [True] * 60
