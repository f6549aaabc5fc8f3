"""What became of each row, from what its request was answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from sr_engine.client import Answer, Verdict
from sr_engine.client.results import ListResult
from sr_engine.configuration import Spreadsheets
from sr_engine.messages.model import RefusalReason
from sr_engine.pipeline.acting import ActAnswer
from sr_engine.spreadsheets.groups import Group, terms
from sr_engine.spreadsheets.moments import Moments
from sr_engine.spreadsheets.rows import DONE


class RowVerdict(StrEnum):
    """What a report says of a row in one word or two."""

    ACCEPTED = DONE
    REFUSED = "Refused"
    WAITS = "Waits"
    """The processor will answer later."""
    UNCLEAR = "Unclear"
    NOT_SENT = "Not sent"
    LEFT_OUT = "Left out"
    WOULD_BE_SENT = "Would be sent"
    """In a preview that asks nobody."""
    WOULD_BE_ACCEPTED = "Would be accepted"


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """What became of a row, and why or what to do, in words."""

    verdict: RowVerdict
    words: str


Outcomes = Mapping[int, RowOutcome]
"""By the number of the row."""


@dataclass(frozen=True, slots=True)
class _Answered:
    code: str
    detail: str
    reasons: Mapping[str, str]
    """By hub in canonical form, what to do about those that were refused one by one."""
    accepted: int | None
    schedule_id: int | None
    repeated: bool = False

    @property
    def refused(self) -> bool:
        return self.code.startswith("E")


def outcomes_of_act(
    group: Group, answer: ActAnswer, spreadsheets: Spreadsheets, *, preview: bool = False
) -> dict[int, RowOutcome]:
    """What became of the rows of a group that was carried out here, or would become of them."""
    result = answer.result
    refused = {} if result is None else result.refused
    reasons = {hub_id.upper(): spreadsheets.advice[reason] for reason, ids in refused.items() for hub_id in ids}
    answered = _Answered(
        answer.code,
        answer.detail,
        reasons,
        None if result is None else result.accepted_device_count,
        None if result is None or preview else result.schedule_id,
        answer.repeated,
    )
    return _rows(group, answered, spreadsheets, preview=preview)


def outcomes_of_answer(
    group: Group, answer: Answer, spreadsheets: Spreadsheets, *, repeated: bool = False
) -> dict[int, RowOutcome]:
    """What became of the rows of a group that was sent as a signed request; `repeated`: it had been sent before."""
    devices = ListResult.of((answer,)).devices
    if answer.follows:
        words = "The processor holds the request and answers later: its Response says what became of the hub."
        return dict.fromkeys(group.rows.values(), RowOutcome(RowVerdict.WAITS, words))
    reasons = {
        hub_id: spreadsheets.advice[outcome.reason]
        for hub_id, outcome in devices.items()
        if outcome.verdict is Verdict.REFUSED and isinstance(outcome.reason, RefusalReason)
    }
    response = answer.response
    answered = _Answered(response.code, answer.detail, reasons, response.accepted_count, response.schedule_id, repeated)
    return _rows(group, answered, spreadsheets)


def outcomes_of_failure(group: Group, words: str) -> dict[int, RowOutcome]:
    """The rows of a group that was not sent, or of which no answer came."""
    return dict.fromkeys(group.rows.values(), RowOutcome(RowVerdict.NOT_SENT, words))


def outcomes_of_plan(group: Group, spreadsheets: Spreadsheets) -> dict[int, RowOutcome]:
    """The rows of a group of which a preview tells no more than that they can be sent."""
    words = _what(group, spreadsheets)
    return dict.fromkeys(group.rows.values(), RowOutcome(RowVerdict.WOULD_BE_SENT, words))


def _rows(
    group: Group, answered: _Answered, spreadsheets: Spreadsheets, *, preview: bool = False
) -> dict[int, RowOutcome]:
    others = _others(group, answered, spreadsheets, preview=preview)
    return {
        number: RowOutcome(RowVerdict.REFUSED, answered.reasons[hub_id]) if hub_id in answered.reasons else others
        for hub_id, number in group.rows.items()
    }


def _others(group: Group, answered: _Answered, spreadsheets: Spreadsheets, *, preview: bool) -> RowOutcome:
    """What became of the rows that the answer does not name."""
    if answered.refused:
        words = f"{answered.code}: {answered.detail}"
        if answered.repeated:
            words += ". This file was imported before: nothing was done now, and the answer is that of then."
        return RowOutcome(RowVerdict.REFUSED, words)
    partly = answered.code.startswith("W") and answered.accepted is not None
    if partly and answered.accepted != len(group.rows) - len(answered.reasons):
        return RowOutcome(
            RowVerdict.UNCLEAR,
            "One hub stands in two rows by both its ids (CHF and GPF), so that the answer does not tell them apart: "
            "look the hub up, and keep one row for it.",
        )
    words = _what(group, spreadsheets)
    if answered.schedule_id is not None:
        words = f"Schedule {answered.schedule_id}: {words}"
    if answered.repeated:
        words += " This file was imported before: nothing was done now, and the answer is that of then."
    return RowOutcome(RowVerdict.WOULD_BE_ACCEPTED if preview else RowVerdict.ACCEPTED, words)


def _what(group: Group, spreadsheets: Spreadsheets) -> str:
    words = terms(group.wish, Moments(spreadsheets.time_zone))
    return " ".join([str(group.wish.decision), *words]) + "."
