"""What a Supplier finds, looks up and counts of its hubs, and what it does not."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import Connection

from sr_engine.bootstrap import supplier_answers_of, supplier_changes_of, supplier_hubs_of
from sr_engine.domain.eligibility import Applicant
from sr_engine.instance import SAMPLE_SUPPLIERS, SupplierSeed
from sr_engine.messages.model import Approval, Decision, ReportStatus, UpgradeStatus
from sr_engine.operations import registrations as operations
from sr_engine.operations.candidates import LookingThrough
from sr_engine.operations.supplier_answers import UnknownSchedule
from sr_engine.operations.supplier_hubs import HubDetails, HubPage, UnknownHub, UnknownRelease
from sr_engine.store import candidates
from sr_engine.store.supplier_history import EventKind
from sr_engine.store.supplier_hubs import Sought
from sr_engine.store.tables import counters, supplier_hubs
from tests.regions.conftest import Nights
from tests.requests.conftest import Suppliers, days, schedule_id
from tests.told import say_it_beside
from tests.world import FIRMWARE, NOW, A, B, TestHub, World, bound, make_world

T = TypeVar("T")

ROLES = frozenset({"IS", "GS"})
C = SupplierSeed("supplier-c", "00-00-5E-EF-10-00-00-A3", "http://127.0.0.1:8093/smartdcc/duis")
HOMES = (
    TestHub(1, electricity=A.name, gas=B.name),
    TestHub(2),
    TestHub(3, region="North"),
    TestHub(4, electricity=B.name, gas=B.name),
    TestHub(5, electricity=B.name, gas=A.name),
    TestHub(6, electricity=A.name, gas=None),
)


class Desk:
    """What Suppliers read of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.suppliers = Suppliers(world)
        self.nights = Nights(world, world.instance.configuration.regions["Central"])
        self.hubs = supplier_hubs_of(world.instance)
        self.answers = supplier_answers_of(world.instance)

    def read(self, look: Callable[[Connection], T]) -> T:
        with self.world.instance.reading_engine.connect() as connection:
            return look(connection)

    def page(self, viewer: Applicant | SupplierSeed, sought: Sought = Sought(), **options: object) -> HubPage:  # noqa: B008
        asked = viewer if isinstance(viewer, Applicant) else Applicant(viewer.name, ROLES)
        now = self.world.clock.now()
        return self.read(lambda one: self.hubs.page(one, asked, now, sought=sought, **options))  # type: ignore[arg-type]

    def listed(self, viewer: Applicant | SupplierSeed, sought: Sought = Sought(), **options: object) -> list[str]:  # noqa: B008
        """All pages, one after the other."""
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            page = self.page(viewer, sought, after=after, **options)
            found += [hub.hub_id for hub in page.hubs]
            after = page.after
        return found

    def details(self, supplier: SupplierSeed, device_id: str) -> HubDetails:
        viewer, now = Applicant(supplier.name, ROLES), self.world.clock.now()
        return self.read(lambda one: self.hubs.details(one, viewer, device_id, now))

    def move(self, hub: TestHub, roles: str, to: SupplierSeed, *, carried_out: bool = True) -> None:
        """A change of Supplier, as of now."""
        mpxns = {"IS": hub.mpan, "GS": hub.mprn}
        now = self.world.clock.now()
        rows = [
            {"mpxn": mpxns[role], "role": role, "effective_from": now, "organisation": to.name}
            for role in roles.split()
        ]
        self.world.run(lambda uow: operations.receive(uow, rows))
        if carried_out:
            chore = supplier_changes_of(self.world.instance)
            while self.world.run(chore):
                pass


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    world = make_world(tmp_path / "instance", suppliers=(*SAMPLE_SUPPLIERS, C))
    world.add_hubs(HOMES)
    yield Desk(world)
    world.close()


def ids(*numbers: int) -> list[str]:
    return [home.chf for home in HOMES if home.number in numbers]


def test_a_supplier_finds_the_hubs_that_it_is_responsible_for_in_order_of_their_ids(desk: Desk) -> None:
    assert desk.listed(A) == ids(1, 2, 3, 5, 6)
    assert desk.listed(B) == ids(1, 4, 5)
    assert desk.listed(C) == []


@pytest.mark.parametrize("scan", [1, 2, 3, 100])
@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_put_together_are_the_whole_whatever_their_size(desk: Desk, limit: int, scan: int) -> None:
    desk.move(HOMES[1], "IS GS", C)

    assert desk.listed(A, limit=limit, scan=scan) == ids(1, 3, 5, 6)


