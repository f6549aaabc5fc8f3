"""What an outcome says of each hub, whichever of them it says it of together."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter

from sr_engine.domain.changes import Changes
from sr_engine.domain.holding import Hold
from sr_engine.pipeline.answer import Answer
from sr_engine.requests.outcome import Outcome

_OF_HUB = attrgetter("hub_id")


def hub_by_hub(verdict: Outcome | Hold | Answer) -> Outcome | Hold | Answer:
    """The same with what changes said of each hub, in order of their ids."""
    if not isinstance(verdict, Outcome) or verdict.changes is None:
        return verdict
    return replace(verdict, changes=of_each_hub(verdict.changes))


def of_each_hub(changes: Changes) -> Changes:
    """The same changes, none of which is of several hubs."""
    new = changes.new_schedule
    return replace(
        changes,
        new_schedule=None if new is None else replace(new, hub_ids=tuple(sorted(new.hub_ids))),
        answers=sorted(
            (one._replace(hub_id=hub_id) for one, some in changes.each(changes.answers) for hub_id in some), key=_OF_HUB
        ),
        attempts=sorted(
            (one._replace(hub_id=hub_id) for one, some in changes.each(changes.attempts) for hub_id in some),
            key=_OF_HUB,
        ),
        events=sorted(changes.told(), key=_OF_HUB),
        unsuited=sorted(hub_id for one in changes.unsuited for hub_id in changes.hubs(one)),
        ended_schedules=sorted(changes.ended_schedules),
        forgotten=sorted(changes.forgotten),
        alike={},
    )
