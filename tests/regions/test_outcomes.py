"""What becomes of listed hubs: acknowledgements, reports, windows that end, and lists nobody answers."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from signing import parse
from sr_engine.bootstrap import supplier_changes_of
from sr_engine.domain.agreement import AttemptChange
from sr_engine.domain.states import AttemptEvent, AttemptState
from sr_engine.domain.upgrades import Attempt
from sr_engine.messages.decode import decode_response
from sr_engine.messages.model import (
    Decision,
    Firmware,
    FirmwareDistributionFailure,
    Period,
    ReportEntry,
    ReportStatus,
)
from sr_engine.regions.moving import DONE_BEFORE
from sr_engine.regions.outcomes import UnknownList
from sr_engine.store import inventory, upgrade_writing
from sr_engine.store.tables import decisions, outbox, schedule_hubs, upgrade_lists
from tests.outbox import messages
from tests.regions.conftest import HOUR, Nights, hubs
from tests.world import FIRMWARE, OLD_VERSION, WINDOW, A, B, TestHub, World, make_world

DELIVERED, ACTIVATED, FAILED = ReportStatus.DELIVERED, ReportStatus.ACTIVATED, ReportStatus.FAILED
TICK = timedelta(microseconds=1)


def list_of(nights: Nights, members: list[TestHub], **values: object) -> str:
    """Schedule hubs, cut the first night's list, and return its id."""
    nights.world.add_hubs(members)
    nights.schedule(members, **values)  # type: ignore[arg-type]  # the names are schedule's own
    assert nights.cut() == len(members)
    return nights.list_ids()[-1]


def failure_alerts(nights: Nights) -> list[tuple[str, str, tuple[str, ...]]]:
    """Destination, RequestID and hubs of each FirmwareDistributionFailure in the outbox, in order."""
    with nights.world.instance.reading_engine.connect() as connection:
        found = messages(connection, outbox.c.event.in_(["hub_failed", "hub_missed"]))
    alerts = []
    for one in found:
        verified = nights.world.instance.verifier.verify(parse(one.body), roles={"89"}, at=nights.world.clock.now())
        alert = decode_response(verified).alert
        assert isinstance(alert, FirmwareDistributionFailure)
        alerts.append((one.destination, alert.update_firmware_request_id, alert.device_ids))
    return alerts


def latest_request(nights: Nights, hub: TestHub, organisation: str) -> str:
    with nights.world.instance.reading_engine.connect() as connection:
        found: str | None = connection.scalar(
            select(decisions.c.request_id).where(
                decisions.c.hub_id == hub.chf, decisions.c.organisation == organisation
            )
        )
    assert found is not None
    return found


# --- acknowledgements ------------------------------------------------------------------------------------------------


def test_accepted_hubs_are_accepted_and_refused_ones_scheduled_with_the_reason(central: Nights) -> None:
    three = hubs(3)
    list_id = list_of(central, three)

    said = central.acknowledge(list_id, accepted=three[:1], refused={"no link": three[1:2], "known fault": three[2:]})

    assert said == "3 hubs acknowledged"
    assert central.states(three) == ["Accepted", "Scheduled", "Scheduled"]
    assert [central.attempt(hub).reason for hub in three[1:]] == [
        "refused by the CSP: no link",
        "refused by the CSP: known fault",
    ]


def test_a_hub_both_accepted_and_refused_is_refused(central: Nights) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])

    central.acknowledge(list_id, accepted=[hub], refused={"no link": [hub]})

    assert central.attempt(hub).state is AttemptState.SCHEDULED


def test_hubs_that_are_not_on_the_list_are_counted_and_passed_over(central: Nights) -> None:
    on_it, elsewhere = hubs(2)
    list_id = list_of(central, [on_it])
    central.world.add_hubs([elsewhere])

    said = central.acknowledge(list_id, accepted=[on_it, elsewhere, TestHub(99)])

    assert said == "1 hubs acknowledged; 2 not on the list"
    assert central.attempts(elsewhere) == []


