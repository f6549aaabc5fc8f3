"""What may stand at each key of a step, so that a value of another kind is refused with file and key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sr_engine.configuration import values
from sr_engine.configuration.reader import Array, Place, Reader, Scalar
from sr_engine.domain.terms import Management, Obligation
from sr_engine.messages.model import Phase, ReportStatus

MOMENT = "%a %Y-%m-%d %H:%M"


@dataclass(frozen=True, slots=True)
class Each:
    """A table in which every value, whatever its key, is of one kind."""

    value: Reader[Any]
    wants: str = "a table"

    def read(self, value: object, place: Place) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            place.refuse(f"must be {self.wants}, such as {{ NAME = ... }}")
        return {key: self.value.read(inner, place.inside(key)) for key, inner in value.items()}


@dataclass(frozen=True, slots=True)
class Pair:
    """A list of two of a kind."""

    item: Reader[Any]
    wants: str

    def read(self, value: object, place: Place) -> tuple[Any, ...]:
        found = Array(self.item).read(value, place)
        if len(found) != len(("one", "other")):
            place.refuse(f"must be {self.wants}")
        return found


def weekday_moment() -> Scalar[datetime]:
    """A time in UTC whose weekday is said and right."""

    def convert(value: object) -> datetime:
        found = datetime.strptime(str(value), MOMENT).replace(tzinfo=UTC)
        if found.strftime(MOMENT) != value:
            raise ValueError
        return found

    return Scalar("a time in UTC such as 'Mon 2026-11-23 09:00', with the right weekday", convert)


def _text_or_nothing() -> Scalar[str]:
    def convert(value: object) -> str:
        if not isinstance(value, str):
            raise TypeError
        return value

    return Scalar("text", convert)


def _day() -> Scalar[date]:
    def convert(value: object) -> date:
        if not isinstance(value, date) or isinstance(value, datetime):
            raise TypeError
        return value

    return Scalar("a day such as 2026-11-20, without quotation marks", convert)


def _report() -> Scalar[str]:
    def convert(value: object) -> str:
        if not isinstance(value, str):
            raise TypeError
        ReportStatus(value.partition(": ")[0])
        return value

    return Scalar(f"one of {', '.join(ReportStatus)}, with ': ' and the reason after it if there is one", convert)


def _view() -> Scalar[Any]:
    def convert(value: object) -> object:
        if not isinstance(value, str | dict):
            raise TypeError
        return value

    return Scalar("a code, or a table of what is shown", convert)


def _table() -> Scalar[Any]:
    def convert(value: object) -> object:
        if not isinstance(value, dict):
            raise TypeError
        return value

    return Scalar("a table", convert)


def shapes() -> Mapping[str, Reader[Any]]:
    """What stands at a key, by the key; they mean the same whatever else the step says."""
    text, names, moment, number = values.text(), Array(values.text()), weekday_moment(), values.whole_number(0)
    by_two = Each(Each(names))
    return {
        **dict.fromkeys(("answer", "detail", "refusal", "supplier", "csp", "says"), text),
        **dict.fromkeys(("request", "service", "media_type", "signed_by", "named", "replaces", "deletes"), text),
        **dict.fromkeys(("reads_inventory", "opens", "opens_gate", "halts", "because", "resumes", "closes"), text),
        **dict.fromkeys(("withdraws", "consultation", "compares", "confirms_exclusions", "imports", "limits"), text),
        **dict.fromkeys(("releases_request", "deletes_request", "registration", "electricity", "gas"), text),
        **dict.fromkeys(("schedules", "approves", "declines", "defers", "excludes", "includes", "hubs"), names),
        **dict.fromkeys(("accepts", "regions", "may_break", "devices"), names),
        **dict.fromkeys(("until", "comply_by", "takes_effect", "from", "happened"), moment),
        **dict.fromkeys(("most_requests", "most_devices", "pilot_limit", "soak_hours", "minimum_sample"), number),
        **dict.fromkeys(("accepts_han_impact", "signed", "cancelled", "as_before"), values.boolean()),
        **dict.fromkeys(("refuses", "refuses_devices", "found", "state", "runs"), Each(text)),
        **dict.fromkeys(("responses", "refused"), Each(names)),
        **dict.fromkeys(("told", "listed", "listed_again"), by_two),
        **dict.fromkeys(("reports", "brings"), Each(_report())),
        "again": values.whole_number(1),
        "altered": Pair(text, "what stands there and what is to stand there instead"),
        "announces": values.choice([*Obligation, *Management]),
        "body": _text_or_nothing(),
        "compared": Each(Each(number)),
        "consulted_on": _day(),
        "failure_percent": values.whole_number(0, 100),
        "gate": values.choice(["automatic", "by hand"]),
        "phase": values.member(Phase),
        "shows": Each(Each(_view())),
        "status": values.whole_number(100, 599),
        "window": Pair(moment, "when it begins and when it ends"),
        "with": _table(),
    }
