"""The chain of the audit trail: one link per committed transaction, whatever fails or is killed in between."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event, select

from sr_engine.clock import FixedClock
from sr_engine.operations.audit_verification import Verification, verify
from sr_engine.store import audit, audit_chain
from sr_engine.store.audit import Entry
from sr_engine.store.tables import audit as records
from sr_engine.store.tables import audit_chains, audit_links
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import UnitOfWork
from tests.databases import only_sqlite, statements_of
from tests.world import NOW

WAIT_SECONDS = 90
Work = Callable[[UnitOfWork], str]


def transactions(engine: Engine) -> Transactions:
    return Transactions(engine, FixedClock(NOW))


def note(*details: str, hubs: tuple[str, ...] = ()) -> Work:
    """Append a record per detail."""

    def work(uow: UnitOfWork) -> str:
        audit.record(uow.connection, [Entry(uow.now, "operator", "test", detail, hubs=hubs) for detail in details])
        return details[0]

    return work


def note_and_fail(detail: str) -> Work:
    def work(uow: UnitOfWork) -> str:
        note(detail)(uow)
        raise LookupError(detail)

    return work


def look(uow: UnitOfWork) -> str:
    return str(uow.connection.scalar(select(records.c.detail)))


def link_numbers(engine: Engine) -> list[int]:
    return [number for number, _ in links(engine)]


def links(engine: Engine) -> list[tuple[int, int]]:
    """Number and last record of each link."""
    with engine.connect() as connection:
        found = connection.execute(select(audit_links.c.number, audit_links.c.last_audit_id))
        return [(row.number, row.last_audit_id) for row in found]


def checked(engine: Engine) -> Verification:
    with engine.connect() as connection:
        return verify(connection, [])


def test_each_transaction_ends_with_one_link_over_its_records(engine: Engine) -> None:
    shared = transactions(engine)

    shared.run_now(note("a"))
    shared.run_now(note("b", "c", "d"))
    asyncio.run(shared.run(note("e")))
    asyncio.run(shared.run(note("f"), heavy=True))

    assert links(engine) == [(1, 1), (2, 4), (3, 5), (4, 6)]
    assert checked(engine).intact


def test_the_chain_is_registered_with_its_first_link(engine: Engine) -> None:
    shared = transactions(engine)
    shared.run_now(look)
    with engine.connect() as connection:
        assert connection.execute(select(audit_chains)).all() == []

    shared.run_now(note("a"))

    with engine.connect() as connection:
        assert connection.execute(select(audit_chains)).all() == [(1, "processor", NOW)]


def test_units_of_work_that_share_a_commit_share_a_link_and_one_that_fails_leaves_no_gap(engine: Engine) -> None:
    async def story() -> list[str | BaseException]:
        shared = transactions(engine)
        works = [note("a"), note_and_fail("taken back"), note("b", "c"), look, note_and_fail("as well")]
        return await asyncio.gather(*(shared.run(work) for work in works), return_exceptions=True)

    answers = asyncio.run(story())

    assert [isinstance(answer, LookupError) for answer in answers] == [False, True, False, False, True]
    assert link_numbers(engine) == [1]
    found = checked(engine)
    assert found.intact
    assert found.chains[0].records == 3


@pytest.mark.parametrize("failing", [1, 2])
def test_where_all_fail_there_is_no_link_and_the_next_one_follows_the_last(engine: Engine, failing: int) -> None:
    async def story() -> None:
        shared = transactions(engine)
        await shared.run(note("a"))
        works = [note_and_fail("taken back")] * failing
        await asyncio.gather(*(shared.run(work) for work in works), return_exceptions=True)
        await shared.run(look)
        await shared.run(note("b"))

    asyncio.run(story())

    assert link_numbers(engine) == [1, 2]
    assert checked(engine).intact


def test_many_at_once_some_of_which_fail_leave_a_chain_that_verifies(engine: Engine) -> None:
    async def story() -> None:
        shared = transactions(engine)
        works = [(note_and_fail if n % 3 == 0 else note)(f"n{n}") for n in range(60)]
        await asyncio.gather(
            *(shared.run(work, heavy=n % 10 == 1) for n, work in enumerate(works)), return_exceptions=True
        )

    asyncio.run(story())

    found = checked(engine)
    assert found.intact
    assert found.chains[0].records == 40


@only_sqlite
def test_linking_costs_two_statements_and_nothing_where_nothing_was_recorded(engine: Engine) -> None:
    shared = transactions(engine)
    shared.run_now(note("a"))

    with statements_of(engine) as nothing:
        shared.run_now(look)
    with statements_of(engine) as something:
        shared.run_now(note("b", "c"))

    (read,) = nothing
    assert read.startswith("SELECT audit.detail")
    assert [statement.split()[0] for statement in something] == [*["INSERT"] * 2, "SELECT", "INSERT"]


def test_a_transaction_that_was_taken_back_after_its_link_is_in_no_chain(engine: Engine) -> None:
    shared = transactions(engine)
    shared.run_now(note("a"))

    def refuse(_connection: object) -> None:
        raise OSError("the disk is gone")

    event.listen(engine, "commit", refuse)
    with pytest.raises(OSError, match="the disk is gone"):
        shared.run_now(note("b"))
    event.remove(engine, "commit", refuse)
    shared.run_now(note("c"))

    assert link_numbers(engine) == [1, 2]
    assert checked(engine).intact


def test_records_made_outside_a_unit_of_work_are_linked_with_the_next(engine: Engine) -> None:
    shared = transactions(engine)
    with engine.begin() as connection:
        audit.record(connection, [Entry(NOW, "operator", "test", "alone")])
    assert not checked(engine).intact

    shared.run_now(note("a"))

    assert links(engine) == [(1, 2)]
    assert checked(engine).intact


def test_the_hash_is_the_one_the_documentation_describes(engine: Engine) -> None:
    """Computed here anew, from the description alone."""
    at = NOW + timedelta(microseconds=5)
    entry = Entry(at, "user:x", "attempt listed", "größer", "k", "r", "Scheduled", "Listed", ("h2", "h1"), 2)
    shared = transactions(engine)
    shared.run_now(lambda uow: audit.record(uow.connection, [entry]))
    shared.run_now(note("second"))

    def written(*values: object) -> bytes:
        parts = []
        for value in values:
            kind = {type(None): "n", int: "i", str: "s", bytes: "b"}[type(value)]
            data = value if isinstance(value, bytes) else b"" if value is None else str(value).encode()
            parts.append(f"{kind}{len(data)}:".encode() + data)
        return b"".join(parts)

    start = b"sr-engine audit link 1"
    first = (1, 1, "2026-11-23 09:00:00.000005", "user:x", "attempt listed", "k", "r", "Scheduled", "Listed", 2, 2)
    one = hashlib.sha256(start + written(1, 1, bytes(32)) + written(*first, "h1,h2", "größer")).digest()
    second = (2, 1, "2026-11-23 09:00:00.000000", "operator", "test", *[None] * 5, 0, None, "second")
    two = hashlib.sha256(start + written(1, 2, one) + written(*second)).digest()

    with engine.connect() as connection:
        assert list(connection.scalars(select(audit_links.c.hash).order_by(audit_links.c.number))) == [one, two]
    assert checked(engine).chains[0].head == two


@pytest.mark.parametrize("foreign", [1.0, b"1", ["1"]])
def test_what_no_record_can_hold_has_no_hash(foreign: object) -> None:
    """A number that was tampered with in an archive is not taken for the one that was hashed."""
    with pytest.raises(TypeError):
        audit_chain.hash_of(1, 1, bytes(32), [(1, foreign)])


CHILD = """
import sys
from datetime import datetime
from sqlalchemy import event
from sr_engine.clock import FixedClock
from sr_engine.store import audit
from sr_engine.store.database import open_engine
from sr_engine.store.transactions import Transactions

url, now, last = sys.argv[1], datetime.fromisoformat(sys.argv[2]), int(sys.argv[3])
engine = open_engine(url)
made = 0

@event.listens_for(engine, "commit")
def stop_before_the_last(connection):
    if made == last:
        print("linked and not committed", flush=True)
        sys.stdin.read()

transactions = Transactions(engine, FixedClock(now))
while True:
    made += 1
    entries = [audit.Entry(now, "operator", "test", f"{made}-{n}") for n in range(3)]
    transactions.run_now(lambda uow: audit.record(uow.connection, entries))
"""


def test_a_process_killed_between_link_and_commit_leaves_a_chain_that_verifies_and_goes_on(engine: Engine) -> None:
    arguments = [sys.executable, "-c", CHILD, engine.url.render_as_string(hide_password=False), NOW.isoformat(), "6"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "linked and not committed\n"
        child.send_signal(signal.SIGKILL)
        assert child.wait(WAIT_SECONDS) == -signal.SIGKILL

    assert link_numbers(engine) == [1, 2, 3, 4, 5]
    assert checked(engine).intact
    transactions(engine).run_now(note("after the restart"))
    assert link_numbers(engine)[-1] == 6
    assert checked(engine).intact