def test_an_acknowledgement_that_comes_again_changes_nothing(central: Nights) -> None:
    two = hubs(2)
    list_id = list_of(central, two)
    central.acknowledge(list_id, accepted=two[:1], refused={"no link": two[1:]})
    before = central.world.snapshot()

    said = central.acknowledge(list_id, accepted=two[:1], refused={"no link": two[1:]})

    assert said == "0 hubs acknowledged; 1 not on the list"
    assert central.world.snapshot() == before


@pytest.mark.parametrize("late", ["accepted", "refused"])
def test_an_acknowledgement_that_comes_after_the_outcome_lowers_nothing(central: Nights, late: str) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    central.report(list_id, central.saw(hub, DELIVERED))

    if late == "accepted":
        central.acknowledge(list_id, accepted=[hub])
    else:
        central.acknowledge(list_id, refused={"no link": [hub]})

    assert central.attempt(hub).state is AttemptState.DELIVERED


def test_a_csp_that_has_accepted_a_hub_cannot_refuse_it_any_more(central: Nights) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    central.acknowledge(list_id, accepted=[hub])

    central.acknowledge(list_id, refused={"changed our mind": [hub]})

    assert central.attempt(hub).state is AttemptState.ACCEPTED


@pytest.mark.parametrize("kind", ["acknowledgement", "report"])
def test_a_list_that_was_never_sent_or_was_sent_to_another_region_is_unknown(central: Nights, kind: str) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    before = central.world.snapshot()

    def send(unknown: str, region: str) -> str:
        if kind == "report":
            return central.report(unknown, central.saw(hub, ACTIVATED), region=region)
        return central.acknowledge(unknown, accepted=[hub], region=region)

    for unknown, region in (("no-such-list", "Central"), (list_id, "South")):
        with pytest.raises(UnknownList, match=f"{unknown} was not sent to region {region}"):
            send(unknown, region)

    assert central.world.snapshot() == before


# --- reports ---------------------------------------------------------------------------------------------------------


def test_an_activated_hub_has_the_new_version_on_chf_and_gpf_and_its_suppliers_are_told(central: Nights) -> None:
    done, other = hubs(2)
    list_id = list_of(central, [done, other])

    assert central.report(list_id, central.saw(done, ACTIVATED)) == "1 hubs brought forward"

    assert [central.version(one) for one in (done.chf, done.gpf)] == ["9002", "9002"]
    assert [central.version(one) for one in (other.chf, other.gpf)] == [OLD_VERSION, OLD_VERSION]
    assert central.told("hub_activated") == [(done.chf, A.name)]
    assert central.states([done, other]) == ["Activated", "Listed"]


@pytest.mark.parametrize("status", [DELIVERED, FAILED])
def test_a_hub_that_is_not_activated_keeps_its_version(central: Nights, status: ReportStatus) -> None:
    (hub,) = hubs(1)
    central.report(list_of(central, [hub]), central.saw(hub, status))

    assert central.version(hub.chf) == OLD_VERSION


def test_several_outcomes_of_a_hub_in_one_message_come_to_the_highest_and_one_alert(central: Nights) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])

    said = central.report(
        list_id,
        central.saw(hub, ACTIVATED),
        central.saw(hub, FAILED, "first try"),
        central.saw(hub, DELIVERED),
    )

    assert said == "1 hubs brought forward"
    assert central.attempt(hub).state is AttemptState.ACTIVATED
    assert (central.told("hub_activated"), central.told("hub_failed")) == ([(hub.chf, A.name)], [])


def test_the_time_and_reason_are_those_of_the_csp(central: Nights) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    at = central.period().start + HOUR
    central.world.clock.set(at + HOUR)

    central.report(list_id, ReportEntry(hub.chf, FAILED, at, "no power"))

    assert (central.attempt(hub).state_at, central.attempt(hub).reason) == (at, "no power")


def test_a_report_of_hubs_that_are_not_on_the_list_is_counted_and_passed_over(central: Nights) -> None:
    on_it, elsewhere = hubs(2)
    list_id = list_of(central, [on_it])
    central.world.add_hubs([elsewhere])

    assert central.report(list_id, central.saw(elsewhere, ACTIVATED)) == "0 hubs brought forward; 1 not on the list"
    assert central.version(elsewhere.chf) == OLD_VERSION


