"""What was pruned is evidence as what was not; what was pruned before its time is found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from sr_engine.store.tables import audit, outbox
from tests.crash.archived import Archived, broken_chains, read_archive
from tests.databases import KIND
from tests.retention.conftest import YEARS, Aged, make_aged


@pytest.fixture
def aged(tmp_path: Path) -> Iterator[Aged]:
    found = make_aged(tmp_path / "instance", KIND)
    yield found
    found.world.close()


def read(aged: Aged) -> Archived:
    with aged.world.instance.reading_engine.connect() as connection:
        assert broken_chains(aged.world.instance, connection) == []
        return read_archive(aged.world.instance, connection)


def test_rows_and_records_are_in_the_archive_or_in_the_database(aged: Aged) -> None:
    messages, records = aged.number_of(outbox), aged.number_of(audit)
    aged.pass_time(3 * YEARS)
    aged.prune()

    archived = read(aged)

    assert archived.wrong == []
    # Of a list the row stays, and so does the newest.
    pruned = {row["outbox_id"] for row in archived.rows["outbox"]}
    assert messages - 2 <= len(pruned) <= messages
    # That it was pruned is one more.
    assert len(archived.records) + aged.number_of(audit) == records + 1
    assert [row["audit_id"] for row in archived.records] == sorted(row["audit_id"] for row in archived.records)


def test_what_is_pruned_before_its_time_is_found(aged: Aged) -> None:
    hasty = replace(aged.pruning, terms=replace(aged.pruning.terms, messages=timedelta(days=1)))
    aged.pass_time(timedelta(days=9))
    aged.prune(hasty)

    wrong = read(aged).wrong

    assert wrong != []
    assert all("a row of outbox was pruned" in one and "too early" in one for one in wrong)


def test_a_file_that_was_damaged_is_found(aged: Aged) -> None:
    aged.pass_time()
    aged.prune()
    first, *_ = sorted(aged.pruning.folder.rglob("*.jsonl.gz"))
    first.chmod(0o600)
    beside = first.with_name("another")
    beside.write_bytes(first.read_bytes() + first.read_bytes())
    beside.replace(first)

    assert any("damaged" in one for one in read(aged).wrong)
