"""What is to be done to the hubs of a selection, as a form says it, as it is kept, and as the requests it becomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from sr_engine.console.rendering import TimeRefused, typed_moment
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Decision,
    DeleteCommsHubFirmwareSchedule,
    ExclusionAction,
    Firmware,
    Period,
    Phase,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.pipeline.acting import ActBody


class Deed(StrEnum):
    """What can be done."""

    APPROVE = "approve"
    DECLINE = "decline"
    DEFER = "defer"
    SCHEDULE = "schedule"
    CANCEL = "cancel"
    EXCLUDE = "exclude"
    INCLUDE = "include"


NEEDS_RELEASE = frozenset({Deed.APPROVE, Deed.DECLINE, Deed.DEFER, Deed.SCHEDULE})
VERBS = {
    Deed.APPROVE: "Approve",
    Deed.DECLINE: "Decline",
    Deed.DEFER: "Defer",
    Deed.SCHEDULE: "Schedule",
    Deed.CANCEL: "Take off the schedule",
    Deed.EXCLUDE: "Exclude",
    Deed.INCLUDE: "Include again",
}


class WishRefused(Exception):
    """A form was not filled in so that it can be done; by field, what is wrong."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be done, without to which hubs."""

    deed: Deed
    firmware: Firmware | None = None
    until: datetime | None = None
    window: Period | None = None
    phase: Phase = Phase.GENERAL
    accept_han_impact: bool = False
    schedule_id: int | None = None
    """Of CANCEL the schedule; of SCHEDULE the one that is replaced."""

    @staticmethod
    def of(values: Mapping[str, str], firmware: Firmware | None, schedule_id: int | None, zone: ZoneInfo) -> Wish:
        """What a form says; raises WishRefused, naming every field that is wrong."""
        problems: dict[str, str] = {}

        def moment(name: str, *, needed: bool) -> datetime | None:
            text = values.get(name, "")
            if not text:
                if needed:
                    problems[name] = "choose a date and time"
                return None
            try:
                return typed_moment(text, zone)
            except TimeRefused as refused:
                problems[name] = str(refused)
                return None

        try:
            deed = Deed(values.get("deed", ""))
        except ValueError:
            raise WishRefused({"deed": "choose what is to be done"}) from None
        if deed in NEEDS_RELEASE and firmware is None:
            raise WishRefused({"deed": "choose a release first: an answer is one to a release"})
        if deed is Deed.CANCEL and schedule_id is None:
            raise WishRefused({"deed": "begin from the schedule that the hubs are to be taken off"})
        until = moment("until", needed=True) if deed is Deed.DEFER else None
        if deed is Deed.EXCLUDE:
            until = moment("exclude_until", needed=False)
        window = None
        if deed is Deed.SCHEDULE:
            start, end = moment("window_start", needed=True), moment("window_end", needed=True)
            if start is not None and end is not None:
                if end <= start:
                    problems["window_end"] = "the window has to end after it begins"
                window = Period(start, end)
        if problems:
            raise WishRefused(problems)
        return Wish(
            deed,
            firmware if deed in NEEDS_RELEASE else None,
            until,
            window,
            Phase.PILOT if values.get("phase") == Phase.PILOT.value else Phase.GENERAL,
            values.get("han") == "yes" and deed in {Deed.APPROVE, Deed.SCHEDULE},
            schedule_id if deed in {Deed.CANCEL, Deed.SCHEDULE} else None,
        )

    def bodies(self, hub_ids: Sequence[str], most: int) -> list[ActBody]:
        """The requests that do it, of at most `most` hubs each."""
        return [self._body(tuple(hub_ids[start : start + most])) for start in range(0, len(hub_ids), most)]

    def _body(self, hub_ids: tuple[str, ...]) -> ActBody:
        match self:
            case Wish(Deed.APPROVE | Deed.DECLINE | Deed.DEFER, Firmware() as firmware):
                decision = Decision(self.deed.value.capitalize())
                return ApproveCommsHubFirmware(firmware, decision, hub_ids, self.until, self.accept_han_impact)
            case Wish(Deed.SCHEDULE, Firmware() as firmware, _, Period() as window):
                replaced = self.schedule_id
                return ScheduleCommsHubFirmware(firmware, window, self.phase, hub_ids, self.accept_han_impact, replaced)
            case Wish(Deed.CANCEL, schedule_id=int() as schedule_id):
                return DeleteCommsHubFirmwareSchedule(schedule_id, hub_ids)
            case Wish(Deed.EXCLUDE | Deed.INCLUDE):
                action = ExclusionAction(self.deed.value.capitalize())
                return UpdateCommsHubFirmwareExclusion(action, hub_ids, self.until)
        raise ValueError(f"{self.deed} lacks what it needs")

    def kept(self) -> dict[str, object]:
        """As JSON."""
        return {
            "deed": self.deed.value,
            "firmware": None
            if self.firmware is None
            else [self.firmware.manufacturer, self.firmware.model, self.firmware.version],
            "until": None if self.until is None else self.until.isoformat(),
            "window": None if self.window is None else [self.window.start.isoformat(), self.window.end.isoformat()],
            "phase": self.phase.value,
            "han": self.accept_han_impact,
            "schedule": self.schedule_id,
        }

    @staticmethod
    def from_kept(kept: Mapping[str, object]) -> Wish:
        """What `kept` gave."""
        firmware, until, window, schedule = (kept[name] for name in ("firmware", "until", "window", "schedule"))
        return Wish(
            Deed(str(kept["deed"])),
            Firmware(*map(str, firmware)) if isinstance(firmware, list) else None,
            datetime.fromisoformat(until) if isinstance(until, str) else None,
            Period(*map(datetime.fromisoformat, window)) if isinstance(window, list) else None,
            Phase(str(kept["phase"])),
            kept["han"] is True,
            schedule if isinstance(schedule, int) else None,
        )

    def facts(self) -> list[tuple[str, object]]:
        """What is to be done, point by point, for a page."""
        found: list[tuple[str, object]] = [("What", VERBS[self.deed])]
        if self.firmware is not None:
            found.append(("Firmware", named(self.firmware)))
        if self.window is not None:
            found += [("Window from", self.window.start), ("Window to", self.window.end)]
        if self.deed is Deed.SCHEDULE:
            found.append(("Phase", self.phase.value))
        if self.deed is Deed.DEFER:
            found.append(("Deferred until", self.until))
        if self.deed is Deed.EXCLUDE:
            found.append(("Excluded until", self.until or "it is included again"))
        if self.deed in {Deed.APPROVE, Deed.SCHEDULE}:
            found.append(
                ("Devices in the home that may stop working", "accepted" if self.accept_han_impact else "not accepted")
            )
        if self.schedule_id is not None:
            found.append(("Replaces schedule" if self.deed is Deed.SCHEDULE else "Schedule", str(self.schedule_id)))
        return found


def named(firmware: Firmware) -> str:
    """What a release is called on pages."""
    return f"{firmware.version} for {firmware.manufacturer} {firmware.model}"
