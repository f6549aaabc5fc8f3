"""What stays of a flood of requests that nobody has signed: some of them, and how many there were."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from sr_engine.messages.model import ReadInventory
from sr_engine.store.tables import audit
from tests.gateway.conftest import Served, serving, still
from tests.gateway.test_fairness import Hand
from tests.world import A, B, TestHub, World, edit, make_world

HUB = TestHub(1, electricity=A.name, gas=B.name)
INVENTORY = ReadInventory(device_id=HUB.chf)


def _few(directory: Path) -> None:
    still(directory)
    policy = directory / "config" / "policy.toml"
    edit(policy, "unauthenticated_recorded_per_minute = 30", "unauthenticated_recorded_per_minute = 2")


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = make_world(tmp_path, prepare=_few)
    world.add_hubs([HUB])
    return world


def _bad(served: Served, number: int, name: str = A.eui) -> None:
    """Requests in a name that another has signed."""
    for _ in range(number):
        data = served.world.signed(A, INVENTORY, "8.2").replace(A.eui.encode(), name.encode())
        answer = served.post(data.replace(b"<sr:Body>", b"<sr:Body> "))
        assert (answer.status, b"ResponseCode>E100<" in answer.body) == (200, True), answer.detail


def _refused(world: World) -> list[str]:
    with world.instance.reading_engine.connect() as connection:
        rows = connection.execute(
            select(audit.c.detail, audit.c.message_key).where(audit.c.actor == "unauthenticated").order_by(audit.c.at)
        )
        return [row.detail.partition(" that were")[0] if row.message_key is None else "one" for row in rows]


def test_a_flood_of_bad_signatures_stands_in_the_audit_trail_by_its_number(world: World) -> None:
    hand = Hand()
    with serving(world, monotonic=hand) as served:
        _bad(served, 5)
        assert _refused(world) == ["one", "one"]
        _bad(served, 1, B.eui)
        assert _refused(world) == ["one"] * 3, "whoever floods in one name hides nothing in another"
        hand.seconds += 60
        _bad(served, 1)
        assert _refused(world) == ["one"] * 4, "a minute later they are recorded one by one again"

    assert sorted(_refused(world)) == [f"E100: 3 more requests in the name of {A.eui}", *["one"] * 4]
    world.close()


def test_in_ever_new_names_of_nobody_no_more_is_recorded_than_in_one(world: World) -> None:
    with serving(world, monotonic=Hand()) as served:
        for number in range(4):
            _bad(served, 1, f"00-00-5E-EF-10-00-01-{number:02X}")

    assert sorted(_refused(world)) == [
        "E100: 2 more requests in the name of nobody who is a User here",
        "one",
        "one",
    ]
    world.close()


def test_refusals_of_whoever_was_authenticated_are_recorded_each_and_all(world: World) -> None:
    with serving(world, monotonic=Hand()) as served:
        data = served.world.signed(A, INVENTORY, "8.2")
        codes = [served.post(data, "serviceS").body.count(b"ResponseCode>E13<") for _ in range(4)]
    with world.instance.reading_engine.connect() as connection:
        recorded = connection.execute(select(audit.c.detail).where(audit.c.action == "refused")).all()

    assert codes == [1] * 4
    assert len(recorded) == 4
    world.close()
