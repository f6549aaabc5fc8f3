"""11.7: schedules page by page, hubs by either id, and only what this Supplier may see."""

from __future__ import annotations

from datetime import timedelta

from sr_engine.messages.model import Decision, Phase, ReadCommsHubFirmwareSchedule, ScheduleDetails
from sr_engine.store import inventory
from tests.requests.conftest import SOLE, SPLIT, Suppliers, days, schedule_id
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World

HUBS = [TestHub(number) for number in range(1_000, 1_250)]


def _pages(suppliers: Suppliers, number: int) -> list[list[str]]:
    """All pages of a schedule, each asked for as a client would: after the last hub of the page before."""
    pages: list[list[str]] = []
    after: str | None = None
    while True:
        page = suppliers.read(A, ReadCommsHubFirmwareSchedule(schedule_id=number, start_after_device_id=after))
        pages.append([one.device_id for one in page.upgrades])
        if not page.more_devices:
            return pages
        after = pages[-1][-1].lower()


def test_a_schedule_is_read_in_pages_of_200_in_ascending_id(suppliers: Suppliers) -> None:
    suppliers.world.add_hubs(HUBS)
    number = schedule_id(suppliers.schedule(A, *(hub.chf for hub in reversed(HUBS)), phase=Phase.PILOT))

    pages = _pages(suppliers, number)

    assert [len(page) for page in pages] == [200, 50]
    assert [hub_id for page in pages for hub_id in page] == [hub.chf for hub in HUBS]
    details = suppliers.read(A, ReadCommsHubFirmwareSchedule(schedule_id=number)).schedule
    assert details == ScheduleDetails(number, FIRMWARE, WINDOW, Phase.PILOT, False)


def test_a_page_of_exactly_200_has_no_more(suppliers: Suppliers) -> None:
    suppliers.world.add_hubs(HUBS[:200])
    number = schedule_id(suppliers.schedule(A, *(hub.chf for hub in HUBS[:200])))

    assert [len(page) for page in _pages(suppliers, number)] == [200]


def test_hubs_that_went_to_another_supplier_leave_no_hole_in_the_pages(suppliers: Suppliers) -> None:
    suppliers.world.add_hubs(HUBS)
    number = schedule_id(suppliers.schedule(A, *(hub.chf for hub in HUBS)))
    lost = HUBS[:230]
    _move(suppliers.world, lost)

    assert _pages(suppliers, number) == [[hub.chf for hub in HUBS[230:]]]


def _move(world: World, hubs: list[TestHub]) -> None:
    """B takes both meters of these homes over, as of now."""
    rows: list[dict[str, object]] = [
        {"mpxn": mpxn, "role": role, "effective_from": NOW, "organisation": B.name}
        for hub in hubs
        for mpxn, role in ((hub.mpan, "IS"), (hub.mprn, "GS"))
    ]
    world.run(lambda uow: inventory.put_registrations(uow.connection, rows))


def test_a_replaced_schedule_still_shows_its_hubs_as_they_are_now(suppliers: Suppliers) -> None:
    old = schedule_id(suppliers.schedule(A, SOLE.chf))
    new = schedule_id(suppliers.schedule(A, SOLE.chf, window=days(7, 9), replaces=old))

    (shown,) = suppliers.read(A, ReadCommsHubFirmwareSchedule(schedule_id=old)).upgrades

    assert (shown.schedule_id, shown.window) == (new, days(7, 9))


def test_another_suppliers_schedule_is_as_unknown_as_one_that_does_not_exist(suppliers: Suppliers) -> None:
    number = schedule_id(suppliers.schedule(A))

    others = suppliers.world.send(B, ReadCommsHubFirmwareSchedule(schedule_id=number), "11.7")
    nobodys = suppliers.world.send(B, ReadCommsHubFirmwareSchedule(schedule_id=number + 1), "11.7")

    assert (others.code, others.result) == (nobodys.code, nobodys.result) == ("E110707", None)


def test_a_gpf_id_stands_for_its_hub_in_either_case(suppliers: Suppliers) -> None:
    suppliers.schedule(A, SOLE.chf)

    assert suppliers.view(A, SOLE.gpf) == suppliers.view(A, SOLE.chf.lower()) == suppliers.view(A, SOLE.chf)


def test_a_hub_that_no_release_is_for_is_still_ones_own(world: World) -> None:
    world.add_hubs([SOLE])

    read = Suppliers(world).read(A, ReadCommsHubFirmwareSchedule(device_id=SOLE.chf))

    assert (read.upgrades, read.more_devices) == ((), False)
    assert world.send(B, ReadCommsHubFirmwareSchedule(device_id=SOLE.chf), "11.7").code == "E4"


def test_before_anything_was_decided_an_open_release_is_shown_as_pending(suppliers: Suppliers) -> None:
    shown = suppliers.view(B)

    assert (shown.status, shown.own_approval, shown.other_approval) == ("NotScheduled", "Pending", "Pending")
    assert (shown.attempt, shown.window, shown.schedule_id) == (None, None, None)


def test_the_night_is_shown_to_both_once_the_hub_is_listed(suppliers: Suppliers) -> None:
    suppliers.schedule(A)
    suppliers.decide(B, Decision.APPROVE)
    suppliers.cut_lists()

    views = suppliers.view(A), suppliers.view(B)

    assert [view.status for view in views] == ["Listed", "Listed"]
    assert views[0].period == views[1].period is not None
    assert views[0].period is not None
    assert WINDOW.start <= views[0].period.start < views[0].period.end <= WINDOW.end
    assert views[0].period.end - views[0].period.start == timedelta(hours=8)
    assert SPLIT.chf == views[0].device_id
