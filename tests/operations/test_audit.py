"""What is done with the audit trail: playing the attempts from it, and pruning it."""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

import sr_engine
from signing import Certificate, Participant, SoftwareKey, make_pki
from sr_engine.clock import FixedClock
from sr_engine.domain.states import AttemptState
from sr_engine.messages.model import Decision, Period, ReportStatus
from sr_engine.operations import audit as operations
from sr_engine.operations.audit import Pruned, prune, replay
from sr_engine.operations.audit_verification import ChainBroken, Verification, Wrong, verify
from sr_engine.store import audit
from sr_engine.store.audit import Entry
from sr_engine.store.database import create_tables, open_engine
from sr_engine.store.tables import attempts, audit_checkpoints, audit_links
from sr_engine.store.tables import audit as records
from sr_engine.store.transactions import Transactions
from tests.regions.conftest import HOUR, Nights
from tests.world import NOW, WINDOW, A, B, TestHub, World

DAY = timedelta(days=1)


# --- Replay ------------------------------------------------------------------------------------------------------


def newest_states(connection: Connection) -> dict[tuple[str, str], AttemptState]:
    """What the table of attempts says."""
    in_order = select(attempts.c.hub_id, attempts.c.release_id, attempts.c.state).order_by(attempts.c.number)
    return {(hub_id, release_id): AttemptState(state) for hub_id, release_id, state in connection.execute(in_order)}


def both(world: World) -> tuple[object, object]:
    with world.instance.reading_engine.connect() as connection:
        return replay(connection), newest_states(connection)


@pytest.fixture
def central(world: World) -> Nights:
    world.open_release()
    return Nights(world, world.instance.configuration.regions["Central"])


def test_the_records_alone_say_in_which_state_every_attempt_is(central: Nights) -> None:
    world = central.world
    hubs = [TestHub(number, gas=B.name if number > 8 else A.name) for number in range(1, 12)]
    world.add_hubs(hubs)
    done, refused, failed, silent, late, again, back, alone = hubs[:8]
    # Of the last one the other Supplier never says anything.
    approved, declined, _ = hubs[8:]

    central.schedule(hubs)
    central.decide([approved], B, Decision.APPROVE)
    central.decide([declined], B, Decision.APPROVE)
    central.decide([declined], B, Decision.DECLINE)
    central.decide([alone], A, Decision.DECLINE)
    assert central.cut() == 8
    replayed, stored = both(world)
    assert replayed == stored

    (first,) = central.lists()
    central.acknowledge(
        first.list_id,
        [done, failed, silent, late, again, back, approved],
        {"no signal": [refused]},
    )
    central.report(first.list_id, central.saw(done, ReportStatus.DELIVERED))
    central.report(
        first.list_id,
        central.saw(done, ReportStatus.ACTIVATED),
        central.saw(failed, ReportStatus.FAILED, "no space"),
        central.saw(approved, ReportStatus.FAILED, "no space"),
    )
    assert both(world)[0] == both(world)[1]

    central.time_out(WINDOW.end + central.region.completion_sla + HOUR)
    window = Period(WINDOW.end + 10 * DAY, WINDOW.end + 20 * DAY)
    central.schedule([refused, failed, late, again, back], window=window)
    # Late news of first attempts: one is followed by one not listed yet, and one has been scheduled and taken back.
    central.decide([back], A, Decision.DECLINE)
    central.report(first.list_id, central.saw(late, ReportStatus.ACTIVATED), central.saw(back, ReportStatus.ACTIVATED))
    replayed, stored = both(world)
    assert replayed == stored

    central.time_out(window.end + central.region.completion_sla + HOUR)
    central.report(first.list_id, central.saw(again, ReportStatus.ACTIVATED))

    replayed, stored = both(world)
    assert replayed == stored
    assert isinstance(stored, dict)
    states = {hub.number: state for hub in hubs for (hub_id, _), state in stored.items() if hub_id == hub.chf}
    assert states == {
        1: AttemptState.ACTIVATED,
        2: AttemptState.MISSED,
        3: AttemptState.MISSED,
        4: AttemptState.MISSED,
        5: AttemptState.CANCELLED,
        # Its first attempt is Activated now, its second was missed.
        6: AttemptState.MISSED,
        7: AttemptState.CANCELLED,
        8: AttemptState.CANCELLED,
        9: AttemptState.FAILED,
        10: AttemptState.MISSED,
        11: AttemptState.MISSED,
    }
    with world.instance.reading_engine.connect() as connection:
        assert verify(connection, []).intact


def test_whoever_writes_attempts_records_their_transitions() -> None:
    """Or the trail would not say how they came to be what they are."""
    folder = Path(sr_engine.__file__).parent
    writers = {
        path.relative_to(folder).as_posix(): text
        for path in folder.rglob("*.py")
        if "upgrade_writing.write" in (text := path.read_text(encoding="utf-8"))
    }
    del writers["regions/deferrals.py"]  # writes answers, and no attempt

    assert {"pipeline/changing.py", "regions/lists.py", "regions/outcomes.py"} <= writers.keys()
    for name, text in writers.items():
        assert text.count("audit.transitions(") == text.count("upgrade_writing.write"), name