def test_a_hub_may_be_named_in_lower_case(central: Nights) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])

    central.report(list_id, ReportEntry(hub.chf.lower(), ACTIVATED, central.world.clock.now()))

    assert central.attempt(hub).state is AttemptState.ACTIVATED


@pytest.mark.parametrize("status", [ACTIVATED, FAILED])
def test_an_outcome_ends_the_schedule_and_only_that_of_its_hub(central: Nights, status: ReportStatus) -> None:
    done, waiting = hubs(2)
    list_id = list_of(central, [done, waiting])

    central.report(list_id, central.saw(done, status))

    with central.world.instance.reading_engine.connect() as connection:
        in_force = dict(connection.execute(select(schedule_hubs.c.hub_id, schedule_hubs.c.in_force)).all())
    assert in_force == {done.chf: False, waiting.chf: True}


def test_after_a_failure_the_supplier_may_schedule_the_next_attempt(central: Nights) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    central.report(list_id, central.saw(hub, FAILED))

    central.schedule([hub])

    assert [(one.number, one.state.value) for one in central.attempts(hub)] == [(1, "Failed"), (2, "Scheduled")]
    assert central.cut(1) == 1


def test_the_outcome_of_a_listed_hub_goes_to_the_supplier_that_has_it_then(central: Nights) -> None:
    from sr_engine.store import inventory

    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    gained = {"mpxn": hub.mprn, "role": "GS", "effective_from": central.due() + HOUR, "organisation": B.name}
    central.world.run(lambda uow: inventory.put_registrations(uow.connection, [gained]))
    central.world.clock.set(central.due() + 2 * HOUR)

    central.report(list_id, central.saw(hub, ACTIVATED))

    assert central.told("hub_activated") == [(hub.chf, A.name), (hub.chf, B.name)]


# --- reports in any order --------------------------------------------------------------------------------------------

RANK = [DELIVERED, FAILED, ACTIVATED]
HUBS_LISTED = 600


class LongList:
    """A list of many hubs, and those of them that no report has named yet."""

    def __init__(self, nights: Nights, members: list[TestHub]) -> None:
        self.nights = nights
        (self.list_id,) = nights.list_ids()
        self.unused = members


@pytest.fixture(scope="module")
def long_list(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LongList]:
    directory: Path = tmp_path_factory.mktemp("reports") / "instance"
    world = make_world(directory)
    world.open_release()
    nights = Nights(world, world.instance.configuration.regions["Central"])
    members = hubs(HUBS_LISTED, gas=B.name)
    world.add_hubs(members)
    nights.schedule(members, A)
    nights.decide(members, B, Decision.APPROVE)
    assert nights.cut() == HUBS_LISTED
    yield LongList(nights, members)
    world.close()


@settings(max_examples=60, deadline=None)
@given(
    messages=st.lists(
        st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from(RANK)), min_size=1, max_size=4), max_size=5
    )
)
def test_reports_in_any_order_split_and_repeated_at_will_end_the_same(
    long_list: LongList, messages: list[list[tuple[int, ReportStatus]]]
) -> None:
    nights = long_list.nights
    both = [long_list.unused.pop(), long_list.unused.pop()]

    for message in messages:
        nights.report(long_list.list_id, *(nights.saw(both[which], status) for which, status in message))

    for which, hub in enumerate(both):
        # Whatever the order: the highest of what was reported.
        reported = [status for message in messages for one, status in message if one == which]
        highest = max(reported, key=RANK.index, default=None)
        assert nights.attempt(hub).state == ("Listed" if highest is None else highest)
        assert nights.version(hub.gpf) == ("9002" if highest is ACTIVATED else OLD_VERSION)
        # Each is told once to each Supplier; a failure is told unless success was known by then.
        after = []
        for number in range(1, len(messages) + 1):
            by_then = [status for message in messages[:number] for one, status in message if one == which]
            after.append(max(by_then, key=RANK.index, default=None))
        for event, status in (("hub_activated", ACTIVATED), ("hub_failed", FAILED)):
            expected = [(hub.chf, A.name), (hub.chf, B.name)] if status in after else []
            assert [told for told in nights.told(event) if told[0] == hub.chf] == expected


