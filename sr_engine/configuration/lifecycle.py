"""What can become of an attempt at upgrading a hub (`lifecycle.toml`; section 5, Decisions)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sr_engine.configuration import values
from sr_engine.configuration.alerts import AlertEvent
from sr_engine.configuration.reader import Array, ASet, Key, Named, Place, Scalar, Table


class AttemptState(StrEnum):
    """One state per attempt; `AwaitingApproval` is an attempt somebody scheduled that has not all it needs yet."""

    AWAITING_APPROVAL = "AwaitingApproval"
    SCHEDULED = "Scheduled"
    LISTED = "Listed"
    ACCEPTED = "Accepted"
    DELIVERED = "Delivered"
    ACTIVATED = "Activated"
    FAILED = "Failed"
    MISSED = "Missed"
    CANCELLED = "Cancelled"
    VOIDED = "Voided"


class AttemptEvent(StrEnum):
    """What happens to attempts."""

    REQUESTED = "requested"
    AGREED = "agreed"
    COMPELLED = "compelled"
    DISAGREED = "disagreed"
    CHANGED = "changed"
    TAKEN_BACK = "taken_back"
    WITHDRAWN = "withdrawn"
    SUPERSEDED = "superseded"
    OVERRULED = "overruled"
    SUPPLIER_CHANGED = "supplier_changed"
    WINDOW_ENDED = "window_ended"
    LISTED = "listed"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    UNDELIVERED = "undelivered"
    LIST_WITHDRAWN = "list_withdrawn"
    RELISTED = "relisted"
    LIST_REPLACED = "list_replaced"
    DELIVERED = "delivered"
    ACTIVATED = "activated"
    FAILED = "failed"
    OVERDUE = "overdue"


class Overlay(StrEnum):
    """What can be laid over a state."""

    EXCLUDED = "Excluded"
    HALTED = "Halted"


class StateKind(StrEnum):
    """Whether an attempt is under way, and in whose hands."""

    OPEN = "open"
    CSP = "csp"
    ENDED = "ended"


_S = AttemptState

WITH_CSP: Final = frozenset({_S.LISTED, _S.ACCEPTED, _S.DELIVERED})
"""From the commit that cuts the list a Supplier can change nothing any more."""

OPEN: Final = frozenset({_S.AWAITING_APPROVAL, _S.SCHEDULED}) | WITH_CSP
"""An upgrade in one of these states is under way; a hub has at most one."""


@dataclass(frozen=True, slots=True)
class StateDefinition:
    """One state."""

    state: AttemptState
    kind: StateKind
    meaning: str
    refusal: str | None = None
    """With the CSP: the nn of the code E11nn of requests that come too late."""


@dataclass(frozen=True, slots=True)
class OverlayDefinition:
    """One overlay."""

    overlay: Overlay
    meaning: str


@dataclass(frozen=True, slots=True)
class EventDefinition:
    """One row of the table of transitions."""

    event: AttemptEvent
    before: frozenset[AttemptState | None]
    """None: the attempt does not exist yet."""
    after: AttemptState | None
    """None: the state stays what it is."""
    meaning: str
    alert: AlertEvent | None = None
    unless_alone: bool = False
    """A Supplier that is alone responsible, and whose own request brought it about, is not told: it was answered."""


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The whole table; complete: every state, overlay and event is in it."""

    state: Mapping[AttemptState, StateDefinition]
    overlay: Mapping[Overlay, OverlayDefinition]
    event: Mapping[AttemptEvent, EventDefinition]

    def after(self, event: AttemptEvent, before: AttemptState | None) -> AttemptState | None:
        """The state that the event leads to from `before`, or None if it cannot happen there."""
        definition = self.event[event]
        if before not in definition.before:
            return None
        return definition.after or before

    @property
    def too_late(self) -> str:
        """The nn of the code E11nn that a request is answered with where every hub is with the CSP."""
        return self.state[AttemptState.LISTED].refusal or ""

    def told(self, event: AttemptEvent, responsible: Collection[str], sender: str | None) -> Collection[str]:
        """Which of the responsible Suppliers are told of an event that a request of `sender` brought about, if any."""
        definition = self.event[event]
        if definition.alert is None or (definition.unless_alone and set(responsible) == {sender}):
            return ()
        return responsible


