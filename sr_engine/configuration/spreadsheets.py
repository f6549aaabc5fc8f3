"""Which headers and words of people's spreadsheets are understood, and how much is read (`spreadsheets.toml`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from sr_engine.configuration import values
from sr_engine.configuration.advice import Advice, read_refusals
from sr_engine.configuration.reader import Array, ConfigurationError, Key, Place, Table, read_file
from sr_engine.messages.model import Phase, RefusalReason

E = TypeVar("E", bound=StrEnum)


class SheetColumn(StrEnum):
    """What a column of a sheet is about."""

    HUB_ID = "hub_id"
    MPXN = "mpxn"
    REGION = "region"
    DECISION = "decision"
    FIRMWARE = "firmware"
    WINDOW_START = "window_start"
    WINDOW_END = "window_end"
    UNTIL = "until"
    PHASE = "phase"
    ACCEPT_HAN_IMPACT = "accept_han_impact"
    RESULT = "result"
    """Written by a report; read only to leave out what is done."""
    ADVICE = "advice"
    """Written by a report, never read."""


class SheetDecision(StrEnum):
    """What a row asks for one hub."""

    APPROVE = "Approve"
    DECLINE = "Decline"
    DEFER = "Defer"
    SCHEDULE = "Schedule"
    EXCLUDE = "Exclude"
    INCLUDE = "Include"


class YesNo(StrEnum):
    """The two words for a choice."""

    YES = "Yes"
    NO = "No"


@dataclass(frozen=True, slots=True)
class SheetLimits:
    """What a file may be, checked before anything of it is read."""

    file_bytes: int
    unpacked_bytes: int
    ratio: int
    """Unpacked to packed bytes of a workbook that is not small."""
    parts: int
    """Files within a workbook."""
    rows: int
    """The number of the last row that is not empty, header included."""
    columns: int
    cells: int
    cell_characters: int
    header_rows: int
    """Among so many first rows the header is looked for."""


@dataclass(frozen=True, slots=True)
class ColumnNames:
    """What a column is called: by the template, and also by people."""

    title: str
    """What the template writes."""
    names: tuple[str, ...]
    """What is understood besides."""
    help: str = ""
    """What the guide of the template says of it."""


@dataclass(frozen=True, slots=True)
class Spreadsheets:
    """All of it. Mappings by word or header hold these without case, spaces and punctuation, as `bare` leaves them."""

    time_zone: ZoneInfo
    time_zone_name: str
    header_remarks: frozenset[str]
    """What may stand in brackets behind a header."""
    limits: SheetLimits
    columns: Mapping[SheetColumn, ColumnNames]
    headers: Mapping[str, SheetColumn]
    decisions: Mapping[str, SheetDecision]
    phases: Mapping[str, Phase]
    yes_no: Mapping[str, YesNo]
    advice: Mapping[RefusalReason, str]
    """What to do about each refusal; as read from `spreadsheets.toml` alone, only what it says itself."""

    def title(self, column: SheetColumn) -> str:
        """What the template calls a column."""
        return self.columns[column].title


def bare(text: str) -> str:
    """A header or word as it is compared: without case, spaces and punctuation."""
    return "".join(character for character in text.casefold() if character.isalnum())


def load_spreadsheets(directory: Path) -> Spreadsheets:
    """Read `spreadsheets.toml` of a folder, and its advice; raises ConfigurationError naming all problems."""
    problems: list[str] = []
    found, advice = read_file(directory / FILE, SPREADSHEETS, problems), read_refusals(directory, problems)
    if found is None or advice is None or problems:
        raise ConfigurationError(tuple(problems))
    return advised(found, advice)


def advised(spreadsheets: Spreadsheets, advice: Advice) -> Spreadsheets:
    """With what to do about each refusal: as everybody is told, but where a sheet has to say something of its own."""
    told = {reason: spreadsheets.advice.get(reason, advice.for_reason(reason).text) for reason in RefusalReason}
    return replace(spreadsheets, advice=MappingProxyType(told))


FILE = "spreadsheets.toml"


def _made(
    *,
    column: Mapping[SheetColumn, ColumnNames],
    decision: Mapping[SheetDecision, tuple[str, ...]],
    phase: Mapping[Phase, tuple[str, ...]],
    yes_no: Mapping[YesNo, tuple[str, ...]],
    header_remarks: tuple[str, ...],
    advice: Mapping[RefusalReason, str] = MappingProxyType({}),
    **others: Any,
) -> Spreadsheets:
    return Spreadsheets(
        header_remarks=frozenset(map(bare, header_remarks)),
        columns=column,
        headers=_by_name({known: (names.title, *names.names) for known, names in column.items()}),
        decisions=_by_name({known: (known, *words) for known, words in decision.items()}),
        phases=_by_name({known: (known, *words) for known, words in phase.items()}),
        yes_no=_by_name({known: (known, *words) for known, words in yes_no.items()}),
        advice=advice,
        **others,
    )


def _by_name(names: Mapping[E, tuple[str, ...]]) -> Mapping[str, E]:
    return MappingProxyType({bare(name): known for known, several in names.items() for name in several})


def _mapping(**fields: Any) -> Mapping[str, Any]:
    return MappingProxyType(fields)


def _check_names(names: Mapping[E, tuple[str, ...]], place: Place) -> None:
    """A word that means two things means neither."""
    first: dict[str, E] = {}
    for known, several in names.items():
        for name in several:
            if not bare(name):
                place.inside(known).report(f"{name!r} has no letter and no digit")
            elif first.setdefault(bare(name), known) is not known:
                place.inside(known).report(f"{name!r} already means {first[bare(name)]}; take one of them out")


def _check_columns(columns: Mapping[str, ColumnNames], place: Place) -> None:
    _check_names({SheetColumn(known): (names.title, *names.names) for known, names in columns.items()}, place)


def _words(kind: type[E]) -> Table[Mapping[str, Any]]:
    def check(found: Mapping[str, Any], place: Place) -> None:
        _check_names({kind(known): (known, *words) for known, words in found.items()}, place)

    return Table(_mapping, *(Key(known, Array(values.text())) for known in kind), check=check)


_COLUMN = Table(
    ColumnNames,
    Key("title", values.text()),
    Key("names", Array(values.text())),
    Key("help", values.text(), optional=True),
)

_COLUMNS: Table[Mapping[str, Any]] = Table(
    _mapping, *(Key(known, _COLUMN) for known in SheetColumn), check=_check_columns
)

_LIMITS = Table(
    SheetLimits,
    Key("file_bytes", values.whole_number(1)),
    Key("unpacked_bytes", values.whole_number(1)),
    Key("ratio", values.whole_number(1)),
    Key("parts", values.whole_number(1)),
    Key("rows", values.whole_number(1, 1_048_576)),
    Key("columns", values.whole_number(1, 16_384)),
    Key("cells", values.whole_number(1)),
    Key("cell_characters", values.whole_number(1, 32_767)),
    Key("header_rows", values.whole_number(1, 1_000)),
)

SPREADSHEETS = Table(
    _made,
    Key("time_zone", values.time_zone()),
    Key("time_zone_name", values.text()),
    Key("header_remarks", Array(values.text())),
    Key("limits", _LIMITS),
    Key("column", _COLUMNS),
    Key("decision", _words(SheetDecision)),
    Key("phase", _words(Phase)),
    Key("yes_no", _words(YesNo)),
    Key("advice", Table(_mapping, *(Key(one, values.text(), optional=True) for one in RefusalReason)), optional=True),
)
"""What `spreadsheets.toml` holds."""
