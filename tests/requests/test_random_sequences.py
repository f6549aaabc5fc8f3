"""Whatever two Suppliers do in whatever order, the attempts agree with a small model written from the rules alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from sr_engine.instance import SupplierSeed
from sr_engine.messages.model import Decision, Period, Phase, RefusalReason
from sr_engine.store.tables import attempts
from tests.requests.conftest import Suppliers, days, refused, schedule_id
from tests.world import NOW, A, B, TestHub, World, make_world

WINDOWS = (days(10, 20), days(15, 25), days(30, 40), days(12, 35))
HOMES: tuple[tuple[SupplierSeed, SupplierSeed], ...] = ((A, B), (A, A), (B, A))
"""Electricity and gas Supplier of each hub of an example."""

_hubs = st.sets(st.integers(0, len(HOMES) - 1), min_size=1).map(sorted)


@dataclass(frozen=True)
class Scheduling:
    by: SupplierSeed
    hubs: list[int]
    window: int
    phase: Phase
    replaces: int | None
    """The how-manieth schedule made so far, whoever made it."""


@dataclass(frozen=True)
class Deciding:
    by: SupplierSeed
    hubs: list[int]
    decision: Decision


@dataclass(frozen=True)
class Waiting:
    days: float


_supplier = st.sampled_from([A, B])
_steps = st.lists(
    st.one_of(
        st.builds(
            Scheduling,
            _supplier,
            _hubs,
            st.integers(0, len(WINDOWS) - 1),
            st.sampled_from(Phase),
            st.none() | st.integers(0, 3),
        ),
        st.builds(Deciding, _supplier, _hubs, st.sampled_from(Decision)),
        st.builds(Waiting, st.just(0.4)),
    ),
    min_size=2,
    max_size=12,
)


@dataclass
class Hub:
    """What the rules say of one hub: each side's answer, and how often an upgrade was begun."""

    sides: tuple[str, ...]
    approved: set[str] = field(default_factory=set)
    schedules: dict[str, int] = field(default_factory=dict)
    """By side, the schedule by which it has approved."""
    begun: int = 0

    def change(self, side: str, *, approved: bool, schedule: int | None) -> None:
        idle = not self.schedules
        self.approved = (self.approved | {side}) if approved else (self.approved - {side})
        self.schedules.pop(side, None)
        if schedule is not None:
            self.schedules[side] = schedule
        if idle and self.schedules:
            self.begun += 1


@dataclass
class Model:
    hubs: list[Hub] = field(default_factory=lambda: [Hub(tuple({e.name: 0, g.name: 0})) for e, g in HOMES])
    made: list[tuple[str, Period, Phase]] = field(default_factory=list)

    def schedule(self, step: Scheduling) -> tuple[str, dict[RefusalReason, list[int]]]:
        """The code that must come back, and the hubs refused."""
        side, replaces = step.by.name, step.replaces
        if replaces is not None and (replaces >= len(self.made) or self.made[replaces][0] != side):
            return "E110507", {}
        not_mine = [hub for hub in step.hubs if side not in self.hubs[hub].sides]
        busy = [
            hub for hub in step.hubs if hub not in not_mine and self.hubs[hub].schedules.get(side, replaces) != replaces
        ]
        why = {RefusalReason.NOT_RESPONSIBLE: not_mine, RefusalReason.OTHER_REQUEST_IN_PROGRESS: busy}
        refusals = {reason: hubs for reason, hubs in why.items() if hubs}
        taken = [hub for hub in step.hubs if hub not in not_mine and hub not in busy]
        if not taken:
            return "E110503", refusals
        for index, hub in enumerate(self.hubs):
            if index in taken:
                hub.change(side, approved=True, schedule=len(self.made))
            elif index not in step.hubs and replaces is not None and hub.schedules.get(side) == replaces:
                hub.change(side, approved=False, schedule=None)
        self.made.append((side, WINDOWS[step.window], step.phase))
        return ("W110501" if refusals else "I0"), refusals

    def decide(self, step: Deciding) -> tuple[str, dict[RefusalReason, list[int]]]:
        side, approved = step.by.name, step.decision is Decision.APPROVE
        mine = [hub for hub in step.hubs if side in self.hubs[hub].sides]
        not_mine = [hub for hub in step.hubs if hub not in mine]
        refusals = {RefusalReason.NOT_RESPONSIBLE: not_mine} if not_mine else {}
        for index in mine:
            hub = self.hubs[index]
            hub.change(side, approved=approved, schedule=hub.schedules.get(side) if approved else None)
        return ("E110603" if not mine else "W110601" if refusals else "I99"), refusals

    def expected(self, index: int) -> tuple[int, str, Period | None, bool] | None:
        """Attempt number, state, agreed window, pilot; None where nothing was ever begun."""
        hub = self.hubs[index]
        if hub.begun == 0:
            return None
        if not hub.schedules:
            return hub.begun, "Cancelled", None, False
        made = [self.made[number] for number in hub.schedules.values()]
        window = Period(max(one[1].start for one in made), min(one[1].end for one in made))
        pilot = any(phase is Phase.PILOT for _, _, phase in made)
        if set(hub.sides) <= hub.approved and window.start < window.end:
            return hub.begun, "Scheduled", window, pilot
        return hub.begun, "AwaitingApproval", None, pilot


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = make_world(tmp_path_factory.mktemp("instance"))
    world.open_release()
    yield world
    world.close()


_numbers = count(1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=_steps)
def test_attempts_agree_with_the_model(shared: World, steps: list[Scheduling | Deciding | Waiting]) -> None:
    homes = [TestHub(next(_numbers), electricity=electricity.name, gas=gas.name) for electricity, gas in HOMES]
    shared.add_hubs(homes)
    shared.clock.set(NOW)
    suppliers, model, made = Suppliers(shared), Model(), list[int]()
    for step in steps:
        match step:
            case Waiting():
                suppliers.pass_days(step.days)
                continue
            case Scheduling():
                index = step.replaces
                answer = suppliers.schedule(
                    step.by,
                    *(homes[hub].chf for hub in step.hubs),
                    window=WINDOWS[step.window],
                    phase=step.phase,
                    replaces=None if index is None else made[index] if index < len(made) else 0,
                )
                code, refusals = model.schedule(step)
            case Deciding():
                until = 1 if step.decision is Decision.DEFER else None
                answer = suppliers.decide(
                    step.by, step.decision, *(homes[hub].chf for hub in step.hubs), until_days=until
                )
                code, refusals = model.decide(step)
        assert answer.code == code
        if answer.result is not None:
            assert refused(answer) == {
                reason: tuple(homes[hub].chf for hub in hubs) for reason, hubs in refusals.items()
            }
        if code in {"I0", "W110501"}:
            made.append(schedule_id(answer))
        assert _stored(shared, homes) == [model.expected(hub) for hub in range(len(homes))]


def _stored(world: World, homes: list[TestHub]) -> list[tuple[int, str, Period | None, bool] | None]:
    """The newest attempt of each hub; a window only where it is agreed, a phase only while it is open."""
    newest: dict[str, tuple[int, str, Period | None, bool]] = {}
    with world.instance.reading_engine.connect() as connection:
        for row in connection.execute(
            select(attempts).where(attempts.c.hub_id.in_([home.chf for home in homes])).order_by(attempts.c.number)
        ):
            window = Period(row.window_start, row.window_end) if row.state == "Scheduled" else None
            newest[row.hub_id] = row.number, row.state, window, row.pilot and row.is_open
    return [newest.get(home.chf) for home in homes]
