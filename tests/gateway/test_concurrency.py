"""Two hundred requests in flight at once: one durable answer each, and nobody suffers from a neighbour."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import event, func, select

from signing import parse
from sr_engine.bootstrap import open_instance
from sr_engine.messages.decode import decode_response
from sr_engine.messages.model import Phase, ReadInventory, ScheduleCommsHubFirmware
from sr_engine.store.tables import audit_links, exchanges
from tests.gateway.conftest import XML_HEADERS, Served, limit_in_flight, serving
from tests.world import FIRMWARE, WINDOW, A, TestHub, eui, make_world

HUBS = [TestHub(number) for number in range(1, 61)]
SCHEDULE = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, ())
MANY = tuple(eui(0xC1, number) for number in range(5_000))


@dataclass(frozen=True)
class Sent:
    kind: str
    data: bytes


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    world = make_world(tmp_path, prepare=limit_in_flight(250))
    world.add_hubs(HUBS)
    world.open_release()
    with serving(world) as running:
        yield running
    world.close()


def _mixed(served: Served) -> list[Sent]:
    """200 requests: schedules, each twice; reads; heavy lists; and bad ones of every sort, shuffled in."""
    world = served.world
    schedules = [world.signed(A, replace(SCHEDULE, device_ids=(hub.chf,)), "11.5") for hub in HUBS]
    reads = [world.signed(A, ReadInventory(device_id=hub.chf), "8.2") for hub in HUBS[:40]]
    heavy = [world.signed(A, replace(SCHEDULE, device_ids=MANY), "11.5") for _ in range(5)]
    altered = [read.replace(b"<sr:DeviceID>", b"<sr:DeviceID> ") for read in reads[:15]]
    sent = [
        *(Sent("I0", data) for data in (*schedules, *schedules)),
        *(Sent("I0", data) for data in reads),
        *(Sent("E110503", data) for data in heavy),
        *(Sent("400", data[:-9]) for data in reads[:20]),
        *(Sent("E100", data) for data in altered),
    ]
    assert len(sent) == 200
    return sent[::3] + sent[1::3] + sent[2::3]


async def _send_all(served: Served, sent: list[Sent]) -> list[tuple[int, bytes]]:
    started = asyncio.Event()

    async def one(session: aiohttp.ClientSession, data: bytes) -> tuple[int, bytes]:
        await started.wait()
        url = f"http://127.0.0.1:{served.port}/api/v1/serviceD"
        async with session.post(url, data=data, headers=XML_HEADERS) as answer:
            return answer.status, await answer.read()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        tasks = [asyncio.create_task(one(session, each.data)) for each in sent]
        started.set()
        return await asyncio.gather(*tasks)


def test_two_hundred_at_once_get_one_durable_answer_each_and_none_fails_for_another(served: Served) -> None:
    world = served.world
    sent = _mixed(served)

    answers = asyncio.run(_send_all(served, sent))

    by_request: dict[bytes, set[bytes]] = {}
    for each, (status, body) in zip(sent, answers, strict=True):
        if each.kind == "400":
            assert status == 400
            continue
        assert status == 200
        assert f"<sr:ResponseCode>{each.kind}<".encode() in body
        if each.kind != "E100":
            verified = world.instance.verifier.verify(parse(body), roles={"89"}, at=world.clock.now())
            assert decode_response(verified).code == each.kind
            by_request.setdefault(each.data, set()).add(body)
    assert all(len(bodies) == 1 for bodies in by_request.values()), "one request, one answer, however often it came"

    kept = open_instance(world.directory, clock=world.clock)
    with kept.reading_engine.connect() as connection:
        rows = connection.execute(select(exchanges.c.received, exchanges.c.answer)).all()
    kept.engine.dispose()
    kept.reading_engine.dispose()
    assert {row.received: {row.answer} for row in rows} == by_request
    attempts = world.snapshot()["attempts"]
    assert Counter(row[1] for row in attempts) == Counter(hub.chf for hub in HUBS)


def test_requests_that_name_hundreds_of_hubs_share_no_transaction_so_that_others_pass_in_between(
    served: Served,
) -> None:
    world = served.world
    large = replace(SCHEDULE, device_ids=MANY[:600])
    sent = [Sent("E110503", world.signed(A, large, "11.5")) for _ in range(6)]
    waiting = threading.Event()

    def wait_once(_connection: object) -> None:
        # Those that come meanwhile would share the next.
        waiting.wait(0.5)
        waiting.set()

    def links() -> int:
        with world.instance.reading_engine.connect() as connection:
            return connection.scalar(select(func.count()).select_from(audit_links)) or 0

    before = links()
    event.listen(world.instance.engine, "commit", wait_once)
    answers = asyncio.run(_send_all(served, sent))
    event.remove(world.instance.engine, "commit", wait_once)

    assert [status for status, _ in answers] == [200] * 6
    assert links() == before + 6
