"""What requests came to. A partly accepted list is neither a success nor a refusal, and cannot be taken for either."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from sr_engine.client.errors import AnswerRefused, PartlyRefused, RequestRefused
from sr_engine.client.exchange import Answer
from sr_engine.messages.model import CommsHubUpgrade, Device, Inventory, ScheduleDetails, ScheduleRead
from sr_engine.parsing import DeviceOutcome, Outcome, Verdict, device_outcomes

_NO_TRUTH = "a result is neither true nor false, for a list may be accepted in part: ask for its .outcome"


@dataclass(frozen=True, slots=True)
class ListResult:
    """What became of a list of devices, device by device; of one request, or of several if the list had to be split."""

    answers: tuple[Answer, ...]
    devices: Mapping[str, DeviceOutcome]
    """By id in canonical form, in the order sent; for an 11.8 that names none, those that were refused."""

    @classmethod
    def of(cls, answers: tuple[Answer, ...]) -> ListResult:
        """Merge the answers to the parts of one list; raises ValueError if there are none."""
        if not answers:
            raise ValueError("there are no answers, so nothing is known of any device")
        devices: dict[str, DeviceOutcome] = {}
        for answer in answers:
            devices |= device_outcomes(answer.request.device_ids, answer.response, held=answer.follows)
        return cls(answers, devices)

    @property
    def outcome(self) -> Outcome:
        """What it came to as a whole: what all parts came to, or PARTLY_ACCEPTED if they differ."""
        outcomes = {answer.outcome for answer in self.answers}
        return outcomes.pop() if len(outcomes) == 1 else Outcome.PARTLY_ACCEPTED

    @property
    def accepted(self) -> tuple[str, ...]:
        """The devices that were accepted."""
        return self._ids(Verdict.ACCEPTED)

    @property
    def refused(self) -> Mapping[str, DeviceOutcome]:
        """The devices that were refused, and why."""
        return {one: outcome for one, outcome in self.devices.items() if outcome.verdict is Verdict.REFUSED}

    @property
    def held(self) -> tuple[str, ...]:
        """The devices of which a Response will say what became of them."""
        return self._ids(Verdict.HELD)

    @property
    def unclear(self) -> tuple[str, ...]:
        """The devices that the answer leaves open: the list named a hub by both its ids. 11.7 tells (`read_hub`)."""
        return self._ids(Verdict.UNCLEAR)

    @property
    def schedule_ids(self) -> tuple[int, ...]:
        """The schedules that an 11.5 has made: one for each part with an accepted hub."""
        return tuple(one.response.schedule_id for one in self.answers if one.response.schedule_id is not None)

    @property
    def schedule_id(self) -> int | None:
        """The one schedule that it has made, if any; raises ValueError if the list was split and there are several."""
        ids = self.schedule_ids
        if len(ids) > 1:
            raise ValueError(f"the list was split, and there are {len(ids)} schedules: see schedule_ids")
        return ids[0] if ids else None

    def raise_for_refusal(self) -> None:
        """Raise RequestRefused if nothing was accepted, PartlyRefused if any device was refused or is unclear.

        What is held passes: it is not known yet.
        """
        words = "; ".join(dict.fromkeys(f"{one.response.code}: {one.detail}" for one in self.answers))
        if self.outcome is Outcome.REFUSED:
            raise RequestRefused(self, words)
        open_or_refused = len(self.refused) + len(self.unclear)
        if open_or_refused or any(one.outcome is Outcome.PARTLY_ACCEPTED for one in self.answers):
            reasons = Counter(
                one.code if one.reason is None else str(one.reason.value) for one in self.refused.values()
            )
            counted = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common())
            raise PartlyRefused(self, f"{words} ({counted or 'see .devices'})")

    def _ids(self, verdict: Verdict) -> tuple[str, ...]:
        return tuple(one for one, outcome in self.devices.items() if outcome.verdict is verdict)

    def __bool__(self) -> NoReturn:
        raise TypeError(_NO_TRUTH)


@dataclass(frozen=True, slots=True)
class InventoryResult:
    """The devices that an 8.2 has found; none with code E080201."""

    answer: Answer
    devices: tuple[Device, ...]

    @classmethod
    def of(cls, answer: Answer) -> InventoryResult:
        """What an answer to 8.2 holds; raises AnswerRefused if it should hold a result and none can be read."""
        body = answer.response.body
        if isinstance(body, Inventory):
            return cls(answer, body.devices)
        _refuse_unread(answer)
        return cls(answer, ())

    @property
    def outcome(self) -> Outcome:
        """Whether it was answered, refused, or is held."""
        return self.answer.outcome

    def raise_for_refusal(self) -> None:
        """Raise RequestRefused if there is no result."""
        _raise_if_refused(self)

    def __bool__(self) -> NoReturn:
        raise TypeError(_NO_TRUTH)


@dataclass(frozen=True, slots=True)
class ScheduleResult:
    """A page of what an 11.7 has read."""

    answer: Answer
    upgrades: tuple[CommsHubUpgrade, ...]
    more_devices: bool
    schedule: ScheduleDetails | None
    """Where a schedule was read by its id."""

    @classmethod
    def of(cls, answer: Answer) -> ScheduleResult:
        """What an answer to 11.7 holds; raises AnswerRefused if it should hold a result and none can be read."""
        body = answer.response.body
        if isinstance(body, ScheduleRead):
            return cls(answer, body.upgrades, body.more_devices, body.schedule)
        _refuse_unread(answer)
        return cls(answer, (), False, None)

    @property
    def outcome(self) -> Outcome:
        """Whether it was answered, refused, or is held."""
        return self.answer.outcome

    def raise_for_refusal(self) -> None:
        """Raise RequestRefused if there is no result."""
        _raise_if_refused(self)

    def __bool__(self) -> NoReturn:
        raise TypeError(_NO_TRUTH)


Result = ListResult | InventoryResult | ScheduleResult


def _refuse_unread(answer: Answer) -> None:
    """Nothing is not what was found if something was, in a form that is not known here."""
    if answer.outcome is Outcome.ACCEPTED:
        raise AnswerRefused(answer.request, "its result cannot be read, or is not there")


def _raise_if_refused(result: InventoryResult | ScheduleResult) -> None:
    if result.outcome is Outcome.REFUSED:
        answer = result.answer
        raise RequestRefused(result, f"{answer.response.code}: {answer.detail}")
