"""A database is brought forward while processes of the version before answer requests on it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, inspect, select

from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, Phase, ScheduleCommsHubFirmware
from sr_engine.operations.audit_verification import verify
from sr_engine.store import migrating
from sr_engine.store.dialects import POSTGRESQL, SQLITE
from sr_engine.store.schema import REVISIONS, Standing, known_revisions, state_of
from sr_engine.store.tables import decisions
from tests.bench.burst import serving_apart
from tests.databases import url_of_instance
from tests.gateway.conftest import HttpAnswer, Served, still
from tests.world import FIRMWARE, NOW, SECONDS, WINDOW, A, B, TestHub, World, make_world

HUBS = [TestHub(number, A.name, B.name) for number in range(1, 121)]
BEFORE = 30
"""How many requests have been answered when it begins."""
NEWEST = known_revisions()[-1]
NEXT = f"{int(NEWEST) + 1:04}"
REVISION = f"""
import sqlalchemy as sa
from alembic import op

revision, down_revision, works_from = "{NEXT}", "{NEWEST}", "{NEWEST}"


def upgrade():
    op.create_table("of_a_later_version", sa.Column("hub_id", sa.String(23), primary_key=True))
    for table in ("attempts", "decisions", "exchanges", "outbox", "audit", "devices"):
        op.add_column(table, sa.Column("of_a_later_version", sa.Integer(), nullable=False, server_default="1"))
    op.create_index("ix_decisions_of_a_later_version", "decisions", ["of_a_later_version"])
"""


@pytest.fixture(params=[SQLITE, pytest.param(POSTGRESQL, marks=pytest.mark.slow)])
def world(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[World]:
    """Hubs that one Supplier has scheduled and the other is to approve."""

    def prepare(directory: Path) -> None:
        still(directory)
        with (directory / "sr-engine.toml").open("a", encoding="utf-8") as settings:
            settings.write(
                f"\n[clock]\nanchored_at = {datetime.now(UTC).isoformat()}\nstarts_at = {NOW.isoformat()}\nrate = 1\n"
            )

    world = make_world(tmp_path / "instance", database_url=url_of_instance(str(request.param)), prepare=prepare)
    world.add_hubs(HUBS)
    world.open_release()
    schedule = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, tuple(hub.chf for hub in HUBS))
    assert world.send(A, schedule, "11.5").code == "I0"
    yield world
    world.close()


@contextmanager
def served_apart(world: World) -> Iterator[Served]:
    """By a process of its own."""
    with serving_apart(world.directory, "--role", "gateway", log=world.directory / "log") as serving:
        yield Served(world, serving.port)


def test_every_request_is_answered_once_and_a_process_of_the_version_before_can_still_be_started(
    world: World, tmp_path: Path
) -> None:
    folder = tmp_path / "revisions"
    shutil.copytree(REVISIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / f"r{NEXT}_of_a_later_version.py").write_text(REVISION, encoding="utf-8")
    requests = [
        world.signed(B, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (hub.chf,)), "11.6") for hub in HUBS
    ]
    answers: dict[bytes, HttpAnswer] = {}
    begun = threading.Event()

    def send(served: Served, request: bytes) -> None:
        answers[request] = served.post(request)
        if len(answers) >= BEFORE:
            begun.set()

    with served_apart(world) as served, ThreadPoolExecutor(4) as pool:
        sending = [pool.submit(send, served, request) for request in requests]
        assert begun.wait(SECONDS)
        migrating.upgrade(world.instance.engine, folder=folder)
        answered_meanwhile = len(answers)
        for one in sending:
            one.result()
    assert BEFORE <= answered_meanwhile < len(HUBS)
    assert {answer.status for answer in answers.values()} == {200}
    with served_apart(world) as served:
        assert [served.post(request).body for request in requests] == [answers[request].body for request in requests]

    with world.instance.reading_engine.connect() as connection:
        assert state_of(connection, known_revisions()).standing is Standing.NEWER
        assert "of_a_later_version" in inspect(connection).get_table_names()
        of_b = select(func.count()).where(decisions.c.organisation == B.name)
        assert connection.scalar(of_b) == len(HUBS)
        assert verify(connection, []).intact
    assert "Traceback" not in (world.directory / "log").read_text("utf-8")