@pytest.mark.parametrize("status", RANK)
def test_the_same_report_in_another_message_changes_nothing(central: Nights, status: ReportStatus) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    central.report(list_id, central.saw(hub, status))
    before = central.world.snapshot()

    central.world.clock.advance(HOUR)

    assert central.report(list_id, central.saw(hub, status)) == "0 hubs brought forward"
    assert central.world.snapshot() == before


# --- failure alerts --------------------------------------------------------------------------------------------------


def test_failures_are_grouped_by_the_recipients_own_latest_request(central: Nights) -> None:
    first, second, shared = TestHub(1), TestHub(2), TestHub(3, gas=B.name)
    central.world.add_hubs([first, second, shared])
    central.schedule([first, shared], A)
    central.schedule([second], A)
    central.decide([shared], B, Decision.APPROVE)
    central.cut()
    (list_id,) = central.list_ids()

    central.report(list_id, *(central.saw(hub, FAILED) for hub in (first, second, shared)))

    assert failure_alerts(central) == [
        (f"user:{A.eui}", latest_request(central, first, A.name), (first.chf, shared.chf)),
        (f"user:{A.eui}", latest_request(central, second, A.name), (second.chf,)),
        (f"user:{B.eui}", latest_request(central, shared, B.name), (shared.chf,)),
    ]
    assert latest_request(central, first, A.name).startswith(A.eui)
    assert latest_request(central, shared, B.name).startswith(B.eui)


def test_a_supplier_that_never_sent_a_request_is_told_under_a_number_drawn_for_it(central: Nights) -> None:
    from sr_engine.store import inventory
    from tests.world import BROKER

    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    gained = [
        {"mpxn": mpxn, "role": role, "effective_from": central.due(), "organisation": B.name}
        for mpxn, role in ((hub.mpan, "IS"), (hub.mprn, "GS"))
    ]
    central.world.run(lambda uow: inventory.put_registrations(uow.connection, gained))

    central.report(list_id, central.saw(hub, FAILED))

    ((destination, request_id, named),) = failure_alerts(central)
    assert (destination, named) == (f"user:{B.eui}", (hub.chf,))
    assert request_id.startswith(f"{BROKER}:{BROKER}:")


# --- windows that end ------------------------------------------------------------------------------------------------


def test_what_was_not_approved_in_its_window_is_missed_at_its_end(central: Nights) -> None:
    (hub,) = hubs(1, gas=B.name)
    central.world.add_hubs([hub])
    central.schedule([hub], A)

    assert central.time_out(WINDOW.end - TICK) == 0
    assert central.time_out(WINDOW.end) == 1

    attempt = central.attempt(hub)
    assert (attempt.state, attempt.reason) == (
        AttemptState.MISSED,
        "the window ended before all responsible Suppliers had approved",
    )
    assert central.told("hub_missed") == [(hub.chf, A.name), (hub.chf, B.name)]


def test_what_was_not_listed_in_its_window_is_missed_at_its_end(central: Nights) -> None:
    (hub,) = hubs(1)
    central.world.add_hubs([hub])
    central.schedule([hub])

    assert [central.time_out(WINDOW.end - TICK), central.time_out(WINDOW.end)] == [0, 1]
    assert central.attempt(hub).reason == "the window ended before the hub could be listed"


@pytest.mark.parametrize("reached", ["Listed", "Accepted", "Delivered"])
def test_what_is_with_the_csp_is_missed_when_the_completion_sla_has_passed_too(central: Nights, reached: str) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    if reached == "Accepted":
        central.acknowledge(list_id, accepted=[hub])
    if reached == "Delivered":
        central.report(list_id, central.saw(hub, DELIVERED))
    assert central.attempt(hub).state == reached
    last = WINDOW.end + central.region.completion_sla

    assert [central.time_out(WINDOW.end), central.time_out(last - TICK), central.time_out(last)] == [0, 0, 1]

    assert central.attempt(hub).state is AttemptState.MISSED
    assert central.attempt(hub).reason == "the CSP reported no activation within the completion SLA"
    assert central.told("hub_missed") == [(hub.chf, A.name)]


