"""The judge of changes of Supplier and quarantine: it finds nothing where all is well, and each violation planted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.crash.evidence import (
    Alerted,
    Arrival,
    Evidence,
    HeldRequest,
    Home,
    Message,
    Move,
    Record,
    Sent,
    Stored,
    UpgradeList,
)
from tests.crash.invariants import violations
from tests.crash.telling import told
from tests.soak.everything import CHANGES, FROM_SECONDS, missing
from tests.soak.hooks import Told, differences
from tests.soak.judging import CHECKS

HUB, OTHER = "HUB-1", "HUB-2"
A, B, C = "supplier-a", "supplier-b", "supplier-c"
ADDRESSES = {A: "user:A", B: "user:B", C: "user:C"}
ON = datetime(2027, 3, 1, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
MOVED = Move(HUB, 1, C, A, frozenset({B, C}), ON, ON - 9 * DAY, ON, under_way=True)
"""Electricity goes from A to C, gas stays with B."""
CARRIED_OUT = ON + HOUR
ALERTS = {"attempt missed": "hub_missed", "attempt supplier_changed": "hub_cancelled"}


def alert(number: int, to: str, event: str) -> tuple[Message, Alerted, Arrival]:
    message = Message(number, f"m-{number}", "alert", ADDRESSES[to], HUB, f"s-{number}", "Delivered", event=event)
    told_of = Alerted(HUB, event, to, f"o-{number}", message.message_id)
    return message, told_of, Arrival(message.destination, message.message_id, message.sha256, True, frozenset({HUB}))


SENT = (
    alert(1, C, "change_of_supplier"),
    alert(2, A, "hub_voided"),
    alert(3, B, "hub_missed"),
    alert(4, C, "hub_missed"),
    alert(5, B, "hub_cancelled"),
)
NOTICE = Message(9, "m-9", "notice", "user:C", None, "s-9", "Delivered", event="quarantined_request")

GOOD = Evidence(
    records=(
        Record("user:A", "answer", "A:X:1", (HUB,), None, "Approved", at=ON - 9 * DAY),
        Record("user:B", "answer", "B:X:1", (HUB,), None, "Approved", at=ON - 8 * DAY),
        Record("processor", "attempt supplier_changed", None, (HUB,), "Scheduled", "Voided", 1, at=CARRIED_OUT),
        Record("processor", "answer void", None, (HUB,), at=CARRIED_OUT),
        Record("processor", "Supplier came", None, (HUB,), detail=C, at=CARRIED_OUT),
        Record("processor", "Supplier left", None, (HUB,), detail=A, at=CARRIED_OUT),
        Record("processor", "attempt missed", None, (HUB,), "AwaitingApproval", "Missed", 2, at=ON + 9 * DAY),
    ),
    held=(HeldRequest("C:X:1", "E100", has_response=True, sender="C", was_quarantined=True, word="deleted"),),
    outbox=(*(message for message, _, _ in SENT), NOTICE),
    alerted=tuple(told_of for _, told_of, _ in SENT),
    arrivals=tuple(arrival for _, _, arrival in SENT),
    lists=(UpgradeList("l", "m-l", (HUB,), ON + 4 * DAY, ON + 4 * DAY + HOUR, ON),),
    homes={HUB: Home("North", frozenset({A, B}), (MOVED,)), OTHER: Home("North", frozenset({A}))},
    alerts_of=ALERTS,
    addresses=ADDRESSES,
    at_rest=ON + 30 * DAY,
)


def of_soak(evidence: Evidence) -> list[str]:
    """What is found beyond the invariants of the crash matrix."""
    names = {check.__name__ for check in CHECKS}
    return [one for one in violations(evidence, CHECKS) if one.partition(":")[0] in names]


def test_where_all_is_well_nothing_is_found() -> None:
    assert of_soak(GOOD) == []
    assert [name for name, least, most, times in told(GOOD) if not least <= times <= most] == []


def without_record(action: str) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(evidence, records=[one for one in evidence.records if one.action != action])


def without_alert(event: str) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(evidence, alerted=[one for one in evidence.alerted if one.event != event])


def again(action: str) -> Callable[[Evidence], Evidence]:
    def change(evidence: Evidence) -> Evidence:
        return replace(evidence, records=[*evidence.records, *(r for r in evidence.records if r.action == action)])

    return change


def in_quiet_days(evidence: Evidence) -> Evidence:
    (one,) = evidence.lists
    return replace(evidence, lists=[replace(one, starts=ON + 2 * DAY, ends=ON + 2 * DAY + HOUR)])


def told_to_a_stranger(evidence: Evidence) -> Evidence:
    message, _, arrival = alert(8, C, "hub_missed")
    strange = replace(arrival, hubs=frozenset({OTHER}))
    return replace(evidence, outbox=[*evidence.outbox, message], arrivals=[*evidence.arrivals, strange])


def let_through(evidence: Evidence) -> Evidence:
    return replace(evidence, held=[replace(one, code="I99") for one in evidence.held])


@dataclass(frozen=True, slots=True)
class Planted:
    found_by: str
    change: Callable[[Evidence], Evidence]


PLANTED = {
    "a change is never carried out": Planted(
        "each_change_of_supplier_was_carried_out_once", without_record("Supplier came")
    ),
    "a change is carried out twice": Planted("each_change_of_supplier_was_carried_out_once", again("Supplier left")),
    "whoever has come is not told": Planted(
        "whoever_has_come_is_told_of_each_meter", without_alert("change_of_supplier")
    ),
    "whoever has left is not told": Planted("whoever_has_left_is_told_what_is_void", without_alert("hub_voided")),
    "what was void is not on record": Planted("whoever_has_left_is_told_what_is_void", without_record("answer void")),
    "a list names a hub in its quiet days": Planted("nothing_is_listed_for_quiet_days", in_quiet_days),
    "an alert names a hub to a stranger": Planted("nobody_is_told_of_what_was_never_its_own", told_to_a_stranger),
    "what was deleted from quarantine was done": Planted(
        "each_quarantined_request_is_told_of_once_and_ends_as_the_operator_said", let_through
    ),
    "quarantine is not told of": Planted(
        "each_quarantined_request_is_told_of_once_and_ends_as_the_operator_said",
        lambda evidence: replace(evidence, outbox=[one for one in evidence.outbox if one.kind != "notice"]),
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(name: str) -> None:
    planted = PLANTED[name]

    assert planted.found_by in {one.partition(":")[0] for one in of_soak(planted.change(GOOD))}


def test_something_is_planted_for_every_check() -> None:
    assert {one.found_by for one in PLANTED.values()} == {check.__name__ for check in CHECKS}


@pytest.mark.parametrize(
    ("event", "organisation", "wanted"),
    [
        ("hub_missed", A, 0),
        ("hub_missed", B, 1),
        ("hub_missed", C, 1),
        ("hub_cancelled", C, 0),
        ("hub_cancelled", B, 1),
    ],
)
def test_who_is_told_follows_the_registrations_of_the_moment(event: str, organisation: str, wanted: int) -> None:
    found = {name: (least, most) for name, least, most, _ in told(GOOD)}

    assert found.get((event, HUB, organisation), (0, 0)) == (wanted, wanted)


def test_until_a_late_notice_is_answered_either_supplier_may_be_the_one() -> None:
    late = replace(MOVED, known=ON + DAY)
    home = Home("North", frozenset({A, B}), (late,))

    assert (home.surely(ON + HOUR), home.possibly(ON + HOUR)) == (frozenset({B}), frozenset({A, B, C}))
    assert home.surely(ON - HOUR) == home.possibly(ON - HOUR) == frozenset({A, B})
    assert home.surely(ON + 2 * DAY) == home.possibly(ON + 2 * DAY) == frozenset({B, C})


@pytest.mark.parametrize(
    ("pruned", "again", "found"),
    [
        (True, b"<ResponseCode>E100</ResponseCode>", False),
        (False, b"<ResponseCode>E100</ResponseCode>", True),
        (True, b"<ResponseCode>I99</ResponseCode>", True),
    ],
)
def test_once_an_answer_is_pruned_a_repeat_has_to_be_told_so(pruned: bool, again: bytes, found: bool) -> None:
    sent = Sent("A:X:1", A, "11.7", frozenset({HUB}), (b"answer", again), "I0")
    evidence = Evidence(
        sent=(sent,),
        stored=(Stored("DUIS", sent.key, "I0", b"answer", pruned=pruned),),
        records=(Record("user:A", "request", sent.key),),
    )

    assert any("other answer(s)" in one for one in violations(evidence)) is found


def test_what_is_wrong_with_the_archive_is_told() -> None:
    assert violations(Evidence(damaged=["a file is missing"])) == ["the_audit_trail_is_whole: a file is missing"]


def test_changes_that_never_came_or_came_in_another_order_are_told() -> None:
    first, second, third = (Told(one, ON) for one in "abc")

    assert differences([first, second], [first, second, third]) == []
    (missing,) = differences([first, second, third], [first, third])
    assert missing.startswith("1 of 3 changes never came")
    (disordered,) = differences([first, second, third], [first, third, second])
    assert disordered.startswith("changes came in another order, from number 1 on")


def test_only_what_a_change_of_supplier_moves_from_one_feed_to_another_is_no_difference() -> None:
    moves = {HUB: replace(MOVED, known=ON + DAY)}

    assert Told("a", ON + HOUR, HUB).is_of(moves)
    assert Told("a", ON + 2 * DAY, HUB).is_of(moves)
    assert not Told("a", ON - HOUR, HUB).is_of(moves)
    assert not Told("a", ON + 9 * DAY, HUB).is_of(moves)
    assert not Told("a", ON + HOUR, OTHER).is_of(moves)


def test_a_part_that_has_done_nothing_in_a_long_soak_is_told() -> None:
    all_on = Counter(dict.fromkeys(FROM_SECONDS, 1))

    assert missing(all_on, 1_800) == []
    assert missing(all_on - Counter({CHANGES: 1}), 1_800) == [f"{CHANGES}: none"]
    assert missing(all_on - Counter({CHANGES: 1}), FROM_SECONDS[CHANGES] - 1) == []
