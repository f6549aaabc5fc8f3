"""Images and lists of meters that their CSP does not take: when they are sent again, and when no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sr_engine.store import outbox
from sr_engine.store.outbox import Attempted, Queued
from tests.firmware import ENTRY, Meters, esme, listed
from tests.world import TestHub, make_world

HUBS = [TestHub(number, gas=None) for number in range(1, 4)]
FIRST, SECOND, THIRD = HUBS
CENTRAL = "csp:Central"


@pytest.fixture
def meters(tmp_path: Path) -> Iterator[Meters]:
    world = make_world(tmp_path / "instance")
    world.add_hubs(HUBS)
    listed(world, ENTRY)
    yield Meters(world)
    world.close()


def update(meters: Meters, *hubs: TestHub) -> str:
    """An 11.1 for the ESMEs of hubs; the id of its list."""
    assert meters.update([esme(hub) for hub in hubs]).code == "I99"
    return meters.lists()[-1].list_id


def due(meters: Meters) -> list[Queued]:
    """What may be sent to the CSP now."""
    with meters.world.instance.reading_engine.connect() as connection:
        return outbox.sendable(connection, CENTRAL, meters.world.clock.now(), 100)


def tried(meters: Meters, messages: list[Queued], state: str) -> None:
    """What came of sending messages."""
    now = meters.world.clock.now()
    delivered_at = now if state == outbox.DELIVERED else None
    results = [Attempted(one.outbox_id, one.message_id, state, 30, now, delivered_at, None) for one in messages]
    meters.world.run(lambda uow: outbox.settle(uow.connection, results))


def names(meters: Meters, messages: list[Queued]) -> list[str]:
    """What messages are: Image, or the id of a list."""
    lists = [one.list_id for one in meters.lists()]
    return [next((one for one in lists if one.encode() in message.body), "Image") for message in messages]


# --- an image that the CSP did not take ------------------------------------------------------------------------------


def test_an_image_that_was_given_up_is_sent_again_with_the_next_list_that_names_it(meters: Meters) -> None:
    first = update(meters, FIRST)
    image = due(meters)
    tried(meters, image, outbox.PARKED)
    assert due(meters) == []

    second = update(meters, SECOND)

    again = due(meters)
    assert [one.message_id for one in again] == [one.message_id for one in image]
    tried(meters, again, outbox.DELIVERED)
    assert names(meters, due(meters)) == [first, second]
    assert len(meters.images()) == 1


def test_an_image_that_is_there_or_on_its_way_is_not_sent_again(meters: Meters) -> None:
    update(meters, FIRST)
    image = due(meters)
    tried(meters, image, outbox.PENDING)
    update(meters, SECOND)
    assert [one.tries for one in due(meters)] == [30]

    tried(meters, image, outbox.DELIVERED)
    update(meters, THIRD)

    assert "Image" not in names(meters, due(meters))
