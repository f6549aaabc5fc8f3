"""What the pages of the console for operators show, and how much work they may be (`operator.toml`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sr_engine.configuration import values
from sr_engine.configuration.reader import ConfigurationError, Key, Table, read_file
from sr_engine.configuration.shipped import own_or_shipped

OPERATOR_FILE = "operator.toml"


@dataclass(frozen=True, slots=True)
class AttentionRules:
    """When something needs attention."""

    certificate: timedelta
    """Before the end of a certificate."""
    count_up_to: int
    carried_out: timedelta = timedelta(minutes=5)
    """After its answer, within which a long list should be carried out."""


@dataclass(frozen=True, slots=True)
class ReleaseRules:
    """What is counted of a release."""

    count_up_to: int


@dataclass(frozen=True, slots=True)
class SearchRules:
    """How long a search may take for one page."""

    time: timedelta


@dataclass(frozen=True, slots=True)
class MessageRules:
    """What is shown of a message."""

    shown_characters: int


@dataclass(frozen=True, slots=True)
class PlanRules:
    """What is previewed."""

    nights: int


@dataclass(frozen=True, slots=True)
class LookRules:
    """How long what took long to find out is shown before it is found out anew."""

    keep: timedelta


@dataclass(frozen=True, slots=True)
class SheetRules:
    """How much a sheet may be."""

    most_rows: int
    time: timedelta
    """For the search for its rows."""


@dataclass(frozen=True, slots=True)
class OperatorRules:
    """What `operator.toml` holds."""

    attention: AttentionRules
    releases: ReleaseRules
    search: SearchRules
    messages: MessageRules
    plan: PlanRules
    looks: LookRules
    sheets: SheetRules


def load_operator_rules(directory: Path) -> OperatorRules:
    """Read the rules in a folder of configuration; those that are shipped, if it has none.

    Raises ConfigurationError naming every problem.
    """
    problems: list[str] = []
    content = read_file(own_or_shipped(directory, OPERATOR_FILE), OPERATOR, problems)
    if content is None:
        raise ConfigurationError(tuple(problems))
    return content


OPERATOR = Table(
    OperatorRules,
    Key(
        "attention",
        Table(
            AttentionRules,
            Key("certificate_days", values.days(1, 365), field="certificate"),
            Key("count_up_to", values.whole_number(100, 1_000_000)),
            Key("carried_out_minutes", values.minutes(1, 1440), field="carried_out", optional=True),
        ),
    ),
    Key("releases", Table(ReleaseRules, Key("count_up_to", values.whole_number(1000, 10_000_000)))),
    Key("search", Table(SearchRules, Key("milliseconds", values.milliseconds(10, 5000), field="time"))),
    Key("messages", Table(MessageRules, Key("shown_characters", values.whole_number(1000, 100_000)))),
    Key("plan", Table(PlanRules, Key("nights", values.whole_number(1, 60)))),
    Key("looks", Table(LookRules, Key("keep_minutes", values.minutes(1, 1440), field="keep"))),
    Key(
        "sheets",
        Table(
            SheetRules,
            Key("most_rows", values.whole_number(100, 1_000_000)),
            Key("seconds", values.seconds(1, 600), field="time"),
        ),
    ),
)
