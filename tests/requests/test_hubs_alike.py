"""Of hubs that are alike a list says what it would say of each alone, and no two count as alike that are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sr_engine.domain.upgrades import HubUpgrade
from sr_engine.messages.model import (
    CommsHubFirmwareResult,
    ExclusionAction,
    Phase,
    RefusalReason,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.pipeline.process import Admitted
from sr_engine.requests.outcome import Outcome
from sr_engine.store import inventory, upgrades
from sr_engine.store.facts import StoredFacts
from sr_engine.store.units_of_work import UnitOfWork
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, change_record, make_world

HAN = ("1234", "ABCD0001")
OTHER_FIRMWARE = replace(FIRMWARE, version="9003")
PLAIN, EXCLUDED, CHANGING, ELSEWHERE, SCHEDULED, GONE = (TestHub(number) for number in range(1, 7))
HUBS = [
    *(PLAIN, EXCLUDED, CHANGING, ELSEWHERE, SCHEDULED, TestHub(9, gas=B.name)),
    *(TestHub(7, han=HAN), TestHub(8, electricity=B.name, gas=B.name), GONE),
    *(TestHub(10, version="8000"), TestHub(11, model="C1A20002"), TestHub(12, region="South")),
    *(TestHub(number) for number in range(13, 16)),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = make_world(Path(tmp_path_factory.mktemp("alike")))
    world.add_hubs(HUBS)
    world.open_release(han_models=[HAN])
    world.open_release(OTHER_FIRMWARE)
    excluded = UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, (EXCLUDED.chf,))
    assert world.send(A, excluded, "11.9").code.startswith("I")
    for firmware, hub in ((OTHER_FIRMWARE, ELSEWHERE), (FIRMWARE, SCHEDULED)):
        assert world.send(A, ScheduleCommsHubFirmware(firmware, WINDOW, Phase.GENERAL, (hub.chf,)), "11.5").code == "I0"
    leaves = {"mpxn": CHANGING.mpan, "role": "IS", "effective_from": WINDOW.start, "organisation": B.name}
    world.run(lambda uow: inventory.put_registrations(uow.connection, [leaves]))
    world.run(lambda uow: change_record(uow.connection, GONE.chf, device_status="Decommissioned"))
    yield world
    world.close()


def refused(world: World, hubs: Sequence[TestHub]) -> dict[str, RefusalReason]:
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, tuple(hub.chf for hub in hubs))
    admitted = world.processor.admit("serviceD", world.signed(A, body, "11.5"), NOW)
    assert isinstance(admitted, Admitted)
    with world.instance.reading_engine.connect() as connection:
        outcome = world.processor.judge(UnitOfWork(connection, NOW), admitted)
    assert isinstance(outcome, Outcome)
    assert isinstance(outcome.result, CommsHubFirmwareResult)
    return {device_id: reason for reason, some in outcome.result.refused.items() for device_id in some}


@given(hubs=st.permutations(HUBS))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hubs_share_what_is_known_of_them_only_where_it_is_the_same(world: World, hubs: Sequence[TestHub]) -> None:
    quiet_days = world.processor.quiet_days
    with world.instance.reading_engine.connect() as connection:
        facts = StoredFacts(connection, NOW, quiet_days)
        release = facts.release(FIRMWARE)
        assert release is not None
        named = [hub.chf for hub in hubs]
        listed = facts.hub_upgrades(named, release, with_overlays=True, alike=True)
        each = facts.hub_upgrades(named, release, with_overlays=True)
        alone: dict[str, HubUpgrade] = {}
        for hub_id in named:
            alone |= upgrades.load(connection, [hub_id], release, NOW, quiet_days=quiet_days)
    alone = {hub_id: replace(one, hub=replace(one.hub, gpf_id=None)) for hub_id, one in alone.items()}
    assert {hub_id: one.of(hub_id) for hub_id, one in listed.known.items()} == alone
    assert each.known == alone
    assert listed.hub_ids == each.hub_ids == {hub_id: hub_id for hub_id in named}
    plain = {id(listed.known[hub.chf]) for hub in (PLAIN, *HUBS[-3:])}
    assert len(plain) == 1
    assert len(set(map(id, listed.known.values()))) == len(HUBS) - 3
    assert len(set(map(id, each.known.values()))) == len(HUBS)


@given(hubs=st.permutations(HUBS))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_of_each_hub_a_list_says_what_it_says_of_it_alone(world: World, hubs: Sequence[TestHub]) -> None:
    alone: dict[str, RefusalReason] = {}
    for hub in hubs:
        alone |= refused(world, [hub])
    assert refused(world, hubs) == alone
    assert PLAIN.chf not in alone
    assert len(set(alone.values())) >= 5
