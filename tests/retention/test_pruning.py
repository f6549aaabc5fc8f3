"""What is old goes into the archive and out of the database; what is not over stays."""

from __future__ import annotations

import gzip
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    Decision,
    ExclusionAction,
    ReadCommsHubFirmwareSchedule,
    ReportStatus,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.operations.archive_verification import verify as verify_archive
from sr_engine.operations.audit import prune as prune_without_archive
from sr_engine.operations.audit_verification import ChainBroken
from sr_engine.operations.audit_verification import verify as verify_audit
from sr_engine.operations.pruning import Pruning
from sr_engine.operations.releases import open_release
from sr_engine.store import firmware, held, outbox
from sr_engine.store.outbox import DELIVERED, NOTICE, PARKED, PENDING, Outgoing
from sr_engine.store.portions import Kind
from sr_engine.store.tables import (
    alerted_hubs,
    arrivals,
    attempts,
    audit,
    decisions,
    exchanges,
    firmware_deliveries,
    firmware_images,
    held_requests,
    listed_hubs,
    schedule_hubs,
    upgrade_lists,
)
from sr_engine.store.tables import outbox as messages
from tests.databases import KINDS
from tests.firmware import ENTRY, Meters, esme, listed
from tests.retention.conftest import HUBS, Aged
from tests.world import FIRMWARE, NOW, A, B, TestHub

SOMEBODY = "user:00-00-5E-EF-10-00-00-A1"


def queue(aged: Aged, message_id: str, state: str) -> None:
    message = Outgoing(message_id, NOTICE, SOMEBODY, "test", b"<x/>")
    aged.world.run(lambda uow: outbox.put(uow.connection, [message], uow.now))
    values = {"state": state, "delivered_at": aged.world.clock.now() if state == DELIVERED else None}
    aged.world.run(
        lambda uow: uow.connection.execute(update(messages).where(messages.c.message_id == message_id).values(**values))
    )


def ids_of_messages(aged: Aged) -> set[str]:
    with aged.world.instance.reading_engine.connect() as connection:
        return set(connection.scalars(select(messages.c.message_id)))


# --- messages -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_messages_go_once_they_were_delivered_long_ago_and_not_before(aged: Aged) -> None:
    for number, state in enumerate((PENDING, PARKED, DELIVERED, DELIVERED)):
        queue(aged, str(number) * 32, state)
    before = ids_of_messages(aged)
    aged.pass_time(timedelta(days=399))
    assert not aged.prune()[Kind.MESSAGES]

    aged.pass_time(timedelta(days=2))
    assert aged.prune()[Kind.MESSAGES]
    kept = ids_of_messages(aged)
    # The newest row stays, whatever it is; so do lists, of which only what they said is gone.
    assert {"0" * 32, "1" * 32, "3" * 32} < kept
    assert "2" * 32 not in kept
    with aged.world.instance.reading_engine.connect() as connection:
        lists = set(connection.scalars(select(upgrade_lists.c.message_id)))
        bodies = connection.execute(select(messages.c.body).where(messages.c.message_id.in_(lists))).scalars()
        assert set(bodies) == {b""}
    assert kept == {"0" * 32, "1" * 32, "3" * 32} | lists
    rows = {row["message_id"]: row for row in aged.archived_from(messages)}
    assert rows.keys() == (before - kept) | lists
    assert rows["2" * 32]["body"] == b"<x/>"
    assert not aged.world.run(lambda uow: outbox.send_again(uow.connection, next(iter(lists)), uow.now))


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_a_list_keeps_what_it_says_while_a_hub_on_it_is_under_way(aged: Aged) -> None:
    reopen_one(aged)
    aged.pass_time()
    aged.prune()
    with aged.world.instance.reading_engine.connect() as connection:
        statement = select(messages.c.body).where(messages.c.message_id.in_(select(upgrade_lists.c.message_id)))
        assert all(connection.scalars(statement))


def reopen_one(aged: Aged) -> None:
    """As if the CSP had not reported on one hub."""
    change = update(attempts).where(attempts.c.hub_id == HUBS[0].chf).values(state="Accepted", is_open=True)
    aged.world.run(lambda uow: uow.connection.execute(change))


