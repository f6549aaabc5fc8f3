"""What must be so beside the invariants of the crash matrix: changes of Supplier and quarantine; pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from operator import attrgetter

from tests.crash.evidence import Evidence, Move
from tests.crash.invariants import VOID, Check
from tests.crash.telling import CAME, LEFT

QUIET = timedelta(days=3)
"""Before and after a change of Supplier, as shipped."""
PLANNED_WITHIN = timedelta(days=5)
"""Before its lists are cut, with many other things to do: what becomes known after that counts for the next night."""
_TAKEN_BACK = "Pending"
_TOLD, _VOIDED, _QUARANTINED, _NOTICE = "change_of_supplier", "hub_voided", "quarantined_request", "notice"


def each_change_of_supplier_was_carried_out_once(evidence: Evidence) -> Iterator[str]:
    """Whoever has come has come once, and whoever has left has left once; nobody else did either."""
    for action, of in ((CAME, attrgetter("gains")), (LEFT, attrgetter("loses"))):
        found = Counter((hub, one.detail) for one in evidence.records if one.action == action for hub in one.hubs)
        wanted = {(one.hub, of(one)): one for one in _moves(evidence) if of(one) is not None}
        for hub, organisation in sorted(found.keys() | wanted.keys()):
            times, move = found[hub, organisation], wanted.get((hub, organisation))
            if move is None or times > 1 or (times == 0 and move.latest < evidence.at_rest):
                yield f"{hub}: {organisation}: {action} {times} times{'' if move is None else f', on {move.effective}'}"


def whoever_has_come_is_told_of_each_meter(evidence: Evidence) -> Iterator[str]:
    """Unless the hub runs the firmware already: then there is nothing to decide."""
    upgraded: set[str] = set()
    wanted: Counter[tuple[str, str]] = Counter()
    meters = {(one.hub, one.gains): one.meters for one in _moves(evidence)}
    for one in evidence.records:
        if one.action == "attempt activated":
            upgraded.update(one.hubs)
        elif one.action == CAME:
            wanted.update(
                {(hub, one.detail): meters.get((hub, one.detail), 0) for hub in one.hubs if hub not in upgraded}
            )
    told = Counter((one.hub, one.organisation) for one in evidence.alerted if one.event == _TOLD)
    for hub, organisation in sorted(wanted.keys() | told.keys()):
        if (expected := wanted[hub, organisation]) != told[hub, organisation]:
            yield f"{organisation} has gained {expected} meters at {hub} and was told of {told[hub, organisation]}"


def whoever_has_left_is_told_what_is_void(evidence: Evidence) -> Iterator[str]:
    """Once, if its answer was void when it left; never, if that had to wait until the hub was with its CSP no more."""
    of_actor = {address: name for name, address in evidence.addresses.items()}
    left: Mapping[datetime, set[tuple[str, str]]] = defaultdict(set)
    for one in evidence.records:
        if one.action == LEFT:
            left[one.at].update((hub, one.detail) for hub in one.hubs)
    answers: set[tuple[str, str]] = set()
    wanted: Counter[tuple[str, str]] = Counter()
    for one in evidence.records:
        if one.action == "answer":
            given = {(hub, of_actor.get(one.actor, one.actor)) for hub in one.hubs}
            # What was taken back is of no use to anybody, and nothing is lost with it.
            answers = answers - given if one.after == _TAKEN_BACK else answers | given
        elif one.action == VOID:
            for hub in one.hubs:
                stay = evidence.homes[hub].surely(one.at)
                void = {(hub, name) for name in evidence.homes[hub].ever - stay} & answers
                answers -= void
                wanted.update(void & left[one.at])
    told = Counter((one.hub, one.organisation) for one in evidence.alerted if one.event == _VOIDED)
    for hub, organisation in sorted(wanted.keys() | told.keys()):
        if wanted[hub, organisation] != told[hub, organisation]:
            times = f"{wanted[hub, organisation]} times, told {told[hub, organisation]} times"
            yield f"{hub}: what {organisation} had decided was made void {times}"


def nothing_is_listed_for_quiet_days(evidence: Evidence) -> Iterator[str]:
    """Of a change of Supplier that was known when the night was planned."""
    moves = {one.hub: one for one in _moves(evidence)}
    for one in evidence.lists:
        for hub in one.hubs:
            move = moves.get(hub)
            if move is None or move.known + PLANNED_WITHIN >= one.cut_at:
                continue
            if one.starts < move.effective + QUIET and move.effective - QUIET < one.ends:
                yield f"{hub} was listed for {one.starts}, and its Supplier changes on {move.effective}"


def nobody_is_told_of_what_was_never_its_own(evidence: Evidence) -> Iterator[str]:
    """No alert names a hub to a Supplier that was not responsible for it at any time."""
    names = {address: name for name, address in evidence.addresses.items()}
    alerts = {one.message_id for one in evidence.outbox if one.kind == "alert"}
    seen: set[str] = set()
    for one in evidence.arrivals:
        if one.message_id not in alerts or one.message_id in seen:
            continue
        seen.add(one.message_id)
        for hub in sorted(one.hubs):
            if hub in evidence.homes and names.get(one.destination) not in evidence.homes[hub].ever:
                yield f"alert {one.message_id} names {hub} to {names.get(one.destination)}"


def each_quarantined_request_is_told_of_once_and_ends_as_the_operator_said(evidence: Evidence) -> Iterator[str]:
    """What was released comes to whatever it comes to; what was deleted, or waited too long, to E100."""
    held = Counter(f"user:{one.sender}" for one in evidence.held if one.was_quarantined)
    told = Counter(one.destination for one in evidence.outbox if (one.kind, one.event) == (_NOTICE, _QUARANTINED))
    for destination in sorted(held.keys() | told.keys()):
        if held[destination] != told[destination]:
            yield f"{destination}: {held[destination]} requests were in quarantine, {told[destination]} notices of it"
    for one in evidence.held:
        if one.was_quarantined and one.word != "released" and one.code != "E100":
            yield f"{one.key} was {one.word or 'left'} in quarantine and came to {one.code}"


def _moves(evidence: Evidence) -> Iterator[Move]:
    for home in evidence.homes.values():
        yield from home.moves


CHECKS: tuple[Check, ...] = (
    each_change_of_supplier_was_carried_out_once,
    whoever_has_come_is_told_of_each_meter,
    whoever_has_left_is_told_what_is_void,
    nothing_is_listed_for_quiet_days,
    nobody_is_told_of_what_was_never_its_own,
    each_quarantined_request_is_told_of_once_and_ends_as_the_operator_said,
)