def test_a_supplier_finds_only_what_the_roles_of_its_users_are_for(desk: Desk) -> None:
    assert desk.listed(Applicant(A.name, frozenset({"GS"}))) == ids(2, 3, 5)
    assert desk.listed(Applicant(A.name, frozenset())) == []
    assert desk.page(Applicant(A.name, frozenset({"GS"}))).hubs[0].roles == ("GS",)


def test_hubs_are_found_by_region_and_by_how_their_ids_begin(desk: Desk) -> None:
    assert desk.listed(A, Sought(region="North")) == ids(3)
    assert desk.listed(A, Sought(prefix=HOMES[4].chf)) == ids(5)
    assert desk.listed(A, Sought(prefix=HOMES[4].chf[:-1])) == ids(1, 2, 3, 5, 6)
    assert desk.listed(A, Sought(prefix="FF")) == []


def test_a_status_is_asked_for_at_a_release_that_there_is(desk: Desk) -> None:
    with pytest.raises(ValueError, match="release"):
        desk.page(A, Sought(status=UpgradeStatus.LISTED))
    with pytest.raises(UnknownRelease):
        desk.page(A, release_id="0" * 32)


def test_what_is_found_and_counted_by_status_is_what_11_7_shows_of_each_hub(desk: Desk) -> None:
    """Whatever Suppliers and CSPs have done, for each of three Suppliers."""
    chance = random.Random(20261123)
    homes = [
        TestHub(number, electricity, gas, chance.choice(("Central", "North")))
        for number in range(100, 220)
        for electricity, gas in [chance.choices((A.name, B.name, C.name), k=2)]
    ]
    desk.world.add_hubs(homes)
    release_id = desk.world.open_release()
    _live(desk, chance, homes)

    for supplier in (A, B, C):
        viewer = Applicant(supplier.name, ROLES)
        shown = desk.page(viewer, release_id=release_id, limit=1000).hubs
        by_status: Counter[tuple[str, str]] = Counter()
        for hub in shown:
            assert hub.upgrade is not None
            assert hub.upgrade == desk.suppliers.view(supplier, hub.hub_id)
            by_status[hub.region, hub.upgrade.status] += 1
        counted: Counter[tuple[str, str]] = Counter()
        for one in desk.read(bound(desk.hubs.counts, viewer, release_id, desk.world.clock.now())):
            counted[one.region, one.status] += one.hubs
        assert counted == by_status
        for status in UpgradeStatus:
            wanted = [hub.hub_id for hub in shown if hub.upgrade is not None and hub.upgrade.status is status]
            assert desk.listed(viewer, Sought(status=status), release_id=release_id, limit=7) == wanted
        for approval in Approval:
            wanted = [hub.hub_id for hub in shown if hub.upgrade is not None and hub.upgrade.own_approval is approval]
            assert desk.listed(viewer, Sought(own_approval=approval), release_id=release_id) == wanted
    seen = {status for _, status in by_status}
    assert len(seen) >= 9, seen


def _live(desk: Desk, chance: random.Random, homes: list[TestHub]) -> None:
    """Everything that may happen to hubs, at random."""
    suppliers, world = desk.suppliers, desk.world

    def some(of: SupplierSeed, share: float) -> list[str]:
        return [home.chf for home in homes if of.name in (home.electricity, home.gas) and chance.random() < share]

    def act(share: float) -> None:
        for one in (A, B, C):
            suppliers.schedule(one, *some(one, share), window=days(3, 12))
            suppliers.decide(one, Decision.APPROVE, *some(one, share))
            suppliers.decide(one, Decision.DECLINE, *some(one, share / 4))
            suppliers.decide(one, Decision.DEFER, *some(one, share / 4), until_days=chance.choice((0.5, 20)))
            suppliers.exclude(one, *some(one, share / 6), until_days=30)

    act(0.4)
    for home in homes[:20]:
        desk.move(home, "IS", chance.choice((A, B, C)))
    _a_night(desk, chance, homes)
    for home in homes[20:40]:
        desk.move(home, "GS", chance.choice((A, B, C)))
    act(0.1)
    world.clock.set(world.clock.now() + timedelta(days=1))
    for home in homes[40:50]:
        desk.move(home, "IS", chance.choice((A, B, C)), carried_out=False)