# --- requests -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_a_request_gets_the_same_answer_as_long_as_it_is_kept_and_then_e100_that_says_so(aged: Aged) -> None:
    world = aged.world
    body = ReadCommsHubFirmwareSchedule(device_id=HUBS[0].chf)
    request = world.signed(A, body, "11.7")
    other = world.signed(
        A,
        replace(body, device_id=HUBS[1].chf),
        "11.7",
        request_id=f"{A.eui}:90-B3-D5-1F-30-00-00-02:{world.counters[A.eui]}",
    )
    first = world.post(request)
    aged.pass_time(timedelta(days=399))
    aged.prune()
    assert world.post(request).body == first.body

    aged.pass_time(timedelta(days=2))
    assert aged.prune()[Kind.REQUESTS]
    late = world.post(request)
    assert world.decoded(late).code == "E100"
    assert "so long ago that the answer is not kept any more" in late.detail
    assert world.decoded(world.post(other)).code == "E100"
    assert "with other content" in world.post(other).detail
    rows = aged.archived_from(exchanges)
    assert request in [row["received"] for row in rows]
    assert first.body in [row["answer"] for row in rows]


def test_every_request_is_looked_at_once_and_one_that_is_held_stays(aged: Aged) -> None:
    aged.pass_time()
    total = aged.number_of(exchanges)
    aged.prune()
    assert len(aged.archived_from(exchanges)) == total
    assert not any(aged.prune().values())
    assert len(aged.archived_from(exchanges)) == total


def test_a_request_that_waits_stays_and_one_that_was_carried_out_long_ago_says_so(aged: Aged) -> None:
    world = aged.world
    now = world.clock.now()
    for hub, days in ((HUBS[0], 2), (HUBS[1], 29)):
        at = now + timedelta(days=days)
        body = UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, (hub.chf,), execution_date_time=at)
        assert world.send(A, body, "11.9").code == "I99"
    request_id = f"{A.eui}:90-B3-D5-1F-30-00-00-02:{world.counters[A.eui] - 1}"
    assert world.resume(now + timedelta(days=3)) == 1
    # As if neither the processor had run since nor the retention were longer than what waits.
    pruning = replace(aged.pruning, terms=replace(aged.pruning.terms, requests=timedelta(days=10)))
    aged.pass_time(timedelta(days=15))
    before = aged.number_of(exchanges)
    aged.prune(pruning)

    assert len(aged.archived_from(exchanges)) == before - 1
    assert [row["response"] for row in aged.archived_from(held_requests)] != [b""]
    with world.instance.reading_engine.connect() as connection:
        ended = held.ended(connection, request_id, A.eui)
        assert ended is not None
        assert ended.response == b""
    assert world.resume(now + timedelta(days=30)) == 1
    aged.pass_time(timedelta(days=15))
    aged.prune(pruning)
    assert len(aged.archived_from(exchanges)) == before


# --- upgrades -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_what_was_done_at_hubs_goes_once_the_release_is_over(aged: Aged) -> None:
    tables = (attempts, decisions, schedule_hubs, arrivals)
    before = {table.name: aged.number_of(table) for table in tables}
    newest(aged)
    aged.pass_time()
    assert aged.prune()[Kind.UPGRADES]
    assert [aged.number_of(table) for table in tables] == [1, 0, 0, 0]
    for table in tables:
        assert len(aged.archived_from(table)) == before[table.name]
    # What the CSP reports all the same changes nothing, and what a Supplier asks is answered.
    answer = aged.world.send(A, ReadCommsHubFirmwareSchedule(device_id=HUBS[0].chf), "11.7")
    assert answer.code in {"I0", "E110707"}


def newest(aged: Aged) -> None:
    """A hub at another release has the newest attempt: that stays, whatever it is."""
    row = {
        "hub_id": "00-00-5E-EF-FF-00-00-01",
        "number": 1,
        "state": "Missed",
        "is_open": False,
        "region": "Central",
        "organisation": A.name,
        "window_start": NOW,
        "window_end": NOW,
        "pilot": False,
        "compulsory": False,
        "state_at": NOW,
    }
    with aged.world.instance.reading_engine.connect() as connection:
        release_id = connection.scalar(select(attempts.c.release_id).limit(1))
    aged.world.run(lambda uow: uow.connection.execute(attempts.insert().values(release_id=release_id, **row)))


def test_nothing_of_a_release_goes_while_one_of_its_hubs_is_under_way_or_it_is_open(aged: Aged) -> None:
    reopen_one(aged)
    aged.pass_time()
    assert not aged.prune()[Kind.UPGRADES]
    assert aged.number_of(attempts) == len(HUBS)


