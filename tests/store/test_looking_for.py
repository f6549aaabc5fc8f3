"""What an operator looks up: found, in order, page by page, and never at the cost of a long search."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Connection

from sr_engine.messages.model import ApproveCommsHubFirmware, Decision
from sr_engine.store import (
    audit,
    audit_search,
    delivery_queue,
    looking_back,
    message_search,
    outbox,
    tables,
)
from sr_engine.store.looking_back import Budget
from sr_engine.store.outbox import DELIVERED, PARKED, PENDING, Outgoing
from sr_engine.store.paging import UpTo
from tests.regions.conftest import HOUR, Nights
from tests.told import say_it_beside
from tests.world import FIRMWARE, NOW, A, B, TestHub, World, make_world, on_connection

AMPLE = Budget(lambda: 0.0, 60.0)
INTERFACES = ("DUIS", "CSP")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance")
    yield world
    world.close()


@pytest.fixture
def looking(world: World) -> Iterator[Connection]:
    """A connection that sees what is there when it is used first."""
    with world.instance.reading_engine.connect() as connection:
        yield connection


def central(world: World) -> Nights:
    return Nights(world, world.instance.configuration.regions["Central"])


def record(world: World, number: int, **values: object) -> None:
    """So many records, a minute between one and the next."""
    for _ in range(number):
        entry = audit.Entry(world.clock.now(), **{"actor": "operator", "action": "looked", "detail": "", **values})  # type: ignore[arg-type]  # Entry's own names
        world.run(on_connection(audit.record, [entry]))
        world.clock.advance(timedelta(minutes=1))


# --- the audit trail ---


def test_records_are_found_by_each_thing_that_is_known_of_them(world: World, looking: Connection) -> None:
    record(world, 1, actor="user:U1", action="request", message_key="R1", hubs=(TestHub(1).chf, TestHub(2).chf))
    record(
        world, 1, actor="csp:North", action="UpgradeReport", message_key="M1", release_id="r9", hubs=(TestHub(2).chf,)
    )
    record(world, 1)

    def found(**sought: object) -> list[str]:
        rows = audit_search.search(looking, audit_search.Sought(**sought), limit=10, budget=AMPLE).rows  # type: ignore[arg-type]  # Sought's own names
        return [row.actor for row in rows]

    assert found() == ["operator", "csp:North", "user:U1"]
    assert found(hub_id=TestHub(2).chf) == ["csp:North", "user:U1"]
    assert found(message_key="R1") == ["user:U1"]
    assert found(actors=("csp:North", "user:U1")) == ["csp:North", "user:U1"]
    assert found(action="upgradereport") == ["csp:North"]
    assert found(release_id="r9") == ["csp:North"]
    assert found(since=NOW + timedelta(minutes=1)) == ["operator", "csp:North"]
    assert found(until=NOW + timedelta(minutes=1)) == ["user:U1"]
    assert found(since=NOW + timedelta(minutes=1), until=NOW + timedelta(minutes=2)) == ["csp:North"]
    assert found(since=NOW + timedelta(days=1)) == []


def test_pages_of_records_follow_one_another_without_a_gap(world: World, looking: Connection) -> None:
    record(world, 7)
    seen, before = list[int](), None
    for _ in range(4):
        part = audit_search.search(looking, audit_search.Sought(), before=before, limit=2, budget=AMPLE)
        seen += [row.audit_id for row in part.rows]
        before = part.before

    assert (seen, before) == ([7, 6, 5, 4, 3, 2, 1], None)


def test_a_search_ends_when_its_time_is_spent_and_goes_on_where_it_was(
    world: World, looking: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking_back, "_FIRST_PORTION", 2)
    monkeypatch.setattr(looking_back, "_LARGEST_PORTION", 2)
    record(world, 1, message_key="R1")
    record(world, 5)
    ticking = count()
    hurried = Budget(lambda: float(next(ticking)), 1.0)
    sought = audit_search.Sought(message_key="R1")

    first = audit_search.search(looking, sought, limit=5, budget=hurried)
    assert (first.rows, first.before, first.full, first.back_to) == ((), 5, False, NOW + timedelta(minutes=4))
    second = audit_search.search(looking, sought, before=first.before, limit=5, budget=hurried)
    assert (second.rows, second.before) == ((), 3)
    third = audit_search.search(looking, sought, before=second.before, limit=5, budget=hurried)
    assert ([row.message_key for row in third.rows], third.before) == (["R1"], None)


def test_of_a_record_of_very_many_hubs_the_first_are_shown_and_all_can_be_had(
    world: World, looking: Connection
) -> None:
    hubs = sorted(TestHub(number).chf for number in range(1, 401))
    record(world, 1, hubs=hubs)

    (shown,) = audit_search.search(looking, audit_search.Sought(), limit=5, budget=AMPLE).rows

    assert shown.hub_count == 400
    assert 100 < len(shown.some_hubs) < 400
    assert list(shown.some_hubs) == hubs[: len(shown.some_hubs)]
    whole = audit_search.record(looking, shown.audit_id)
    assert whole is not None
    assert whole[1] == tuple(hubs)


def test_the_head_of_the_chain_is_that_of_the_last_transaction(world: World, looking: Connection) -> None:
    record(world, 3)

    head = audit_search.head(looking)

    assert head is not None
    assert (head.number, head.records, head.pruned_up_to) == (3, 3, None)
    assert audit_search.actions(looking) == ["looked"]


# --- messages ---


def test_messages_are_found_by_request_id_hub_sender_code_and_time(world: World, looking: Connection) -> None:
    night, hub, other = central(world), TestHub(1), TestHub(2)
    world.add_hubs([hub, other])
    world.open_release()
    request_id = night.schedule([hub]).request_id
    assert request_id is not None
    world.clock.advance(HOUR)
    decline = ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, (other.chf,))
    assert world.send(A, decline, "11.6").code == "I99"
    world.clock.advance(HOUR)
    assert world.send(B, decline, "11.6").code.startswith("E")
    world.settle()

    def found(**sought: object) -> list[tuple[str, str]]:
        rows = message_search.search(looking, message_search.Sought(**sought), limit=10, budget=AMPLE).rows  # type: ignore[arg-type]  # Sought's own names
        return [(row.service_reference_variant, row.sender_eui) for row in rows]

    assert found() == [("11.6", B.eui), ("11.6", A.eui), ("11.5", A.eui)]
    assert found(sender_euis=[A.eui]) == [("11.6", A.eui), ("11.5", A.eui)]
    assert found(code="I99") == [("11.6", A.eui)]
    assert found(variant="11.5", interface="DUIS") == [("11.5", A.eui)]
    assert found(interface="CSP") == []
    assert found(until=NOW + HOUR) == [("11.5", A.eui)]
    assert found(since=NOW + HOUR, until=NOW + 2 * HOUR) == [("11.6", A.eui)]
    (one,) = message_search.of_keys(looking, [request_id.key], INTERFACES, 5)
    assert one.service_reference_variant == "11.5"
    of_hub = message_search.of_hub(looking, hub.chf, INTERFACES, 5)
    assert [line.message_key for line in of_hub.taken] == [request_id.key]
    assert {line.event for line in of_hub.sent} == {"release_opened"}


def test_alerts_about_a_hub_alone_and_among_others_are_found_and_those_that_older_programs_wrote(
    world: World, looking: Connection
) -> None:
    hub, other = TestHub(1), TestHub(2)
    world.add_hubs([hub, other])
    world.open_release()
    night = central(world)
    night.schedule([hub])
    assert night.cut() == 1
    world.settle()

    def found(one: TestHub) -> list[str]:
        sent = message_search.of_hub(looking, one.chf, INTERFACES, 10).sent
        looking.rollback()
        return sorted(line.event for line in sent if line.kind == "alert")

    assert (found(hub), found(other)) == (["hub_listed", "release_opened"], ["release_opened"])
    assert world.run(lambda uow: say_it_beside(uow.connection)) == 1
    assert (found(hub), found(other)) == (["hub_listed", "release_opened"], ["release_opened"])


def test_the_lists_a_hub_stands_on_are_among_its_messages(world: World, looking: Connection) -> None:
    world.add_hubs([TestHub(1), TestHub(2)])
    world.open_release()
    night = central(world)
    night.schedule([TestHub(1)])
    assert night.cut() == 1
    world.settle()

    sent = message_search.of_hub(looking, TestHub(1).chf, INTERFACES, 10).sent

    assert "upgrade_list" in {line.kind for line in sent}
    assert {line.kind for line in message_search.of_hub(looking, TestHub(2).chf, INTERFACES, 10).sent} == {"alert"}


def test_a_whole_message_comes_with_what_was_received_and_answered_byte_for_byte(
    world: World, looking: Connection
) -> None:
    world.add_hubs([TestHub(1)])
    world.open_release()
    data = world.signed(A, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (TestHub(1).chf,)), "11.6")
    answer = world.post(data)

    (line,) = message_search.search(looking, message_search.Sought(), limit=1, budget=AMPLE).rows
    found = message_search.whole(looking, line.exchange_id)

    assert found is not None
    assert (found.received, found.answer, found.final) == (data, answer.body, None)
    assert message_search.whole(looking, 99) is None


# --- deliveries ---


def put(world: World, name: str, destination: str, state: str, **values: object) -> None:
    message = Outgoing(name, "alert", destination, "hub_listed", b"<x/>")
    world.run(lambda uow: outbox.put(uow.connection, [message], world.clock.now()))
    change = tables.outbox.update().where(tables.outbox.c.message_id == name).values(state=state, **values)
    world.run(lambda uow: uow.connection.execute(change))


def test_queues_are_counted_receiver_by_receiver_no_further_than_asked(world: World, looking: Connection) -> None:
    for number in range(4):
        put(world, f"a{number}", "user:A", PENDING, next_try_at=NOW + number * HOUR, last_error=f"HTTP 50{number}")
    put(world, "b0", "user:B", PARKED)
    put(world, "c0", "csp:North", DELIVERED)

    found = delivery_queue.queues(looking, 3)

    assert [(one.destination, str(one.pending), str(one.parked)) for one in found] == [
        ("user:A", "3+", "0"),
        ("user:B", "0", "1"),
    ]
    assert (found[0].due_at, found[0].last_error) == (NOW, "HTTP 500")
    assert found[1].due_at is None
    assert delivery_queue.number_parked(looking, 3) == UpTo(1)
    assert delivery_queue.number_pending(looking, 3) == UpTo(3, more=True)


@pytest.mark.parametrize(
    ("state", "destination", "order"),
    [
        (PENDING, "user:A", ["m3", "m2", "m1", "m0"]),
        (PENDING, None, ["m3", "m2", "m1", "m0", "n0", "n1"]),
        (PARKED, None, ["p1", "p0", "q0", "q1"]),
        (PARKED, "user:B", ["q0", "q1"]),
        (DELIVERED, None, ["d1", "d0"]),
        (DELIVERED, "user:B", ["d1"]),
    ],
)
def test_messages_come_page_by_page_in_the_order_of_their_state(
    world: World, looking: Connection, state: str, destination: str | None, order: list[str]
) -> None:
    for number in range(4):
        put(world, f"m{number}", "user:A", PENDING, next_try_at=NOW - number * timedelta(microseconds=1))
    for number in range(2):
        put(world, f"n{number}", "user:B", PENDING)
        put(world, f"q{number}", "user:B", PARKED)
        put(world, f"d{number}", f"user:{'AB'[number]}", DELIVERED)
    for name in ("p1", "p0"):
        put(world, name, "csp:North", PARKED)
    seen, after = list[str](), None
    while True:
        page = delivery_queue.messages(looking, state, destination, after=after, limit=2, budget=AMPLE)
        seen += [line.message_id for line in page.rows]
        after = page.after
        if after is None:
            break

    assert seen == order


@pytest.mark.parametrize("state", [PENDING, PARKED, DELIVERED])
def test_a_place_that_no_page_gave_is_refused(looking: Connection, state: str) -> None:
    with pytest.raises(ValueError, match="invalid"):
        delivery_queue.messages(looking, state, "user:A", after="x-y", limit=2, budget=AMPLE)