# --- Pruning -----------------------------------------------------------------------------------------------------


class Trail:
    """A trail to which something is added every hour."""

    def __init__(self, path: Path, key: SoftwareKey) -> None:
        self.engine = open_engine(f"sqlite:///{path}")
        create_tables(self.engine)
        self.key = key
        self.hours = 0

    def with_key(self, key: SoftwareKey) -> Trail:
        """Somebody with another key at the same database."""
        other = copy(self)
        other.key = key
        return other

    def write(self, transactions: int) -> None:
        """Two records each."""
        for _ in range(transactions):
            at = NOW + self.hours * HOUR
            entries = [Entry(at, "operator", "test", f"no. {self.hours}")] * 2
            Transactions(self.engine, FixedClock(at)).run_now(lambda uow: audit.record(uow.connection, entries))  # noqa: B023 - used at once
            self.hours += 1

    def prune(self, before: datetime, *others: Certificate) -> Pruned:
        known = [self.key.certificate, *others]
        clock = FixedClock(NOW + self.hours * HOUR)
        return Transactions(self.engine, clock).run_now(lambda uow: prune(uow, before, self.key, known))

    def verify(self, *heads: bytes, certificates: tuple[Certificate, ...] = ()) -> Verification:
        with self.engine.connect() as connection:
            return verify(connection, certificates or [self.key.certificate], heads)

    def tamper(self, statement: str, *values: object) -> None:
        with self.engine.begin() as connection:
            connection.exec_driver_sql(statement, values)

    def wrong(self) -> Wrong | None:
        (chain,) = self.verify().chains
        return None if chain.broken is None else chain.broken.wrong

    def numbers(self) -> tuple[list[int], list[int]]:
        """Of links and of records."""
        with self.engine.connect() as connection:
            links = connection.scalars(select(audit_links.c.number).order_by(audit_links.c.number)).all()
            return list(links), list(connection.scalars(select(records.c.audit_id).order_by(records.c.audit_id)))


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[SoftwareKey]:
    """Two keys of the instance, one after the other."""
    folder = tmp_path_factory.mktemp("pki")
    names = ("now", "before")
    make_pki(folder, [Participant(name, f"00-00-5E-EF-10-00-00-B{n}", "89") for n, name in enumerate(names)], now=NOW)
    return [SoftwareKey.load(folder / name / "key.pem", folder / name / "certificate.pem") for name in names]


@pytest.fixture
def trail(tmp_path: Path, keys: list[SoftwareKey]) -> Iterator[Trail]:
    trail = Trail(tmp_path / "trail.db", keys[0])
    trail.write(6)
    yield trail
    trail.engine.dispose()


def test_whole_links_older_than_a_time_are_deleted_and_verification_starts_after_them(trail: Trail) -> None:
    assert trail.prune(NOW + 3 * HOUR) == Pruned(3, 6)

    assert trail.numbers() == ([4, 5, 6, 7], [7, 8, 9, 10, 11, 12, 13])
    found = trail.verify()
    (chain,) = found.chains
    assert (found.intact, chain.links, chain.records) == (True, 4, 7)
    assert chain.checkpoint is not None
    assert chain.checkpoint.link.number == 3


def test_a_link_with_one_record_that_is_not_old_enough_stays(trail: Trail) -> None:
    trail.tamper("DELETE FROM audit_links")
    trail.tamper("UPDATE audit SET at = ? WHERE audit_id = 4", "2027-01-01 00:00:00.000000")
    # All twelve records are linked by one transaction, and two more by the next.
    trail.write(2)

    assert trail.prune(NOW + 30 * DAY) == Pruned(0, 0)
    assert trail.verify().intact


def test_pruning_is_on_record_and_says_how_far_it_went(trail: Trail) -> None:
    with trail.engine.connect() as connection:
        third = connection.scalar(select(audit_links.c.hash).where(audit_links.c.number == 3))
    assert third is not None
    trail.prune(NOW + 3 * HOUR)

    with trail.engine.connect() as connection:
        (entry,) = audit.newest(connection, 1)
    assert (entry.at, entry.actor, entry.action) == (NOW + 6 * HOUR, "operator", "audit pruned")
    assert entry.detail == (
        "chain 1: links 1 to 3, 6 records up to 6, all before 2026-11-23T12:00:00Z; "
        f"the hash of the last is {third.hex()}"
    )


def test_the_newest_link_stays_and_the_chain_goes_on(trail: Trail) -> None:
    assert trail.prune(NOW + DAY) == Pruned(5, 10)
    assert trail.numbers()[0] == [6, 7]

    trail.write(2)
    assert trail.verify().intact
    assert trail.prune(NOW + DAY) == Pruned(3, 5)
    assert trail.verify().intact
    assert trail.numbers() == ([9, 10], [16, 17, 18])


