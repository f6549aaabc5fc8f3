"""The same processor on PostgreSQL: a real server, real processes, and what SQLite needs not be asked."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, func, select, text

from sr_engine.clock import FixedClock
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, Phase, ReportStatus, ScheduleCommsHubFirmware
from sr_engine.operations.audit_verification import verify
from sr_engine.store import audit
from sr_engine.store import counters as counters_store
from sr_engine.store import exchanges as inbox
from sr_engine.store.database import DatabaseError, check_tables, create_tables, looking, open_engine
from sr_engine.store.tables import counters, decisions, exchanges
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import UnitOfWork
from tests.databases import new_url, server, url_of_instance
from tests.gateway.conftest import HttpAnswer, Served, serving
from tests.postgres import PostgresServer, postgres_server
from tests.regions.conftest import Nights
from tests.world import FIRMWARE, NOW, SECONDS, WINDOW, A, B, TestHub, World, make_world, reopen

WITHIN_MILLISECONDS = 10_000
HUBS = [TestHub(number, A.name, B.name) for number in range(1, 25)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance", database_url=url_of_instance("postgresql"))
    scheduled(world)
    yield world
    world.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(new_url(tmp_path, "postgresql"))
    yield engine
    engine.dispose()


def scheduled(world: World) -> None:
    """Hubs that one Supplier has scheduled, and the other is still to approve."""
    world.add_hubs(HUBS)
    world.open_release()
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, tuple(hub.chf for hub in HUBS))
    assert world.send(A, body, "11.5").code == "I0"


def approvals(world: World) -> list[bytes]:
    return [world.signed(B, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (hub.chf,)), "11.6") for hub in HUBS]


def audit_is_whole(engine: Engine) -> bool:
    with engine.connect() as connection:
        return verify(connection, []).intact


def number_of(engine: Engine, column: object) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(select(func.count(column))) or 0)  # type: ignore[arg-type]


def test_requests_that_come_at_once_are_answered_as_one_by_one_and_repeats_by_the_same_bytes(world: World) -> None:
    requests = approvals(world)
    with serving(world) as served, ThreadPoolExecutor(12) as pool:
        first = list(pool.map(served.post, requests))
        again = list(pool.map(served.post, requests))

    assert {served.decoded(answer).code for answer in first} == {"I99"}
    assert [answer.body for answer in again] == [answer.body for answer in first]
    engine = world.instance.reading_engine
    assert number_of(engine, decisions.c.hub_id) == 2 * len(HUBS)
    assert audit_is_whole(engine)


def test_what_is_agreed_is_listed_reported_and_told(world: World) -> None:
    for request in approvals(world):
        world.post(request)
    nights = Nights(world, world.instance.configuration.regions["Central"])

    assert nights.cut() == len(HUBS)
    (list_id,) = nights.list_ids()
    world.clock.set(nights.period().end)
    nights.report(list_id, *(nights.saw(hub, ReportStatus.ACTIVATED) for hub in HUBS))

    assert set(nights.states(HUBS)) == {"Activated"}
    world.settle()
    assert sorted(nights.told("hub_activated")) == sorted((hub.chf, one.name) for hub in HUBS for one in (A, B))
    assert audit_is_whole(world.instance.reading_engine)


def test_one_process_waits_for_the_transaction_of_another_and_sees_what_it_did(engine: Engine) -> None:
    url = engine.url.render_as_string(hide_password=False)
    script = (
        "import sys\n"
        "from sr_engine.clock import SystemClock\n"
        "from sr_engine.store import counters\n"
        "from sr_engine.store.database import open_engine\n"
        "from sr_engine.store.transactions import Transactions\n"
        "transactions = Transactions(open_engine(sys.argv[1]), SystemClock())\n"
        "for _ in range(50):\n"
        "    print(transactions.run_now(lambda uow: counters.draw(uow.connection, 'n')))\n"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", script, url], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    drawn = [int(line) for child in children for line in child.communicate(timeout=60)[0].splitlines()]

    assert sorted(drawn) == list(range(1, 101))
    with engine.connect() as connection:
        assert connection.scalar(select(counters.c.value)) == 100


def test_while_another_process_writes_a_gateway_takes_requests_and_says_that_it_lives(world: World) -> None:
    first, second = approvals(world)[:2]
    other = open_engine(world.instance.engine.url.render_as_string(hide_password=False))
    with serving(world) as served, ThreadPoolExecutor(2) as pool:
        with other.begin():
            sent = [pool.submit(served.post, first)]
            until_one_waits(world.instance.reading_engine)
            sent.append(pool.submit(served.post, second))
            with urllib.request.urlopen(f"http://127.0.0.1:{served.port}/health/live", timeout=SECONDS) as health:
                assert health.status == 200
            assert not any(one.done() for one in sent)
        assert {served.decoded(one.result()).code for one in sent} == {"I99"}
    other.dispose()


def until_one_waits(engine: Engine) -> None:
    """Until somebody waits for the lock of whoever writes in this database."""
    waiting = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
        "WHERE datname = current_database() AND locktype = 'advisory' AND NOT granted"
    )
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        with engine.connect() as connection:
            if connection.scalar(waiting):
                return
        time.sleep(0.02)
    raise TimeoutError("nobody waits")


# --- A server that goes away ------------------------------------------------------------------------------------------


@pytest.fixture
def durable() -> Iterator[PostgresServer]:
    with postgres_server(durable=True) as server:
        yield server


def test_what_was_answered_outlives_a_server_that_stops_at_once_and_what_came_meanwhile_is_answered(
    durable: PostgresServer, tmp_path: Path
) -> None:
    world = make_world(tmp_path / "instance", database_url=durable.new_database())
    scheduled(world)
    requests = approvals(world)

    with serving(world) as served, ThreadPoolExecutor(4) as pool:
        answers: list[HttpAnswer] = [served.post(request) for request in requests[:8]]
        rest = [pool.submit(served.post, request) for request in requests[8:]]
        durable.stop(signal.SIGQUIT)
        durable.start()
        answers += [one.result() for one in rest]
        again = [served.post(request) for request in requests]

    assert_answered_once(served, answers, again)
    assert audit_is_whole(world.instance.reading_engine)
    world.close()


def assert_answered_once(served: Served, answers: list[HttpAnswer], again: list[HttpAnswer]) -> None:
    assert {served.decoded(answer).code for answer in answers} == {"I99"}
    assert [answer.body for answer in again] == [answer.body for answer in answers]
    engine = served.world.instance.reading_engine
    assert number_of(engine, exchanges.c.exchange_id) == 1 + len(answers)
    assert number_of(engine, decisions.c.hub_id) == 2 * len(answers)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_server_whose_computer_is_gone_is_given_up_within_half_a_minute(engine: Engine, *, read_only: bool) -> None:
    """By the system, which alone sees that nothing is acknowledged any more."""
    own = open_engine(engine.url.render_as_string(hide_password=False), read_only=read_only)
    with own.connect() as connection:
        driver = connection.connection.driver_connection
        assert driver is not None
        with socket.fromfd(driver.fileno(), socket.AF_INET, socket.SOCK_STREAM) as used:
            unacknowledged = used.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
            asked_after = used.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    own.dispose()

    assert 0 < unacknowledged < 30_000
    assert asked_after < 30


def lose(connection: Connection) -> None:
    """Have the server end a connection, and wait until it has."""
    process = connection.scalar(text("SELECT pg_backend_pid()"))
    ended = f"SELECT pg_terminate_backend({process}, {WITHIN_MILLISECONDS})"
    assert server().ask(ended, connection.engine.url.render_as_string(hide_password=False))


def test_all_that_shares_a_transaction_whose_connection_is_lost_is_done_again(engine: Engine) -> None:
    lost: list[bool] = []

    def draw(unit_of_work: UnitOfWork) -> int:
        if not lost:
            lose(unit_of_work.connection)
            lost.append(True)
        return counters_store.draw(unit_of_work.connection, "n")

    async def together() -> list[int]:
        transactions = Transactions(engine, FixedClock(NOW))
        return await asyncio.gather(*(transactions.run(draw) for _ in range(3)))

    assert sorted(asyncio.run(together())) == [1, 2, 3]
    assert lost


def test_what_was_kept_back_when_the_connection_is_lost_is_written_once_all_the_same(engine: Engine) -> None:
    lost: list[bool] = []

    def put(key: str, unit_of_work: UnitOfWork) -> str:
        row = inbox.Exchange("DUIS", key, 8, bytes(32), "E", "11.6", NOW, "I99", "", b"r", b"a")
        inbox.put(unit_of_work.connection, row)
        audit.record(unit_of_work.connection, [audit.Entry(NOW, "operator", "put", key)])
        if key == "K3" and not lost:
            lose(unit_of_work.connection)
            lost.append(True)
        return key

    async def together() -> list[str]:
        transactions = Transactions(engine, FixedClock(NOW))
        return await asyncio.gather(*(transactions.run(partial(put, key)) for key in ("K1", "K2", "K3")))

    assert asyncio.run(together()) == ["K1", "K2", "K3"]
    with engine.connect() as connection:
        assert all(inbox.find(connection, "DUIS", key, 8) for key in ("K1", "K2", "K3"))
        assert sorted(one.detail for one in audit.newest(connection, 9)) == ["K1", "K2", "K3"]


def test_a_transaction_that_the_server_has_ended_with_its_connection_is_done_again(engine: Engine) -> None:
    tried: list[bool] = []

    def draw(unit_of_work: UnitOfWork) -> int:
        drawn = counters_store.draw(unit_of_work.connection, "n")
        tried.append(True)
        # Twice: the second time is the one with savepoints.
        if len(tried) <= 2:
            unit_of_work.connection.execute(text("SET LOCAL transaction_timeout = 1"))
            unit_of_work.connection.execute(text("SELECT pg_sleep(10)"))
        return drawn

    async def together() -> list[int]:
        transactions = Transactions(engine, FixedClock(NOW))
        return await asyncio.gather(*(transactions.run(draw) for _ in range(2)))

    assert sorted(asyncio.run(together())) == [1, 2]


def test_a_longer_look_ends_well_whose_connection_is_lost_when_all_has_been_seen(engine: Engine) -> None:
    with looking(engine) as connection:
        seen = connection.scalar(select(func.count()).select_from(counters))
        lose(connection)
    assert seen == 0


# --- What is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_orders_text_in_another_way_is_refused_with_advice(encoding: str) -> None:
    # Other locales than C are not on every computer; another encoding orders in another way too.
    name = f"in_{encoding.lower()}"
    server().execute(f"CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C' ENCODING '{encoding}'")
    engine = open_engine(server().url(name))
    with pytest.raises(DatabaseError, match="createdb --locale=C --encoding=UTF8"):
        create_tables(engine)
    engine.dispose()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://processor:open-sesame@127.0.0.1:1/sr", "processor:***@127.0.0.1:1/sr"),
        ("postgresql://processor@127.0.0.1:1/sr?password=open-sesame", "processor@127.0.0.1:1/sr"),
        (
            "postgresql://127.0.0.1:1/sr?sslpassword=open-sesame&sslmode=prefer&password=open-sesame",
            "postgresql://127.0.0.1:1/sr?sslmode=prefer",
        ),
    ],
)
def test_a_server_that_is_not_there_is_named_without_its_password(url: str, shown: str) -> None:
    engine = open_engine(url)
    with pytest.raises(DatabaseError, match=f"{re.escape(shown)} cannot be used") as refused:
        check_tables(engine)
    assert "open-sesame" not in str(refused.value)
    engine.dispose()


def test_the_first_of_several_hosts_that_answers_is_used(engine: Engine) -> None:
    port, name = engine.url.port, engine.url.database
    several = open_engine(
        f"postgresql://postgres@/{name}?host=127.0.0.1,127.0.0.1&port=1,{port}&target_session_attrs=read-write"
    )
    check_tables(several)
    several.dispose()


def test_several_hosts_before_the_slash_are_refused_with_how_to_name_them() -> None:
    with pytest.raises(DatabaseError, match=r"\?host=HOST1,HOST2&port=PORT1,PORT2"):
        open_engine("postgresql://processor:open-sesame@one:5432,two:5432/sr")


def test_a_database_without_our_tables_is_refused_by_name() -> None:
    engine = open_engine(server().new_database())
    with pytest.raises(DatabaseError, match="`sr-engine init` did not make it"):
        check_tables(engine)
    engine.dispose()


def test_what_only_reads_cannot_write(engine: Engine) -> None:
    reading = open_engine(engine.url.render_as_string(hide_password=False), read_only=True)
    with reading.connect() as connection, pytest.raises(Exception, match="read-only transaction"):
        connection.execute(text("DELETE FROM counters"))
    reading.dispose()


def test_an_instance_is_opened_again_with_what_it_had(world: World) -> None:
    world = reopen(world)
    assert number_of(world.instance.reading_engine, decisions.c.hub_id) == len(HUBS)
    world.close()