def test_what_has_ended_is_never_missed_and_a_second_look_finds_nothing(central: Nights) -> None:
    done, failed, open_ = hubs(3)
    list_id = list_of(central, [done, failed, open_])
    central.report(list_id, central.saw(done, ACTIVATED), central.saw(failed, FAILED))
    much_later = WINDOW.end + timedelta(days=30)

    assert [central.time_out(much_later), central.time_out(much_later)] == [1, 0]
    assert central.states([done, failed, open_]) == ["Activated", "Failed", "Missed"]


def test_windows_of_another_region_do_not_end_with_this_ones(central: Nights) -> None:
    here, there = TestHub(1), TestHub(2, region="South")
    central.world.add_hubs([here, there])
    central.schedule([here, there])

    assert central.time_out(WINDOW.end) == 1
    assert central.states([here, there]) == ["Missed", "Scheduled"]


def test_a_late_report_raises_what_was_missed_to_activated_and_tells_it(central: Nights) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    central.time_out(WINDOW.end + timedelta(days=10))

    for lower in (DELIVERED, FAILED):
        assert central.report(list_id, central.saw(hub, lower)) == "0 hubs brought forward"
    assert central.attempt(hub).state is AttemptState.MISSED
    central.report(list_id, central.saw(hub, ACTIVATED))

    assert central.attempt(hub).state is AttemptState.ACTIVATED
    assert central.version(hub.chf) == "9002"
    assert [central.told(event) for event in ("hub_missed", "hub_activated", "hub_failed")] == [
        [(hub.chf, A.name)],
        [(hub.chf, A.name)],
        [],
    ]


def test_an_activation_that_comes_late_cancels_the_next_attempt_that_has_become_needless(central: Nights) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    central.report(list_id, central.saw(hub, FAILED))
    central.schedule([hub])

    central.report(list_id, central.saw(hub, ACTIVATED))

    assert [(one.number, one.state.value, one.reason) for one in central.attempts(hub)] == [
        (1, "Activated", None),
        (2, "Cancelled", DONE_BEFORE),
    ]
    assert central.told("hub_cancelled") == [(hub.chf, A.name)]
    assert central.cut(1) == 0


def test_an_activation_that_comes_late_leaves_a_next_attempt_that_is_with_the_csp(central: Nights) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    central.report(list_id, central.saw(hub, FAILED))
    central.schedule([hub])
    assert central.cut(1) == 1

    central.report(list_id, central.saw(hub, ACTIVATED))

    assert [one.state.value for one in central.attempts(hub)] == ["Activated", "Listed"]


# --- lists nobody answers --------------------------------------------------------------------------------------------


def chased_message(nights: Nights, list_id: str) -> tuple[str, bytes]:
    """State and bytes of the message that carries a list."""
    with nights.world.instance.reading_engine.connect() as connection:
        row = connection.execute(
            select(outbox.c.state, outbox.c.body)
            .join(upgrade_lists, upgrade_lists.c.message_id == outbox.c.message_id)
            .where(upgrade_lists.c.list_id == list_id)
        ).one()
    return row.state, row.body


def test_a_hub_that_was_refused_and_is_with_nobody_any_more_is_activated_if_it_runs_the_firmware_all_the_same(
    central: Nights,
) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    central.acknowledge(list_id, refused={"no link": [hub]})
    gone = [
        {"mpxn": mpxn, "role": role, "organisation": B.name, "effective_from": central.world.clock.now()}
        for mpxn, role in ((hub.mpan, "IS"), (hub.mprn, "GS"))
    ]
    central.world.run(lambda uow: inventory.put_registrations(uow.connection, gone))
    while central.world.run(supplier_changes_of(central.world.instance)):
        pass
    assert central.states([hub]) == ["Voided"]

    central.report(list_id, central.saw(hub, ACTIVATED))

    assert (central.states([hub]), central.version(hub.chf)) == (["Activated"], FIRMWARE.version)


def test_a_list_that_is_not_acknowledged_in_time_is_sent_again_as_it_was(central: Nights) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    central.deliver_all()
    sent = chased_message(central, list_id)
    late = central.due() + central.region.acknowledgement_sla

    assert [central.chase(late - TICK), central.chase(late)] == [0, 1]

    assert chased_message(central, list_id) == ("Pending", sent[1])
    assert central.list_ids() == [list_id]
    assert central.said("chase") == ["Central: 1 list(s) not acknowledged within the SLA, sent again"]


