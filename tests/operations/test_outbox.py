"""Sending parked messages again."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sr_engine.operations import outbox as operations
from sr_engine.operations.outbox import NotParked, resend, resend_to
from sr_engine.store import audit, circuits, outbox, summaries, tables
from sr_engine.store.circuits import OpenCircuit
from sr_engine.store.outbox import PARKED, PENDING, Outgoing
from tests.world import NOW, World, on_connection


def put(world: World, message_id: str, state: str) -> None:
    message = Outgoing(message_id, "alert", "user:A", "hub_listed", b"<x/>")
    world.run(lambda uow: outbox.put(uow.connection, [message], NOW))
    if state == PARKED:
        world.run(lambda uow: uow.connection.execute(tables.outbox.update().values(state=PARKED, tries=30)))


def test_a_parked_message_is_queued_again_and_that_is_recorded(world: World) -> None:
    put(world, "m1", PARKED)

    world.run(lambda uow: resend(uow, "m1"))

    with world.instance.reading_engine.connect() as connection:
        found = summaries.message_details(connection, "m1")
        assert found is not None
        assert (found.state, found.tries) == (PENDING, 0)
        (entry,) = audit.newest(connection, 1)
    assert (entry.actor, entry.action, entry.message_key) == ("operator", "resend", "m1")


@pytest.mark.parametrize(("message_id", "says"), [("m1", "m1 is Pending: only parked"), ("m2", "no message m2")])
def test_nothing_else_is_sent_again(world: World, message_id: str, says: str) -> None:
    put(world, "m1", PENDING)
    before = world.snapshot()

    with pytest.raises(NotParked, match=says):
        world.run(lambda uow: resend(uow, message_id))

    assert world.snapshot() == before


def test_all_that_is_parked_for_a_receiver_is_queued_again_in_its_order_and_its_circuit_probed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "RESENT_AT_ONCE", 2)
    later = NOW + timedelta(minutes=1)
    names = ["m1", "m2", "m3"]
    for name in names:
        put(world, name, PARKED)
    other = Outgoing("b1", "alert", "user:B", "hub_listed", b"<x/>")
    world.run(lambda uow: outbox.put(uow.connection, [other], NOW))
    world.run(lambda uow: uow.connection.execute(tables.outbox.update().values(state=PARKED, tries=30)))
    for destination in ("user:A", "user:B"):
        opened = OpenCircuit(destination, NOW, later, 3, "HTTP 503")
        world.run(on_connection(circuits.keep, opened))

    assert [world.run(lambda uow: resend_to(uow, "user:A")) for _ in range(3)] == [2, 1, 0]

    with world.instance.reading_engine.connect() as connection:
        sendable = [one.message_id for one in outbox.sendable(connection, "user:A", world.clock.now(), 10)]
        parked = [one.message_id for one in summaries.messages(connection, PARKED, 10)]
        recorded = [entry.message_key for entry in audit.newest(connection, 3)]
        probed = {
            one.destination: one.is_half_open(world.clock.now(), timedelta(hours=1))
            for one in circuits.all_open(connection)
        }
    # One at a time, for they are alerts without a hub.
    assert (sendable, parked) == (["m1"], ["b1"])
    assert recorded == names[::-1]
    assert probed == {"user:A": True, "user:B": False}


def test_the_trail_says_how_and_by_whom_it_was_sent_again(world: World) -> None:
    put(world, "m1", PARKED)

    world.run(lambda uow: resend(uow, "m1", how="console, account:jane"))

    with world.instance.reading_engine.connect() as connection:
        (entry,) = audit.newest(connection, 1)
    assert entry.detail == "message m1 sent again after it was parked (console, account:jane)"