def _a_night(desk: Desk, chance: random.Random, homes: list[TestHub]) -> None:
    """Of the hubs that are listed some are refused, some upgraded, some fail, and of some nothing is heard."""
    nights = desk.nights
    assert nights.cut() > 10
    of_id = {home.chf: home for home in homes}
    for one in nights.lists():
        listed = [of_id[hub_id] for entry in one.entries for hub_id in entry.device_ids]
        chance.shuffle(listed)
        refused, accepted = listed[:2], listed[2:-2]
        nights.acknowledge(one.list_id, accepted, {"no signal": refused})
        kinds = (ReportStatus.ACTIVATED, ReportStatus.FAILED, ReportStatus.DELIVERED)
        entries = [nights.saw(home, kind) for home, kind in zip(accepted, kinds * 4, strict=False)]
        nights.report(one.list_id, *entries)


def test_a_hub_is_looked_up_by_its_chf_or_gpf_and_what_is_not_the_suppliers_is_not_there(desk: Desk) -> None:
    mine, theirs = HOMES[1], HOMES[3]
    wanted = [mine.chf, mine.gpf, theirs.chf, theirs.gpf, mine.device("ESME"), "00-00-00-00-00-00-00-00"]
    viewer = Applicant(A.name, ROLES)

    found = desk.read(lambda one: desk.hubs.look_up(one, viewer, wanted, NOW))

    assert set(found) == {mine.chf, mine.gpf}
    assert found[mine.gpf] == found[mine.chf]


@pytest.mark.parametrize("device_id", [HOMES[3].chf, HOMES[3].gpf, HOMES[1].device("ESME"), "00-00-00-00-00-00-00-00"])
def test_there_are_no_details_of_what_is_not_the_suppliers(desk: Desk, device_id: str) -> None:
    with pytest.raises(UnknownHub):
        desk.details(A, device_id)


def test_the_release_of_a_hub_is_the_one_under_way_and_else_the_newest_that_is_open(desk: Desk) -> None:
    older = desk.world.open_release()
    desk.world.clock.set(NOW + timedelta(hours=1))
    newer = desk.world.open_release(replace(FIRMWARE, version="9003"))
    desk.suppliers.schedule(A, HOMES[1].chf)

    shown = {hub.hub_id: hub.release_id for hub in desk.page(A).hubs}

    assert shown[HOMES[1].chf] == older
    assert shown[HOMES[2].chf] == newer


def test_hubs_wait_for_a_supplier_until_it_has_answered(desk: Desk) -> None:
    release_id = desk.world.open_release()
    desk.suppliers.decide(A, Decision.DECLINE, HOMES[1].chf)
    desk.suppliers.schedule(A, HOMES[0].chf)
    viewer = Applicant(A.name, ROLES)

    (at_a,) = desk.read(lambda one: desk.hubs.releases(one, viewer, NOW))
    (at_b,) = desk.read(lambda one: desk.hubs.releases(one, replace(viewer, organisation=B.name), NOW))

    assert (at_a.hubs, at_a.waiting) == (5, 3)
    assert (at_b.hubs, at_b.waiting) == (3, 3)
    assert desk.listed(A, Sought(waiting=True), release_id=release_id) == ids(3, 5, 6)


def test_the_sentence_for_a_supplier_names_nobody_else(desk: Desk) -> None:
    desk.world.open_release()
    desk.suppliers.decide(B, Decision.DECLINE, HOMES[0].chf)

    before = desk.details(A, HOMES[0].chf).why
    desk.suppliers.schedule(A, HOMES[0].chf)
    after = desk.details(A, HOMES[0].chf).why

    assert "you have not answered to firmware 9002, and the other Supplier has declined" in before
    assert "you have approved firmware 9002, and the other Supplier has declined" in after
    assert B.name not in before + after


def test_the_other_sides_exclusion_and_windows_change_nothing_that_a_supplier_reads(desk: Desk) -> None:
    desk.world.open_release()
    desk.suppliers.schedule(B, HOMES[0].chf, window=days(5, 9))
    before = desk.details(A, HOMES[0].chf)

    desk.suppliers.exclude(B, HOMES[0].chf)

    assert desk.details(A, HOMES[0].chf) == before


