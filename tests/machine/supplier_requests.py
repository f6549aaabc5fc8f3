"""The reference model's answers to Service Requests 11.5, 11.6, 11.8 and 11.9, and what they change."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from sr_engine.messages.model import Period
from tests.machine.facts import DAY, Answer, Schedule
from tests.machine.hubs import MAY_BE_UPGRADED
from tests.machine.model import Model

HORIZON = 180 * DAY
PRECEDENCE = (
    "Invalid",
    "NotResponsible",
    "NotCommissioned",
    "NotApplicableFirmware",
    "OtherRequestInProgress",
    "HANIncompatible",
    "WindowNotAvailable",
    "NotAvailable",
)


@dataclass
class Judged:
    """Which hubs of a list were taken, and why the others were not."""

    taken: list[str] = field(default_factory=list)
    refused: dict[str, set[str]] = field(default_factory=dict)

    def add(self, hub: str, whys: Collection[str]) -> None:
        """Only the first reason counts."""
        if whys:
            self.refused.setdefault(min(whys, key=PRECEDENCE.index), set()).add(hub)
        else:
            self.taken.append(hub)


Expected = tuple[str, dict[str, set[str]]]
"""The code that must be answered, and the refused hubs by reason."""


def schedule(
    model: Model,
    organisation: str,
    release: str,
    hubs: Collection[str],
    window: Period,
    *,
    pilot: bool,
    accepts_han: bool,
    replaces: int | None,
    number: int | None,
) -> Expected:
    """11.5; `number` is the schedule id that was answered."""
    refusal = _release_refusal(model, release)
    if refusal is not None:
        return f"E1105{refusal}", {}
    if not (model.now < window.end <= model.now + HORIZON and window.start < window.end):
        return "E110502", {}
    old = None if replaces is None else model.schedules.get(replaces)
    if replaces is not None and (old is None or old.organisation != organisation or old.release != release):
        return "E110507", {}
    judged = Judged()
    places = _pilot_places(model, organisation, release, old) if pilot else {}
    for hub in hubs:
        whys = _in_general(model, organisation, release, hub)
        if not whys:
            whys = _against_schedule(model, organisation, release, hub, window, accepts_han=accepts_han, old=old)
            region = model.homes[hub].region
            if not whys and region in places and (organisation, release, hub) not in model.pilots_done:
                if places[region] <= 0:
                    whys.append("NotAvailable")
                places[region] -= 1
        judged.add(hub, whys)
    if not judged.taken:
        return _none_taken(model, "E1105", release, hubs, judged)
    if number is None:
        return "I0", judged.refused
    new = Schedule(number, organisation, release, window, pilot, tuple(judged.taken))
    model.schedules[number] = new
    for hub in judged.taken:
        model.answer(organisation, release, hub, Answer("Approved", None, new, accepts_han))
    for hub in old.hubs if old is not None else ():
        left_out = old is not None and hub not in hubs and model.in_force(old, hub) and organisation in model.sides(hub)
        if left_out and not model.with_csp(hub, release):
            model.answer(organisation, release, hub, None)
    return ("W110501" if judged.refused else "I0"), judged.refused


def _against_schedule(
    model: Model,
    organisation: str,
    release: str,
    hub: str,
    window: Period,
    *,
    accepts_han: bool,
    old: Schedule | None,
) -> list[str]:
    answer = model.answers.get((hub, release, organisation))
    own = None if answer is None else answer.schedule
    whys = []
    if model.with_csp(hub, release) or model.other_release_open(hub, release) or own not in {None, old}:
        whys.append("OtherRequestInProgress")
    if model.may_break(hub, release) and not accepts_han:
        whys.append("HANIncompatible")
    if not model.free_nights(hub, window):
        whys.append("WindowNotAvailable")
    elif not model.free_nights(hub, window, model.blocked(hub)):
        whys.append("NotAvailable")
    return whys


def decide(
    model: Model,
    organisation: str,
    release: str,
    hubs: Collection[str],
    decision: str,
    *,
    until: datetime | None,
    accepts_han: bool,
) -> Expected:
    """11.6."""
    refusal = _release_refusal(model, release, taking_back=decision != "Approved")
    if refusal is not None:
        return f"E1106{refusal}", {}
    if decision == "Deferred" and (until is None or not model.now < until <= model.now + HORIZON):
        return "E110605", {}
    judged = Judged()
    for hub in hubs:
        whys = _in_general(model, organisation, release, hub)
        if not whys:
            approving = decision == "Approved"
            if model.with_csp(hub, release) or (approving and model.other_release_open(hub, release)):
                whys.append("OtherRequestInProgress")
            if approving and model.may_break(hub, release) and not accepts_han:
                whys.append("HANIncompatible")
        judged.add(hub, whys)
    if not judged.taken:
        return _none_taken(model, "E1106", release, hubs, judged)
    for hub in judged.taken:
        before = model.answers.get((hub, release, organisation))
        kept = before.schedule if before is not None and decision == "Approved" else None
        # A yes to what may break, once said, is not taken back by an answer that does not say it again.
        accepted = accepts_han or (before is not None and before.accepts_han)
        model.answer(organisation, release, hub, Answer(decision, until, kept, accepted))
    return ("W110601" if judged.refused else "I99"), judged.refused


def delete(model: Model, organisation: str, number: int, hubs: Collection[str]) -> Expected:
    """11.8; no hubs: all for which the schedule is in force."""
    old = model.schedules.get(number)
    if old is None or old.organisation != organisation:
        return "E110807", {}
    judged = Judged()
    named = hubs or [hub for hub in old.hubs if model.in_force(old, hub)]
    for hub in named:
        whys = []
        if hub not in old.hubs:
            whys.append("Invalid")
        else:
            if organisation not in model.sides(hub):
                whys.append("NotResponsible")
            if model.in_force(old, hub) and model.with_csp(hub, old.release):
                whys.append("OtherRequestInProgress")
            if not model.in_force(old, hub):
                whys.append("NotAvailable")
        judged.add(hub, whys)
    if not named:
        return "E110809", {}
    if not judged.taken:
        code, refused = _none_taken(model, "E1108", old.release, named, judged)
        return ("E110809" if code == "E110803" and "NotAvailable" in refused else code), refused
    for hub in judged.taken:
        model.answer(organisation, old.release, hub, None)
    return ("W110801" if judged.refused else "I99"), judged.refused


def exclude(
    model: Model, organisation: str, hubs: Collection[str], *, include: bool, until: datetime | None
) -> Expected:
    """11.9."""
    if until is not None and (include or until <= model.now):
        return "E110905", {}
    judged = Judged()
    for hub in hubs:
        whys = []
        if hub not in model.homes:
            whys.append("Invalid")
        elif organisation not in model.sides(hub):
            whys.append("NotResponsible")
        elif any(model.with_csp(hub, release) for release in model.releases):
            whys.append("OtherRequestInProgress")
        elif include and not model.excluded_by(hub, organisation):
            whys.append("NotAvailable")
        judged.add(hub, whys)
    if not judged.taken:
        if set(judged.refused) == {"OtherRequestInProgress"}:
            return "E110908", judged.refused
        return ("E110909" if "NotAvailable" in judged.refused else "E110903"), judged.refused
    for hub in judged.taken:
        if include:
            del model.exclusions[hub, organisation]
            continue
        model.exclusions[hub, organisation] = until
        model.limits.pop((hub, organisation), None)
        for loser in model.homes[hub].followed(organisation, model.now) - set(model.sides(hub)):
            model.exclusions.pop((hub, loser), None)
    return ("W110901" if judged.refused else "I99"), judged.refused


def _release_refusal(model: Model, release: str, *, taking_back: bool = False) -> str | None:
    one = model.releases[release]
    if taking_back and one.status != "Withdrawn":
        return "06" if one.dcc_managed else None
    if one.status != "Open" or one.cpl != "Active":
        return "01"
    return "06" if one.dcc_managed else None


def _in_general(model: Model, organisation: str, release: str, hub: str) -> list[str]:
    """What stands in the way whatever is asked for; if anything does, the rest does not matter."""
    if hub not in model.homes:
        return ["Invalid"]
    if organisation not in model.sides(hub):
        return ["NotResponsible"]
    if model.homes[hub].status not in MAY_BE_UPGRADED:
        return ["NotCommissioned"]
    return [] if model.applies(hub, release) else ["NotApplicableFirmware"]


def _none_taken(model: Model, family: str, release: str, hubs: Iterable[str], judged: Judged) -> Expected:
    """All with the CSP is 08; one that only lacked a night 04; anything else 03."""
    if set(judged.refused) == {"OtherRequestInProgress"} and all(model.with_csp(hub, release) for hub in hubs):
        return f"{family}08", judged.refused
    return f"{family}{'04' if 'WindowNotAvailable' in judged.refused else '03'}", judged.refused


def _pilot_places(model: Model, organisation: str, release: str, old: Schedule | None) -> dict[str, int]:
    """By region with a limit, the places left of this Supplier's share; what it replaces gives its place up."""
    one = model.releases[release]
    left = {region: share.get(organisation, 0) for region, share in one.shares.items()}
    for hub, home in model.homes.items():
        answer = model.answers.get((hub, release, organisation))
        piloting = answer is not None and answer.schedule not in {None, old} and answer.schedule.pilot
        if home.region in left and (piloting or (organisation, release, hub) in model.pilots_done):
            left[home.region] -= 1
    return left
