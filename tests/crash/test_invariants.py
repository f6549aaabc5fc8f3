"""The judge: it finds nothing where all is well, and each violation that is planted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from tests.crash.evidence import (
    Acted,
    Alerted,
    AlertedDevice,
    Arrival,
    Attempt,
    Evidence,
    HeldRequest,
    Home,
    Lease,
    Message,
    OfCsp,
    Record,
    Schedule,
    Sent,
    Stored,
    UpgradeList,
)
from tests.crash.invariants import CHECKS, violations

HUB, OTHER_HUB = "HUB-1", "HUB-2"
A, B = "supplier-a", "supplier-b"
TO_A, TO_B, TO_CSP = "user:A", "user:B", "csp:Central"
SCHEDULING, APPROVING, EXCLUDING, DATED = "A:X:1", "B:X:1", "B:X:2", "A:X:2"
ALERTS = {"attempt listed": "hub_listed", "attempt activated": "hub_activated"}


def arrival(message: Message, *hubs: str, taken: bool = True) -> Arrival:
    return Arrival(message.destination, message.message_id, message.sha256, taken, frozenset(hubs))


def went(event: str, before: str | None, after: str, *hubs: str, key: str | None = None) -> Record:
    return Record("processor", f"attempt {event}", key, hubs or (HUB,), before, after, 1)


LIST = Message(3, "m-list", "upgrade_list", TO_CSP, None, "s-list", "Delivered")
LISTED_A = Message(4, "m-listed-a", "alert", TO_A, HUB, "s-listed-a", "Delivered")
LISTED_B = Message(5, "m-listed-b", "alert", TO_B, HUB, "s-listed-b", "Delivered")
DONE_A = Message(7, "m-done-a", "alert", TO_A, HUB, "s-done-a", "Delivered")
DONE_B = Message(8, "m-done-b", "alert", TO_B, HUB, "s-done-b", "Delivered")
RESPONSE = Message(6, "m-response", "response", TO_A, None, "s-response", "Delivered", DATED)
OPENED = Message(1, "m-opened", "alert", TO_A, None, "s-opened", "Delivered")

GOOD = Evidence(
    sent=(
        Sent(SCHEDULING, A, "11.5", frozenset({HUB}), (b"scheduled", b"scheduled"), "I0", False, 17, 1),
        Sent(APPROVING, B, "11.6", frozenset({HUB}), (b"approved",), "I99"),
        Sent(EXCLUDING, B, "11.9", frozenset({OTHER_HUB}), (b"excluded",), "I99"),
        Sent(DATED, A, "11.9", frozenset({HUB}), (b"later",), "I99", held=True),
    ),
    of_csps=(OfCsp("CSP:X:1", (204, 204)),),
    stored=(
        Stored("DUIS", SCHEDULING, "I0", b"scheduled"),
        Stored("DUIS", APPROVING, "I99", b"approved"),
        Stored("DUIS", EXCLUDING, "I99", b"excluded"),
        Stored("DUIS", DATED, "I99", b"later"),
        Stored("CSP", "CSP:X:1", "204", b""),
    ),
    records=(
        Record("user:A", "request", SCHEDULING),
        Record("user:A", "answer", SCHEDULING, (HUB,), None, "Approved"),
        went("requested", None, "AwaitingApproval", key=SCHEDULING),
        Record("user:B", "request", APPROVING),
        Record("user:B", "answer", APPROVING, (HUB,), None, "Approved"),
        went("agreed", "AwaitingApproval", "Scheduled", key=APPROVING),
        Record("user:B", "request", EXCLUDING),
        Record("user:B", "exclusion set", EXCLUDING, (OTHER_HUB,), None, "Excluded", detail=f"{B}, until it is lifted"),
        Record("user:A", "request", DATED),
        went("listed", "Scheduled", "Listed"),
        Record("user:A", "request", DATED),
        Record("processor", "response", DATED),
        went("activated", "Listed", "Activated", key="CSP:X:1"),
        Record("csp:Central", "UpgradeReport", "CSP:X:1"),
    ),
    schedules=(Schedule(17, SCHEDULING, A, 1),),
    held=(HeldRequest(DATED, "I99", has_response=True),),
    decisions={(HUB, A): ("Approved", SCHEDULING), (HUB, B): ("Approved", APPROVING)},
    exclusions=frozenset({(OTHER_HUB, B)}),
    outbox=(OPENED, LIST, LISTED_A, LISTED_B, RESPONSE, DONE_A, DONE_B),
    alerted=(
        Alerted(HUB, "release_opened", A, "r", OPENED.message_id),
        Alerted(HUB, "hub_listed", A, "l", LISTED_A.message_id),
        Alerted(HUB, "hub_listed", B, "l", LISTED_B.message_id),
        Alerted(HUB, "hub_activated", A, "r/1", DONE_A.message_id),
        Alerted(HUB, "hub_activated", B, "r/1", DONE_B.message_id),
    ),
    lists=(UpgradeList("list", LIST.message_id, (HUB,)),),
    attempts=(Attempt(HUB, 1, "Activated", is_open=False),),
    arrivals=(
        arrival(OPENED, HUB),
        arrival(LIST, HUB),
        arrival(LISTED_B, HUB, taken=False),
        arrival(LISTED_A, HUB),
        arrival(LISTED_B, HUB),
        arrival(RESPONSE),
        arrival(DONE_B, HUB),
        arrival(DONE_A, HUB),
        # Whoever sent it was killed before that was recorded.
        arrival(LISTED_A, HUB),
    ),
    leases=(Lease("trigger:Central", None, blocks=False),),
    homes={HUB: Home("Central", frozenset({A, B})), OTHER_HUB: Home("North", frozenset({B}))},
    upgraded=frozenset({HUB}),
    alerts_of=ALERTS,
    addresses={A: TO_A, B: TO_B},
)


def test_where_all_is_well_nothing_is_found() -> None:
    assert violations(GOOD) == []


@dataclass(frozen=True, slots=True)
class Planted:
    """What is done to the evidence, and which check has to find it."""

    found_by: str
    said: str
    change: Callable[[Evidence], Evidence]


def without(name: str, *places: int) -> Callable[[Evidence], Evidence]:
    """Some of a sequence are lost."""

    def change(evidence: Evidence) -> Evidence:
        kept = [one for place, one in enumerate(getattr(evidence, name)) if place not in places]
        return with_(**{name: kept})(evidence)

    return change


def added(name: str, *more: Any) -> Callable[[Evidence], Evidence]:
    return lambda evidence: with_(**{name: (*getattr(evidence, name), *more)})(evidence)


def changed(name: str, place: int, **values: Any) -> Callable[[Evidence], Evidence]:
    """One of a sequence is another."""

    def change(evidence: Evidence) -> Evidence:
        rows: Sequence[Any] = getattr(evidence, name)
        return with_(**{name: [*rows[:place], replace(rows[place], **values), *rows[place + 1 :]]})(evidence)

    return change


def with_(**values: Any) -> Callable[[Evidence], Evidence]:
    return lambda evidence: replace(evidence, **values)


def arriving(*messages: Message) -> Callable[[Evidence], Evidence]:
    """What came, in this order."""
    return with_(arrivals=[arrival(one, HUB) for one in (LIST, RESPONSE, *messages)])


PLANTED: Mapping[str, Planted] = {
    "an answer that was given is gone": Planted("each_request_has_one_answer", "0 times", without("stored", 1)),
    "a request is taken twice": Planted(
        "each_request_has_one_answer", "2 times", added("stored", Stored("DUIS", APPROVING, "I99", b"approved"))
    ),
    "a repeat gets other bytes": Planted(
        "each_request_has_one_answer", "1 other answer", changed("sent", 0, answers=(b"scheduled", b"scheduled anew"))
    ),
    "what is kept is not what was answered": Planted(
        "each_request_has_one_answer", "1 other answer", changed("stored", 0, answer=b"another")
    ),
    "a request is never answered": Planted(
        "each_request_has_one_answer", "never answered", changed("sent", 1, answers=())
    ),
    "a request nobody has sent": Planted(
        "each_request_has_one_answer", "nobody has sent", added("stored", Stored("DUIS", "C:X:1", "I99", b""))
    ),
    "a request is carried out twice": Planted(
        "each_request_was_carried_out_once", "2 times", added("records", Record("user:B", "request", APPROVING))
    ),
    "a request is not carried out": Planted("each_request_was_carried_out_once", "0 times", without("records", 3)),
    "a held request is carried out twice": Planted(
        "each_request_was_carried_out_once", "3 times", added("records", Record("user:A", "request", DATED))
    ),
    "an answer for a hub is given twice": Planted(
        "each_request_was_carried_out_once",
        "2 times",
        added("records", Record("user:B", "answer", APPROVING, (HUB,), None, "Approved")),
    ),
    "an accepted schedule is lost": Planted("what_was_accepted_is_in_force", "0 schedules", without("schedules", 0)),
    "a schedule is made twice": Planted(
        "what_was_accepted_is_in_force", "2 schedules", added("schedules", Schedule(18, SCHEDULING, A, 1))
    ),
    "a schedule has another id than was told": Planted(
        "what_was_accepted_is_in_force", "there is 18", changed("schedules", 0, schedule_id=18)
    ),
    "a schedule lacks a hub": Planted(
        "what_was_accepted_is_in_force", "there is 17 of 0", changed("schedules", 0, hubs=0)
    ),
    "a refused schedule is there": Planted(
        "what_was_accepted_is_in_force", "E110503", changed("sent", 0, code="E110503")
    ),
    "an accepted approval gave no answer": Planted(
        "what_was_accepted_is_in_force", "gave no answer", without("records", 4)
    ),
    "an answer in force is lost": Planted(
        "what_was_accepted_is_in_force", "in force is None", with_(decisions={(HUB, A): ("Approved", SCHEDULING)})
    ),
    "an older answer is in force": Planted(
        "what_was_accepted_is_in_force",
        "said ('Declined', 'B:X:3') last",
        added("records", Record("user:B", "answer", "B:X:3", (HUB,), None, "Declined")),
    ),
    "an exclusion is lost": Planted("what_was_accepted_is_in_force", "lost", with_(exclusions=frozenset())),
    "an exclusion nobody has set": Planted(
        "what_was_accepted_is_in_force", "on no record", with_(exclusions=frozenset({(OTHER_HUB, B), (HUB, A)}))
    ),
    "a request that was held is forgotten": Planted(
        "each_held_request_has_one_response", "held 0 times", without("held", 0)
    ),
    "a held request waits for ever": Planted(
        "each_held_request_has_one_response", "still waits", changed("held", 0, code=None, has_response=False)
    ),
    "a Response is lost": Planted("each_held_request_has_one_response", "0 Responses", without("outbox", 4)),
    "a Response is doubled": Planted(
        "each_held_request_has_one_response",
        "2 Responses",
        added("outbox", replace(RESPONSE, outbox_id=9, message_id="m-again", sha256="s-again")),
    ),
    "a Response to what was not held": Planted(
        "each_held_request_has_one_response", "was not held", changed("outbox", 4, request_key=SCHEDULING)
    ),
    "a report is taken twice": Planted(
        "each_message_of_a_csp_was_taken_once",
        "2 times in the inbox",
        added("stored", Stored("CSP", "CSP:X:1", "204", b"")),
    ),
    "a report that was taken is lost": Planted(
        "each_message_of_a_csp_was_taken_once", "0 times in the inbox", without("stored", 4)
    ),
    "a repeat of a report is refused": Planted(
        "each_message_of_a_csp_was_taken_once", "409", changed("of_csps", 0, statuses=(204, 409))
    ),
    "an alert does not leave": Planted("nothing_is_lost", "is Pending", changed("outbox", 2, state="Pending")),
    "an alert is parked": Planted("nothing_is_lost", "is Parked", changed("outbox", 2, state="Parked")),
    "a list expires that was in time": Planted("nothing_is_lost", "is Expired", changed("outbox", 1, state="Expired")),
    "an alert counts as delivered and never came": Planted("nothing_is_lost", "did not come", without("arrivals", 6)),
    "an alert was never taken": Planted("nothing_is_lost", "did not come", without("arrivals", 4)),
    "a list counts as delivered and never came": Planted("nothing_is_lost", "did not come", without("arrivals", 1)),
    "news is left that nobody tells": Planted("nothing_is_lost", "told to nobody", with_(tidings_left=1)),
    "an alert is not even queued": Planted("nothing_is_lost", "told 0 times", without("alerted", 2)),
    "an alert that counts as queued is none": Planted("nothing_is_lost", "does not exist", without("outbox", 3)),
    "an alert is doubled under another id": Planted(
        "nothing_is_doubled",
        "tells of nothing",
        added("outbox", replace(LISTED_A, outbox_id=9, message_id="m-again", sha256="s-again")),
    ),
    "the same bytes are queued twice": Planted(
        "nothing_is_doubled", "have the bytes", added("outbox", replace(LIST, outbox_id=9, message_id="m-again"))
    ),
    "an event is told twice": Planted(
        "nothing_is_doubled",
        "was told 2 times",
        added("alerted", Alerted(HUB, "hub_listed", A, "l", LISTED_A.message_id)),
    ),
    "what has not happened is told": Planted(
        "nothing_is_doubled", "happened 0 times", added("alerted", Alerted(OTHER_HUB, "hub_listed", B, "x", "m-done-b"))
    ),
    "an alert names another hub": Planted(
        "nothing_is_doubled", "does not name", changed("arrivals", 7, hubs=frozenset({OTHER_HUB}))
    ),
    "a repeat has other bytes": Planted(
        "repeats_have_the_same_bytes_and_id", "other bytes", changed("arrivals", 8, sha256="s-other")
    ),
    "a repeat has another id": Planted(
        "repeats_have_the_same_bytes_and_id", "under 2 ids", changed("arrivals", 8, message_id="m-done-a")
    ),
    "a message comes of which nothing is known": Planted(
        "repeats_have_the_same_bytes_and_id", "not in the outbox", changed("arrivals", 8, message_id="m-unknown")
    ),
    "a message comes to somebody else": Planted(
        "repeats_have_the_same_bytes_and_id", "came to user:A, user:B", changed("arrivals", 3, destination=TO_B)
    ),
    "alerts of a hub change places": Planted(
        "alerts_come_in_order", "is later", arriving(OPENED, DONE_A, LISTED_A, LISTED_B, DONE_B)
    ),
    "an alert about many hubs is overtaken": Planted(
        "alerts_come_in_order", "came after what is later", arriving(LISTED_A, OPENED, DONE_A, LISTED_B, DONE_B)
    ),
    "a hub is listed twice in one attempt": Planted(
        "hubs_are_listed_once_per_attempt",
        "listed again",
        added("records", went("listed", "Scheduled", "Listed")),
    ),
    "a hub stands in a list it was not put on": Planted(
        "hubs_are_listed_once_per_attempt", "stands in 1 lists", changed("lists", 0, hubs=(HUB, OTHER_HUB))
    ),
    "a list lacks a hub": Planted("hubs_are_listed_once_per_attempt", "in 0 lists", changed("lists", 0, hubs=())),
    "a list names a hub twice": Planted(
        "hubs_are_listed_once_per_attempt", "names a hub twice", changed("lists", 0, hubs=(HUB, HUB))
    ),
    "an attempt stands where nothing has led it": Planted(
        "hubs_are_conserved", "stands at Failed", changed("attempts", 0, state="Failed")
    ),
    "an attempt is gone": Planted("hubs_are_conserved", "stands at None", without("attempts", 0)),
    "a step of an attempt is not on record": Planted("hubs_are_conserved", "when it went", without("records", 9)),
    "two attempts at a hub are under way": Planted(
        "hubs_are_conserved",
        "2 attempts under way",
        added("attempts", Attempt(HUB, 2, "Scheduled", is_open=True), Attempt(HUB, 3, "Listed", is_open=True)),
    ),
    "a hub from nowhere": Planted(
        "hubs_are_conserved", "in no inventory", added("attempts", Attempt("HUB-9", 1, "Failed", is_open=False))
    ),
    "an activated hub runs the old firmware": Planted(
        "hubs_are_conserved", "says otherwise", with_(upgraded=frozenset())
    ),
    "a hub nobody has upgraded runs the new firmware": Planted(
        "hubs_are_conserved", "says otherwise", with_(upgraded=frozenset({HUB, OTHER_HUB}))
    ),
    "an alert of a device is gone": Planted(
        "nothing_is_lost", "which is nowhere", added("alerted_devices", AlertedDevice("E1", "delivered", 1, "m-gone"))
    ),
    "an act at a face is lost": Planted(
        "each_act_at_a_face_was_done_once", "0 are in the inbox", added("acted", Acted("SHEET"))
    ),
    "an act at a face is known by another id": Planted(
        "each_act_at_a_face_was_done_once",
        "in the inbox 0 times",
        lambda good: added("acted", Acted("API", "A:X:9"))(added("stored", Stored("API", "A:X:8", "I99", b""))(good)),
    ),
    "the audit trail is broken": Planted(
        "the_audit_trail_is_whole", "link changed", with_(broken_chains=["chain 1: link changed"])
    ),
    "a lease is left that blocks": Planted(
        "no_lease_blocks", "which has stopped", added("leases", Lease("delivery:user:A", "dead", blocks=True))
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_what_is_planted_is_found(name: str) -> None:
    planted = PLANTED[name]

    found = [one for one in violations(planted.change(GOOD)) if one.startswith(f"{planted.found_by}: ")]

    assert any(planted.said in one for one in found)


def test_something_is_planted_for_every_check() -> None:
    assert {one.__name__ for one in CHECKS} == {one.found_by for one in PLANTED.values()}


def test_a_list_whose_night_was_over_before_its_csp_could_be_reached_is_not_lost() -> None:
    expired = changed("outbox", 1, state="Expired")(GOOD)
    given_up = added("records", Record("processor", "list too late", LIST.message_id))(expired)

    assert not [one for one in violations(given_up) if "upgrade_list" in one]


def test_what_was_queued_last_may_be_under_way() -> None:
    late = Message(9, "m-late", "alert", TO_A, HUB, "s-late", "Pending", may_be_under_way=True)
    evidence = added("alerted", Alerted(HUB, "other", A, "x", "m-late"))(added("outbox", late)(GOOD))

    assert violations(evidence) == []


def test_a_hub_that_a_csp_refused_may_be_listed_again() -> None:
    records = (
        *GOOD.records[:10],
        went("refused", "Listed", "Scheduled"),
        went("listed", "Scheduled", "Listed"),
        *GOOD.records[10:],
    )
    again = Message(9, "m-list-2", "upgrade_list", TO_CSP, None, "s-list-2", "Delivered")
    evidence = replace(
        GOOD,
        records=records,
        lists=(*GOOD.lists, UpgradeList("list-2", again.message_id, (HUB,))),
        outbox=(*GOOD.outbox, again),
        arrivals=(*GOOD.arrivals, arrival(again, HUB)),
        alerts_of={},
    )

    assert violations(evidence) == []


def test_of_many_violations_some_are_told_and_the_rest_is_counted() -> None:
    many = added("stored", *(Stored("DUIS", f"C:X:{number}", "I99", b"") for number in range(50)))(GOOD)

    assert violations(many)[-1] == "each_request_has_one_answer: 30 more"
