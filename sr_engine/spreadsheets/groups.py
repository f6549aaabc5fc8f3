"""Accepted rows as requests: as few as the rules allow, each with a key under which it is done once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from sr_engine.configuration import SheetDecision
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Decision,
    ExclusionAction,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.spreadsheets.moments import Moments
from sr_engine.spreadsheets.rows import Reading, Wish

GroupBody = ScheduleCommsHubFirmware | ApproveCommsHubFirmware | UpdateCommsHubFirmwareExclusion


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that become one request."""

    key: str
    """64 hexadecimal digits; the same for the same rows of the same file."""
    wish: Wish
    rows: Mapping[str, int]
    """By hub, in canonical form, the number of its row; in the order of the sheet."""

    @property
    def hub_ids(self) -> tuple[str, ...]:
        """The hubs that the request names."""
        return tuple(self.rows)

    @property
    def body(self) -> GroupBody:
        """The request itself."""
        wish = self.wish
        if wish.firmware is None:
            return UpdateCommsHubFirmwareExclusion(ExclusionAction(wish.decision), self.hub_ids, wish.until)
        if wish.window is not None:
            return ScheduleCommsHubFirmware(
                wish.firmware, wish.window, wish.phase, self.hub_ids, wish.accept_han_impact
            )
        return ApproveCommsHubFirmware(
            wish.firmware, Decision(wish.decision), self.hub_ids, wish.until, wish.accept_han_impact
        )

    def in_words(self, moments: Moments) -> str:
        """What it asks for, in a line, with times as they were understood."""
        wish = self.wish
        words = [str(wish.decision), f"{len(self.rows):,} hub{'' if len(self.rows) == 1 else 's'}"]
        if wish.firmware is not None:
            words.append(f"for {wish.firmware.manufacturer} {wish.firmware.model} {wish.firmware.version}")
        return " ".join([*words, *terms(wish, moments)])


def grouped(reading: Reading, digest: bytes, *, most: int, again: str = "") -> tuple[Group, ...]:
    """The accepted rows of the file with this SHA-256, at most `most` in a group, in the order of their first rows.

    `again` makes other keys, so that what was done once is done once more.
    """
    by_wish: dict[Wish, dict[str, int]] = {}
    for number, (hub_id, wish) in reading.accepted.items():
        by_wish.setdefault(wish, {})[hub_id] = number
    groups: list[Group] = []
    for wish, rows in by_wish.items():
        hubs = list(rows.items())
        for part, start in enumerate(range(0, len(hubs), most)):
            groups.append(Group(_key(digest, wish, part, again), wish, dict(hubs[start : start + most])))
    return tuple(groups)


def terms(wish: Wish, moments: Moments) -> list[str]:
    """When, in which phase and on which terms, in words."""
    words: list[str] = []
    if wish.window is not None:
        words.append(f"between {moments.shown(wish.window.start)} and {moments.shown(wish.window.end)}")
        words.append(f"({wish.phase})")
    if wish.until is not None:
        words.append(f"until {moments.shown(wish.until)}")
    if wish.accept_han_impact:
        words.append("accepting HAN impact")
    if wish.decision is SheetDecision.EXCLUDE and wish.until is None:
        words.append("until they are included again")
    return words


def _key(digest: bytes, wish: Wish, part: int, again: str) -> str:
    firmware, window = wish.firmware, wish.window
    said = (
        str(wish.decision),
        None if firmware is None else (firmware.manufacturer, firmware.model, firmware.version),
        None if window is None else (window.start.isoformat(), window.end.isoformat()),
        None if wish.until is None else wish.until.isoformat(),
        str(wish.phase),
        wish.accept_han_impact,
        part,
        again,
    )
    return hashlib.sha256(digest + repr(said).encode()).hexdigest()