_KINDS = {
    state: StateKind.CSP if state in WITH_CSP else StateKind.OPEN if state in OPEN else StateKind.ENDED for state in _S
}
_NONE = "none"
_SAME = "same"


def _state_or(word: str) -> Scalar[AttemptState | None]:
    def convert(value: object) -> AttemptState | None:
        return None if value == word else AttemptState(str(value))

    return Scalar(f'"{word}" or one of {", ".join(_S)}', convert)


def _lifecycle(
    state: Mapping[str, StateDefinition],
    overlay: Mapping[str, OverlayDefinition],
    event: Mapping[str, EventDefinition],
) -> Lifecycle:
    return Lifecycle(
        {one.state: one for one in state.values()},
        {one.overlay: one for one in overlay.values()},
        {one.event: one for one in event.values()},
    )


def _check_state(definition: StateDefinition, place: Place) -> None:
    kind = _KINDS[definition.state]
    if definition.kind is not kind:
        place.inside("kind").report(f'must be "{kind}": the product depends on it')
    if (definition.refusal is None) is (kind is StateKind.CSP):
        wanted = "is missing" if kind is StateKind.CSP else "must be left out: only what is with the CSP refuses"
        place.inside("refusal").report(wanted)


def _check_event(definition: EventDefinition, place: Place) -> None:
    if definition.unless_alone and definition.alert is None:
        place.inside("unless_alone").report("must be left out where nobody is told anything")
    if definition.after is None and None in definition.before:
        place.inside("to").report('cannot be "same" where from holds "none"')
    for before in definition.before:
        if before is not None and _KINDS[before] is StateKind.ENDED and definition.after is not _S.ACTIVATED:
            place.inside("from").report(f"{before} has ended: the only way on from there is to {_S.ACTIVATED}")


def _check_complete(lifecycle: Lifecycle, place: Place) -> None:
    for name, wanted, found in (
        ("state", list(AttemptState), lifecycle.state),
        ("overlay", list(Overlay), lifecycle.overlay),
        ("event", list(AttemptEvent), lifecycle.event),
    ):
        for one in wanted:
            if one not in found:
                place.inside(name).inside(one).report("is missing; the product needs its table")
    refusals = sorted({one.refusal for one in lifecycle.state.values() if one.refusal is not None})
    if len(refusals) > 1:
        place.inside("state").report(f"refusal must be one number in all of them, not {' and '.join(refusals)}")


LIFECYCLE = Table(
    _lifecycle,
    Key(
        "state",
        Named(
            Table(
                StateDefinition,
                Key("kind", values.member(StateKind)),
                Key("meaning", values.text()),
                Key("refusal", values.pattern("two digits in quotes such as '08'", r"\d{2}"), optional=True),
                check=_check_state,
            ),
            "state",
            values.member(AttemptState),
        ),
    ),
    Key(
        "overlay",
        Named(Table(OverlayDefinition, Key("meaning", values.text())), "overlay", values.member(Overlay)),
    ),
    Key(
        "event",
        Named(
            Table(
                EventDefinition,
                Key("from", ASet(Array(_state_or(_NONE), may_be_empty=False)), field="before"),
                Key("to", _state_or(_SAME), field="after"),
                Key("meaning", values.text()),
                Key("alert", values.member(AlertEvent), optional=True),
                Key("unless_alone", values.boolean(), optional=True),
                check=_check_event,
            ),
            "event",
            values.member(AttemptEvent),
        ),
    ),
    check=_check_complete,
)
"""What `lifecycle.toml` holds."""
