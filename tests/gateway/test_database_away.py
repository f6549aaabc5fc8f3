"""A PostgreSQL that stays away for longer than is waited for: those who waited are told to send the same again."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from sqlalchemy import func, select

from signing import Signer
from sr_engine.client import Client, NotAnswered, Retries
from sr_engine.gateway.working import Role
from sr_engine.messages.csp import build_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, UpgradeListAcknowledgement
from sr_engine.operations.api_tokens import TokenDesk
from sr_engine.operations.audit_verification import verify
from sr_engine.store import transactions
from sr_engine.store.api_tokens import Scope
from sr_engine.store.tables import exchanges
from tests.client.conftest import options
from tests.gateway.conftest import XML_HEADERS, serving
from tests.gateway.test_registrations import MOVES, TOKEN, with_feed
from tests.postgres import PostgresServer, postgres_server
from tests.world import BROKER, FIRMWARE, NOW, A, TestHub, World, edit, make_world

HUB = TestHub(1)
WHERE = ("uvicorn", "sr_engine.gateway.app", "sr_engine.api", "sr_engine.console.app")
GIVEN_UP = "the database stays away, or in another's way; what waited for it has failed: 1"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with postgres_server(durable=True) as server:
        yield server


@pytest.fixture
def world(server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Whose transactions wait less long for a database that is away."""
    monkeypatch.setattr(transactions, "PAUSES", (0.01, 0.01))

    def prepare(directory: Path) -> None:
        with_feed(directory)
        edit(
            directory / "users.toml",
            f'eui = "{A.eui}"',
            f'eui = "{A.eui}"\ntoken_sha256 = "{sha256(A.name.encode()).hexdigest()}"',
        )

    world = make_world(tmp_path / "instance", database_url=server.new_database(), prepare=prepare)
    world.add_hubs([HUB])
    world.open_release()
    yield world
    world.close()


@contextmanager
def stopped(server: PostgresServer) -> Iterator[None]:
    """It is away until the end of the block."""
    server.stop()
    try:
        yield
    finally:
        server.start()


def of_requests(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """What was logged of them, beside what goes on by itself."""
    return [record for record in caplog.records if record.name.startswith(WHERE)]


def test_who_waited_for_the_database_is_told_to_send_the_same_again_and_is_answered_then(
    server: PostgresServer, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    request = world.signed(A, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (HUB.chf,)), "11.6")
    with serving(world, role=Role.GATEWAY) as served:
        with stopped(server):
            away = served.post(request)
        assert away.status == 503
        assert away.headers["Retry-After"] == "5"
        assert away.headers.get_content_type() == "application/problem+xml"
        assert "may have been taken" in away.detail
        assert "send it again in 5 s" in away.detail
        assert not of_requests(caplog)
        assert GIVEN_UP in {record.getMessage() for record in caplog.records}

        first, again = served.post(request), served.post(request)
    assert served.decoded(first).code == "I99"
    assert again.body == first.body
    with world.instance.reading_engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(exchanges)) == 1
        assert verify(connection, []).intact


def test_every_address_says_so(server: PostgresServer, world: World, caplog: pytest.LogCaptureFixture) -> None:
    region = world.instance.configuration.regions["Central"]
    message = UpgradeListAcknowledgement(RequestId.make(region.csp_eui, BROKER, 1), NOW, "L1", "Central", (HUB.chf,))
    acknowledgement = Signer(world.csp_key("Central")).sign(build_csp_message(message))
    desk = TokenDesk(world.instance.draw_id, world.instance.randbelow)
    secret = world.run(lambda uow: desk.create(uow, "crm", A.eui, frozenset({Scope.READ}))).secret
    posts: list[tuple[str, bytes, Mapping[str, str]]] = [
        ("csp", acknowledgement, XML_HEADERS),
        (
            "/registrations",
            json.dumps(MOVES).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"},
        ),
    ]
    gets: list[tuple[str, Mapping[str, str]]] = [
        ("/api/v1/messages", {"Authorization": f"Bearer {A.name}"}),
        ("/api/v2/hubs", {"Authorization": f"Bearer {secret}"}),
        ("/console/account", {"Cookie": "sr-console=somebody"}),
    ]
    with serving(world, role=Role.GATEWAY) as served, stopped(server):
        answers = {path: served.post(data, path, headers=headers) for path, data, headers in posts}
        answers |= {path: served.post(b"", path, headers=headers, method="GET") for path, headers in gets}

    told: dict[str, tuple[int, str | None]] = {
        path: (answer.status, answer.headers["Retry-After"]) for path, answer in answers.items()
    }
    assert told == dict.fromkeys(answers, (503, "5"))
    logged = of_requests(caplog)
    assert len(logged) == len(gets)
    assert not [record for record in logged if record.exc_info]


def test_a_failure_that_is_none_of_the_database_stays_one(world: World, caplog: pytest.LogCaptureFixture) -> None:
    request = world.signed(A, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (HUB.chf,)), "11.6")
    world.run(lambda uow: uow.connection.exec_driver_sql("ALTER TABLE decisions RENAME TO elsewhere"))
    with serving(world) as served:
        assert served.post(request).status == 500
    assert [record for record in of_requests(caplog) if record.exc_info]


def test_a_client_knows_that_its_request_may_have_been_taken(server: PostgresServer, world: World) -> None:
    with (
        serving(world, role=Role.GATEWAY) as served,
        stopped(server),
        Client(f"http://127.0.0.1:{served.port}", **options(world, retries=Retries(tries=1))) as client,
        pytest.raises(NotAnswered, match="the database is away") as raised,
    ):
        client.send(ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (HUB.chf,)))
    assert raised.value.may_have_been_taken
