"""All that is over goes, whatever stays beside it, at a cost that grows with it and no faster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import event, select, text, update

from sr_engine import archive
from sr_engine.messages.model import ExclusionAction, ReportStatus, UpdateCommsHubFirmwareExclusion
from sr_engine.operations.pruning import LINKS_AT_ONCE
from sr_engine.store import archives, audit, audit_chain
from sr_engine.store.outbox import DELIVERED
from sr_engine.store.portions import ROWS_AT_ONCE, Kind
from sr_engine.store.tables import archives as files
from sr_engine.store.tables import attempts, decisions, exchanges, outbox, releases
from tests.databases import only_sqlite, refuse_rows, take_rows_again
from tests.retention.conftest import HUBS, YEARS, Aged
from tests.world import FIRMWARE, A, bound, on_connection

STRANGER = "00-00-5E-EF-FF-00-00-{:02X}"


# --- requests -----------------------------------------------------------------------------------------------------


def test_a_request_that_waits_keeps_nothing_but_itself(aged: Aged) -> None:
    world = aged.world
    at = world.clock.now() + timedelta(days=29)
    body = UpdateCommsHubFirmwareExclusion(ExclusionAction.EXCLUDE, (HUBS[0].chf,), execution_date_time=at)
    assert world.send(A, body, "11.9").code == "I99"
    many = ROWS_AT_ONCE * 2 + 1
    row = {
        "interface": "CSP",
        "command_variant": 0,
        "digest": bytes(32),
        "sender_eui": A.eui,
        "service_reference_variant": "UpgradeReport",
        "received_at": world.clock.now(),
        "code": "204",
        "detail": "",
        "received": b"<x/>",
        "answer": b"",
    }
    world.run(
        lambda uow: uow.connection.execute(
            exchanges.insert(), [{**row, "message_key": f"of a test {number}"} for number in range(many)]
        )
    )
    before = aged.number_of(exchanges)
    aged.pass_time()
    aged.prune()
    assert len(aged.archived_from(exchanges)) == before - 1
    assert not aged.prune()[Kind.REQUESTS]
    world.resume()
    aged.pass_time()
    aged.prune()
    assert {row["exchange_id"] for row in aged.archived_from(exchanges)} >= set(range(1, before + 1))


# --- upgrades -----------------------------------------------------------------------------------------------------


def answer_at(aged: Aged, number: int) -> str:
    """An answer at a hub that was never upgraded, given now."""
    hub_id = STRANGER.format(number)
    with aged.world.instance.reading_engine.connect() as connection:
        row = dict(connection.execute(select(decisions).limit(1)).mappings().one())
    row |= {"hub_id": hub_id, "approval": "Declined", "decided_at": aged.world.clock.now(), "schedule_id": None}
    aged.world.run(lambda uow: uow.connection.execute(decisions.insert().values(row)))
    return hub_id


def test_what_was_answered_at_a_hub_that_was_never_upgraded_goes_too(aged: Aged) -> None:
    hub_id = answer_at(aged, 1)
    would = aged.pruning.count(aged.pass_time())
    went = aged.prune()
    assert hub_id in {row["hub_id"] for row in aged.archived_from(decisions)}
    # The hub with the newest attempt stays.
    assert would[Kind.UPGRADES] == len(HUBS)
    assert went[Kind.UPGRADES]
    assert hub_id not in {row for row in aged.rows(decisions) if hub_id in row}


def test_a_hub_at_which_something_was_answered_lately_keeps_all_of_it(aged: Aged) -> None:
    now = aged.pass_time()
    late = update(decisions).where(decisions.c.hub_id == HUBS[0].chf).values(decided_at=now - timedelta(days=10))
    aged.world.run(lambda uow: uow.connection.execute(late))
    aged.prune()
    kept = [row for row in aged.rows(decisions) if HUBS[0].chf in row]
    assert len(kept) == 2
    assert [row for row in aged.rows(attempts) if HUBS[0].chf in row]


def test_a_csp_that_reports_on_what_was_pruned_long_ago_is_answered(aged: Aged) -> None:
    (list_id,) = aged.nights.list_ids()
    aged.pass_time()
    assert aged.prune()[Kind.UPGRADES]
    before = aged.rows(attempts)
    aged.nights.report(list_id, *(aged.nights.saw(hub, ReportStatus.ACTIVATED) for hub in HUBS))
    assert aged.rows(attempts) == before


# --- the audit trail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
def test_no_transaction_removes_more_records_than_it_may(aged: Aged) -> None:
    terms = replace(aged.pruning.terms, audit=timedelta(days=400))
    pruning = replace(aged.pruning, terms=terms)
    now = aged.world.clock.now()
    entries = [audit.Entry(now, "operator", "of a test", str(number)) for number in range(ROWS_AT_ONCE * 3 // 4)]
    for _ in range(3):
        aged.world.run(lambda uow: audit.record(uow.connection, entries))
    aged.pass_time()
    aged.prune(pruning)
    with aged.world.instance.reading_engine.connect() as connection:
        sizes = connection.scalars(select(files.c.line_count).where(files.c.kind == Kind.AUDIT.value)).all()
    assert len(sizes) > 1
    assert max(sizes) <= ROWS_AT_ONCE + LINKS_AT_ONCE + 1


@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_a_long_trail_is_not_fetched_at_once(aged: Aged) -> None:
    with aged.world.instance.reading_engine.connect() as connection:
        for reading in (audit_chain.records(connection, 1, 0), audit_chain.links(connection, 1, 0)):
            next(reading)
            assert connection.scalar(text("SELECT count(*) FROM pg_cursors")) == 1
            reading.close()


# --- disks that are full ------------------------------------------------------------------------------------------


def test_a_file_that_could_not_be_written_leaves_nothing(tmp_path: Path) -> None:
    def lines() -> object:
        yield {"a": 1}
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        archive.write(tmp_path, "day/messages.jsonl.gz", lines())  # type: ignore[arg-type]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_could_not_be_removed_leaves_no_file_however_often_it_is_tried(aged: Aged) -> None:
    aged.pass_time()
    aged.world.run(on_connection(refuse_rows, "archives", "database or disk is full"))
    for _ in range(3):
        with pytest.raises(Exception, match="disk is full"):
            aged.prune()
    assert [path for path in aged.pruning.folder.rglob("*") if path.is_file() and path.name != ".lock"] == []
    aged.world.run(on_connection(take_rows_again, "archives"))
    assert aged.prune()[Kind.MESSAGES]
    with aged.world.instance.reading_engine.connect() as connection:
        assert archives.counted(connection, Kind.MESSAGES.value)


# --- how much work it is ------------------------------------------------------------------------------------------


def many_messages(aged: Aged, number: int) -> None:
    now = aged.world.clock.now()
    row = {
        "kind": "notice",
        "destination": "user:x",
        "event": "test",
        "body": b"<x/>",
        "sha256": "0",
        "created_at": now,
        "state": DELIVERED,
        "tries": 1,
        "next_try_at": now,
        "delivered_at": now,
    }
    rows = [{**row, "message_id": f"of a test {one}"} for one in range(number)]
    aged.world.run(lambda uow: uow.connection.execute(outbox.insert(), rows))


def many_upgrades(aged: Aged, number: int) -> None:
    """At a release that is over, beside as many at one that is not."""
    with aged.world.instance.reading_engine.connect() as connection:
        row = dict(connection.execute(select(attempts).limit(1)).mappings().one())
        over = connection.scalar(select(releases.c.release_id).where(releases.c.version == FIRMWARE.version))
    del row["attempt_id"]
    other = aged.world.open_release(replace(FIRMWARE, version="9010"))
    rows = [
        {**row, "hub_id": f"{one:023}", "release_id": release_id}
        for one in range(number)
        for release_id in (over, other)
    ]
    aged.world.run(lambda uow: uow.connection.execute(attempts.insert(), rows))


@only_sqlite
@pytest.mark.parametrize(
    ("kind_of_rows", "fill", "number"), [(Kind.MESSAGES, many_messages, 12_000), (Kind.UPGRADES, many_upgrades, 4_000)]
)
def test_a_portion_costs_the_same_however_much_is_left(
    aged: Aged, kind_of_rows: Kind, fill: Callable[[Aged, int], None], number: int
) -> None:
    """In steps of SQLite's machine, all but those of the removal itself, which go by key."""
    steps = 0
    fill(aged, number)
    now = aged.world.clock.now() + YEARS

    def count(connection: object, *_: object) -> None:
        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        connection.set_progress_handler(step, 100)  # type: ignore[attr-defined]

    event.listen(aged.world.instance.reading_engine, "connect", count)
    aged.world.instance.reading_engine.dispose()
    costs, reached = [], None
    while (prepared := aged.pruning.prepare(kind_of_rows, now, reached)) is not None:
        costs.append(steps)
        steps, reached = 0, prepared.reached
        aged.world.run(bound(aged.pruning.remove, prepared))
    alike = costs[1:-2]
    assert len(alike) > 2
    assert max(alike) < 1.05 * min(alike), costs