def test_the_history_of_a_hub_begins_when_its_supplier_came(desk: Desk) -> None:
    hub = HOMES[1]
    desk.world.open_release()
    desk.suppliers.schedule(A, hub.chf)
    desk.world.settle()
    at = desk.world.clock.now() + timedelta(days=1)
    desk.world.clock.set(at)
    desk.move(hub, "IS GS", C)
    desk.world.settle()

    gainer = desk.details(C, hub.chf)

    assert [one.kind for one in gainer.history if one.kind is not EventKind.ALERT] == [EventKind.RESPONSIBLE]
    assert {one.what for one in gainer.history if one.kind is EventKind.ALERT} == {"change_of_supplier"}
    assert gainer.history[0].at == at
    with pytest.raises(UnknownHub):
        desk.details(A, hub.chf)


def test_the_history_of_a_hub_holds_what_was_done_and_told_in_the_order_of_time(desk: Desk) -> None:
    hub = HOMES[1]
    desk.world.open_release()
    desk.world.clock.set(NOW + timedelta(minutes=1))
    number = schedule_id(desk.suppliers.schedule(A, hub.chf))
    desk.nights.cut()
    desk.world.settle()

    history = desk.details(A, hub.chf).history

    assert [one.at for one in history] == sorted(one.at for one in history)
    assert ("Scheduled", number) in [(one.kind.value, one.schedule_id) for one in history]
    assert ("Attempt", "Listed", 1) in [(one.kind.value, one.what, one.attempt) for one in history]
    assert ("Answered", "Approved") in [(one.kind.value, one.what) for one in history]
    assert {"release_opened", "hub_listed"} <= {one.what for one in history if one.kind is EventKind.ALERT}
    # Also of alerts that older programs wrote.
    assert desk.world.run(lambda uow: say_it_beside(uow.connection))
    assert desk.details(A, hub.chf).history == history


def test_a_supplier_looks_up_its_own_schedules_and_no_other(desk: Desk) -> None:
    desk.world.open_release()
    mine = []
    for number in (1, 2, 4):
        desk.world.clock.set(desk.world.clock.now() + timedelta(minutes=1))
        mine.append(schedule_id(desk.suppliers.schedule(A, HOMES[number].chf)))
    theirs = schedule_id(desk.suppliers.schedule(B, HOMES[3].chf))
    viewer = Applicant(A.name, ROLES)

    found = desk.read(lambda one: desk.answers.schedules(one, viewer))
    older = desk.read(
        lambda one: desk.answers.schedules(one, viewer, before=(found[0].created_at, found[0].schedule_id), limit=1)
    )

    assert [one.schedule_id for one in found] == mine[::-1]
    assert older == found[1:2]
    assert desk.read(lambda one: desk.answers.schedule(one, viewer, mine[0]))[1] == 1
    shown = desk.read(lambda one: desk.answers.hubs_of_schedule(one, viewer, mine[0], NOW))
    assert shown == [desk.suppliers.view(A, HOMES[1].chf)]
    for number in (theirs, 1):
        with pytest.raises(UnknownSchedule):
            desk.read(bound(desk.answers.schedule, viewer, number))


def test_a_supplier_looks_up_its_own_exclusions_and_no_other(desk: Desk) -> None:
    desk.suppliers.exclude(A, HOMES[0].chf, HOMES[1].chf)
    desk.suppliers.exclude(B, HOMES[0].chf, HOMES[3].chf)
    desk.move(HOMES[1], "IS GS", C)
    viewer = Applicant(A.name, ROLES)

    found = desk.read(lambda one: desk.answers.exclusions(one, viewer, NOW))
    second = desk.read(lambda one: desk.answers.exclusions(one, viewer, NOW, after=HOMES[0].chf))

    assert [(one.exclusion.hub_id, one.responsible) for one in found] == [(HOMES[0].chf, True), (HOMES[1].chf, False)]
    assert second == found[1:]


def test_hubs_that_an_older_program_has_written_are_found_once_all_have_been_looked_through(desk: Desk) -> None:
    def as_an_older_program(connection: Connection) -> None:
        connection.execute(supplier_hubs.delete())
        draws = counters.update().where(counters.c.name == candidates.RESPONSIBILITIES)
        connection.execute(draws.values(value=counters.c.value + 2))

    desk.world.run(lambda uow: as_an_older_program(uow.connection))
    assert desk.listed(A) == []
    chore = LookingThrough()
    while desk.world.run(chore):
        pass

    assert desk.listed(A) == ids(1, 2, 3, 5, 6)
    assert desk.read(candidates.not_followed) == 0
