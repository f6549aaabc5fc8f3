"""A decision about very many hubs in portions, each of which can be written by itself; what is alike is said once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from sr_engine.domain.agreement import AttemptChange
from sr_engine.domain.changes import AnswerChange, Changes, HubEvent

S = TypeVar("S")
V = TypeVar("V")
T = TypeVar("T", AnswerChange, AttemptChange, HubEvent)
HubIds = tuple[str, ...]
Some = HubIds | None
"""Hubs of a portion; None: all of them."""


@dataclass(frozen=True, slots=True)
class Portion:
    """What a decision changes for some of its hubs; each change stands once, with the hubs that it is the same for."""

    hub_ids: HubIds
    """Ascending: all that something changes for, and none that something of another portion changes for."""
    schedule_id: int | None
    scheduled: Some
    """For which the schedule is in force."""
    answers: tuple[tuple[AnswerChange, Some], ...]
    attempts: tuple[tuple[AttemptChange, Some], ...]
    events: tuple[tuple[HubEvent, Some], ...]
    ended_schedules: tuple[tuple[int, str], ...]
    forgotten: tuple[tuple[str, str], ...]
    unsuited: HubIds

    def each(self, alike: Iterable[tuple[V, Some]]) -> list[tuple[V, HubIds]]:
        """Changes, each with the hubs that it is the same for."""
        return [(one, self.hubs(some)) for one, some in alike]

    def told(self) -> list[HubEvent]:
        """The events, one for each hub."""
        return [one.of(hub_id) for one, hub_ids in self.each(self.events) for hub_id in hub_ids]

    def hubs(self, some: Some) -> HubIds:
        """Those meant by it."""
        return self.hub_ids if some is None else some


def portions_of(changes: Changes, size: int) -> list[Portion]:
    """All that a decision changes, in order of the hubs, of which each portion has `size` at most."""
    hub_ids = sorted(changes.concerned())
    parts = [tuple(hub_ids[start : start + size]) for start in range(0, len(hub_ids), size)]
    place = {hub_id: number for number, part in enumerate(parts) for hub_id in part}
    new = changes.new_schedule
    scheduled = frozenset(() if new is None else new.hub_ids)
    where = _where(changes, parts)
    answers = _alike(changes.answers, where, parts, lambda one: (one.organisation, id(one.answer)))
    attempts = _alike(
        changes.attempts, where, parts, lambda one: (one.region, one.event, one.before, id(one.attempt), one.conflict)
    )
    # All that is in it but the hub.
    events = _alike(
        changes.events,
        where,
        parts,
        lambda one: (
            one.event,
            one.organisation,
            one.release_id,
            one.occurrence,
            one.device_id,
            one.for_gas,
            one.request_id,
            one.versions,
        ),
    )
    ended = _apart(changes.ended_schedules, place, lambda one: one[1])
    forgotten = _apart(changes.forgotten, place, lambda one: one[0])
    all_unsuited = (hub_id for one in changes.unsuited for hub_id in changes.hubs(one))
    unsuited = _apart(all_unsuited, place, lambda hub_id: hub_id)
    return [
        Portion(
            part,
            None if new is None else new.schedule.schedule_id,
            _some([hub_id for hub_id in part if hub_id in scheduled], part),
            answers[number],
            attempts[number],
            events[number],
            tuple(ended[number]),
            tuple(forgotten[number]),
            tuple(unsuited[number]),
        )
        for number, part in enumerate(parts)
    ]


def _apart(values: Iterable[S], place: Mapping[str, int], hub_of: Callable[[S], str]) -> Mapping[int, list[S]]:
    """The values of each portion, in their order."""
    found: defaultdict[int, list[S]] = defaultdict(list)
    for one in values:
        found[place[hub_of(one)]].append(one)
    return found


def _where(changes: Changes, parts: Sequence[HubIds]) -> Mapping[str, Sequence[tuple[int, list[str]]]]:
    """By the hub that stands for them, or itself, where hubs are: the number of each portion, and those in it."""
    stands_for = {hub_id: one for one, hub_ids in changes.alike.items() for hub_id in hub_ids}
    found: defaultdict[str, list[tuple[int, list[str]]]] = defaultdict(list)
    for number, part in enumerate(parts):
        apart: defaultdict[str, list[str]] = defaultdict(list)
        for hub_id in part:
            apart[stands_for.get(hub_id, hub_id)].append(hub_id)
        for one, hub_ids in apart.items():
            found[one].append((number, hub_ids))
    return found


def _alike(
    values: Iterable[T],
    where: Mapping[str, Sequence[tuple[int, list[str]]]],
    parts: Sequence[HubIds],
    key: Callable[[T], Hashable],
) -> Sequence[tuple[tuple[T, Some], ...]]:
    """By portion, the first of those that are alike, and the hubs of all of them, in the order of the first."""
    found: list[dict[Hashable, tuple[T, list[str]]]] = [{} for _ in parts]
    for one in values:
        what = key(one)
        for number, hub_ids in where[one.hub_id]:
            found[number].setdefault(what, (one, []))[1].extend(hub_ids)
    return [
        tuple((one, _some(hub_ids, part)) for one, hub_ids in alike.values())
        for alike, part in zip(found, parts, strict=True)
    ]


def _some(hub_ids: Sequence[str], part: HubIds) -> Some:
    return None if len(hub_ids) == len(part) == len(set(hub_ids)) else tuple(hub_ids)
