"""The settings for PostgreSQL: the server takes each of them, and an instance works on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sr_engine.messages.model import ReadInventory
from tests.deployment.files import DEPLOYMENT
from tests.postgres import postgres_server
from tests.world import A, TestHub, make_world

_SETTING = re.compile(r"^(\w+) = (?:'([^']*)'|(\S+))", re.MULTILINE)


def settings() -> dict[str, str]:
    text = (DEPLOYMENT / "postgresql.conf").read_text(encoding="utf-8")
    return {one[1]: one[2] or one[3] for one in _SETTING.finditer(text)}


def test_what_is_answered_waits_for_the_disk() -> None:
    found = settings()

    assert [found[name] for name in ("fsync", "synchronous_commit", "full_page_writes")] == ["on", "on", "on"]
    assert "idle_in_transaction_session_timeout" not in found


@pytest.mark.slow
def test_the_server_takes_each_of_them_and_an_instance_works_on_it(tmp_path: Path) -> None:
    wanted = settings()

    # Memory of which the computer that tests need not have so much; that the server takes it is known by its unit.
    with postgres_server(durable=True, settings={**wanted, "shared_buffers": "128MB"}) as server:
        url = server.new_database()
        sources = {name: server.ask(f"SELECT source FROM pg_settings WHERE name = '{name}'", url) for name in wanted}
        world = make_world(tmp_path / "instance", database_url=url)
        world.add_hubs([TestHub(1)])
        answer = world.send(A, ReadInventory(device_id=TestHub(1).chf), "8.2")
        world.close()

    assert sources == dict.fromkeys(wanted, "command line")
    assert answer.code == "I0"
