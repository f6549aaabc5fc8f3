"""The table of what is Scheduled: hubs that leave it leave alone, whether they stand in a row or not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from sr_engine.messages.model import Phase, ScheduleCommsHubFirmware
from sr_engine.store import scheduled, waiting
from sr_engine.store.tables import scheduled_hubs
from tests.world import FIRMWARE, WINDOW, A, B, TestHub, World, make_world

HUBS = [TestHub(number) for number in range(1, 9)]
OTHERS = [TestHub(number, electricity=B.name, gas=B.name) for number in range(9, 12)]
GROUP = waiting.Alike("", A.name, WINDOW, pilot=False, compulsory=False, number=1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = make_world(Path(tmp_path_factory.mktemp("scheduled")) / "instance")
    world.add_hubs([*HUBS, *OTHERS])
    world.open_release()
    for supplier, hubs in ((A, HUBS), (B, OTHERS)):
        ids = tuple(hub.chf for hub in hubs)
        world.send(supplier, ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, ids), "11.5")
    yield world
    world.close()


def waiting_hubs(connection: Connection) -> set[str]:
    return set(connection.scalars(select(scheduled_hubs.c.hub_id)))


@given(leaving=st.lists(st.sampled_from(HUBS), unique=True))
def test_those_that_leave_a_group_leave_alone(world: World, leaving: list[TestHub]) -> None:
    with world.instance.engine.connect() as connection, connection.begin() as transaction:
        before = waiting_hubs(connection)
        release_id = connection.scalar(select(scheduled_hubs.c.release_id)) or ""
        key = waiting.key_of("Central", replace(GROUP, release_id=release_id))
        of_group = (scheduled_hubs.c[name] == value for name, value in key.items())
        assert set(connection.scalars(select(scheduled_hubs.c.hub_id).where(*of_group))) == {hub.chf for hub in HUBS}
        scheduled.leave_group(connection, key, [hub.chf for hub in leaving])
        assert before - waiting_hubs(connection) == {hub.chf for hub in leaving}
        transaction.rollback()
