"""What CSPs, the operator, the registration feed and the world do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from sr_engine.bootstrap import phases_of, withdrawing_of
from sr_engine.domain.terms import Management, Obligation
from sr_engine.messages.model import (
    RefusedHubs,
    ReportEntry,
    ReportStatus,
    UpgradeList,
    UpgradeListAcknowledgement,
    UpgradeReport,
)
from sr_engine.operations import phases, registrations, terms
from sr_engine.operations import releases as operator
from sr_engine.operations.lists import NotWithdrawable, find_list
from sr_engine.store import inventory
from sr_engine.store.units_of_work import UnitOfWork
from tests.machine import supplier_change
from tests.machine.country import FIRMWARE, FRAGILE, RARE, SOME, hold, same
from tests.machine.facts import DAY, HOUR, REGIONS, WITH_CSP, Region
from tests.machine.hubs import NOTICE
from tests.machine.requesting import Requesting
from tests.machine.stage import hubs_of
from tests.world import TestHub, bound, change_record


class Surrounded(Requesting):
    """Rules for everybody but the Suppliers."""

    @precondition(lambda self: self.lists)
    @rule(which=SOME, refuses=SOME, accepts=SOME, stranger=RARE, times=st.integers(1, 2))
    def a_csp_acknowledges(self, which: int, refuses: int, accepts: int, stranger: bool, times: int) -> None:
        """Hub by hub; some of the list or all, some twice, some that are not on it."""
        one = self.lists[-1 - which % len(self.lists) % 3]
        hubs = [*hubs_of([one]), *([min(self.model.homes)] if stranger else [])]
        refused = [hub for number, hub in enumerate(hubs) if refuses >> 2 * number & 3 == 3]
        accepted = [hub for number, hub in enumerate(hubs) if accepts >> 2 * number & 3 or hub not in refused]
        message = UpgradeListAcknowledgement(
            self.stage.csp_id(one.region),
            self.model.now,
            one.list_id,
            one.region,
            tuple(accepted),
            (RefusedHubs("no link", tuple(refused)),) if refused else (),
        )
        same(self.stage.csp(message, times=times), 204, "acknowledgement")
        self.model.acknowledged(one.list_id, accepted, refused)

    @precondition(lambda self: self.lists)
    @rule(which=SOME, some=SOME, refuses=SOME, times=st.integers(1, 2))
    def the_operator_withdraws_a_list(self, which: int, some: int, refuses: int, times: int) -> None:
        """All of it or some hubs, before it starts; the CSP agrees to some, now or not at all."""
        one = self.lists[-1 - which % len(self.lists) % 3]
        instance = self.stage.world.instance
        self.stage.deliver_all()
        asked = [hub for number, hub in enumerate(hubs_of([one])) if some >> number & 1]

        def ask(unit_of_work: UnitOfWork) -> int:
            region = instance.configuration.regions[one.region]
            return withdrawing_of(instance)(
                unit_of_work, region, find_list(unit_of_work, one.list_id), asked, "a fault"
            )

        attempts = {hub: self.model.on_list(one.list_id, hub) for hub in asked or hubs_of([one])}
        going = {
            hub for hub, found in attempts.items() if found is not None and found[1].state in {"Listed", "Accepted"}
        }
        possible = self.model.now < one.entries[0].period.start and (going == set(asked) if asked else bool(going))
        try:
            same(self.stage.world.run(ask), len(going), "withdrawal")
        except NotWithdrawable:
            hold(not possible, "withdrawal", "refused", one, asked)
            return
        hold(possible, "withdrawal", "not refused", one, asked)
        (withdrawal,) = self.stage.new_withdrawals()
        refused = [hub for number, hub in enumerate(hubs_of([one])) if refuses >> 2 * number & 3 == 3]
        accepted = [hub for hub in asked or hubs_of([one]) if hub not in refused]
        message = UpgradeListAcknowledgement(
            self.stage.csp_id(one.region),
            self.model.now,
            one.list_id,
            one.region,
            tuple(accepted),
            (RefusedHubs("under way", tuple(refused)),) if refused else (),
            withdrawal.message_id,
        )
        same(self.stage.csp(message, times=times), 204, "acknowledgement of a withdrawal")
        self.model.withdrawn(one.list_id, accepted, refused)

    @precondition(lambda self: self.lists)
    @rule(which=SOME, refuses=SOME, times=st.integers(1, 2))
    def the_operator_replaces_a_list(self, which: int, refuses: int, times: int) -> None:
        """What the CSP takes off stands on a new list for the same night, if it still may and there is a place."""
        one = self.lists[-1 - which % len(self.lists) % 3]
        instance, region, night = self.stage.world.instance, REGIONS[one.region], one.entries[0].period
        self.stage.deliver_all()

        def ask(unit_of_work: UnitOfWork) -> int:
            found, configured = find_list(unit_of_work, one.list_id), instance.configuration.regions[one.region]
            return withdrawing_of(instance)(unit_of_work, configured, found, (), "another night", replacing=True)

        attempts = {hub: self.model.on_list(one.list_id, hub) for hub in hubs_of([one])}
        going = {
            hub for hub, found in attempts.items() if found is not None and found[1].state in {"Listed", "Accepted"}
        }
        possible = self.model.now < night.start and bool(going)
        try:
            same(self.stage.world.run(ask), len(going), "replacement")
        except NotWithdrawable:
            hold(not possible, "replacement", "refused", one)
            return
        hold(possible, "replacement", "not refused", one)
        (withdrawal,) = self.stage.new_withdrawals()
        refused = [hub for number, hub in enumerate(hubs_of([one])) if refuses >> 2 * number & 3 == 3]
        accepted = [hub for hub in hubs_of([one]) if hub not in refused]
        message = UpgradeListAcknowledgement(
            self.stage.csp_id(one.region),
            self.model.now,
            one.list_id,
            one.region,
            tuple(accepted),
            (RefusedHubs("under way", tuple(refused)),) if refused else (),
            withdrawal.message_id,
        )
        same(self.stage.csp(message, times=times), 204, "acknowledgement of a replacement")
        self.stage.hand_over_lists()
        self.compare_replacement(one, region, going & set(accepted))

    def compare_replacement(self, one: UpgradeList, region: Region, taken_off: set[str]) -> None:
        """The new lists hold hubs that came off the old one and may stay in its night, as many as have a place."""
        new, night = self.stage.new_lists(), one.entries[0].period
        self.lists += new
        allowed = {hub for hub in taken_off if self.model.may_stay(one.list_id, hub, night)}
        elsewhere = sum(
            attempt.night == night and attempt.state in WITH_CSP and self.model.homes[hub].region == region.name
            for (hub, _), known in self.model.attempts.items()
            for attempt in known
        ) - len(taken_off)
        anew = {hub: each.list_id for each in new for hub in hubs_of([each])}
        same(len(anew), min(len(allowed), max(region.hubs_per_night - elsewhere, 0)), "places", one, anew, allowed)
        hold(anew.keys() <= allowed, "replacement", one, anew, allowed)
        for each in new:
            same((each.replaces, each.entries[0].period), (one.list_id, night), "replacement", each)
            hold(0 < len(hubs_of([each])) <= region.list_size, "list size", each)
        self.model.replaced(one.list_id, taken_off, anew)

    @precondition(lambda self: self.lists)
    @rule(
        which=SOME,
        outcomes=st.lists(st.tuples(SOME, st.sampled_from(ReportStatus)), min_size=1, max_size=3),
        delay=st.sampled_from((0, 0, 5, -3)),
        stranger=RARE,
        times=st.integers(1, 2),
    )
    def a_csp_reports(
        self, which: int, outcomes: list[tuple[int, ReportStatus]], delay: int, stranger: bool, times: int
    ) -> None:
        """Outcomes in any order, late, twice, of hubs that are not on the list, of the future."""
        one = self.lists[-1 - which % len(self.lists)]
        hubs = [*hubs_of([one]), *([min(self.model.homes)] if stranger else [])]
        at = self.model.now - delay * HOUR
        entries = [(hubs[number % len(hubs)], status) for number, status in outcomes]
        message = UpgradeReport(
            self.stage.csp_id(one.region),
            self.model.now,
            one.list_id,
            one.region,
            tuple(
                ReportEntry(hub, status, at, "no power" if status is ReportStatus.FAILED else None)
                for hub, status in entries
            ),
        )
        same(self.stage.csp(message, times=times), 204, "report")
        self.model.reported(one.list_id, [(hub, status.value, at) for hub, status in entries])

    @rule(
        what=st.sampled_from(
            ("gate", "halt", "halt", "resume", "resume", "terms", "terms", "CPL", "CPL", "close", "withdraw")
        ),
        region=st.sampled_from(sorted(REGIONS)),
        release=st.sampled_from(("one", "two")),
        active=st.booleans(),
        days=st.sampled_from((12, 20, 30)),
    )
    def the_operator_acts(self, what: str, region: str, release: str, active: bool, days: int) -> None:
        self.a_moment()
        one = self.model.releases["one"]
        if what == "CPL":
            self.the_cpl_changes(release, "Active" if active else "Removed")
        elif what == "close":
            self.a_release_is_closed()
        elif what == "withdraw":
            self.a_release_is_withdrawn(release)
        elif one.status == "Withdrawn":
            return
        elif what == "gate":
            self.a_gate_opens(region)
        elif what == "halt":
            self.a_release_is_halted(region)
        elif what == "resume":
            self.a_release_is_resumed()
        elif one.comply_by is None and one.announced is None:
            self.terms_are_announced(active, days)

    @rule(what=st.sampled_from(("restart", "delivery", "status", "status", "HAN")), which=SOME)
    def the_world_goes_on(self, what: str, which: int) -> None:
        if what == "restart":
            self.restart()
        elif what == "delivery":
            self.stage.deliver_all()
        elif what == "status":
            self.a_hub_changes_its_status(which)
        else:
            self.a_han_device_appears(which)

    def operate(self, work: Callable[[UnitOfWork], object]) -> None:
        """What an operator does twice is done once."""
        self.stage.world.run(work)
        self.stage.world.run(work)

    def the_cpl_changes(self, release: str, status: str) -> None:
        self.operate(lambda uow: operator.set_cpl_status(uow, FIRMWARE[release], status))
        self.model.releases[release].cpl = status

    def a_gate_opens(self, region: str) -> None:
        self.operate(lambda uow: phases.open_gate(uow, FIRMWARE["one"], region))
        self.model.releases["one"].gates.add(region)

    def a_release_is_halted(self, region: str) -> None:
        machinery = phases_of(self.stage.world.instance)
        self.operate(lambda uow: phases.halt(uow, machinery, FIRMWARE["one"], region, "a fault"))
        self.model.halt("one", region)

    def a_release_is_resumed(self) -> None:
        machinery = phases_of(self.stage.world.instance)
        for region in sorted(self.model.releases["one"].halted):
            self.operate(bound(phases.resume, machinery, FIRMWARE["one"], region))
            self.model.resume("one", region)

    def terms_are_announced(self, dcc: bool, days: int) -> None:
        """Mandatory by a date, or managed by the DCC until then, once the notice has passed."""
        instance, comply_by = self.stage.world.instance, self.model.now + days * DAY
        wanted = terms.Wanted(
            Obligation.MANDATORY, Management.DCC_MANAGED if dcc else None, comply_by, None, "C-1", date(2026, 11, 1)
        )
        announced = self.stage.world.run(
            lambda uow: terms.announce(
                uow,
                firmware=FIRMWARE["one"],
                wanted=wanted,
                policy=instance.configuration.policy.compulsion,
                alerts=instance.alerts,
            )
        )
        hold(announced.effective_at >= self.model.now + NOTICE, "notice", announced)
        self.model.announce("one", announced.effective_at, dcc=dcc, comply_by=comply_by)

    def a_release_is_closed(self) -> None:
        if self.model.releases["two"].status == "Open":
            self.operate(lambda uow: operator.close(uow, FIRMWARE["two"]))
            self.model.releases["two"].status = "Closed"

    def a_release_is_withdrawn(self, release: str) -> None:
        machinery = phases_of(self.stage.world.instance)
        self.operate(lambda uow: operator.withdraw(uow, machinery, FIRMWARE[release]))
        self.model.withdraw(release)

    @rule(
        which=SOME, role=st.sampled_from(("IS", "GS")), to=st.integers(0, 5), days=st.sampled_from((-2, 0, 0, 1, 4, 9))
    )
    def a_customer_changes_supplier(self, which: int, role: str, to: int, days: float) -> None:
        """In the past, now or later; a later one is known before it happens."""
        self.a_moment()
        hub = sorted(self.model.homes)[which % len(self.model.homes)]
        known = self.model.homes[hub].meters.get(role)
        if known is not None:
            at = max(self.model.now + days * DAY, known[-1][0] + HOUR)
            self.register(hub, role, at, self.organisation(to), cancelled=False)

    @rule(which=SOME, role=st.sampled_from(("IS", "GS")))
    def a_change_of_supplier_is_cancelled(self, which: int, role: str) -> None:
        """The newest of a meter, before or after it has taken effect."""
        self.a_moment()
        hub = sorted(self.model.homes)[which % len(self.model.homes)]
        known = self.model.homes[hub].meters.get(role, [])
        if len(known) > 1:
            self.register(hub, role, known[-1][0], known[-1][1], cancelled=True)

    def register(self, hub: str, role: str, at: datetime, organisation: str | None, *, cancelled: bool) -> None:
        test_hub = next(TestHub(number) for number in range(1, 9) if TestHub(number).chf == hub)
        row = {
            "mpxn": test_hub.mpan if role == "IS" else test_hub.mprn,
            "role": role,
            "effective_from": at,
            "organisation": organisation,
            "cancelled": cancelled,
        }
        self.stage.world.run(lambda uow: registrations.receive_feed(uow, [row]))
        if cancelled:
            self.model.homes[hub].meters[role].pop()
        else:
            self.model.homes[hub].meters[role].append((at, organisation))
        if supplier_change.is_due(self.model, hub):
            self.look()

    def a_hub_changes_its_status(self, which: int) -> None:
        """Now and then one that makes an upgrade impossible."""
        status = ("Commissioned", "Pending", "Suspended", "Commissioned")[which // len(self.model.homes) % 4]
        hub = sorted(self.model.homes)[which % len(self.model.homes)]
        self.stage.world.run(lambda uow: change_record(uow.connection, hub, device_status=status))
        self.model.homes[hub].status = status

    def a_han_device_appears(self, which: int) -> None:
        number = which % len(self.model.homes) + 1
        row = TestHub(number, electricity=None, gas=None, han=FRAGILE).rows()[-1]
        self.stage.world.run(lambda uow: inventory.put_devices(uow.connection, [row]))
        self.model.homes[TestHub(number).chf].fragile = True

    @rule(
        bits=SOME,
        which=SOME,
        what=st.sampled_from(("halt", "CPL", "exclusion", "change of mind", "move", "status", "HAN", "deferral")),
    )
    def something_comes_in_between(self, bits: int, which: int, what: str) -> None:
        """All is agreed, and before the list is cut something happens that must keep a hub off it."""
        self.the_cpl_changes("one", "Active")
        self.agree(self.hubs(bits), (3, 9), "one", pilot=bool(which & 1), accepts=what != "HAN")
        hub = self.hubs(bits)[0]
        sides, home = self.model.sides(hub), self.model.homes[hub]
        side = next((one for one in self.suppliers if sides and one.name == sides[which % len(sides)]), None)
        self.a_moment()
        if what == "halt" and self.model.releases["one"].status != "Withdrawn":
            self.a_release_is_halted(home.region)
        elif what == "CPL":
            self.the_cpl_changes("one", "Removed")
        elif what == "status":
            self.a_hub_changes_its_status(sorted(self.model.homes).index(hub) + len(self.model.homes))
        elif what == "HAN":
            self.a_han_device_appears(sorted(self.model.homes).index(hub))
        elif what == "move" and home.meters:
            role = sorted(home.meters)[which % len(home.meters)]
            at = max(self.model.now + 5 * DAY, home.meters[role][-1][0] + HOUR)
            self.register(hub, role, at, self.organisation(which % 6), cancelled=False)
        elif side is not None and what == "exclusion":
            self.send_exclusion(side, (hub,), include=False, until=None)
        elif side is not None:
            until = self.model.now + 2 * DAY if what == "deferral" else None
            self.send_decision(side, "one", (hub,), "Deferred" if until else "Declined", until=until, accepts=False)
        for _ in range(2):
            self.a_cut_comes_up(home.region, 0, 0)

    @rule(bits=SOME, which=SOME, beyond=st.booleans())
    def all_agree_although_a_customer_moves(self, bits: int, which: int, beyond: bool) -> None:
        """On nights that are all too near to a change of Supplier, or of which the first are."""
        self.a_moment()
        self.the_cpl_changes("one", "Active")
        hub = self.hubs(bits)[0]
        home = self.model.homes[hub]
        if not home.meters:
            return
        role = sorted(home.meters)[which % len(home.meters)]
        at = max(self.model.now + 5 * DAY, home.meters[role][-1][0] + HOUR)
        self.register(hub, role, at, self.organisation(which % 6), cancelled=False)
        self.agree((hub,), (3, 12 if beyond else 7), "one", pilot=bool(which & 2))
        for _ in range(3):
            self.a_cut_comes_up(home.region, 0, 0)
