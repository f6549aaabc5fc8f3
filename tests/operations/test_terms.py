"""Changes of obligation and management: consulted on, announced, told, in force, taken back, compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from sr_engine.bootstrap import chores
from sr_engine.domain.terms import Management, Obligation, Terms
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, Phase, ScheduleCommsHubFirmware
from sr_engine.operations.terms import TermsRefused, Wanted, announce, cancel, compare, show
from sr_engine.store import audit, releases
from sr_engine.store.compulsion import Standing
from sr_engine.store.tables import outbox
from sr_engine.store.terms import Announcement
from tests.told import TOLD
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, make_world

NOTICE = timedelta(days=90)
LEAD = timedelta(days=28)
EFFECTIVE = NOW + NOTICE
COMPLY_BY = EFFECTIVE + timedelta(days=100)
MANDATORY = Wanted(Obligation.MANDATORY, None, COMPLY_BY, None, "DCC-2026-17", date(2026, 10, 30))
DCC = replace(MANDATORY, obligation=None, management=Management.DCC_MANAGED)
BACK = replace(MANDATORY, obligation=Obligation.VOLUNTARY, management=Management.SUPPLIER_MANAGED, comply_by=None)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance")
    world.open_release()
    yield world
    world.close()


def announced(world: World, wanted: Wanted = MANDATORY) -> Announcement:
    policy = world.instance.configuration.policy.compulsion
    return world.run(
        lambda uow: announce(uow, firmware=FIRMWARE, wanted=wanted, policy=policy, alerts=world.instance.alerts)
    )


def cancelled(world: World) -> Announcement:
    return world.run(lambda uow: cancel(uow, firmware=FIRMWARE, alerts=world.instance.alerts))


def tick(world: World) -> None:
    for chore in chores(world.instance):
        while world.run(chore):
            pass


def release(world: World) -> Release:
    with world.instance.reading_engine.connect() as connection:
        found = releases.by_firmware(connection, FIRMWARE)
    assert found is not None
    return found


def told(world: World) -> list[tuple[str, str, str]]:
    """What was told, to whom, of which hub; without the number of the terms."""
    with world.instance.reading_engine.connect() as connection:
        found = connection.execute(
            select(TOLD.c.occurrence, TOLD.c.organisation, TOLD.c.hub_id).where(TOLD.c.event == "release_changed")
        )
        return sorted((occurrence.split(maxsplit=2)[2], *rest) for occurrence, *rest in found)


def recorded(world: World, action: str) -> list[str]:
    with world.instance.reading_engine.connect() as connection:
        return [entry.detail for entry in audit.newest(connection, 100) if entry.action == action]


# --- announcing ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        (
            replace(MANDATORY, effective_at=EFFECTIVE - timedelta(seconds=1)),
            "the notice period is 90 days, so the change can take effect at 2027-02-21T09:00:00Z at the earliest",
        ),
        (replace(MANDATORY, consultation_reference="  "), "its reference is empty"),
        (replace(MANDATORY, consultation_date=NOW.date()), "does not lie in the past"),
        (replace(MANDATORY, comply_by=None), "needs a ComplyBy"),
        (replace(DCC, comply_by=None), "needs a ComplyBy"),
        (replace(MANDATORY, comply_by=EFFECTIVE), "must be later than 2027-02-21T09:00:00Z"),
        (replace(BACK, comply_by=COMPLY_BY), "has no ComplyBy"),
        (BACK, "nothing would change: the release is Voluntary, SupplierManaged already"),
    ],
)
def test_a_change_that_is_not_governed_properly_is_refused_and_leaves_no_trace(
    world: World, wanted: Wanted, says: str
) -> None:
    before = world.snapshot()

    with pytest.raises(TermsRefused, match=says):
        announced(world, wanted)

    assert world.snapshot() == before


def test_a_change_takes_effect_at_the_earliest_when_no_date_is_named_and_is_on_record(world: World) -> None:
    made = announced(world)

    assert made.effective_at == EFFECTIVE
    assert made.terms == Terms(Obligation.MANDATORY, Management.SUPPLIER_MANAGED, COMPLY_BY)
    assert recorded(world, "terms announced") == [
        (
            "Mandatory, SupplierManaged, ComplyBy 2027-06-01T09:00Z from 2027-02-21T09:00Z; was Voluntary, "
            "SupplierManaged; consultation DCC-2026-17 of 2026-10-30"
        )
    ]
    assert release(world).obligation == "Voluntary"


def test_one_change_is_announced_at_a_time(world: World) -> None:
    announced(world)

    with pytest.raises(TermsRefused, match="cancel it first"):
        announced(world, DCC)


def test_each_responsible_supplier_is_told_of_its_own_hubs_that_do_not_run_the_version(world: World) -> None:
    sole, split, done = TestHub(1), TestHub(2, gas=B.name), TestHub(3, version=FIRMWARE.version)
    elsewhere, other, nobodys = TestHub(4, region="4G North"), TestHub(5, model="OTHER"), TestHub(6, None, None)
    world.add_hubs([sole, split, done, elsewhere, other, nobodys, TestHub(7, version="8000")])
    announced(world)

    assert told(world) == [
        ("announced", A.name, sole.chf),
        ("announced", A.name, split.chf),
        ("announced", A.name, TestHub(7).chf),
        ("announced", B.name, split.chf),
    ]
    with world.instance.reading_engine.connect() as connection:
        sent = connection.scalars(select(outbox.c.destination).where(outbox.c.event == "release_changed")).all()
    assert sorted(sent) == sorted([f"user:{A.eui}", f"user:{B.eui}"])


@pytest.mark.parametrize("status", ["Closed", "Withdrawn"])
def test_the_terms_of_a_release_that_is_not_open_are_not_changed(world: World, status: str) -> None:
    from sr_engine.store.tables import releases as table

    world.run(lambda uow: uow.connection.execute(table.update().values(status=status)))

    with pytest.raises(TermsRefused, match=f"the release is {status.lower()}"):
        announced(world)


# --- taking effect ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "since"),
    [
        (MANDATORY, COMPLY_BY - LEAD),
        (replace(MANDATORY, comply_by=EFFECTIVE + timedelta(days=5)), EFFECTIVE),
        (DCC, EFFECTIVE),
        (replace(DCC, obligation=Obligation.MANDATORY), EFFECTIVE),
    ],
)
def test_terms_take_effect_once_at_their_time_and_everybody_is_told_again(
    world: World, wanted: Wanted, since: object
) -> None:
    world.add_hubs([TestHub(1)])
    announced(world, wanted)
    world.clock.set(EFFECTIVE - timedelta(seconds=1))
    tick(world)
    assert release(world).compulsory_from is None

    world.clock.set(EFFECTIVE + timedelta(hours=3))
    tick(world)
    after = world.snapshot()
    tick(world)

    assert world.snapshot() == after
    now = release(world)
    assert (now.obligation, now.management) == (
        wanted.obligation or "Voluntary",
        wanted.management or "SupplierManaged",
    )
    assert (now.comply_by, now.compulsory_from) == (wanted.comply_by, since)
    assert told(world) == [("announced", A.name, TestHub(1).chf), ("in force", A.name, TestHub(1).chf)]
    assert len(recorded(world, "terms in force")) == 1


def test_suppliers_are_told_in_portions_and_the_terms_are_in_force_once_all_have_been(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sr_engine.regions import compulsion

    monkeypatch.setattr(compulsion, "TOLD_AT_ONCE", 2)
    hubs = [TestHub(number) for number in range(1, 6)]
    world.add_hubs(hubs)
    announced(world)
    world.clock.set(EFFECTIVE)
    (chore,) = (one for one in chores(world.instance) if isinstance(one, compulsion.TermsTakingEffect))

    for _ in range(3):
        assert release(world).obligation == "Voluntary"
        assert world.run(chore)
    assert world.run(chore)

    assert release(world).obligation == "Mandatory"
    assert not world.run(chore)
    assert [hub for what, _, hub in told(world) if what == "in force"] == [hub.chf for hub in hubs]


def test_under_dcc_management_suppliers_neither_schedule_nor_approve(world: World) -> None:
    world.add_hubs([TestHub(1)])
    announced(world, DCC)
    schedule = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (TestHub(1).chf,))
    approve = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (TestHub(1).chf,))
    assert world.send(A, approve, "11.6").code == "I99"
    world.clock.set(EFFECTIVE)
    tick(world)

    assert world.send(A, schedule, "11.5").code == "E110506"
    assert world.send(A, approve, "11.6").code == "E110606"


def test_going_back_is_the_same_mechanism(world: World) -> None:
    announced(world, DCC)
    world.clock.set(EFFECTIVE)
    tick(world)
    with pytest.raises(TermsRefused, match="notice period"):
        announced(world, replace(BACK, effective_at=EFFECTIVE + timedelta(days=1)))

    announced(world, BACK)
    world.clock.set(EFFECTIVE + NOTICE)
    tick(world)

    now = release(world)
    assert (now.management, now.comply_by, now.compulsory_from) == ("SupplierManaged", None, None)


def test_what_is_not_named_stays_as_it_is(world: World) -> None:
    announced(world)
    world.clock.set(EFFECTIVE)
    tick(world)

    made = announced(world, replace(DCC, comply_by=None))

    assert made.terms == Terms(Obligation.MANDATORY, Management.DCC_MANAGED, COMPLY_BY)


# --- taking back -----------------------------------------------------------------------------------------------------


def test_an_announcement_is_taken_back_before_it_takes_effect_and_who_was_told_is_told(world: World) -> None:
    world.add_hubs([TestHub(1)])
    announced(world)
    cancelled(world)

    world.clock.set(EFFECTIVE)
    tick(world)

    assert release(world).obligation == "Voluntary"
    assert [what for what, _, _ in told(world)] == ["announced", "cancelled"]
    assert recorded(world, "terms cancelled") == ["not Mandatory, SupplierManaged, ComplyBy 2027-06-01T09:00Z"]
    with world.instance.reading_engine.connect() as connection:
        (shown,) = show(connection, FIRMWARE).announcements
    assert (shown.cancelled_at, shown.applied_at) == (NOW, None)
    with pytest.raises(TermsRefused, match="no change"):
        cancelled(world)


def test_a_second_announcement_after_the_first_was_taken_back_is_told_too(world: World) -> None:
    world.add_hubs([TestHub(1)])
    announced(world)
    cancelled(world)
    announced(world)

    assert [what for what, _, _ in told(world)] == ["announced", "announced", "cancelled"]


def test_what_is_due_is_not_taken_back_any_more(world: World) -> None:
    announced(world)
    world.clock.set(EFFECTIVE)

    with pytest.raises(TermsRefused, match="announce another to go back"):
        cancelled(world)


# --- comparing -------------------------------------------------------------------------------------------------------


def test_the_regimes_are_compared_region_by_region(world: World) -> None:
    hubs = [TestHub(number) for number in range(1, 8)]
    other = [TestHub(8, gas=B.name), TestHub(9, version=FIRMWARE.version), TestHub(10, status="Pending")]
    world.add_hubs([*hubs, *other])
    for chosen in (hubs[:2], other[:1]):
        schedule = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, tuple(hub.chf for hub in chosen))
        assert world.send(A, schedule, "11.5").code == "I0"
    for hub, decision in ((hubs[2], Decision.APPROVE), (hubs[3], Decision.DECLINE)):
        assert world.send(A, ApproveCommsHubFirmware(FIRMWARE, decision, (hub.chf,)), "11.6").code == "I99"
    exclude(world, hubs[4])

    with world.instance.reading_engine.connect() as connection:
        found = compare(
            connection,
            firmware=FIRMWARE,
            regions=world.instance.configuration.regions,
            policy=world.instance.configuration.policy.compulsion,
            now=NOW,
            comply_by=COMPLY_BY,
        )

    assert found.standings["Central"] == {
        Standing.SCHEDULED: 2,
        Standing.APPROVED: 1,
        Standing.DECLINED: 1,
        Standing.EXCLUDED: 1,
        Standing.AWAITING: 1,
        Standing.NOT_SCHEDULED: 2,
    }
    assert found.standings["North"] == {}
    voluntary, mandatory, dcc = (one for one in found.regimes if one.region == "Central")
    assert [one.regime for one in (voluntary, mandatory, dcc)] == ["Voluntary", "Mandatory", "DCCManaged"]
    assert (voluntary.planned, voluntary.without_consent, voluntary.not_planned) == (2, 0, 6)
    assert (mandatory.planned, mandatory.without_consent, mandatory.not_planned) == (7, 4, 1)
    assert (dcc.planned, dcc.without_consent, dcc.not_planned) == (7, 4, 1)
    assert (voluntary.nights_left, mandatory.nights_needed) == (None, 1)
    assert mandatory.nights_left is not None
    assert dcc.nights_left is not None
    assert 0 < mandatory.nights_left <= 28 < dcc.nights_left <= 100


def test_nothing_is_compared_without_a_comply_by(world: World) -> None:
    with world.instance.reading_engine.connect() as connection, pytest.raises(TermsRefused, match="no ComplyBy"):
        compare(
            connection,
            firmware=FIRMWARE,
            regions=world.instance.configuration.regions,
            policy=world.instance.configuration.policy.compulsion,
            now=NOW,
        )


def exclude(world: World, hub: TestHub) -> None:
    from sr_engine.store.tables import exclusions

    world.run(
        lambda uow: uow.connection.execute(
            exclusions.insert().values(hub_id=hub.chf, organisation=A.name, set_at=uow.now)
        )
    )
