"""How people sign in to the console and what it shows (`console.toml`)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo

from sr_engine.configuration import values
from sr_engine.configuration.reader import Array, ASet, ConfigurationError, Key, Table, read_file
from sr_engine.configuration.shipped import own_or_shipped


class ConsoleRole(StrEnum):
    """What an account may do."""

    VIEW = "view"
    """See what its organisation may see."""
    ACT = "act"
    """Decide and schedule for its organisation."""
    APPROVE = "approve"
    """Confirm what another of its organisation wants done."""
    OPERATOR = "operator"
    """What an operator may do; of no organisation."""


@dataclass(frozen=True, slots=True)
class SignIn:
    """How people sign in."""

    second_factor_for: frozenset[ConsoleRole]
    password_min_length: int
    failures_of_account: int
    """From one address."""
    failures_anywhere: int
    """Of an account, from all addresses."""
    failures_of_address: int
    locks: tuple[timedelta, ...]
    forget: timedelta
    argon2_memory_kib: int
    argon2_passes: int
    argon2_lanes: int
    hashes_at_once: int
    hashes_waiting: int


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How long a session lasts."""

    idle: timedelta
    length: timedelta


@dataclass(frozen=True, slots=True)
class ProposalRules:
    """How what somebody wants done is confirmed."""

    draft: timedelta
    four_eyes: bool
    four_eyes_above: int
    four_eyes_time: timedelta
    most_hubs: int


@dataclass(frozen=True, slots=True)
class Pages:
    """What pages show."""

    time_zone: ZoneInfo
    rows: int
    look: timedelta
    live: timedelta
    streams_at_once: int
    streams_of_one: int
    upload_bytes: int
    counts_kept: timedelta
    wait: timedelta


@dataclass(frozen=True, slots=True)
class ConsoleRules:
    """What `console.toml` holds."""

    sign_in: SignIn
    session: SessionLimits
    proposals: ProposalRules
    pages: Pages


CONSOLE_FILE = "console.toml"


def load_console(directory: Path) -> ConsoleRules:
    """Read the rules of the console in a folder of configuration; those that are shipped, if it has none.

    Raises ConfigurationError naming every problem.
    """
    problems: list[str] = []
    content = read_file(own_or_shipped(directory, CONSOLE_FILE), CONSOLE, problems)
    if content is None:
        raise ConfigurationError(tuple(problems))
    return content


CONSOLE = Table(
    ConsoleRules,
    Key(
        "sign_in",
        Table(
            SignIn,
            Key("second_factor_for", ASet(Array(values.member(ConsoleRole)))),
            Key("password_min_length", values.whole_number(8, 64)),
            Key("failures_of_account", values.whole_number(1, 100)),
            Key("failures_anywhere", values.whole_number(1, 10_000)),
            Key("failures_of_address", values.whole_number(1, 10_000)),
            Key("lock_seconds", Array(values.seconds(1, 86_400), may_be_empty=False), field="locks"),
            Key("forget_hours", values.hours(1, 8760), field="forget"),
            Key("argon2_memory_kib", values.whole_number(8192, 1_048_576)),
            Key("argon2_passes", values.whole_number(1, 20)),
            Key("argon2_lanes", values.whole_number(1, 16)),
            Key("hashes_at_once", values.whole_number(1, 64)),
            Key("hashes_waiting", values.whole_number(0, 10_000)),
        ),
    ),
    Key(
        "session",
        Table(
            SessionLimits,
            Key("idle_minutes", values.minutes(1, 1440), field="idle"),
            Key("length_hours", values.hours(1, 168), field="length"),
        ),
    ),
    Key(
        "proposals",
        Table(
            ProposalRules,
            Key("draft_hours", values.hours(1, 168), field="draft"),
            Key("four_eyes", values.boolean()),
            Key("four_eyes_above", values.whole_number(0)),
            Key("four_eyes_hours", values.hours(1, 720), field="four_eyes_time"),
            Key("most_hubs", values.whole_number(1)),
        ),
    ),
    Key(
        "pages",
        Table(
            Pages,
            Key("time_zone", values.time_zone()),
            Key("rows", values.whole_number(10, 200)),
            Key("look_seconds", values.seconds(1, 600), field="look"),
            Key("live_minutes", values.minutes(1, 240), field="live"),
            Key("streams_at_once", values.whole_number(1, 10_000)),
            Key("streams_of_one", values.whole_number(1, 10_000)),
            Key("counts_kept_seconds", values.seconds(1, 3600), field="counts_kept"),
            Key("wait_milliseconds", values.milliseconds(10, 60_000), field="wait"),
            Key("upload_bytes", values.whole_number(1024, 268_435_456)),
        ),
    ),
)
