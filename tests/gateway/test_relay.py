"""What is not offered here is answered by the upstream DCC, byte for byte, where one is configured."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from lxml import etree
from sqlalchemy import Row, select

from sr_engine.clock import SystemClock
from sr_engine.messages.model import Body, ReadInventory, UnofferedBody
from sr_engine.store.tables import audit, exchanges
from tests.gateway.conftest import HttpAnswer, Served, serving, still
from tests.gateway.upstream import ANSWER, Handler, Upstream, giving, upstream
from tests.world import A, B, TestHub, World, edit, make_world, reopen

HUB = TestHub(1)
UNOFFERED: tuple[Body, str] = UnofferedBody("RequestWANMatrix"), "12.1"


@pytest.fixture
def dcc() -> Iterator[Upstream]:
    with upstream() as running:
        yield running


@contextmanager
def relaying(folder: Path, dcc: Upstream, *lines: str) -> Iterator[Served]:
    """A processor that relays to `dcc`; `lines` are further settings of [relay]."""
    world = make_world(folder / "instance", prepare=dcc.prepare(*lines))
    world.add_hubs([HUB])
    with serving(world) as running:
        yield running
    world.close()


@pytest.fixture
def served(tmp_path: Path, dcc: Upstream) -> Iterator[Served]:
    with relaying(tmp_path, dcc) as running:
        yield running


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Upstream]]:
    """For tests that leave nothing behind that the next would notice."""
    with upstream() as dcc, relaying(tmp_path_factory.mktemp("shared"), dcc) as running:
        yield running, dcc


def _kept(world: World) -> list[tuple[object, ...]]:
    with world.instance.reading_engine.connect() as connection:
        columns = (exchanges.c.received, exchanges.c.answer, exchanges.c.sender_eui)
        return [tuple(row) for row in connection.execute(select(*columns))]


def _trail(world: World) -> Sequence[Row[Any]]:
    with world.instance.reading_engine.connect() as connection:
        return connection.execute(select(audit).order_by(audit.c.audit_id)).all()


def test_a_large_request_and_a_large_answer_are_relayed_like_small_ones(served: Served, dcc: Upstream) -> None:
    dcc.handler = giving(body=ANSWER.ljust(3_000_000))
    data = served.world.signed(A, *UNOFFERED).ljust(2_000_000)

    assert served.post(data).body == ANSWER.ljust(3_000_000)
    assert [one.body for one in dcc.asked] == [data]
    assert _kept(served.world) == [(data, ANSWER.ljust(3_000_000), A.eui)]


def test_a_request_goes_up_and_its_answer_comes_down_byte_for_byte(served: Served, dcc: Upstream) -> None:
    data = b"\xef\xbb\xbf" + served.world.signed(A, *UNOFFERED).replace(b"?>", b" ?>\n", 1) + b"\n"

    answer = served.post(data)

    assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, "application/xml", ANSWER)
    assert answer.detail == "this is the answer of the upstream DCC, as it came"
    assert [(one.path, one.content_type, one.body) for one in dcc.asked] == [
        ("/dcc/api/v1/serviceD", "application/xml", data)
    ]
    assert _kept(served.world) == [(data, ANSWER, A.eui)]
    record = _trail(served.world)[-1]
    assert (record.actor, record.action) == (f"user:{A.eui}", "request")
    assert record.detail.startswith("12.1 relayed: ")


def test_every_service_is_relayed_to_its_like_and_a_variant_has_an_answer_of_its_own(
    served: Served, dcc: Upstream
) -> None:
    request_id = served.world.request_id(A, HUB.chf)
    for number, (body, variant, service) in enumerate(
        [("UpdatePaymentMode", 4, "serviceT"), ("SignedPreCommand", 5, "serviceS")]
    ):
        dcc.handler = giving(body=b"<answer>%d</answer>" % number)
        data = served.world.signed(A, UnofferedBody(body), "1.6", request_id=request_id, command_variant=variant)

        assert served.post(data, service).body == b"<answer>%d</answer>" % number

    assert [one.path for one in dcc.asked] == ["/dcc/api/v1/serviceT", "/dcc/api/v1/serviceS"]


def test_what_is_offered_or_not_authenticated_or_not_allowed_is_never_relayed(served: Served, dcc: Upstream) -> None:
    world = served.world
    offered = served.post(world.signed(A, ReadInventory(device_id=HUB.chf), "8.2"))
    altered = served.post(world.signed(A, *UNOFFERED).replace(b'"5.4"', b'"5.3"'))
    not_a_supplier_s = served.post(world.signed(A, UnofferedBody("ReadNetworkData"), "4.10"), "serviceD")

    assert served.decoded(offered).code == "I0"
    assert b">E100<" in altered.body
    assert b">E" in not_a_supplier_s.body
    assert dcc.asked == []


def test_without_a_relay_it_is_refused_as_not_offered_and_there_is_nothing_to_receive(tmp_path: Path) -> None:
    world = make_world(tmp_path, prepare=still)
    with serving(world) as served:
        answer = served.post(world.signed(A, *UNOFFERED))

        assert (served.decoded(answer).code, "not offered" in answer.detail) == ("E100", True)
        assert served.post(b"", f"/api/v1/receive/{A.eui}").status == 404
    world.close()


@dataclass(frozen=True)
class Mishap:
    """What upstream does instead of answering, and what the Supplier is told."""

    handler: Handler
    status: int
    says: str
    retry_after: str | None = None


async def _break_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/xml", "Content-Length": "1000"})
    await response.prepare(request)
    await response.write(ANSWER)
    assert request.transport is not None
    request.transport.close()
    return response


async def _hang_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


_HUGE = b"<a>" + b" " * (16 * 1024 * 1024) + b"</a>"
MISHAPS = {
    "busy, and says for how long": Mishap(giving(503, Retry_After="17"), 503, "again in 17 s", "17"),
    "busy, and does not say for how long": Mishap(giving(503), 503, "again in 5 s", "5"),
    "busy until a date": Mishap(giving(503, Retry_After="Mon, 23 Nov 2026 09:00:00 GMT"), 503, "in 5 s", "5"),
    "busy for years": Mishap(giving(503, Retry_After="99999999"), 503, "again in 3600 s", "3600"),
    "asked too often": Mishap(giving(429, Retry_After="2"), 503, "the upstream DCC is busy", "2"),
    "does not take it": Mishap(giving(400), 400, "the upstream DCC does not take the request: it answered HTTP 400"),
    "does not let us in": Mishap(giving(403), 502, "answered with HTTP 403, which is no answer"),
    "has no such address": Mishap(giving(404), 502, "answered with HTTP 404"),
    "fails": Mishap(giving(500), 502, "answered with HTTP 500"),
    "sends elsewhere": Mishap(giving(307, Location="/dcc/api/v1/serviceS"), 502, "answered with HTTP 307"),
    "has no content": Mishap(giving(204, b""), 502, "answered with HTTP 204"),
    "says nothing": Mishap(giving(200, b""), 502, "an empty body"),
    "sends a web page": Mishap(giving(Content_Type="text/html; charset=utf-8"), 502, "a body that is text/html"),
    "compresses": Mishap(giving(Content_Encoding="gzip"), 502, "a body that is compressed"),
    "sends more than is taken": Mishap(giving(body=_HUGE), 502, "more than 16777216 bytes"),
    "breaks off": Mishap(_break_off, 502, "broke off before it had answered; it may have been taken"),
    "hangs up": Mishap(_hang_up, 502, "broke off before it had answered; it may have been taken"),
}


@pytest.mark.parametrize("name", MISHAPS)
def test_what_is_no_answer_is_told_from_one_and_the_request_may_be_sent_again(
    shared: tuple[Served, Upstream], name: str
) -> None:
    (served, dcc), mishap = shared, MISHAPS[name]
    data = served.world.signed(A, *UNOFFERED)
    before, in_trail = served.world.snapshot(), len(_trail(served.world))
    dcc.handler = mishap.handler

    answer = served.post(data)

    assert (answer.status, answer.headers["Content-Type"]) == (mishap.status, "application/problem+xml")
    assert mishap.says in answer.detail
    assert etree.fromstring(answer.body).findtext("{*}detail") == answer.detail
    assert answer.headers["Retry-After"] == mishap.retry_after
    noted = [(row.action, "not relayed" in row.detail) for row in _trail(served.world)[in_trail:]]
    assert noted == [("refused", True)] * (mishap.status != 503), "what may have been taken is noted"
    assert served.world.snapshot() == before
    dcc.handler = giving()
    assert served.post(data).body == ANSWER
    assert [one.body for one in dcc.asked].count(data) == 2


async def _drip(request: web.Request) -> web.StreamResponse:
    """Answer so slowly that something always comes, and never the whole."""
    response = web.StreamResponse(headers={"Content-Type": "application/xml", "Content-Length": "1000"})
    await response.prepare(request)
    with suppress(ConnectionError):
        for _ in range(1_000):
            await response.write(b" ")
            await asyncio.sleep(0.05)
    return response


@pytest.mark.parametrize("drips", [False, True], ids=["silent", "dripping"])
def test_an_upstream_that_is_too_slow_may_have_taken_the_request(tmp_path: Path, dcc: Upstream, drips: bool) -> None:
    with relaying(tmp_path, dcc, "timeout_seconds = 2.5") as served:
        dcc.handler = _drip if drips else dcc.holding
        data = served.world.signed(A, *UNOFFERED)
        answer = served.post(data)

        assert (answer.status, answer.headers["Content-Type"]) == (504, "application/problem+xml")
        assert "has not answered within 2.5 s; it may have been taken: send the same request again" in answer.detail
        assert _kept(served.world) == []
        dcc.go.set()
        dcc.handler = giving()
        assert served.post(data).body == ANSWER


def test_an_upstream_that_is_down_is_told_from_one_that_may_have_taken_it(tmp_path: Path) -> None:
    with upstream() as gone:
        prepare = gone.prepare()
    world = make_world(tmp_path, prepare=prepare)
    with serving(world) as served:
        answer = served.post(world.signed(A, *UNOFFERED))

        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert answer.detail == "the upstream DCC cannot be reached; send it again in 5 s"
        assert _kept(world) == []
    world.close()


def test_the_same_request_gets_the_stored_answer_and_other_content_e100_without_asking_again(
    tmp_path: Path, dcc: Upstream
) -> None:
    with relaying(tmp_path, dcc) as served:
        world = served.world
        request_id = world.request_id(A)
        data = world.signed(A, *UNOFFERED, request_id=request_id)
        signed_anew = world.signed(A, *UNOFFERED, request_id=request_id.lower().replace(A.eui.lower(), A.eui))
        served.post(data)
        dcc.handler = giving(body=b"<another/>")

        assert served.post(data).body == ANSWER
        assert served.post(world.signed(A, *UNOFFERED, request_id=request_id)).body == ANSWER
        assert signed_anew != data
    world = reopen(world)
    with serving(world) as served:
        other = world.signed(A, UnofferedBody("DevicePrenotification"), "12.2", request_id=request_id)
        refused = served.post(other)

        assert served.post(data).body == ANSWER
        assert served.decoded(refused).code == "E100"
        assert "used before for a request with other content" in refused.detail
    world.close()
    assert len(dcc.asked) == 1


def test_copies_that_come_while_upstream_is_asked_share_one_question(served: Served, dcc: Upstream) -> None:
    world = served.world
    request_id = world.request_id(A)
    data, anew = (world.signed(A, *UNOFFERED, request_id=request_id) for _ in range(2))
    other = world.signed(A, UnofferedBody("DevicePrenotification"), "12.2", request_id=request_id)
    dcc.handler = dcc.holding
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(served.post, data)
        dcc.wait_until_asked()
        copies = [pool.submit(served.post, one) for one in (data, anew, data)]
        differing = pool.submit(served.post, other)
        # Upstream is not waited for with anything locked: another request is answered meanwhile.
        meanwhile = served.post(world.signed(B, ReadInventory(device_id=HUB.chf), "8.2"))
        dcc.go.set()

        assert [one.result().body for one in (first, *copies)] == [ANSWER] * 4
        assert served.decoded(differing.result()).code == "E100"
    assert meanwhile.status == 200
    assert [one.body for one in dcc.asked] == [data]
    assert len(_kept(world)) == 2


def test_other_content_that_comes_while_upstream_is_asked_in_vain_is_to_be_sent_again(
    served: Served, dcc: Upstream
) -> None:
    world = served.world
    request_id = world.request_id(A)
    data = world.signed(A, *UNOFFERED, request_id=request_id)
    other = world.signed(A, UnofferedBody("DevicePrenotification"), "12.2", request_id=request_id)

    async def held_and_busy(request: web.Request) -> web.StreamResponse:
        await dcc.holding(request)
        return await giving(500)(request)

    dcc.handler = held_and_busy
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(served.post, data)
        dcc.wait_until_asked()
        second = pool.submit(served.post, other)
        dcc.go.set()
        statuses = first.result().status, second.result().status

    # The other may have come once the first was done; then it was asked for itself.
    assert statuses in {(502, 503), (502, 502)}
    assert _kept(world) == []


def test_relayed_requests_take_no_place_from_others_and_leave_some_of_theirs(tmp_path: Path, dcc: Upstream) -> None:
    prepare = dcc.prepare("requests_at_once = 4")

    def narrow(directory: Path) -> None:
        prepare(directory)
        edit(directory / "config" / "policy.toml", "requests_in_flight = 64", "requests_in_flight = 1")

    world = make_world(tmp_path, prepare=narrow)
    world.add_hubs([HUB])
    with serving(world) as served, ThreadPoolExecutor(8) as pool:
        answered = world.signed(A, *UNOFFERED)
        served.post(answered)
        dcc.wait_until_asked()
        dcc.handler = dcc.holding
        held = []
        for _ in range(3):
            held.append(pool.submit(served.post, world.signed(A, *UNOFFERED)))
            dcc.wait_until_asked()
        too_many = served.post(world.signed(A, *UNOFFERED))
        assert served.post(answered).body == ANSWER, "what was answered before needs no place"
        held.append(pool.submit(served.post, world.signed(B, *UNOFFERED)))
        dcc.wait_until_asked()
        offered = served.post(world.signed(A, ReadInventory(device_id=HUB.chf), "8.2"))
        dcc.go.set()

        assert (too_many.status, too_many.headers["Retry-After"]) == (503, "5")
        assert "too many requests are being relayed" in too_many.detail
        assert served.decoded(offered).code == "I0"
        assert [one.result().body for one in held] == [ANSWER] * 4
    world.close()


@contextmanager
def _served_apart(world: World) -> Iterator[tuple[subprocess.Popen[str], Served]]:
    """The same instance in a process of its own, which a test may kill."""
    program = (sys.executable, "-c", "from sr_engine.cli.main import main; main()")
    command = [*program, "serve", "--dir", str(world.directory), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield process, Served(world, int(line.split()[1].rpartition(":")[2]))
        finally:
            process.kill()


def test_after_a_crash_while_upstream_was_asked_the_retry_asks_again(tmp_path: Path, dcc: Upstream) -> None:
    world = make_world(tmp_path / "instance", SystemClock().now(), prepare=dcc.prepare())
    data = world.signed(A, *UNOFFERED)
    dcc.handler = dcc.holding
    with ThreadPoolExecutor(1) as pool, _served_apart(world) as (process, served):
        lost = pool.submit(served.post, data)
        dcc.wait_until_asked()
        process.send_signal(signal.SIGKILL)
        assert isinstance(lost.exception(), ConnectionError)
    assert _kept(world) == []
    dcc.handler = giving()

    with _served_apart(world) as (_, served):
        answers: list[HttpAnswer] = [served.post(data), served.post(data)]

    assert [answer.body for answer in answers] == [ANSWER] * 2
    assert [one.body for one in dcc.asked] == [data] * 2
    assert _kept(world) == [(data, ANSWER, A.eui)]
    world.close()


def test_what_upstream_says_to_one_user_s_request_is_not_carried_into_another_s(tmp_path: Path, dcc: Upstream) -> None:
    # An address that is a number never gets a cookie back.
    dcc.url = dcc.url.replace("127.0.0.1", "localhost")
    cookies: list[str | None] = []

    async def giving_a_cookie(request: web.Request) -> web.StreamResponse:
        cookies.append(request.headers.get("Cookie"))
        return await giving(Set_Cookie="session=of-a; Path=/")(request)

    dcc.handler = giving_a_cookie
    with relaying(tmp_path, dcc) as served:
        answers = [served.post(served.world.signed(user, *UNOFFERED)) for user in (A, B)]

    assert [(one.status, one.headers["Set-Cookie"]) for one in answers] == [(200, None)] * 2
    assert cookies == [None, None]