# --- what was told, and who was on lists --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_what_suppliers_were_told_goes_with_the_alert_that_told_it(aged: Aged) -> None:
    before = aged.told()
    assert {one.table for one in before} == {alerted_hubs.name, messages.name}
    queue(aged, "f" * 32, PENDING)  # the newest message stays, whatever it is
    deliver_all_but(aged, "f" * 32)
    aged.pass_time(timedelta(days=399))
    assert aged.told() == before

    aged.pass_time(timedelta(days=2))
    aged.prune()
    assert not aged.told()
    archived = aged.archived_from(alerted_hubs) + aged.archived_from(messages)
    assert Counter(row["message_id"] for row in archived if row["occurrence"]) == Counter(
        one.message_id for one in before
    )
    assert {one.message_id for one in before} <= {row["message_id"] for row in aged.archived_from(messages)}


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_what_could_happen_again_is_remembered_while_its_release_goes_on(aged: Aged) -> None:
    reopen_one(aged)
    queue(aged, "f" * 32, PENDING)
    deliver_all_but(aged, "f" * 32)
    before = aged.told()
    with aged.world.instance.reading_engine.connect() as connection:
        release_id = connection.execute(select(attempts.c.release_id).limit(1)).scalar_one()
    aged.pass_time()
    aged.prune()
    # What names a list, and not the release, was there once: no list is cut twice.
    left = {one for one in before if one.occurrence.startswith(release_id)}
    assert aged.told() == left
    assert {one.table for one in left} == {alerted_hubs.name, messages.name}
    assert left < before
    assert {one.message_id for one in left} <= ids_of_messages(aged)


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_who_was_on_a_list_goes_once_the_last_upgrade_on_it_has_gone(aged: Aged) -> None:
    (list_id,) = aged.nights.list_ids()
    aged.pass_time()
    # One hub of it has the newest attempt, which stays.
    assert not aged.prune()[Kind.LISTS]
    assert aged.number_of(listed_hubs) == 1

    newest(aged)
    would = aged.pruning.count(aged.world.clock.now())
    assert aged.prune()[Kind.LISTS]
    # The hub that stood on it has gone in the same run.
    assert (would[Kind.LISTS], aged.number_of(listed_hubs)) == (0, 0)
    (row,) = aged.archived_from(listed_hubs)
    assert all(hub.chf in str(row["hub_ids"]) for hub in HUBS)
    assert aged.number_of(upgrade_lists) == 1
    aged.nights.report(list_id, *(aged.nights.saw(hub, ReportStatus.ACTIVATED) for hub in HUBS))
    assert not aged.prune()[Kind.LISTS]


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_what_became_of_the_devices_of_a_firmware_list_goes_once_all_of_it_is_over(aged: Aged) -> None:
    first, second = TestHub(7), TestHub(8)
    aged.world.add_hubs([first, second])
    listed(aged.world, ENTRY)
    meters = Meters(aged.world)
    assert meters.update([esme(first), esme(second)]).code == "I99"
    (one,) = meters.lists()
    aged.pass_time()
    meters.report(one.list_id, [esme(first)])
    assert not aged.prune()[Kind.DELIVERIES]

    meters.report(one.list_id, [esme(second)])
    aged.pass_time(timedelta(days=799))
    assert not aged.prune()[Kind.DELIVERIES]
    now = aged.pass_time(timedelta(days=2))
    assert aged.pruning.count(now)[Kind.DELIVERIES] == 2
    assert aged.prune()[Kind.DELIVERIES]
    assert {row["device_id"] for row in aged.archived_from(firmware_deliveries)} == {esme(first), esme(second)}
    assert not aged.number_of(firmware_deliveries)
    # What a CSP reports all the same is answered, and changes nothing.
    assert meters.report(one.list_id, [esme(first)]).status < 500
    assert not aged.number_of(firmware_deliveries)


def deliver_all_but(aged: Aged, message_id: str) -> None:
    """The receivers have taken everything else that was queued."""
    now = aged.world.clock.now()
    taken = update(messages).where(messages.c.message_id != message_id).values(state=DELIVERED, delivered_at=now)
    aged.world.run(lambda uow: uow.connection.execute(taken))


