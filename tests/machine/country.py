"""Random homes, Suppliers and releases, the product and the model beside each other, and the clock over both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from sqlalchemy import select

from sr_engine.domain.phases import PhasePlan
from sr_engine.instance import SupplierSeed
from sr_engine.messages.model import (
    Decision,
    Firmware,
    Period,
    UpgradeList,
)
from sr_engine.operations import releases as operator
from sr_engine.store.tables import pilot_shares
from tests.machine import supplier_change
from tests.machine.facts import DAY, OPEN, REGIONS, WITH_CSP, Home, Region, Release
from tests.machine.model import Model
from tests.machine.stage import SUPPLIERS, hubs_of, the_stage
from tests.world import TestHub

STARTS = (
    datetime(2026, 11, 23, 9, tzinfo=UTC),
    datetime(2027, 3, 22, 9, tzinfo=UTC),  # the clocks go forward on the 28th
    datetime(2027, 10, 25, 9, tzinfo=UTC),  # and back on the 31st
)
FIRMWARE = {"one": Firmware("2B7E", "C1A20001", "9002"), "two": Firmware("2B7E", "C1A20001", "9003")}
FRAGILE = ("0F0F", "IHD9000")
STRANGER = TestHub(99).chf
WINDOWS = ((3, 6), (3, 20), (5, 12), (0, 10), (10, 25), (-2, 9), (4, 5), (12, 13), (2, 1), (3, 200), (5, 5.3))
"""First and last day from now; the last ones are wrong or hold no night."""
MOST = st.integers(0, 9).map(lambda number: number > 0)
RARE = st.integers(0, 9).map(lambda number: number == 9)
SOME = st.integers(0, 2**16)
"""Picks from a list whose length only the step knows."""
DECISIONS = {"Approved": Decision.APPROVE, "Declined": Decision.DECLINE, "Deferred": Decision.DEFER}


def hold(condition: object, broken: str, *details: object) -> None:
    if not condition:
        raise AssertionError(f"[{broken}] " + "; ".join(map(str, details)))


def same(found: Any, expected: Any, broken: str, *details: object) -> None:
    hold(found == expected, broken, *details, f"found {found}", f"expected {expected}")


class Country(RuleBasedStateMachine):
    """One example: a few homes, two releases, two to four Suppliers, two regions."""

    all_agree: Callable[..., None]
    """A rule for what Suppliers do, of whoever has them."""

    def __init__(self) -> None:
        super().__init__()
        self.stage = the_stage()
        self.model = Model(STARTS[0])
        self.suppliers: Sequence[SupplierSeed] = ()
        self.release_ids: dict[str, str] = {}
        self.lists: list[UpgradeList] = []
        self.steps = 0

    @initialize(
        start=st.sampled_from(STARTS),
        suppliers=st.integers(2, 4),
        homes=st.lists(
            st.tuples(st.integers(0, 5), st.integers(0, 5), st.booleans(), RARE, RARE), min_size=2, max_size=5
        ),
        breaks=st.booleans(),
        gate=st.sampled_from(("open", "open", "operator", "automatic")),
        limit=st.sampled_from((None, 1, 2)),
        from_old=st.booleans(),
        agreed=st.sampled_from((None, (3, 20), (3, 8), (-2, 9))),
    )
    def begin(
        self,
        *,
        start: datetime,
        suppliers: int,
        homes: list[tuple[int, int, bool, bool, bool]],
        breaks: bool,
        gate: str,
        limit: int | None,
        from_old: bool,
        agreed: tuple[int, int] | None,
    ) -> None:
        self.stage.reset(start)
        self.model = Model(start)
        self.suppliers = SUPPLIERS[:suppliers]
        hubs = []
        for number, (electricity, gas, north, fragile, newer) in enumerate(homes, start=1):
            hub = TestHub(
                number,
                electricity=self.organisation(electricity),
                gas=self.organisation(gas),
                region="North" if north else "Central",
                version="9002" if newer else "9001",
                han=FRAGILE if fragile else None,
            )
            hubs.append(hub)
            rows: list[dict[str, Any]] = hub.registrations()
            meters = {row["role"]: [(row["effective_from"], row["organisation"])] for row in rows}
            self.model.settled |= {(hub.chf, role): known[-1] for role, known in meters.items()}
            self.model.homes[hub.chf] = Home(hub.chf, hub.region, meters, hub.version, fragile=fragile)
        self.stage.world.add_hubs(hubs)
        one = Release(
            FIRMWARE["one"],
            frozenset(REGIONS),
            frozenset({"9001"}),
            breaks,
            set(REGIONS) if gate == "open" else set(),
            automatic=gate == "automatic",
            soak=2 * DAY,
            pilot_limit=limit,
            pilot_closes=start + 12 * DAY if gate == "automatic" and limit == 1 else None,
            failure_percent=40,
            minimum_sample=2,
        )
        self.open("one", one)
        reachable = frozenset({"9001", "9002"} if from_old else {"9002"})
        self.open("two", Release(FIRMWARE["two"], frozenset({"Central"}), reachable, breaks, {"Central"}))
        self.look()
        if agreed is not None:
            self.all_agree(2**16 - 1, agreed, "one", pilot=gate != "open", listed=True)

    def organisation(self, number: int) -> str | None:
        """One Supplier after the other; beyond the fourth, nobody."""
        return None if number == 5 else self.suppliers[number % len(self.suppliers)].name

    def open(self, name: str, release: Release) -> None:
        instance = self.stage.world.instance
        plan = PhasePlan(
            release.pilot_limit,
            release.pilot_closes,
            release.soak,
            release.automatic,
            release.failure_percent,
            release.minimum_sample,
        )
        opened, _ = self.stage.world.run(
            lambda uow: operator.open_release(
                uow,
                configuration=instance.configuration,
                alerts=instance.alerts,
                draw_id=instance.draw_id,
                firmware=release.firmware,
                image_hash="AB" * 32,
                regions=release.regions,
                reachable_from=release.reachable_from,
                han_models=[FRAGILE] if release.breaks_han else [],
                general_open=bool(release.gates),
                phase_plan=plan,
            )
        )
        self.release_ids[name] = opened.release_id
        if release.pilot_limit is not None:
            for row in self.stage.rows(select(pilot_shares).where(pilot_shares.c.release_id == opened.release_id)):
                release.shares.setdefault(row.region, {})[row.organisation] = row.hubs
            for region in release.regions:
                shares = release.shares.setdefault(region, {})
                hold(sum(shares.values()) <= release.pilot_limit, "pilot limit", region, shares)
        self.model.open_release(name, release)

    def hubs(self, bits: int, stranger: bool = False) -> tuple[str, ...]:
        """One or more hubs of this example, and somebody unknown."""
        known = sorted(self.model.homes)
        chosen = [hub for number, hub in enumerate(known) if bits >> number & 1] or [known[bits % len(known)]]
        return (*chosen, STRANGER) if stranger else tuple(chosen)

    def window(self, days: tuple[float, float]) -> Period:
        return Period(self.model.now + days[0] * DAY, self.model.now + days[1] * DAY)

    def look(self) -> None:
        """The triggers look for what is due, and the model does what is due by its own reckoning."""
        self.stage.look()
        lists = self.stage.new_lists()
        self.lists += lists
        self.model.defer_no_longer()
        supplier_change.carry_out(self.model)
        self.model.take_effect()
        for region in REGIONS.values():
            self.model.advance(region.name)
            self.model.enlist(region)
            for night in self.model.due(region):
                mine = [one for one in lists if one.region == region.name and one.entries[0].period == night]
                self.compare_cut(region, night, mine)
                lists = [one for one in lists if one not in mine]
            self.model.time_out(region)
        hold(not lists, "nights", "listed for a night that was not due", lists)

    def compare_cut(self, region: Region, night: Period, lists: list[UpgradeList]) -> None:
        """The lists of one night hold hubs that may be listed, as many as have a place, the hasty ones first."""
        if self.model.now >= night.start:
            hold(not lists, "late", "listed for a night that has begun", night)
            return
        up = self.model.up_for(region, night)
        allowed = {key for key in up if self.model.why_not_listed(*key, night) is None}
        chosen: dict[tuple[str, str], str] = {}
        for one in lists:
            name = next(name for name, firmware in FIRMWARE.items() if firmware == one.firmware)
            hold(0 < len(hubs_of([one])) <= region.list_size, "list size", one)
            for hub in hubs_of([one]):
                key = (hub, name)
                hold(key in up, "windows", f"{key} is not scheduled for {night}", self.model.newest(*key))
                hold(key in allowed, str(self.model.why_not_listed(*key, night)), f"{key} listed for {night}")
                hold(key not in chosen, "twice", f"{key} stands twice on the lists for {night}")
                chosen[key] = one.list_id
        # What is compulsory is spread over the nights that are left, and comes after what was agreed.
        agreed = {key for key in allowed if not self.model.attempts[key][-1].compulsory}
        same(len(chosen.keys() & agreed), min(region.hubs_per_night, len(agreed)), "capacity", night, chosen, agreed)
        hold(len(chosen) <= region.hubs_per_night, "capacity", night, chosen)
        ranks = {key: self.model.rank(*key, night) for key in agreed}
        for left in agreed - chosen.keys():
            hold(
                all(ranks[key] <= ranks[left] for key in chosen.keys() & agreed),
                "deadlines",
                f"{left} had to go first",
                ranks,
            )
        for key, list_id in chosen.items():
            self.model.listed(*key, list_id, night)

    def wait(self, until: datetime) -> None:
        self.model.now = until
        self.stage.world.clock.set(until)

    def a_moment(self) -> None:
        """What happens again happens at another time."""
        self.wait(self.model.now + timedelta(seconds=1))
        if any(supplier_change.is_due(self.model, hub) for hub in self.model.homes):
            self.look()

    @rule(
        hours=st.sampled_from((1, 1, 7, 7, 24, 24, 30, 80, 80, 24 * 8, 24 * 30)), minutes=st.integers(0, 59), look=MOST
    )
    def time_passes(self, hours: int, minutes: int, look: bool) -> None:
        """Hours, nights, weeks; now and then the processor stands still the while."""
        self.wait(self.model.now + timedelta(hours=hours, minutes=minutes))
        if look or any(supplier_change.is_due(self.model, hub) for hub in self.model.homes):
            self.look()

    @rule(
        region=st.sampled_from(sorted(REGIONS)),
        skip=st.sampled_from((0, 0, 0, 1)),
        late=st.sampled_from((-1, 0, 0, 0, 60, 60 * 49)),
    )
    def a_cut_comes_up(self, region: str, skip: int, late: int) -> None:
        """The clock comes to the time of a cut, a minute before it, or long after."""
        hours = REGIONS[region]
        start = self.model.last_cut[region]
        due = [night.start - hours.lead for night in hours.cuts(start, self.model.now + 10 * DAY)]
        at = next(iter(due[skip:]), self.model.now) + timedelta(minutes=late)
        self.wait(max(self.model.now, at))
        self.look()

    @rule(edge=SOME, late=st.sampled_from((-1, 0, 1)))
    def a_window_ends(self, edge: int, late: int) -> None:
        """The clock comes to the end of a window, or of the completion SLA after it."""
        ends = sorted(
            attempt.window.end
            + (REGIONS[self.model.homes[hub].region].completion if attempt.state in WITH_CSP else 0 * DAY)
            for (hub, _), known in self.model.attempts.items()
            for attempt in known
            if attempt.state in OPEN | WITH_CSP
        )
        if ends:
            self.wait(max(self.model.now, ends[edge % len(ends)] + timedelta(minutes=late)))
            self.look()

    def restart(self) -> None:
        """A stop and a new start; what is due is looked for at once."""
        self.stage.restart()
        self.look()
