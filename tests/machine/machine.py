"""Random Suppliers, hubs, releases, CSPs and clocks against the product; after every step it must agree with the model.

Every disagreement begins with the name of what was broken, in brackets.
"""

from __future__ import annotations

import sys
from collections import Counter

from hypothesis.stateful import invariant
from sqlalchemy import select

from sr_engine.messages.model import (
    CommsHubUpgrade,
    Period,
    ReadCommsHubFirmwareSchedule,
    ScheduleRead,
)
from sr_engine.operations import audit, audit_verification
from sr_engine.store.tables import scheduled_hubs
from tests.machine.country import FIRMWARE, hold, same
from tests.machine.facts import OPEN, WITH_CSP
from tests.machine.surrounded import Surrounded


class Machine(Surrounded):
    """The whole: what must hold after every step."""

    @invariant()
    def attempts_are_the_models(self) -> None:
        names = {release_id: name for name, release_id in self.release_ids.items()}
        found = {}
        open_hubs: Counter[str] = Counter()
        for row in self.stage.attempts():
            key = (row.hub_id, names[row.release_id], row.number)
            agreed = row.state in {"Scheduled", *WITH_CSP}
            going = row.state in OPEN | WITH_CSP
            found[key] = (
                row.state,
                Period(row.window_start, row.window_end) if agreed else None,
                row.pilot if going else None,
                row.list_id if row.state in WITH_CSP else None,
            )
            open_hubs[row.hub_id] += going
        hold(all(number <= 1 for number in open_hubs.values()), "one upgrade at a time", open_hubs)
        expected = {
            (hub, release, one.number): (
                one.state,
                one.window if one.state in {"Scheduled", *WITH_CSP} else None,
                one.pilot if one.state in OPEN | WITH_CSP else None,
                one.list_id if one.state in WITH_CSP else None,
            )
            for (hub, release), known in self.model.attempts.items()
            for one in known
        }
        same(found, expected, "attempts")

    @invariant()
    def what_follows_attempts_says_what_they_do(self) -> None:
        """The table of what is Scheduled, the outcome of what was listed, and the end of a compelled hub's night."""
        known = self.stage.attempts()
        names = scheduled_hubs.columns.keys()
        expected = {tuple(getattr(row, name) for name in names) for row in known if row.state == "Scheduled"}
        same({tuple(row) for row in self.stage.rows(select(scheduled_hubs))}, expected, "Scheduled")
        for row in known:
            ended = row.list_id is not None and not row.is_open
            outcome = (row.state, row.state_at) if ended else (None, None)
            same((row.outcome, row.outcome_at), outcome, f"outcome of {row.hub_id}")
            if row.is_open:
                same(row.compelled_until, row.period_end if row.compulsory else None, f"night of {row.hub_id}")

    @invariant()
    def answers_are_the_models(self) -> None:
        names = {release_id: name for name, release_id in self.release_ids.items()}
        found = {
            (row.hub_id, names[row.release_id], row.organisation): (
                row.approval,
                row.defer_until,
                row.in_force,
                row.accept_han_impact,
            )
            for row in self.stage.answers()
            if row.approval != "Pending"
        }
        expected = {
            key: (one.approval, one.until, None if one.schedule is None else one.schedule.number, one.accepts_han)
            for key, one in self.model.answers.items()
        }
        same(found, expected, "answers")

    @invariant()
    def every_supplier_is_told_once_of_every_event(self) -> None:
        found, expected = self.stage.told(), self.model.told
        hold(found == expected, "alerts", f"too many: {found - expected}", f"missing: {expected - found}")

    @invariant()
    def both_halves_of_a_hub_have_its_version(self) -> None:
        expected = {hub: {home.version} for hub, home in self.model.homes.items()}
        same(self.stage.versions(), expected, "CHF and GPF")

    @invariant()
    def the_audit_trail_replays_to_the_present(self) -> None:
        expected = {
            (hub, self.release_ids[release]): Counter(one.state for one in known)
            for (hub, release), known in self.model.attempts.items()
        }
        same(self.stage.replayed(), expected, "audit")
        with self.stage.world.instance.reading_engine.connect() as connection:
            replayed = {key: state.value for key, state in audit.replay(connection).items()}
            verified = audit_verification.verify(connection, [])
        newest = {
            (hub, self.release_ids[release]): known[-1].state for (hub, release), known in self.model.attempts.items()
        }
        same(replayed, newest, "audit")
        hold(verified.intact, "audit chain", verified)

    @invariant()
    def suppliers_are_shown_what_they_may_see(self) -> None:
        """One hub after the other: reading is a request of its own."""
        self.steps += 1
        hub = sorted(self.model.homes)[self.steps % len(self.model.homes)] if self.model.homes else None
        if hub is not None:
            self.compare_views(hub)

    def compare_views(self, hub: str) -> None:
        sides = self.model.sides(hub)
        for number, supplier in enumerate(self.suppliers):
            if supplier.name not in sides and self.steps % 5 != number:
                continue
            answer = self.stage.send(supplier, "11.7", ReadCommsHubFirmwareSchedule(device_id=hub))
            if supplier.name not in sides:
                same(answer.code, "E4", "11.7", "a hub of somebody else")
                continue
            hold(isinstance(answer.result, ScheduleRead), "11.7", answer)
            assert isinstance(answer.result, ScheduleRead)
            views = {one.firmware: one for one in answer.result.upgrades}
            for name, firmware in FIRMWARE.items():
                expected = self.model.shown(hub, name, supplier.name)
                if firmware in views:
                    found = _as_shown(views[firmware])
                    same({key: found[key] for key in expected}, expected, "11.7", hub, name, supplier.name)
                else:
                    same((expected["attempt"], expected["own"]), (None, "Pending"), "11.7", "nothing shown", hub, name)

    def teardown(self) -> None:
        """Everything once more, unless something is broken already: that must not be hidden."""
        for hub in () if sys.exc_info()[0] is not None else self.model.homes:
            self.compare_views(hub)


def _as_shown(view: CommsHubUpgrade) -> dict[str, object]:
    return {
        "status": view.status.value,
        "own": view.own_approval.value,
        "other": view.other_approval.value,
        "attempt": view.attempt,
        "schedule": view.schedule_id,
        "until": view.defer_until,
        "window": view.window,
        "night": view.period,
    }
