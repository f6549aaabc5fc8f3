"""The simulated CSP with lists that come late, again, or not any more, and a processor that is served beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import select

from sr_engine.bootstrap import withdrawing_of
from sr_engine.gateway.working import Role
from sr_engine.instance import folder_name
from sr_engine.operations.lists import find_list
from sr_engine.simulator.behaviour import NIGHT_OVER, Behaviour, acknowledgement_is_lost
from sr_engine.simulator.csp import SimulatedCsp
from sr_engine.simulator.party import Party
from sr_engine.store.tables import outbox
from tests.gateway.conftest import serving, still
from tests.regions.conftest import HOUR, Nights, hubs
from tests.world import BROKER, TestHub, World, make_world

WAIT = 60.0
ACKNOWLEDGED = "UpgradeListAcknowledgement"


@dataclass(frozen=True)
class Arrival:
    """What comes when, and what the CSP has counted once it has done what it does about that."""

    at: datetime
    data: bytes
    until: tuple[str, int]


@dataclass
class Trial:
    """Three hubs of region Central on a list that has left the processor."""

    nights: Nights
    members: list[TestHub]
    url: str
    simulated: int = 0

    @property
    def list_id(self) -> str:
        return self.nights.list_ids()[-1]

    def newest(self) -> bytes:
        """The newest message to the CSP."""
        of_csp = select(outbox.c.body).where(outbox.c.destination == f"csp:{self.nights.region.name}")
        with self.nights.world.instance.reading_engine.connect() as connection:
            return bytes(connection.scalars(of_csp.order_by(outbox.c.outbox_id.desc())).first() or b"")

    def withdrawal(self, *only: TestHub) -> bytes:
        """What the CSP is sent when an operator withdraws the list, or some hubs of it."""
        withdrawing, chosen = withdrawing_of(self.nights.world.instance), tuple(hub.chf for hub in only)
        self.nights.world.run(
            lambda uow: withdrawing(uow, self.nights.region, find_list(uow, self.list_id), chosen, "a fault")
        )
        return self.newest()

    def play(self, behaviour: Behaviour, arrivals: Sequence[Arrival]) -> Party:
        """A CSP that has just been started gets messages one after another."""
        world, region = self.nights.world, self.nights.region
        party = Party.load(world.directory, folder_name(region.csp_name), self.url)
        party.clock = world.clock
        self.simulated += 1
        party.counter = 1_000 * self.simulated
        asyncio.run(self._play(party, SimulatedCsp(party, BROKER, region.name, behaviour), arrivals))
        assert "messages refused" not in party.stats
        return party

    async def _play(self, party: Party, csp: SimulatedCsp, arrivals: Sequence[Arrival]) -> None:
        async with aiohttp.ClientSession() as session:
            acting = asyncio.create_task(csp.act(session))
            for arrival in arrivals:
                self.nights.world.clock.set(arrival.at)
                await party.take(arrival.data, csp.handle, csp.again)
                await self._until(party, *arrival.until)
            acting.cancel()
            with suppress(asyncio.CancelledError):
                await acting

    async def _until(self, party: Party, counted: str, number: int) -> None:
        give_up = time.monotonic() + WAIT
        while party.stats[counted] < number:
            assert time.monotonic() < give_up, party.stats
            await asyncio.sleep(0.01)
            if counted == "lists done":
                # What is to happen in the night happens; it stays the time at which the night is over.
                self.nights.world.clock.set(max(self.nights.world.clock.now(), self.nights.period().end))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance", prepare=still)
    yield world
    world.close()


@pytest.fixture
def trial(world: World) -> Iterator[Trial]:
    world.open_release()
    nights, members = Nights(world, world.instance.configuration.regions["Central"]), hubs(3)
    world.add_hubs(members)
    nights.schedule(members)
    nights.cut()
    nights.deliver_all()
    # Nothing is delivered by itself: what arrives when is the tests' own.
    with serving(world, role=Role.GATEWAY) as served:
        yield Trial(nights, members, f"http://127.0.0.1:{served.port}")


def test_hubs_of_a_list_that_first_arrives_after_its_night_are_refused_with_the_reason(trial: Trial) -> None:
    nights = trial.nights

    party = trial.play(Behaviour(), [Arrival(nights.period().end, trial.newest(), ("lists done", 1))])

    assert (party.stats["hubs refused"], party.stats["hubs accepted"]) == (3, 0)
    assert {nights.attempt(hub).reason for hub in trial.members} == {f"refused by the CSP: {NIGHT_OVER}"}
    assert nights.said("UpgradeReport") == []


def test_a_list_that_comes_again_after_its_night_is_answered_as_it_was_and_not_done_twice(trial: Trial) -> None:
    nights, upgrade_list = trial.nights, trial.newest()
    done = Arrival(nights.due(), upgrade_list, ("lists done", 1))

    party = trial.play(Behaviour(), [done, Arrival(nights.period().end + HOUR, upgrade_list, ("answered again", 1))])

    assert nights.states(trial.members) == ["Activated"] * 3
    assert (party.stats["repeats"], party.stats["hubs reported Activated"]) == (1, 3)
    # A message with another MessageID would have been recorded as another.
    assert nights.said(ACKNOWLEDGED) == ["3 hubs acknowledged"]
    assert len(nights.said("UpgradeReport")) == 2


def first_lost_then_not(trial: Trial) -> Behaviour:
    entries = trial.nights.lists()[0].entries
    for seed in range(100):
        behaviour = Behaviour(lose_acknowledgement=50, seed=seed)
        if [acknowledgement_is_lost(behaviour, entries, before) for before in (0, 1)] == [True, False]:
            return behaviour
    raise AssertionError("no seed of a hundred has it so")


def test_a_lost_acknowledgement_has_the_list_sent_again_and_then_arrives(trial: Trial) -> None:
    nights = trial.nights
    too_late = nights.due() + nights.region.acknowledgement_sla + HOUR
    behaviour, upgrade_list = first_lost_then_not(trial), trial.newest()

    lost = Arrival(nights.due(), upgrade_list, ("acknowledgements lost", 1))
    again = Arrival(too_late, upgrade_list, ("answered again", 1))
    trial.play(behaviour, [lost])
    assert (nights.said(ACKNOWLEDGED), nights.chase(too_late)) == ([], 1)
    assert trial.newest() == upgrade_list

    trial.play(behaviour, [lost, again])
    assert nights.said(ACKNOWLEDGED) == ["3 hubs acknowledged"]
    assert nights.states(trial.members) == ["Accepted"] * 3


def test_a_list_whose_acknowledgement_is_lost_is_carried_out_all_the_same(trial: Trial) -> None:
    party = trial.play(
        Behaviour(lose_acknowledgement=100), [Arrival(trial.nights.due(), trial.newest(), ("lists done", 1))]
    )

    assert party.stats["acknowledgements lost"] == 1
    assert trial.nights.said(ACKNOWLEDGED) == []
    assert trial.nights.states(trial.members) == ["Activated"] * 3


def test_hubs_of_a_list_that_was_forgotten_are_refused_when_they_are_withdrawn(trial: Trial) -> None:
    nights, due = trial.nights, trial.nights.due()
    trial.play(Behaviour(), [Arrival(due, trial.newest(), ("hubs accepted", 3))])

    withdrawal = Arrival(due + HOUR, trial.withdrawal(*trial.members[:2]), ("withdrawals of unknown lists", 1))
    trial.play(Behaviour(), [withdrawal, Arrival(due + HOUR, withdrawal.data, ("answered again", 1))])

    assert nights.said(ACKNOWLEDGED) == ["3 hubs acknowledged", "0 hubs withdrawn, 2 not"]
    assert nights.states(trial.members) == ["Accepted"] * 3


def test_a_forgotten_list_that_is_withdrawn_as_a_whole_is_answered_without_hubs(trial: Trial) -> None:
    nights, due = trial.nights, trial.nights.due()
    trial.play(Behaviour(), [Arrival(due, trial.newest(), ("hubs accepted", 3))])

    whole = trial.withdrawal()
    trial.play(Behaviour(), [Arrival(due, whole, ("hubs withdrawn", 0)), Arrival(due, whole, ("answered again", 1))])

    assert nights.said(ACKNOWLEDGED) == ["3 hubs acknowledged", "0 hubs withdrawn, 0 not"]
    assert nights.states(trial.members) == ["Accepted"] * 3


def test_a_withdrawal_that_comes_again_when_the_night_has_begun_is_answered_as_it_was(trial: Trial) -> None:
    nights, due = trial.nights, trial.nights.due()
    listed = Arrival(due, trial.newest(), ("hubs accepted", 3))
    withdrawal = trial.withdrawal(trial.members[0])

    party = trial.play(
        Behaviour(),
        [
            listed,
            Arrival(due + HOUR, withdrawal, ("hubs withdrawn", 1)),
            Arrival(nights.period().start, withdrawal, ("answered again", 1)),
        ],
    )

    assert party.stats["hubs withdrawn"] == 1
    assert nights.said(ACKNOWLEDGED) == ["3 hubs acknowledged", "1 hubs withdrawn, 0 not"]
    assert nights.states(trial.members) == ["Cancelled", "Accepted", "Accepted"]