def test_nothing_old_is_nothing_done_and_nothing_recorded(trail: Trail) -> None:
    before = trail.numbers()

    assert trail.prune(NOW) == Pruned(0, 0)

    assert trail.numbers() == before


def test_one_transaction_prunes_a_limited_number(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "PRUNED_AT_ONCE", 2)

    assert [trail.prune(NOW + 5 * HOUR) for _ in range(4)] == [Pruned(2, 4), Pruned(2, 4), Pruned(1, 2), Pruned(0, 0)]

    assert trail.verify().intact
    with trail.engine.connect() as connection:
        assert connection.scalar(select(func.count()).select_from(audit_checkpoints)) == 3


def test_what_was_tampered_with_is_not_pruned(trail: Trail) -> None:
    trail.tamper("UPDATE audit SET detail = '' WHERE audit_id = 3")
    before = trail.numbers()

    with pytest.raises(ChainBroken, match=r"link 2, .*record changed"):
        trail.prune(NOW + 3 * HOUR)

    assert trail.numbers() == before


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("UPDATE audit_checkpoints SET hash = zeroblob(32)", Wrong.CHECKPOINT),
        ("UPDATE audit_checkpoints SET signature = zeroblob(64)", Wrong.CHECKPOINT),
        ("UPDATE audit_checkpoints SET signature = 'text'", Wrong.CHECKPOINT),
        ("UPDATE audit_checkpoints SET pruned_at = '2026-11-23 15:00:00.000001'", Wrong.CHECKPOINT),
        ("UPDATE audit_checkpoints SET pruned_at = replace(pruned_at, ' ', 'T')", Wrong.CHECKPOINT),
        ("UPDATE audit_checkpoints SET number = 2", Wrong.CHECKPOINT),
        ("UPDATE audit_checkpoints SET last_audit_id = 5", Wrong.CHECKPOINT),
        ("UPDATE audit_checkpoints SET last_audit_id = x'06'", Wrong.CHECKPOINT),
        ("DELETE FROM audit_checkpoints", Wrong.LINK_MISSING),
        ("DELETE FROM audit_links WHERE number = 4", Wrong.LINK_MISSING),
        ("DELETE FROM audit_links WHERE number < 6", Wrong.LINK_MISSING),
        ("UPDATE audit SET audit_id = 6 WHERE audit_id = 7", Wrong.RECORD_INSERTED),
        ("UPDATE audit SET audit_id = 1 WHERE audit_id = 13", Wrong.RECORD_INSERTED),
        ("UPDATE audit_links SET number = 3 WHERE number = 4", Wrong.LINK_CHANGED),
    ],
)
def test_a_forged_beginning_is_found(trail: Trail, statement: str, wrong: Wrong) -> None:
    trail.prune(NOW + 3 * HOUR)

    trail.tamper(statement)

    assert trail.wrong() == wrong


def test_records_cannot_be_pruned_by_someone_without_the_key(trail: Trail, keys: list[SoftwareKey]) -> None:
    """Who may write to the database but has another key deletes what is old and signs for it."""
    thief = trail.with_key(keys[1])
    thief.prune(NOW + 3 * HOUR)

    assert trail.wrong() == Wrong.CHECKPOINT
    with pytest.raises(ChainBroken, match="not by the key of this instance"):
        trail.prune(NOW + 4 * HOUR)


def test_the_signature_of_an_older_checkpoint_is_none_of_the_newest(trail: Trail) -> None:
    trail.prune(NOW + 3 * HOUR)
    with trail.engine.connect() as connection:
        signature = connection.scalar(select(audit_checkpoints.c.signature))
    trail.prune(NOW + 4 * HOUR)
    trail.tamper("UPDATE audit_checkpoints SET signature = ? WHERE number = 4", signature)

    assert trail.wrong() == Wrong.CHECKPOINT


def test_a_new_key_of_the_instance_needs_the_certificate_of_the_old_one_once(
    trail: Trail, keys: list[SoftwareKey]
) -> None:
    trail.with_key(keys[1]).prune(NOW + 2 * HOUR)
    old = keys[1].certificate
    assert trail.verify(certificates=(trail.key.certificate, old)).intact

    assert trail.prune(NOW + 4 * HOUR, old) == Pruned(2, 4)

    assert trail.verify().intact


def test_a_head_noted_before_is_known_up_to_the_checkpoint(trail: Trail) -> None:
    with trail.engine.connect() as connection:
        hashes = list(connection.scalars(select(audit_links.c.hash).order_by(audit_links.c.number)))
    trail.prune(NOW + 3 * HOUR)

    assert trail.verify(*hashes[2:]).intact
    assert trail.verify(*hashes).heads_missing == tuple(hashes[:2])