# --- images -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_an_image_that_nobody_asked_for_in_a_long_time_goes_and_may_come_again(aged: Aged) -> None:
    put = lambda uow: firmware.put_image(uow.connection, "AB" * 32, b"image")  # noqa: E731 - twice the same
    aged.world.run(put)
    assert aged.prune()[Kind.IMAGES]
    assert [row["image"] for row in aged.archived_from(firmware_images)] == [b"image"]
    aged.world.run(put)
    with aged.world.instance.reading_engine.connect() as connection:
        assert connection.scalar(select(firmware_images.c.image)) == b"image"


# --- the audit trail ----------------------------------------------------------------------------------------------


def of_audit(aged: Aged) -> Pruning:
    """The audit trail is kept for as long as all else."""
    terms = replace(aged.pruning.terms, audit=timedelta(days=400))
    return replace(aged.pruning, terms=terms)


@pytest.mark.parametrize("kind", KINDS, indirect=True)
def test_the_trail_verifies_after_it_was_pruned_and_the_archive_leads_up_to_it(aged: Aged) -> None:
    pruning = of_audit(aged)
    with aged.world.instance.reading_engine.connect() as connection:
        (chain,) = verify_audit(connection, pruning.certificates).chains
    aged.pass_time()
    aged.prune(pruning)
    aged.world.open_release(replace(FIRMWARE, version="9009"))
    with aged.world.instance.reading_engine.connect() as connection:
        after = verify_audit(connection, pruning.certificates)
        archived = verify_archive(connection, pruning.folder)
    assert after.intact
    assert after.chains[0].checkpoint is not None
    assert after.chains[0].checkpoint.link.number == archived.links == chain.links - 1
    assert (archived.wrong, archived.gaps) == ([], [])
    # A second cut goes on from the first.
    aged.pass_time()
    aged.prune(pruning)
    with aged.world.instance.reading_engine.connect() as connection:
        again = verify_archive(connection, pruning.folder)
    assert again.links > archived.links
    assert (again.wrong, again.gaps) == ([], [])


def test_a_record_that_was_changed_in_the_archive_is_found(aged: Aged) -> None:
    pruning = of_audit(aged)
    aged.pass_time()
    aged.prune(pruning)
    (path,) = pruning.folder.rglob("audit-*.gz")
    data = gzip.decompress(path.read_bytes())
    assert b'"operator"' in data
    path.write_bytes(gzip.compress(data.replace(b'"operator"', b'"somebody"')))
    with aged.world.instance.reading_engine.connect() as connection:
        (wrong,) = verify_archive(connection, pruning.folder).wrong
        assert "damaged: it is not what was written" in wrong
        path.unlink()
        (wrong,) = verify_archive(connection, pruning.folder).wrong
        assert "missing from the archive" in wrong


def test_what_was_pruned_without_an_archive_is_named(aged: Aged) -> None:
    pruning = of_audit(aged)
    aged.pass_time()
    done = aged.world.run(
        lambda uow: prune_without_archive(uow, NOW + timedelta(minutes=1), pruning.key, pruning.certificates)
    )
    aged.pass_time()
    aged.prune(pruning)
    with aged.world.instance.reading_engine.connect() as connection:
        report = verify_archive(connection, pruning.folder)
    assert report.wrong == []
    assert report.gaps == [f"chain 1: links 1 to {done.links} are in no archive"]


def test_a_trail_that_is_not_what_was_written_stays_and_all_else_goes(aged: Aged) -> None:
    pruning = of_audit(aged)
    aged.pass_time()
    aged.world.run(
        lambda uow: uow.connection.execute(update(audit).where(audit.c.audit_id == 1).values(detail="nothing"))
    )
    before = aged.rows(audit)
    with pytest.raises(ChainBroken):
        aged.prune(pruning)
    assert before <= aged.rows(audit)
    assert aged.archived_from(messages)


def test_an_open_release_keeps_all_of_it(aged: Aged) -> None:
    newest(aged)
    instance = aged.world.instance
    other = replace(FIRMWARE, version="9010")
    aged.world.run(
        lambda uow: open_release(
            uow,
            configuration=instance.configuration,
            alerts=instance.alerts,
            draw_id=instance.draw_id,
            firmware=other,
            image_hash="CD" * 32,
            regions=("Central",),
            reachable_from=(FIRMWARE.version,),
        )
    )
    body = ApproveCommsHubFirmware(other, Decision.DECLINE, (HUBS[0].chf,))
    assert aged.world.send(B, body, "11.6").code == "I99"
    aged.pass_time()
    aged.prune()
    assert aged.number_of(decisions) == 1