def test_a_list_is_chased_once_for_each_sla_that_passes(central: Nights) -> None:
    (hub,) = hubs(1)
    list_of(central, [hub])
    central.deliver_all()
    sla = central.region.acknowledgement_sla

    assert central.chase(central.due() + sla) == 1
    central.deliver_all()
    assert central.chase(central.due() + 2 * sla - TICK) == 0
    assert central.chase(central.due() + 2 * sla) == 1


def test_a_list_that_has_not_reached_the_csp_is_not_chased(central: Nights) -> None:
    (hub,) = hubs(1)
    list_of(central, [hub])

    assert central.chase(central.due() + timedelta(days=3)) == 0


def test_an_acknowledged_list_is_not_chased(central: Nights) -> None:
    two = hubs(2)
    list_id = list_of(central, two)
    central.deliver_all()
    central.acknowledge(list_id, accepted=two[:1], refused={"no link": two[1:]})

    assert central.chase(central.due() + timedelta(days=3)) == 0


def test_a_list_of_which_only_some_hubs_were_acknowledged_is_still_chased(central: Nights) -> None:
    two = hubs(2)
    list_id = list_of(central, two)
    central.deliver_all()
    central.acknowledge(list_id, accepted=two[:1])
    sla = central.region.acknowledgement_sla
    assert central.chase(central.due() + sla) == 1

    central.acknowledge(list_id, accepted=two[1:])
    central.deliver_all()

    assert central.chase(central.due() + 2 * sla) == 0


def test_a_list_whose_hubs_all_have_an_outcome_is_not_chased(central: Nights) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    central.deliver_all()
    central.report(list_id, central.saw(hub, ACTIVATED))

    assert central.chase(central.due() + timedelta(days=3)) == 0


def test_lists_of_another_region_are_not_chased(central: Nights, world: World) -> None:
    (hub,) = hubs(1)
    list_of(central, [hub])
    central.deliver_all()
    south = Nights(world, world.instance.configuration.regions["South"])

    assert south.chase(central.due() + timedelta(days=3)) == 0


def test_a_window_may_end_in_the_middle_of_nothing_scheduled(central: Nights) -> None:
    window = Period(WINDOW.start, WINDOW.start + timedelta(days=3))
    early, late = hubs(2)
    central.world.add_hubs([early, late])
    central.schedule([early], window=window)
    central.schedule([late])

    assert central.time_out(window.end) == 1
    assert central.states([early, late]) == ["Missed", "Scheduled"]


def test_a_late_report_of_an_older_firmware_does_not_take_back_a_newer_one(central: Nights) -> None:
    """The older one was activated, said late; the hub has had the newer one since."""
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    older = central.saw(hub, ACTIVATED)
    central.time_out(WINDOW.end + central.region.completion_sla)
    newer = Firmware("2B7E", "C1A20001", "9003")
    release_id = central.world.open_release(newer)
    after = Attempt(1, AttemptState.ACTIVATED, WINDOW, False, A.name, central.world.clock.now())
    change = AttemptChange(hub.chf, "Central", AttemptEvent.AGREED, None, after)
    central.world.run(lambda uow: upgrade_writing.write_attempts(uow.connection, [change], release_id))
    central.world.run(lambda uow: inventory.set_firmware(uow.connection, [hub.chf], newer.version))

    assert central.report(list_id, older) == "1 hubs brought forward"

    assert [one.state for one in central.attempts(hub)] == [AttemptState.ACTIVATED, AttemptState.ACTIVATED]
    assert (central.version(hub.chf), central.version(hub.gpf)) == (newer.version, newer.version)


def test_what_is_reported_of_the_future_has_happened_now(central: Nights) -> None:
    (hub,) = hubs(1)
    list_id = list_of(central, [hub])
    now = central.world.clock.now()

    central.report(list_id, ReportEntry(hub.chf, ACTIVATED, now + 1000 * HOUR, None))

    assert (central.attempt(hub).state, central.attempt(hub).state_at) == (AttemptState.ACTIVATED, now)
