"""Random histories: what anybody may do next, in any order, sensible or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from hypothesis import strategies as st

from sr_engine.bootstrap import phases_of
from sr_engine.messages.model import Decision, ReportStatus
from sr_engine.operations.phases import halt, resume
from tests.interference.play import History, Play
from tests.interference.variations import NEXT, OTHER, THIS, Home, Party
from tests.world import FIRMWARE

HOMES = (Home(THIS, OTHER), Home(OTHER, THIS), Home(THIS, THIS), Home(OTHER, None), Home(THIS, OTHER))
WINDOWS = ((5.0, 9.0), (6.0, 20.0), (12.0, 30.0), (5.0, 5.3))
WAITS = (0.6, 1.6, 3.1, 8.0)


class What(StrEnum):
    """What may happen."""

    SCHEDULE = "schedule"
    AMEND = "amend"
    APPROVE = "approve"
    DECLINE = "decline"
    DEFER = "defer"
    DELETE = "delete"
    EXCLUDE = "exclude"
    INCLUDE = "include"
    WAIT = "wait"
    HEAR = "hear from the CSP"
    MOVE = "move"
    HALT = "halt"
    RESUME = "resume"


DECISIONS = {What.APPROVE: Decision.APPROVE, What.DECLINE: Decision.DECLINE, What.DEFER: Decision.DEFER}


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens; `number` chooses among what it may mean."""

    what: What
    by: Party
    hub: int
    number: int


steps = st.lists(
    st.builds(
        Step,
        what=st.sampled_from([*What, What.SCHEDULE, What.APPROVE, What.WAIT, What.HEAR]),
        by=st.sampled_from([THIS, THIS, OTHER, OTHER, NEXT]),
        hub=st.integers(1, len(HOMES)),
        number=st.integers(0, 3),
    ),
    min_size=3,
    max_size=14,
)


def history_of(chosen: Sequence[Step]) -> History:
    """These steps one after another; THIS Supplier looks after every third."""

    def history(play: Play) -> None:
        play.add(*HOMES)
        play.release()
        newest: dict[Party, tuple[int, int]] = {}
        for number, step in enumerate(chosen, 1):
            _take(play, step, newest)
            if number % 3 == 0:
                play.look()

    return history


def _take(play: Play, step: Step, newest: dict[Party, tuple[int, int]]) -> None:
    """`newest` is the newest schedule of each, with the hub it was made for."""
    by, hub, number, today = step.by, step.hub, step.number, play.today
    schedule_id, scheduled = newest.get(by, (0, hub))
    match step.what:
        case What.SCHEDULE | What.AMEND:
            # A User of one role cannot take back what another User scheduled in the other.
            same_user = by is not OTHER or play.only_gas(scheduled) == play.only_gas(hub)
            replaces = schedule_id if step.what is What.AMEND and schedule_id and same_user else None
            made = play.schedule(by, hub, days=WINDOWS[number], pilot=number == 1, replaces=replaces)
            if made:
                newest[by] = made, hub
        case What.DELETE:
            if schedule_id:
                play.delete(by, schedule_id, scheduled)
        case What.EXCLUDE:
            play.exclude(by, hub, until=None if number == 0 else today + number * 3)
        case What.INCLUDE:
            play.include(by, hub)
        case What.APPROVE | What.DECLINE | What.DEFER:
            until = today + 1 + number if step.what is What.DEFER else None
            play.decide(by, DECISIONS[step.what], hub, until=until)
        case _:
            _happen(play, step)


def _happen(play: Play, step: Step) -> None:
    """What is not a request."""
    by, hub, number = step.by, step.hub, step.number
    match step.what:
        case What.WAIT:
            play.wait(play.today + WAITS[number])
        case What.HEAR:
            if play.is_with_csp(hub):
                _hear(play, hub, number)
        case What.MOVE:
            # Where OTHER has left it does not come back: its Users would have other roles than before.
            role = "IS" if number % 2 else "GS"
            play.move(hub, role, THIS if by is THIS else NEXT, day=play.today + (number > 1) * 4)
            play.tick()
        case What.HALT:
            play.operate(lambda uow, instance: halt(uow, phases_of(instance), FIRMWARE, "Central", "bad image"))
        case What.RESUME:
            play.operate(lambda uow, instance: resume(uow, phases_of(instance), FIRMWARE, "Central"))


def _hear(play: Play, hub: int, number: int) -> None:
    match number:
        case 0:
            play.report(ReportStatus.ACTIVATED, hub)
        case 1:
            play.report(ReportStatus.FAILED, hub, reason="image refused")
        case 2:
            play.report(ReportStatus.DELIVERED, hub)
        case _:
            play.acknowledge(hub, refused="no signal")
