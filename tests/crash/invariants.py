"""What must be so however often and wherever processes were killed; pure: from evidence to violations in words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from tests.crash.evidence import Evidence, Message, Stored
from tests.crash.telling import told

MOST_TOLD = 20
"""Violations of one kind that are told; the rest is counted."""

DELIVERED, EXPIRED, PARKED, PENDING = "Delivered", "Expired", "Parked", "Pending"
_LISTED, _RESPONSE, _SET, _LIFTED = "attempt listed", "response", "exclusion set", "exclusion lifted"
_NO_NIGHT = "list too late"
VOID = "answer void"
_NO_MORE = b"ResponseCode>E100<"
"""In what a request gets whose answer is not kept any more."""
_FREEING = frozenset({"attempt refused", "attempt undelivered", "attempt list_replaced", "attempt relisted"})
"""What takes a hub off a list while its attempt goes on."""

Check = Callable[[Evidence], Iterator[str]]


def violations(evidence: Evidence, more: Sequence[Check] = ()) -> list[str]:
    """All that is not as it must be, also by `more` checks; nothing if all is well."""
    found: list[str] = []
    for check in (*CHECKS, *more):
        some = list(check(evidence))
        found += [f"{check.__name__}: {one}" for one in some[:MOST_TOLD]]
        if len(some) > MOST_TOLD:
            found.append(f"{check.__name__}: {len(some) - MOST_TOLD} more")
    return found


# --- Requests ----------------------------------------------------------------------------------------------------


def each_request_has_one_answer(evidence: Evidence) -> Iterator[str]:
    """What was answered is on record once, and every repeat got the same bytes."""
    stored = _by_key(evidence.stored, lambda one: (one.interface, one.key))
    for sent in evidence.sent:
        kept = stored.get(("DUIS", sent.key), [])
        if not sent.answers:
            yield f"{sent.key} was never answered"
        elif len(kept) != 1:
            yield f"{sent.key} was answered {sent.code} and is in the inbox {len(kept)} times"
        elif others := _otherwise(sent.answers, kept[0]):
            yield f"{sent.key}: {others} other answer(s) than the one in the inbox, of {len(sent.answers)}"
    known = {("DUIS", sent.key) for sent in evidence.sent} | {("CSP", one.key) for one in evidence.of_csps}
    at_faces = {one.interface for one in evidence.acted}
    for interface, key in sorted(stored.keys() - known):
        if interface not in at_faces:
            yield f"{key} ({interface}) is in the inbox and nobody has sent it"


def _otherwise(answers: Sequence[bytes], kept: Stored) -> int:
    """How many answers are not the one that is kept; once that is pruned, E100 is what a repeat has to get."""
    others = [one for one in answers if one != kept.answer]
    if kept.pruned and answers[0] == kept.answer:
        others = [one for one in others if _NO_MORE not in one]
    return len(set(others))


def each_act_at_a_face_was_done_once(evidence: Evidence) -> Iterator[str]:
    """What was done without a signed request is in the inbox as often as somebody was told that it is done."""
    stored = Counter(one.interface for one in evidence.stored)
    acted = Counter(one.interface for one in evidence.acted)
    for interface, times in sorted(acted.items()):
        if stored[interface] != times:
            yield f"{times} acts at {interface} were answered, and {stored[interface]} are in the inbox"
    keys = Counter((one.interface, one.key) for one in evidence.stored)
    for one in evidence.acted:
        if one.key and keys[one.interface, one.key] != 1:
            yield f"{one.key} ({one.interface}) was answered and is in the inbox {keys[one.interface, one.key]} times"


def each_request_was_carried_out_once(evidence: Evidence) -> Iterator[str]:
    """One record of what it came to; of one that was held one of its acceptance, and at most one of its end."""
    requests = Counter(one.key for one in evidence.records if one.action == "request")
    held = {one.key: one for one in evidence.held}
    for sent in evidence.sent:
        times = requests[sent.key]
        most = 2 if sent.key in held else 1
        if not 1 <= times <= most and sent.answers:
            yield f"{sent.key} ({sent.variant}, {sent.code}) was carried out {times} times"
    for (key, hub), times in _hubs_of(evidence, "answer").items():
        if times > 1:
            yield f"{key} has answered for {hub} {times} times"


def what_was_accepted_is_in_force(evidence: Evidence) -> Iterator[str]:
    """A schedule for each 11.5 that was taken, and by hub the answer and exclusion given last."""
    schedules = _by_key(evidence.schedules, lambda one: one.key)
    held = {one.key: one for one in evidence.held}
    for sent in evidence.sent:
        if sent.variant != "11.5":
            continue
        mine = schedules.get(sent.key, [])
        waiting = held.get(sent.key)
        final = (waiting.code or "") if waiting is not None else sent.code
        wanted = 1 if final.startswith(("I", "W")) else 0
        if len(mine) != wanted:
            yield f"{sent.key} came to {final or 'nothing yet'} and has {len(mine)} schedules"
        elif mine and waiting is None and (mine[0].schedule_id, mine[0].hubs) != (sent.schedule_id, sent.accepted):
            told = f"schedule {sent.schedule_id} of {sent.accepted} hubs"
            yield f"{sent.key} was told {told}, and there is {mine[0].schedule_id} of {mine[0].hubs}"
    for (key, hub), _ in _accepted_fully(evidence):
        yield f"{key} was accepted and gave no answer for {hub}"
    yield from _answers_in_force(evidence)
    yield from _exclusions_in_force(evidence)


def _accepted_fully(evidence: Evidence) -> Iterator[tuple[tuple[str, str], None]]:
    answered = _hubs_of(evidence, "answer")
    for sent in evidence.sent:
        if sent.variant == "11.6" and sent.code == "I99" and not sent.held:
            for hub in sorted(sent.hubs):
                if (sent.key, hub) not in answered:
                    yield (sent.key, hub), None


def _answers_in_force(evidence: Evidence) -> Iterator[str]:
    of_actor = {f"user:{address.removeprefix('user:')}": name for name, address in evidence.addresses.items()}
    last: dict[tuple[str, str], tuple[str, str]] = {}
    for one in evidence.records:
        if one.action == "answer":
            for hub in one.hubs:
                last[hub, of_actor.get(one.actor, one.actor)] = (one.after or "", one.key or "")
        elif one.action == VOID:
            for hub in one.hubs:
                stay = evidence.homes[hub].surely(one.at)
                for gone in evidence.homes[hub].ever - stay:
                    last.pop((hub, gone), None)
    for whose in sorted(last.keys() | evidence.decisions.keys()):
        if last.get(whose) != evidence.decisions.get(whose):
            hub, organisation = whose
            yield f"{hub}: {organisation} said {last.get(whose)} last, in force is {evidence.decisions.get(whose)}"


def _exclusions_in_force(evidence: Evidence) -> Iterator[str]:
    kept: set[tuple[str, str]] = set()
    for one in evidence.records:
        if one.action == _SET:
            kept |= {(hub, one.detail.partition(",")[0]) for hub in one.hubs}
        elif one.action == _LIFTED:
            kept -= {(hub, one.detail) for hub in one.hubs}
    for hub, organisation in sorted(kept ^ evidence.exclusions):
        yield f"{hub}: the exclusion by {organisation} is {'lost' if (hub, organisation) in kept else 'on no record'}"


def each_held_request_has_one_response(evidence: Evidence) -> Iterator[str]:
    """One that was held has ended once, and been answered once; nothing else has."""
    held = _by_key(evidence.held, lambda one: one.key)
    responses = Counter(one.request_key for one in evidence.outbox if one.kind == _RESPONSE)
    recorded = Counter(one.key for one in evidence.records if one.action == _RESPONSE)
    for sent in evidence.sent:
        times = len(held.get(sent.key, []))
        if times != (1 if sent.held else 0):
            yield f"{sent.key} was answered {sent.code}{' to follow' if sent.held else ''} and is held {times} times"
    for key, (one, *_) in held.items():
        wanted = 1 if one.has_response else 0
        if one.code is None:
            yield f"{key} still waits"
        if (responses[key], recorded[key]) != (wanted, wanted):
            yield f"{key} came to {one.code}: {responses[key]} Responses, {recorded[key]} on record"
    for key in sorted({key or "" for key in responses} - held.keys()):
        yield f"{key} was not held and has a Response"


def each_message_of_a_csp_was_taken_once(evidence: Evidence) -> Iterator[str]:
    stored = Counter(one.key for one in evidence.stored if one.interface == "CSP")
    recorded = Counter(one.key for one in evidence.records if one.actor.startswith("csp:") and one.number is None)
    for one in evidence.of_csps:
        if set(one.statuses) - {204}:
            yield f"{one.key} was answered {', '.join(map(str, one.statuses))}"
        elif one.statuses and (stored[one.key] != 1 or not recorded[one.key]):
            yield f"{one.key} was taken: {stored[one.key]} times in the inbox, {recorded[one.key]} times on record"


# --- Messages ----------------------------------------------------------------------------------------------------


def nothing_is_lost(evidence: Evidence) -> Iterator[str]:
    """What is in the outbox has been taken by its receiver; who had to be told has been told."""
    taken = {(one.destination, one.message_id) for one in evidence.arrivals if one.taken}
    given_up = {one.key for one in evidence.records if one.action == _NO_NIGHT}
    for one in evidence.outbox:
        if one.state == EXPIRED and one.kind == "upgrade_list" and one.message_id in given_up:
            continue
        if one.state == PENDING and one.may_be_under_way:
            continue
        if one.state != DELIVERED:
            yield f"{one.kind} {one.message_id} to {one.destination} is {one.state}"
        elif (one.destination, one.message_id) not in taken:
            yield f"{one.kind} {one.message_id} counts as delivered and did not come to {one.destination}"
    if evidence.tidings_left:
        yield f"{evidence.tidings_left} portions of news are told to nobody"
    known = {one.message_id for one in evidence.outbox}
    for alerted in evidence.alerted:
        if alerted.message_id not in known:
            yield f"{alerted.event} of {alerted.hub} counts as told by {alerted.message_id}, which does not exist"
    for of_device in evidence.alerted_devices:
        if of_device.message_id not in known:
            yield f"{of_device.event} of {of_device.device} counts as told by {of_device.message_id}, which is nowhere"
    for name, least, _, times in told(evidence):
        if times < least:
            yield f"{' '.join(name)}: happened {least} times, told {times} times"


def nothing_is_doubled(evidence: Evidence) -> Iterator[str]:
    """No two messages say the same, and no message says what has not happened."""
    for name, _, most, times in told(evidence):
        if times > most:
            yield f"{' '.join(name)}: happened {most} times, told {times} times"
    for (destination, sha256), messages in _by_key(evidence.outbox, lambda one: (one.destination, one.sha256)).items():
        if len(messages) > 1:
            yield f"{len(messages)} messages to {destination} have the bytes {sha256}"
    counted = {one.message_id for one in evidence.alerted} | {one.message_id for one in evidence.alerted_devices}
    for one in evidence.outbox:
        if one.kind == "alert" and one.message_id not in counted:
            yield f"alert {one.message_id} tells of nothing that has happened"
    same = _by_key(evidence.alerted, lambda one: (one.hub, one.event, one.organisation, one.occurrence))
    for (hub, event, organisation, occurrence), told_by in same.items():
        if len(told_by) > 1:
            yield f"{organisation} was told {len(told_by)} times of {event} of {hub} ({occurrence})"
    named = {one.message_id: one.hubs for one in evidence.arrivals}
    for alerted in evidence.alerted:
        if alerted.message_id in named and alerted.hub not in named[alerted.message_id]:
            yield f"alert {alerted.message_id} does not name {alerted.hub}, to whose {alerted.event} it belongs"


def repeats_have_the_same_bytes_and_id(evidence: Evidence) -> Iterator[str]:
    known = {one.message_id: one for one in evidence.outbox}
    for message_id, came in _by_key(evidence.arrivals, lambda one: one.message_id).items():
        message = known.get(message_id)
        if message is None:
            yield f"{message_id} came to {came[0].destination} and is not in the outbox"
            continue
        if {one.sha256 for one in came} != {message.sha256}:
            yield f"{message_id} came {len(came)} times, with other bytes than those in the outbox"
        if {one.destination for one in came} != {message.destination}:
            places = ", ".join(sorted({one.destination for one in came}))
            yield f"{message_id} for {message.destination} came to {places}"
    for sha256, came in _by_key(evidence.arrivals, lambda one: (one.destination, one.sha256)).items():
        ids = {one.message_id for one in came}
        if len(ids) > 1:
            yield f"the same bytes came to {sha256[0]} under {len(ids)} ids"


def alerts_come_in_order(evidence: Evidence) -> Iterator[str]:
    """Of each hub in the order of the outbox, and one that is about no single hub between all before and after it."""
    alerts = {one.message_id: one for one in evidence.outbox if one.kind == "alert" and one.state != PARKED}
    first: dict[str, list[Message]] = defaultdict(list)
    seen: set[str] = set()
    for arrival in evidence.arrivals:
        message = alerts.get(arrival.message_id)
        if message is not None and arrival.taken and arrival.message_id not in seen:
            seen.add(arrival.message_id)
            first[message.destination].append(message)
    for destination, messages in first.items():
        newest: dict[str, Message] = {}
        newest_of_all = newest_of_none = 0
        for one in messages:
            if one.hub is None:
                if newest_of_all > one.outbox_id:
                    yield f"{destination}: {one.message_id}, about several hubs, came after what is later"
                newest_of_none = max(newest_of_none, one.outbox_id)
            else:
                before = newest.get(one.hub)
                if before is not None and before.outbox_id > one.outbox_id:
                    yield f"{destination}: {one.message_id} of {one.hub} came after {before.message_id}, which is later"
                if newest_of_none > one.outbox_id:
                    yield f"{destination}: {one.message_id} of {one.hub} came after a later one about several hubs"
                newest[one.hub] = one
            newest_of_all = max(newest_of_all, one.outbox_id)


# --- Hubs --------------------------------------------------------------------------------------------------------


def hubs_are_listed_once_per_attempt(evidence: Evidence) -> Iterator[str]:
    """Unless the hub was taken off its list; and it stands in as many lists as it was put on."""
    listed: Counter[tuple[str, int | None]] = Counter()
    freed: Counter[tuple[str, int | None]] = Counter()
    for one in evidence.records:
        if one.action == _LISTED:
            for hub in one.hubs:
                listed[hub, one.number] += 1
                if listed[hub, one.number] > freed[hub, one.number] + 1:
                    yield f"attempt {one.number} at {hub} was listed again, being on a list"
        elif one.action in _FREEING:
            freed.update((hub, one.number) for hub in one.hubs)
    by_hub: Counter[str] = Counter()
    for (hub, _), times in listed.items():
        by_hub[hub] += times
    on_lists = Counter(hub for one in evidence.lists for hub in one.hubs)
    for hub in sorted(by_hub.keys() | on_lists.keys()):
        if by_hub[hub] != on_lists[hub]:
            yield f"{hub} was listed {by_hub[hub]} times and stands in {on_lists[hub]} lists"
    for list_id, lists in _by_key(evidence.lists, lambda one: one.list_id).items():
        if len(lists) > 1 or len(set(lists[0].hubs)) != len(lists[0].hubs):
            yield f"list {list_id} stands there {len(lists)} times, or names a hub twice"


def hubs_are_conserved(evidence: Evidence) -> Iterator[str]:
    """By the trail each attempt went from state to state and stands where it stands; no hub has two under way."""
    state: dict[tuple[str, int | None], str] = {}
    for one in evidence.records:
        if one.number is None:
            continue
        for hub in one.hubs:
            if state.get((hub, one.number)) != one.before:
                was = state.get((hub, one.number))
                yield f"attempt {one.number} at {hub} was {was} when it went from {one.before} to {one.after}"
            state[hub, one.number] = one.after or ""
    stands: dict[tuple[str, int | None], str] = {(one.hub, one.number): one.state for one in evidence.attempts}
    for key in sorted(state.keys() | stands.keys(), key=repr):
        if state.get(key) != stands.get(key):
            yield f"attempt {key[1]} at {key[0]} stands at {stands.get(key)}, the trail left it at {state.get(key)}"
    under_way = Counter(one.hub for one in evidence.attempts if one.is_open)
    yield from (f"{hub} has {times} attempts under way" for hub, times in under_way.items() if times > 1)
    yield from (f"{one.hub} is in no inventory" for one in evidence.attempts if one.hub not in evidence.homes)
    activated = {one.hub for one in evidence.attempts if one.state == "Activated"}
    for hub in sorted(activated ^ evidence.upgraded):
        yield f"{hub} is {'' if hub in activated else 'not '}Activated, and the inventory says otherwise"


# --- The rest ----------------------------------------------------------------------------------------------------


def the_audit_trail_is_whole(evidence: Evidence) -> Iterator[str]:
    yield from evidence.broken_chains
    yield from evidence.damaged


def no_lease_blocks(evidence: Evidence) -> Iterator[str]:
    for one in evidence.leases:
        if one.blocks:
            yield f"the lease {one.name} is kept by {one.holder}, which has stopped"


CHECKS: tuple[Check, ...] = (
    each_request_has_one_answer,
    each_act_at_a_face_was_done_once,
    each_request_was_carried_out_once,
    what_was_accepted_is_in_force,
    each_held_request_has_one_response,
    each_message_of_a_csp_was_taken_once,
    nothing_is_lost,
    nothing_is_doubled,
    repeats_have_the_same_bytes_and_id,
    alerts_come_in_order,
    hubs_are_listed_once_per_attempt,
    hubs_are_conserved,
    the_audit_trail_is_whole,
    no_lease_blocks,
)


def _by_key(rows: Iterable, key: Callable) -> dict:  # type: ignore[type-arg] # what is grouped is anything
    groups = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _hubs_of(evidence: Evidence, action: str) -> Counter[tuple[str, str]]:
    """How often a request is on record with an action for a hub."""
    found: Counter[tuple[str, str]] = Counter()
    for one in evidence.records:
        if one.action == action and one.key is not None:
            found.update((one.key, hub) for hub in one.hubs)
    return found
