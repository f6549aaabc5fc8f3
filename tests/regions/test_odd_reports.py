"""Messages of CSPs that are odd in every way, as the desk takes them: the answer, and what becomes of hubs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from signing import Signer
from sr_engine.bootstrap import csp_desk_of
from sr_engine.gateway.csp import CspDesk
from sr_engine.messages.csp import build_csp_message
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    RefusedHubs,
    ReportEntry,
    ReportStatus,
    UpgradeListAcknowledgement,
    UpgradeReport,
)
from sr_engine.pipeline.answer import Answer
from tests.regions.conftest import HOUR, Nights, hubs
from tests.world import OLD_VERSION, WINDOW, TestHub, World, bound, make_world

DELIVERED, ACTIVATED, FAILED = ReportStatus.DELIVERED, ReportStatus.ACTIVATED, ReportStatus.FAILED
NEW = "9002"
ON_A_LIST = 3
"""Hubs of each row, which stand on a list of their own."""
SOUTH = 900


class Desk:
    """The desk of an instance, and a CSP's letters to it about the hubs of one row."""

    def __init__(self, nights: Nights, members: list[TestHub], south: tuple[TestHub, str]) -> None:
        self.nights, self.world = nights, nights.world
        self.desk: CspDesk = csp_desk_of(self.world.instance)
        self.x, self.y, self.z = members
        self.south_hub, self.south_list = south
        (list_id,) = {nights.attempt(hub).list_id for hub in members} - {None}
        assert list_id is not None
        self.list_id = list_id
        self.region, self.signed_by = "Central", "Central"

    def hub(self, name: str) -> str:
        """By name: x, y and z stand on the list, `gpf` belongs to x, the others do not."""
        others = {"south": self.south_hub.chf, "unknown": TestHub(999).chf, "gpf": self.x.gpf}
        return others[name] if name in others else getattr(self, name).chf

    def entry(self, hub: str, status: ReportStatus, version: str | None = None, *, ago: int = 1) -> ReportEntry:
        at = self.world.clock.now() - ago * HOUR
        reason = "no power" if status is FAILED else None
        return ReportEntry(self.hub(hub), status, at, reason, version)

    def post(self, data: bytes) -> tuple[int, str]:
        """The status and what is said of it."""
        admitted = self.desk.admit(data, self.world.clock.now())
        if not isinstance(admitted, Answer):
            admitted = self.world.run(bound(self.desk.execute, admitted))
        return admitted.status, admitted.detail

    def signed(self, message: UpgradeReport | UpgradeListAcknowledgement) -> bytes:
        return Signer(self.world.csp_key(self.signed_by)).sign(build_csp_message(message))

    def report(self, *entries: ReportEntry, list_id: str | None = None, number: RequestId | None = None) -> bytes:
        number = number or self.nights.message_id()
        now = self.world.clock.now()
        return self.signed(UpgradeReport(number, now, list_id or self.list_id, self.region, entries))

    def acknowledgement(self, accepted: str = "", refused: str = "", *, list_id: str | None = None) -> bytes:
        reasons = (RefusedHubs("no link", tuple(map(self.hub, refused.split()))),) if refused else ()
        message = UpgradeListAcknowledgement(
            self.nights.message_id(),
            self.world.clock.now(),
            list_id or self.list_id,
            self.region,
            tuple(map(self.hub, accepted.split())),
            reasons,
        )
        return self.signed(message)


Letters = Callable[[Desk], Iterator[bytes]]


@dataclass(frozen=True)
class Row:
    """What is sent, and what is expected: each answer, and of x, y and z the state, the version of x, its alerts."""

    letters: Letters
    answers: list[tuple[int, str]]
    states: str = "Listed Listed Listed"
    version: str = OLD_VERSION
    alerts: list[str] = field(default_factory=list)


ROWS: dict[str, Row] = {}


def row(*answers: tuple[int, str], **expected: object) -> Callable[[Letters], Letters]:
    """Add the letters of a function under its name."""

    def add(letters: Letters) -> Letters:
        ROWS[letters.__name__] = Row(letters, list(answers), **expected)  # type: ignore[arg-type]  # Row's own fields
        return letters

    return add


NOT_REFUSED = "0 hubs acknowledged; 1 not refused, for they were accepted before or have had an outcome"
ONE, NONE = (204, "1 hubs brought forward"), (204, "0 hubs brought forward")
STRANGE = (204, "0 hubs brought forward; 1 not on the list")
DONE = {"states": "Activated Listed Listed", "version": NEW, "alerts": ["hub_activated"]}


