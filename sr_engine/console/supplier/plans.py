"""The requests that a proposal becomes, and what their answers come to: of a selection of hubs, or of a sheet."""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from sr_engine.configuration import Spreadsheets
from sr_engine.messages.model import Firmware, RefusalReason
from sr_engine.pipeline.acting import Act, ActAnswer, ActBody
from sr_engine.spreadsheets.carrying_out import act_of
from sr_engine.spreadsheets.groups import Group, grouped
from sr_engine.spreadsheets.moments import Moments
from sr_engine.spreadsheets.outcomes import RowOutcome, RowVerdict, outcomes_of_act
from sr_engine.spreadsheets.reading import Sheet, open_sheet
from sr_engine.spreadsheets.report import all_outcomes, write_report
from sr_engine.spreadsheets.rows import Reading, read_rows

_SHOWN = 20
"""Ids and rows of each kind that a page shows; all of them are in the sheets beside it."""


class Plan(Protocol):
    """What a proposal becomes."""

    @property
    def acts(self) -> Sequence[Act]:
        """The requests, in their order."""

    @property
    def hubs(self) -> int:
        """How many hubs they name."""

    def told(self, answers: Sequence[ActAnswer], *, preview: bool) -> dict[str, object]:
        """What is kept of the answers: a summary, the hubs refused, a report."""


@dataclass(frozen=True, slots=True)
class SelectionPlan:
    """Requests about selected hubs."""

    acts: Sequence[Act]

    @property
    def hubs(self) -> int:
        return sum(_named_in(act.body) for act in self.acts)

    def told(self, answers: Sequence[ActAnswer], *, preview: bool) -> dict[str, object]:
        told = summary(self.acts, answers, preview=preview)
        return {"summary": json.dumps(told), "refused": json.dumps(refused_of(answers))}


@dataclass(frozen=True, slots=True)
class SheetPlan:
    """Requests that the rows of a sheet become; what is wrong with a row is told beside it."""

    sheet: Sheet
    reading: Reading
    groups: Sequence[Group]
    acts: Sequence[Act]
    spreadsheets: Spreadsheets

    @staticmethod
    def of(
        name: str,
        data: bytes,
        spreadsheets: Spreadsheets,
        *,
        firmware: Firmware | None,
        account: str,
        user_eui: str,
        most: int,
        same: Collection[Collection[str]] = (),
    ) -> SheetPlan:
        """Read a sheet; `same` are ids that stand for one hub. Raises SheetRefused."""
        sheet = open_sheet(name, data, spreadsheets)
        reading = read_rows(sheet, spreadsheets, firmware=firmware)
        reading.refuse_same_hubs(same)
        groups = grouped(reading, sheet.digest, most=most)
        acts = [act_of(group, account=account, user_eui=user_eui) for group in groups]
        return SheetPlan(sheet, reading, groups, acts, spreadsheets)

    @property
    def hubs(self) -> int:
        return len(self.reading.accepted)

    def told(self, answers: Sequence[ActAnswer], *, preview: bool) -> dict[str, object]:
        answered: dict[int, RowOutcome] = {}
        for group, answer in zip(self.groups, answers, strict=True):
            answered |= outcomes_of_act(group, answer, self.spreadsheets, preview=preview)
        outcomes = all_outcomes(self.reading, answered)
        report = io.BytesIO()
        write_report(report, self.sheet, outcomes, self.spreadsheets)
        moments = Moments(self.spreadsheets.time_zone)
        bad = [(number, one.words) for number, one in sorted(self.reading_refusals(outcomes).items())]
        told = summary(self.acts, answers, preview=preview) | {
            "rows": self.reading.count,
            "rows_refused": len(bad),
            "some_rows": bad[:_SHOWN],
            "left_out": len(self.reading.left_out),
            "groups": [group.in_words(moments) for group in self.groups[:_SHOWN]],
        }
        return {
            "summary": json.dumps(told),
            "refused": json.dumps(refused_of(answers)),
            "report": report.getvalue(),
        }

    def reading_refusals(self, outcomes: Mapping[int, RowOutcome]) -> dict[int, RowOutcome]:
        """The rows that ask for nothing that can be done, by their numbers."""
        wrong = (RowVerdict.REFUSED, RowVerdict.UNCLEAR)
        return {number: one for number, one in outcomes.items() if one.verdict in wrong}


def summary(acts: Sequence[Act], answers: Sequence[ActAnswer], *, preview: bool) -> dict[str, object]:
    """What requests come to, in short: accepted and refused hubs, codes and details, some ids of each reason.

    In a preview what was done before is not among what would be accepted: it is not done again.
    """
    refused = refused_of(answers)
    told = list(zip(acts, answers, strict=True))
    return {
        "accepted": sum(_accepted(act, answer) for act, answer in told if not (preview and answer.repeated)),
        "before": sum(_named_in(act.body) for act, answer in told if preview and answer.repeated),
        "refused": {reason: {"count": len(ids), "some": ids[:_SHOWN]} for reason, ids in refused.items()},
        "codes": _codes(answers),
        "schedules": [one.result.schedule_id for one in answers if one.result and one.result.schedule_id is not None],
        "repeated": bool(answers) and all(one.repeated for one in answers),
    }


def refused_of(answers: Sequence[ActAnswer]) -> dict[str, list[str]]:
    """The hubs refused, by reason, in the order of precedence."""
    found: dict[str, list[str]] = {}
    for reason in RefusalReason:
        ids = [
            hub_id
            for answer in answers
            if answer.result is not None
            for hub_id in answer.result.refused.get(reason, ())
        ]
        if ids:
            found[reason.value] = ids
    return found


def _accepted(act: Act, answer: ActAnswer) -> int:
    if answer.result is not None:
        return answer.result.accepted_device_count
    return _named_in(act.body) if answer.accepted else 0


def _codes(answers: Sequence[ActAnswer]) -> list[Mapping[str, str]]:
    """Each code once, with its detail."""
    found: dict[str, str] = {}
    for answer in answers:
        found.setdefault(answer.code, answer.detail)
    return [{"code": code, "detail": detail} for code, detail in found.items()]


def _named_in(body: ActBody) -> int:
    return len(body.device_ids)
