"""Service levels: what counts, what is a breach, and that each breach is said once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from sr_engine.bootstrap import region_watch
from sr_engine.domain.sla import Levels, Month, timing
from sr_engine.messages.model import ReportStatus, UpgradeReport
from sr_engine.operations.status import status
from sr_engine.regions.sla import BREACH, SlaWatch
from sr_engine.reports.sla import measure, percent
from sr_engine.store.tables import outbox
from sr_engine.store.transactions import Transactions
from tests.regions.conftest import HOUR, Nights, commit_refused, hubs
from tests.told import say_it_beside
from tests.world import WINDOW, A, B, TestHub

ACTIVATED, DELIVERED, FAILED = ReportStatus.ACTIVATED, ReportStatus.DELIVERED, ReportStatus.FAILED
DECEMBER, NOVEMBER = Month(2026, 12), Month(2026, 11)
MINUTE = timedelta(minutes=1)


def levels(nights: Nights, month: Month = DECEMBER) -> Levels:
    instance = nights.world.instance
    with instance.reading_engine.connect() as connection:
        lifecycle = instance.configuration.lifecycle
        (found,) = measure(connection, [nights.region], lifecycle, month, nights.world.clock.now())
    return found.levels


def listed(nights: Nights, some: Sequence[TestHub], *, lists: int = 10_000) -> list[str]:
    """Cut the lists of the first night for some hubs, and have them delivered at once."""
    nights.world.add_hubs(some)
    nights.schedule(some)
    nights.change(list_size=lists)
    nights.cut()
    nights.deliver_all()
    return nights.list_ids()


def at(nights: Nights, moment: datetime) -> None:
    nights.world.clock.set(moment)


def report(nights: Nights, moment: datetime, hub: TestHub, what: ReportStatus, *, seen: datetime | None = None) -> None:
    """Take in what the CSP says it saw then, or at another time."""
    at(nights, seen or moment)
    entry = nights.saw(hub, what)
    at(nights, moment)
    nights.report(nights.list_ids()[0], entry)


# --- acknowledgements ------------------------------------------------------------------------------------------------


def test_acknowledgements_count_from_the_delivery_in_the_month_of_the_delivery(central: Nights) -> None:
    five = hubs(5)
    ids = listed(central, five, lists=1)
    delivered = central.world.clock.now()
    for list_id, hub, after in zip(ids, five, (HOUR, 2 * HOUR, 24 * HOUR, 24 * HOUR + MINUTE), strict=False):
        at(central, delivered + after)
        central.acknowledge(list_id, [hub])

    found = levels(central, NOVEMBER).acknowledgement

    assert (found.within, found.late, found.overdue, found.waiting) == (3, 1, 1, 0)
    assert (found.median, found.longest) == (2 * HOUR, 24 * HOUR + MINUTE)
    assert percent(found.share) == "60.0"
    assert levels(central, DECEMBER).acknowledgement.share is None


def test_a_list_that_is_still_in_time_is_not_judged_and_one_on_its_way_does_not_count(central: Nights) -> None:
    listed(central, hubs(1))
    assert levels(central, NOVEMBER).acknowledgement.waiting == 1

    undelivered = update(outbox).values(state="Pending", delivered_at=None)
    central.world.run(lambda uow: uow.connection.execute(undelivered))
    assert levels(central, NOVEMBER).acknowledgement == timing({}, timedelta(hours=24))


# --- hubs ------------------------------------------------------------------------------------------------------------


def test_each_hub_counts_once_by_what_became_of_it_however_often_it_is_reported(central: Nights) -> None:
    night, window_after, failed, never, late = five = hubs(5)
    listed(central, five)
    period = central.period()
    for hub in (night, night):
        report(central, period.end - HOUR, hub, DELIVERED)
        report(central, period.end - HOUR, hub, ACTIVATED)
    report(central, period.end + HOUR, window_after, ACTIVATED)
    report(central, period.end + HOUR, failed, FAILED)
    at(central, WINDOW.end - MINUTE)
    assert levels(central).completion.hubs == 0

    at(central, WINDOW.end + MINUTE)
    found = levels(central).completion
    assert (found.in_night, found.in_window, found.failed, found.under_way, found.breaches) == (1, 1, 1, 2, 0)
    assert percent(found.share) == "40.0"

    central.time_out(WINDOW.end + 49 * HOUR)
    report(central, WINDOW.end + 50 * HOUR, late, ACTIVATED)
    found = levels(central).completion
    assert (found.later, found.missed, found.under_way, found.breaches, found.hubs) == (1, 1, 0, 2, 5)
    assert central.states([never]) == ["Missed"]


def test_a_late_report_of_an_upgrade_in_time_is_done_in_its_window_and_told_too_late(central: Nights) -> None:
    (hub,) = hubs(1)
    listed(central, [hub])
    report(central, WINDOW.end + 50 * HOUR, hub, ACTIVATED, seen=central.period().end - HOUR)

    found = levels(central).completion

    assert (found.in_night, found.breaches) == (1, 1)


def test_a_hub_that_failed_and_was_upgraded_later_in_the_month_counts_once(central: Nights) -> None:
    (hub,) = hubs(1)
    listed(central, [hub])
    report(central, central.period().end, hub, FAILED)
    central.schedule([hub])
    central.cut(3)
    at(central, central.period(3).end - HOUR)
    central.report(central.list_ids()[1], central.saw(hub, ACTIVATED))
    at(central, WINDOW.end + HOUR)

    found = levels(central)

    assert (found.completion.hubs, found.completion.in_night) == (1, 1)
    assert found.alert_queued.within == 1


# --- alerts ----------------------------------------------------------------------------------------------------------


def queued_after(nights: Nights, minutes: int) -> None:
    """Take the newest alerts as queued so long after the present."""
    later = nights.world.clock.now() + minutes * MINUTE
    newest = update(outbox).where(outbox.c.created_at == nights.world.clock.now()).values(created_at=later)
    nights.world.run(lambda uow: uow.connection.execute(newest))


def test_alerts_count_from_the_report_to_the_last_supplier_of_each_hub(central: Nights) -> None:
    quick, slow = TestHub(1, gas=B.name), TestHub(2)
    central.world.add_hubs([quick])
    central.schedule([quick], B)
    listed(central, [quick, slow])
    report(central, central.period().end, quick, ACTIVATED)
    report(central, central.period().end + HOUR, slow, FAILED)
    queued_after(central, 20)
    at(central, central.period().end + 2 * HOUR)
    taken = update(outbox).where(outbox.c.event == "hub_activated", outbox.c.destination == f"user:{A.eui}")
    central.world.run(lambda uow: uow.connection.execute(taken.values(delivered_at=uow.now, state="Delivered")))

    found = levels(central, NOVEMBER)
    assert (found.alert_queued.within, found.alert_queued.late) == (1, 1)
    assert found.alert_queued.longest == 20 * MINUTE
    assert (found.alert_delivered.within, found.alert_delivered.waiting) == (0, 2)

    central.deliver_all()
    assert levels(central, NOVEMBER).alert_delivered.longest == 2 * HOUR

    found = levels(central, NOVEMBER)
    # As of alerts that older programs wrote.
    assert central.world.run(lambda uow: say_it_beside(uow.connection))
    assert levels(central, NOVEMBER) == found


def test_alerts_that_are_still_to_be_queued_are_waited_for_and_then_overdue(central: Nights) -> None:
    (hub,) = hubs(1)
    listed(central, [hub])
    instance = central.world.instance
    at(central, central.period().end)
    message = UpgradeReport(
        central.message_id(),
        central.world.clock.now(),
        central.list_ids()[0],
        "Central",
        (central.saw(hub, ACTIVATED),),
    )
    # As if the processor had stopped before it told anybody.
    stopped = Transactions(instance.engine, central.world.clock)
    stopped.run_now(lambda uow: central.outcomes.report(uow, message))
    assert (levels(central, NOVEMBER).alert_queued.waiting, levels(central, NOVEMBER).alert_queued.overdue) == (1, 0)

    at(central, central.period().end + 16 * MINUTE)
    stopped.run_now(SlaWatch(central.region, instance.configuration.lifecycle))

    found = levels(central, NOVEMBER)
    assert (found.alert_queued.waiting, found.alert_queued.overdue) == (0, 1)
    assert found.alert_delivered.waiting == 1
    assert [one.split(" ")[1] for one in central.said(BREACH)] == ["acknowledgement:", "alert:"]


def test_a_hub_of_which_nobody_is_to_be_told_is_not_counted(central: Nights) -> None:
    (hub,) = hubs(1)
    listed(central, [hub])
    nobody = TestHub(1, None, None)
    central.world.add_hubs([nobody])
    central.world.run(lambda uow: uow.connection.exec_driver_sql("DELETE FROM devices WHERE import_mpxn IS NOT NULL"))
    report(central, central.period().end, hub, ACTIVATED)
    at(central, central.period().end + 5 * HOUR)

    assert levels(central, NOVEMBER).alert_queued == timing({}, central.region.alert_sla)


# --- the watch -------------------------------------------------------------------------------------------------------


def test_every_breach_is_put_on_record_logged_and_counted_by_status_once(
    central: Nights, caplog: pytest.LogCaptureFixture
) -> None:
    instance = central.world.instance
    three = hubs(3)
    listed(central, three)
    watch = region_watch(instance, central.region)
    caplog.set_level(logging.WARNING, "sr_engine.regions.sla")

    def look() -> None:
        at(central, central.world.clock.now() + timedelta(minutes=6))
        assert not any(central.world.run(chore) for chore in watch)

    look()
    assert central.said(BREACH) == []
    at(central, central.due() + 24 * HOUR)
    look()
    report(central, central.period().end, three[0], ACTIVATED)
    queued_after(central, 16)
    at(central, central.period().end + HOUR)
    look()
    central.time_out(WINDOW.end + 49 * HOUR)
    look()
    look()
    watch = region_watch(instance, central.region)
    look()

    said = central.said(BREACH)
    assert [one.split(" ")[1] for one in said] == ["acknowledgement:", "alert:", "completion:"]
    assert central.list_ids()[0] in said[0]
    assert "2 hub(s) without a reported outcome" in said[2]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    with instance.reading_engine.connect() as connection:
        found = status(connection, central.world.clock.now()).breaches
    assert [(one.region, one.measure, one.number) for one in found] == [("Central", "completion", 2)]


@pytest.mark.parametrize("how", ["it had been given up before", "nobody had looked before", "it is still with the CSP"])
def test_an_outcome_that_is_told_too_late_is_a_breach_once_whatever_comes_of_the_hub(central: Nights, how: str) -> None:
    """What the figures of the month say is what the operator is told, whenever the watch looks."""
    on_time, late = hubs(2)
    listed(central, [on_time, late])
    central.acknowledge(central.list_ids()[0], [on_time, late])
    watch = region_watch(central.world.instance, central.region)
    limit = WINDOW.end + central.region.completion_sla
    report(central, limit, on_time, ACTIVATED)
    if how == "it had been given up before":
        central.time_out(limit + timedelta(seconds=30))
        assert central.states([late]) == ["Missed"]
    if how == "it is still with the CSP":
        at(central, limit + MINUTE)
        assert not any(central.world.run(chore) for chore in watch)
    report(central, limit + 2 * MINUTE, late, ACTIVATED)

    for minutes in (6, 12, 60):
        at(central, limit + minutes * MINUTE)
        assert not any(central.world.run(chore) for chore in watch)
        # Another process goes on from what is on record.
        watch = region_watch(central.world.instance, central.region)

    assert central.states([on_time, late]) == ["Activated"] * 2
    assert levels(central).completion.breaches == 1
    said = [one for one in central.said(BREACH) if "completion" in one]
    assert len(said) == 1
    assert "1 hub(s) without a reported outcome" in said[0]


def test_a_breach_that_was_not_committed_is_found_and_said_at_the_next_look(
    central: Nights, caplog: pytest.LogCaptureFixture
) -> None:
    (hub,) = hubs(1)
    listed(central, [hub])
    report(central, central.period().end, hub, ACTIVATED)
    queued_after(central, 16)
    at(central, central.period().end + HOUR)
    watch = SlaWatch(central.region, central.world.instance.configuration.lifecycle)
    caplog.set_level(logging.WARNING, "sr_engine.regions.sla")

    with commit_refused(central.world):
        central.world.run(watch)
    assert caplog.records == []
    central.world.run(watch)

    assert [one.split(" ")[1] for one in central.said(BREACH)] == ["acknowledgement:", "alert:"]
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2


# --- figures ---------------------------------------------------------------------------------------------------------


def test_percentiles_are_by_nearest_rank_and_shares_are_not_rounded_to_all_or_nothing() -> None:
    found = timing({1: 50, 10: 45, 100: 5}, timedelta(seconds=10))

    assert (found.within, found.late) == (95, 5)
    assert [found.median, found.percentile_95, found.longest] == [timedelta(seconds=s) for s in (1, 10, 100)]
    almost = timing({1: 99_999, 11: 1}, timedelta(seconds=10)).share
    hardly = timing({1: 1, 11: 99_999}, timedelta(seconds=10)).share
    assert (percent(almost), percent(hardly), percent(None)) == ("99.9", "0.1", None)


@pytest.mark.parametrize("text", ["2026-13", "2026-1", "26-11", "november", "2026-11-01"])
def test_a_month_is_a_year_and_a_number(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Month.parse(text)
    assert (Month.parse("2026-12").end, Month.of(Month.parse("2026-12").end)) == (
        datetime.fromisoformat("2027-01-01T00:00:00Z"),
        Month(2027, 1),
    )
