"""What is shown to an upstream DCC at an https address, and whom the processor trusts there."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.authority import Authority, common_name, unique_identifier
from tests.gateway.guarded import Guarded, append, guarded
from tests.gateway.test_relay import UNOFFERED
from tests.gateway.upstream import ANSWER, Upstream, upstream
from tests.world import BROKER, A, make_world


def served_by(servers: Authority, clients: Authority, **made: Any) -> ssl.SSLContext:
    """For an upstream that lets in whoever shows a certificate of the clients' authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*servers.issue("upstream", common_name("upstream"), **made))
    context.load_verify_locations(clients.path)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


@contextmanager
def relaying(folder: Path, dcc: Upstream, settings: str) -> Iterator[Guarded]:
    def prepare(directory: Path) -> None:
        dcc.prepare()(directory)
        append(directory, settings)

    world = make_world(folder, prepare=prepare)
    with guarded(world) as running:
        yield running
    world.close()


def own(clients: Authority, trusted: Path) -> str:
    certificate, key = clients.issue("own", unique_identifier(BROKER))
    return f'[outgoing_tls.relay]\ncertificate = "{certificate}"\nkey = "{key}"\ntrusted = "{trusted}"'


def test_a_request_is_relayed_to_an_upstream_that_is_trusted_and_sees_our_certificate(tmp_path: Path) -> None:
    servers, clients = Authority(tmp_path, "servers"), Authority(tmp_path, "clients")
    with (
        upstream(served_by(servers, clients)) as dcc,
        relaying(tmp_path / "i", dcc, own(clients, servers.path)) as served,
    ):
        answer = served.post(served.world.signed(A, *UNOFFERED))

    assert (answer.status, answer.body) == (200, ANSWER)
    assert len(dcc.asked) == 1


@pytest.mark.parametrize(
    ("trusted", "made"),
    [
        ("others", {}),
        ("servers", {"address": "192.0.2.1"}),
        ("servers", {"not_after": datetime.now(UTC) - timedelta(hours=1)}),
    ],
)
def test_to_an_upstream_of_another_authority_name_or_time_nothing_is_sent(
    tmp_path: Path, trusted: str, made: dict[str, Any]
) -> None:
    servers, clients, _ = (Authority(tmp_path, name) for name in ("servers", "clients", "others"))
    settings = own(clients, tmp_path / f"{trusted}.pem")
    with upstream(served_by(servers, clients, **made)) as dcc, relaying(tmp_path / "i", dcc, settings) as served:
        answer = served.post(served.world.signed(A, *UNOFFERED))

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5"), "it was not sent, and may be sent again"
    assert str(tmp_path).encode() not in answer.body
    assert dcc.asked == []


def test_an_upstream_that_does_not_trust_us_is_asked_nothing(tmp_path: Path) -> None:
    servers, clients = Authority(tmp_path, "servers"), Authority(tmp_path, "clients")
    settings = f'[outgoing_tls.relay]\ntrusted = "{servers.path}"'
    with upstream(served_by(servers, clients)) as dcc, relaying(tmp_path / "i", dcc, settings) as served:
        answer = served.post(served.world.signed(A, *UNOFFERED))

    assert answer.status in {502, 503}
    assert dcc.asked == []
