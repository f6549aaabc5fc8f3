"""A long list over HTTP: answered once it is decided and kept, carried out portion by portion, in force at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select

from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Decision,
    Phase,
    ReadCommsHubFirmwareSchedule,
    ScheduleCommsHubFirmware,
    ScheduleRead,
)
from sr_engine.store.tables import attempts, audit, decisions, kept_changes, schedule_hubs
from tests.gateway.conftest import Served, serving, still
from tests.told import TOLD
from tests.world import FIRMWARE, WINDOW, A, B, TestHub, World, edit, make_world

PORTION = 50
SHARED = [TestHub(number, gas=B.name) for number in range(1, 201)]
OWN = [TestHub(number) for number in range(201, 401)]
HUBS = [*SHARED, *OWN]


def in_portions(directory: Path) -> None:
    still(directory)
    edit(directory / "config" / "policy.toml", "portion_devices = 2_000", f"portion_devices = {PORTION}")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path, prepare=in_portions)
    world.add_hubs(HUBS)
    world.open_release()
    yield world
    world.close()


@pytest.fixture
def served(world: World) -> Iterator[Served]:
    with serving(world) as running:
        yield running


def scheduling(hubs: Sequence[TestHub]) -> ScheduleCommsHubFirmware:
    return ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, tuple(hub.chf for hub in hubs))


def approving(hubs: Sequence[TestHub]) -> ApproveCommsHubFirmware:
    return ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, tuple(hub.chf for hub in hubs))


def test_each_hub_is_scheduled_once_and_everybody_told_once_and_in_portions(served: Served) -> None:
    world = served.world
    data = world.signed(A, scheduling(HUBS), "11.5")

    answer = served.post(data)
    again = served.post(data)

    decoded = served.decoded(answer)
    assert (decoded.code, answer.detail) == ("I0", f"{len(HUBS)} hub(s) accepted")
    assert again.body == answer.body
    world.settle()
    with world.instance.reading_engine.connect() as connection:
        states = Counter(connection.scalars(select(attempts.c.state)))
        assert states == {"AwaitingApproval": len(SHARED), "Scheduled": len(OWN)}
        for table in (decisions, schedule_hubs):
            assert connection.scalar(select(func.count()).select_from(table)) == len(HUBS)
        told = Counter(
            (row.organisation, row.event, row.hub_id)
            for row in connection.execute(select(TOLD).where(TOLD.c.event == "other_supplier_answer_changed"))
        )
        assert told == {(B.name, "other_supplier_answer_changed", hub.chf): 1 for hub in SHARED}
        named = connection.scalars(select(audit.c.hub_count).where(audit.c.action == "answer")).all()
    assert list(named) == [PORTION] * (len(HUBS) // PORTION)


def test_whatever_comes_next_finds_it_in_force(served: Served) -> None:
    world = served.world
    long_list = world.signed(A, scheduling(HUBS), "11.5")
    approvals = [world.signed(B, approving([hub]), "11.6") for hub in (SHARED[0], SHARED[120], SHARED[-1])]
    twice = world.signed(A, scheduling([OWN[-1]]), "11.5")
    read = world.signed(A, ReadCommsHubFirmwareSchedule(device_id=OWN[-1].chf), "11.7")

    accepted = served.decoded(served.post(long_list))
    assert accepted.code == "I0"
    with ThreadPoolExecutor() as clients:
        answers = list(clients.map(served.post, [*approvals, twice, read]))

    codes = [served.decoded(answer).code for answer in answers]
    # Scheduled a second time by the same Supplier: another request is in progress.
    assert codes == ["I99", "I99", "I99", "E110503", "I0"]
    result = served.decoded(answers[-1]).result
    assert isinstance(result, ScheduleRead)
    assert [one.status for one in result.upgrades] == ["Scheduled"]
    world.settle()
    with world.instance.reading_engine.connect() as connection:
        states = Counter(connection.scalars(select(attempts.c.state)))
    assert states == {"AwaitingApproval": len(SHARED) - 3, "Scheduled": len(OWN) + 3}


def test_two_long_lists_of_the_same_hubs_are_one_after_the_other(served: Served) -> None:
    world = served.world
    asked = [world.signed(A, scheduling(HUBS), "11.5"), world.signed(A, scheduling(HUBS), "11.5")]

    with ThreadPoolExecutor() as clients:
        codes = sorted(served.decoded(one).code for one in clients.map(served.post, asked))

    assert codes == ["E110503", "I0"]
    world.settle()
    with world.instance.reading_engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(attempts)) == len(HUBS)


def test_what_is_not_long_is_written_with_its_answer(served: Served) -> None:
    world = served.world
    assert served.decoded(served.post(world.signed(A, scheduling(OWN[:PORTION]), "11.5"))).code == "I0"
    with world.instance.reading_engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(attempts)) == PORTION
        assert connection.scalar(select(func.count()).select_from(kept_changes)) == 0
