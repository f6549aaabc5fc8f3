"""Sending parked messages again."""

from __future__ import annotations

import pytest

from sr_engine.operations.outbox import NotParked, resend
from sr_engine.store import audit, outbox, summaries, tables
from sr_engine.store.outbox import PARKED, PENDING, Outgoing
from tests.world import NOW, World


def put(world: World, message_id: str, state: str) -> None:
    message = Outgoing(message_id, "alert", "user:A", "hub_listed", b"<x/>")
    world.run(lambda uow: outbox.put(uow.connection, [message], NOW))
    if state == PARKED:
        world.run(lambda uow: uow.connection.execute(tables.outbox.update().values(state=PARKED, tries=30)))


def test_a_parked_message_is_queued_again_and_that_is_recorded(world: World) -> None:
    put(world, "m1", PARKED)

    world.run(lambda uow: resend(uow, "m1"))

    with world.instance.reading_engine.connect() as connection:
        assert summaries.message_state(connection, "m1") == PENDING
        (entry,) = audit.newest(connection, 1)
    assert (entry.actor, entry.action, entry.message_key) == ("operator", "resend", "m1")


@pytest.mark.parametrize(("message_id", "says"), [("m1", "m1 is Pending: only parked"), ("m2", "no message m2")])
def test_nothing_else_is_sent_again(world: World, message_id: str, says: str) -> None:
    put(world, "m1", PENDING)
    before = world.snapshot()

    with pytest.raises(NotParked, match=says):
        world.run(lambda uow: resend(uow, message_id))

    assert world.snapshot() == before