# --- repeated --------------------------------------------------------------------------------------------------------


@row(ONE, ONE, **DONE)
def the_same_bytes_twice(desk: Desk) -> Iterator[bytes]:
    data = desk.report(desk.entry("x", ACTIVATED))
    yield data
    yield data


@row(ONE, NONE, **DONE)
def the_same_outcome_under_another_message_id(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", ACTIVATED))
    yield desk.report(desk.entry("x", ACTIVATED))


@row(ONE, (409, "this MessageID was used before for a message with other content"), **DONE)
def another_content_under_the_same_message_id(desk: Desk) -> Iterator[bytes]:
    number = desk.nights.message_id()
    yield desk.report(desk.entry("x", ACTIVATED), number=number)
    yield desk.report(desk.entry("y", FAILED), number=number)


@row(ONE, **DONE)
def a_hub_named_twice_with_the_same_outcome(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", ACTIVATED), desk.entry("x", ACTIVATED))


# --- partial ---------------------------------------------------------------------------------------------------------


@row(ONE, ONE, states="Activated Failed Listed", version=NEW, alerts=["hub_activated"])
def some_hubs_now_and_others_later(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", ACTIVATED))
    yield desk.report(desk.entry("y", FAILED))


@row((204, "1 hubs acknowledged"), (204, "1 hubs acknowledged"), states="Accepted Scheduled Listed")
def an_acknowledgement_in_parts_one_hub_left_out(desk: Desk) -> Iterator[bytes]:
    yield desk.acknowledgement("x")
    yield desk.acknowledgement(refused="y")


# --- out of order ----------------------------------------------------------------------------------------------------


@row(ONE, NONE, **DONE)
def delivered_after_activated(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", ACTIVATED))
    yield desk.report(desk.entry("x", DELIVERED, ago=2))


@row(ONE, NONE, states="Failed Listed Listed", alerts=["hub_failed"])
def delivered_after_failed(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", FAILED))
    yield desk.report(desk.entry("x", DELIVERED, ago=2))


@row(ONE, (204, "2 hubs acknowledged"), states="Delivered Accepted Scheduled", alerts=["hub_delivered"])
def a_report_before_the_acknowledgement_that_accepts_it(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", DELIVERED))
    yield desk.acknowledgement("x y", "z")


@row(ONE, (204, NOT_REFUSED), **DONE)
def a_report_before_the_acknowledgement_that_refuses_it(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", ACTIVATED))
    yield desk.acknowledgement(refused="x")


# --- of hubs it is not about -----------------------------------------------------------------------------------------


@row(STRANGE)
def a_hub_nobody_knows(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("unknown", ACTIVATED, NEW))


@row((204, "1 hubs brought forward; 1 not on the list"), **DONE)
def a_hub_nobody_knows_beside_one_of_the_list(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("unknown", FAILED), desk.entry("x", ACTIVATED))


@row(STRANGE)
def a_hub_of_another_regions_list(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("south", ACTIVATED, "9000"))
    assert desk.nights.states([desk.south_hub]) == ["Listed"]
    assert desk.nights.version(desk.south_hub.chf) == OLD_VERSION


@row(STRANGE)
def the_gpf_in_place_of_the_chf(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("gpf", ACTIVATED))


@row((204, "0 hubs acknowledged; 2 not on the list"))
def an_acknowledgement_of_hubs_that_are_not_on_the_list(desk: Desk) -> Iterator[bytes]:
    yield desk.acknowledgement("unknown", "south")


@row((404, "was not sent to region Central"), (404, "was not sent to region Central"))
def the_list_of_another_region(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("south", ACTIVATED), list_id=desk.south_list)
    yield desk.acknowledgement("south", list_id=desk.south_list)
    assert desk.nights.states([desk.south_hub]) == ["Listed"]


@row((404, "upgrade list nothing was not sent to region Central"))
def a_list_that_there_is_not(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", ACTIVATED), list_id="nothing")


@row((404, "was not sent to region South"))
def the_right_list_for_another_region_of_the_same_csp(desk: Desk) -> Iterator[bytes]:
    desk.region = "South"
    yield desk.report(desk.entry("x", ACTIVATED))


@row((403, "for region North it must be signed by its CSP"))
def a_region_of_another_csp(desk: Desk) -> Iterator[bytes]:
    desk.region = "North"
    yield desk.report(desk.entry("x", ACTIVATED))


@row((403, "for region Central it must be signed by its CSP"))
def the_key_of_another_csp(desk: Desk) -> Iterator[bytes]:
    desk.signed_by = "North"
    yield desk.report(desk.entry("x", ACTIVATED))


@row((400, "SMETS1 is not one that is upgraded here"))
def a_region_that_is_not_upgraded(desk: Desk) -> Iterator[bytes]:
    desk.region = "SMETS1"
    yield desk.report(desk.entry("x", ACTIVATED))


@row((400, "Activated"))
def an_outcome_that_there_is_not(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", ACTIVATED)).replace(b">Activated<", b">Exploded<")


# --- contradicting what was said before ------------------------------------------------------------------------------


@row(ONE, NONE, **DONE)
def failed_after_activated(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", ACTIVATED, ago=2))
    yield desk.report(desk.entry("x", FAILED))


@row(ONE, ONE, states="Activated Listed Listed", version=NEW, alerts=["hub_activated", "hub_failed"])
def activated_after_failed(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", FAILED, ago=2))
    yield desk.report(desk.entry("x", ACTIVATED))


@row(ONE, **DONE)
def both_in_one_message(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", FAILED), desk.entry("x", ACTIVATED), desk.entry("x", DELIVERED))


@row((204, "1 hubs acknowledged"), (204, NOT_REFUSED), states="Accepted Listed Listed")
def refused_after_accepted(desk: Desk) -> Iterator[bytes]:
    yield desk.acknowledgement("x")
    yield desk.acknowledgement(refused="x")


REFUSED = (204, "1 hubs acknowledged")


@row((204, "1 hubs acknowledged"), states="Scheduled Listed Listed", alerts=["hub_returned"])
def accepted_and_refused_at_once(desk: Desk) -> Iterator[bytes]:
    yield desk.acknowledgement("x", "x")


@row(
    REFUSED,
    (204, "0 hubs acknowledged; 1 not on the list"),
    states="Scheduled Listed Listed",
    alerts=["hub_returned"],
)
def accepted_after_refused(desk: Desk) -> Iterator[bytes]:
    yield desk.acknowledgement(refused="x")
    yield desk.acknowledgement("x")


@row(REFUSED, NONE, NONE, states="Scheduled Listed Listed", alerts=["hub_returned"])
def worked_on_after_refused(desk: Desk) -> Iterator[bytes]:
    yield desk.acknowledgement(refused="x")
    yield desk.report(desk.entry("x", DELIVERED))
    yield desk.report(desk.entry("x", FAILED))


@row(
    REFUSED,
    ONE,
    NONE,
    states="Activated Listed Listed",
    version=NEW,
    alerts=["hub_activated", "hub_returned"],
)
def activated_after_refused(desk: Desk) -> Iterator[bytes]:
    yield desk.acknowledgement(refused="x")
    yield desk.report(desk.entry("x", ACTIVATED))
    yield desk.report(desk.entry("x", ACTIVATED))


# --- contradicting the inventory -------------------------------------------------------------------------------------

ODD = "run another version than the inventory said"
MISMATCH = "firmware_version_mismatch"


@row(
    (204, f"1 hubs brought forward; 1 {ODD}"),
    states="Failed Listed Listed",
    version="9000",
    alerts=[MISMATCH, "hub_failed"],
)
def activated_and_running_something_else(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", ACTIVATED, "9000"))


@row(ONE, states="Failed Listed Listed", alerts=["hub_failed"])
def activated_and_running_what_it_did(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", ACTIVATED, OLD_VERSION))


@row(
    ONE,
    (204, f"0 hubs brought forward; 1 {ODD}"),
    states="Activated Listed Listed",
    version="9000",
    alerts=[MISMATCH, "hub_activated"],
)
def activated_and_later_running_something_else(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", ACTIVATED, NEW, ago=3))
    yield desk.report(desk.entry("x", ACTIVATED, "9000"))


@row(ONE, NONE, **DONE)
def something_else_read_before_it_was_activated_and_said_late(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", ACTIVATED))
    yield desk.report(desk.entry("x", FAILED, "9000", ago=3))


# --- at odd times ----------------------------------------------------------------------------------------------------


@row(ONE, **DONE)
def an_outcome_of_the_future(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", ACTIVATED, ago=-1000))
    assert desk.nights.attempt(desk.x).state_at == desk.world.clock.now()


@row(ONE, **DONE)
def an_outcome_before_the_list_was_cut(desk: Desk) -> Iterator[bytes]:
    yield desk.report(desk.entry("x", ACTIVATED, ago=1000))


def _listed(world: World, rows: int = len(ROWS)) -> tuple[Nights, list[TestHub], tuple[TestHub, str]]:
    """A night on which the hubs of each row stand on a list of their own, and one of the South on another."""
    world.open_release()
    central, south = (Nights(world, world.instance.configuration.regions[name]) for name in ("Central", "South"))
    central.change(list_size=ON_A_LIST)
    members = hubs(rows * ON_A_LIST)
    other = TestHub(SOUTH, region="South")
    world.add_hubs([*members, other])
    central.schedule([*members, other])
    assert central.cut() == len(members)
    assert south.cut() == 1
    world.clock.set(central.period().end)
    return central, members, (other, south.list_ids()[0])


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Desk]]:
    world = make_world(tmp_path_factory.mktemp("odd") / "instance")
    nights, members, south = _listed(world)

    def desk(name: str) -> Desk:
        first = list(ROWS).index(name) * ON_A_LIST
        return Desk(nights, members[first : first + ON_A_LIST], south)

    yield desk
    world.close()


def alerts_of(desk: Desk, hub: TestHub, events: list[str]) -> list[str]:
    return sorted(event for event in events for told, _ in desk.nights.told(event) if told == hub.chf)


EVENTS = ["hub_delivered", "hub_activated", "hub_failed", "hub_returned", "hub_missed", "hub_cancelled", MISMATCH]


@pytest.mark.parametrize("name", ROWS)
def test_it_is_answered_and_taken_in_as_the_table_says(night: Callable[[str], Desk], name: str) -> None:
    desk, expected = night(name), ROWS[name]

    answers = [desk.post(data) for data in expected.letters(desk)]

    assert [status for status, _ in answers] == [status for status, _ in expected.answers]
    for (status, said), (_, wanted) in zip(answers, expected.answers, strict=True):
        assert said == wanted if status == 204 else wanted in said
    assert desk.nights.states([desk.x, desk.y, desk.z]) == expected.states.split()
    assert [desk.nights.version(one) for one in (desk.x.chf, desk.x.gpf)] == [expected.version] * 2
    assert alerts_of(desk, desk.x, EVENTS) == expected.alerts


# --- late ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "version", "answer", "becomes"),
    [
        (ACTIVATED, None, ONE, ("Activated", ["hub_activated", "hub_missed"])),
        (ACTIVATED, NEW, ONE, ("Activated", ["hub_activated", "hub_missed"])),
        (ACTIVATED, "9000", (204, f"0 hubs brought forward; 1 {ODD}"), ("Missed", [MISMATCH, "hub_missed"])),
        (DELIVERED, None, NONE, ("Missed", ["hub_missed"])),
        (FAILED, None, NONE, ("Missed", ["hub_missed"])),
    ],
)
def test_a_report_that_comes_after_the_hub_was_given_up_raises_it_or_changes_nothing(
    world: World, status: ReportStatus, version: str | None, answer: tuple[int, str], becomes: tuple[str, list[str]]
) -> None:
    nights, members, south = _listed(world, 1)
    desk = Desk(nights, members, south)
    nights.time_out(WINDOW.end + nights.region.completion_sla + timedelta(days=1))

    data = desk.report(desk.entry("x", status, version))
    assert [desk.post(data), desk.post(data)] == [answer, answer]

    state, alerts = becomes
    assert nights.states(members) == [state, "Missed", "Missed"]
    assert alerts_of(desk, desk.x, EVENTS) == alerts


def test_a_hub_that_was_refused_and_activated_all_the_same_is_not_listed_again(world: World) -> None:
    nights, members, south = _listed(world, 1)
    desk = Desk(nights, members, south)
    assert desk.post(desk.acknowledgement("y z", "x")) == (204, "3 hubs acknowledged")
    assert nights.attempt(desk.x).reason == "refused by the CSP: no link"
    assert desk.post(desk.report(desk.entry("x", ACTIVATED))) == ONE
    assert nights.cut(3) == 0


def test_what_was_refused_is_listed_again_for_another_night_and_there_the_old_list_is_heeded_too(world: World) -> None:
    nights, members, south = _listed(world, 1)
    desk = Desk(nights, members, south)
    desk.post(desk.acknowledgement("y z", "x"))
    assert nights.cut(3) == 1
    assert nights.attempt(desk.x).list_id not in {None, desk.list_id}

    assert desk.post(desk.report(desk.entry("x", FAILED))) == NONE
    assert nights.states([desk.x]) == ["Listed"]
    assert desk.post(desk.report(desk.entry("x", ACTIVATED))) == ONE
    assert nights.states([desk.x]) == ["Activated"]
