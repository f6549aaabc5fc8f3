"""The reference model's change of Supplier: who has left a hub, who has come, and what becomes of their answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.machine.facts import DAY, OPEN, WITH_CSP
from tests.machine.model import Model

EXCLUSION_KEPT = 30 * DAY
LOOK_AGAIN = timedelta(minutes=15)
"""How long after a look a hub that was with the CSP is looked at again, at the earliest."""


@dataclass
class Turnover:
    """Who left and who came since the last time, each with the date; and whom a meter went to."""

    before: list[str]
    left: dict[str, datetime] = field(default_factory=dict)
    arrived: dict[str, datetime] = field(default_factory=dict)
    gained: list[str] = field(default_factory=list)


def is_due(model: Model, hub: str) -> bool:
    """Something of this hub's registrations has become effective and was not carried out."""
    return any(_steps(model, hub, role) for role in model.homes[hub].meters)


def _steps(model: Model, hub: str, role: str) -> list[tuple[datetime, str | None]]:
    """The changes of one meter since the last time; one that was taken back after it was carried out goes back now."""
    since, holder = model.settled[hub, role]
    known = [one for one in model.homes[hub].meters[role] if one[0] <= model.now]
    later = [one for one in known if one[0] > since]
    if not later:
        current = known[-1][1] if known else None
        return [] if current == holder else [(model.now, current)]
    found = []
    for at, organisation in later:
        if organisation != holder:
            found.append((at, organisation))
            holder = organisation
    return found


def _turnover(model: Model, hub: str) -> Turnover:
    home = model.homes[hub]
    holders = {role: model.settled[hub, role][1] for role in home.meters}
    result = Turnover(list(dict.fromkeys(one for one in (holders.get("IS"), holders.get("GS")) if one is not None)))
    moves = sorted((at, role, one) for role in home.meters for at, one in _steps(model, hub, role))
    for when in sorted({at for at, _, _ in moves}):
        previous = {one for one in holders.values() if one is not None}
        holders |= {role: one for at, role, one in moves if at == when}
        present = {one for one in holders.values() if one is not None}
        for one in previous - present:
            result.left[one] = when
            result.arrived.pop(one, None)
        result.arrived |= dict.fromkeys(present - previous, when)
    for role in home.meters:
        steps = _steps(model, hub, role)
        if steps and steps[-1][1] is not None:
            result.gained.append(steps[-1][1])
    return result


def carry_out(model: Model) -> None:
    """Do what has become effective, of every hub."""
    for hub, home in model.homes.items():
        if not is_due(model, hub) and model.look_again.get(hub, model.now + DAY) > model.now:
            continue
        model.look_again.pop(hub, None)
        change = _turnover(model, hub)
        touched = {release for of_hub, release, _ in model.answers if of_hub == hub}
        touched |= {release for of_hub, release in model.attempts if of_hub == hub}
        for release in sorted(touched):
            if _at_release(model, hub, release, change):
                model.look_again[hub] = model.now + LOOK_AGAIN
        for one, at in change.left.items():
            if model.excluded_by(hub, one):
                model.limits[hub, one] = at + EXCLUSION_KEPT
        for one in change.arrived:
            if model.excluded_by(hub, one):
                model.limits.pop((hub, one), None)
        offered = any(model.releases[one].status == "Open" and model.applies(hub, one) for one in model.releases)
        for one in change.gained:
            if offered:
                model.told["change_of_supplier", hub, one] += 1
        for role, known in home.meters.items():
            effective = [one for one in known if one[0] <= model.now]
            model.settled[hub, role] = effective[-1] if effective else (model.now, None)


def _at_release(model: Model, hub: str, release: str, change: Turnover) -> bool:
    """What follows for one release; true if something of it has to wait until the hub is with the CSP no more."""
    sides, attempt = model.sides(hub), model.newest(hub, release)
    given = [one for of_hub, of_release, one in model.answers if (of_hub, of_release) == (hub, release)]
    gone = [one for one in given if one not in sides]
    back = [one for one in given if one in change.arrived]
    with_csp = attempt is not None and attempt.state in WITH_CSP
    news = {one for one in gone if one in change.left or (hub, release, one) not in model.departed} | set(back)
    model.departed |= {(hub, release, one) for one in gone}
    stayers = [one for one in sides if one in change.before and one not in change.arrived]
    seen = {one: model.seen(hub, release, one, change.before) for one in stayers}
    over = (
        model.releases[release].status == "Withdrawn"
        or model.homes[hub].version == model.releases[release].firmware.version
        or (attempt is not None and attempt.state == "Activated")
    )
    for one in back if with_csp or over else [*gone, *back]:
        lost = model.approval(hub, release, one) != "Pending" or model.answers[hub, release, one].schedule is not None
        if one in news and lost and not over:
            model.told["hub_voided", hub, one] += 1
        del model.answers[hub, release, one]
    for one in stayers:
        if not over and model.seen(hub, release, one, sides) != seen[one]:
            model.told["other_supplier_answer_changed", hub, one] += 1
    model.settle(hub, release, left=bool(gone or change.left), arrived=change.arrived)
    attempt = model.newest(hub, release)
    if attempt is not None:
        hidden = attempt.number - 1 if attempt.state in OPEN | WITH_CSP else attempt.number
        for one in change.arrived:
            model.arrivals[hub, release, one] = hidden
    return with_csp and bool(gone)
