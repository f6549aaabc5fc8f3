"""Sending again, and what is believed of what comes back: against servers that fail in every way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from signing import Signer, Trust
from sr_engine.client import (
    AnswerRefused,
    AsyncClient,
    Client,
    Counters,
    NotAnswered,
    NotTaken,
    Outcome,
    RequestNotSent,
    Retries,
    SignedRequest,
    exclude,
    read_inventory,
)
from sr_engine.client.exchange import Call, NoReply, Pause, Reply, exchange
from sr_engine.counters import COUNTER_MAX
from sr_engine.messages.build import build_response
from sr_engine.messages.identifiers import RequestId
from sr_engine.parsing import Parser
from tests.client.conftest import HUBS, Said, options, standing_in
from tests.gateway.conftest import Served
from tests.world import NOW, A, World

BODY = read_inventory(device_id=HUBS[0].chf)
Sending = Callable[[str, dict[str, Any]], Outcome]


def _blocking(url: str, how: dict[str, Any]) -> Outcome:
    with Client(url, **how) as client:
        return client.send(BODY).outcome


def _awaited(url: str, how: dict[str, Any]) -> Outcome:
    async def send() -> Outcome:
        async with AsyncClient(url, **how) as client:
            return (await client.send(BODY)).outcome

    return asyncio.run(send())


@pytest.fixture(params=[_blocking, _awaited], ids=["blocking", "asyncio"])
def sending(request: pytest.FixtureRequest) -> Sending:
    """Either client."""
    chosen: Sending = request.param
    return chosen


def _passed_on(served: Served) -> Callable[[bytes], Said]:
    """Asks the processor."""

    def answer(data: bytes) -> Said:
        found = served.post(data)
        headers = {name: text for name, text in found.headers.items() if name.startswith("DUIS-")}
        return Said(found.status, found.body, headers)

    return answer


def _taken_and_lost(served: Served) -> Callable[[bytes], Said]:
    """Asks the processor and loses its answer."""

    def answer(data: bytes) -> Said:
        assert served.post(data).status == 200
        return Said(None)

    return answer


def test_a_request_whose_answer_was_lost_is_sent_again_byte_for_byte(served: Served, sending: Sending) -> None:
    broken_off = Said(200, b"<sr:Response", missing=1_000)
    with standing_in(_taken_and_lost(served), broken_off, Said(500), _passed_on(served)) as stand_in:
        assert sending(stand_in.url, options(served.world)) is Outcome.ACCEPTED

    assert len(stand_in.received) == 4
    assert len(set(stand_in.received)) == 1


def test_what_is_not_taken_is_not_sent_again(served: Served, sending: Sending) -> None:
    with (
        standing_in(Said(400, b"<p><detail>line 1 is wrong</detail></p>")) as stand_in,
        pytest.raises(NotTaken, match="not taken, HTTP 400: line 1 is wrong"),
    ):
        sending(stand_in.url, options(served.world))

    assert len(stand_in.received) == 1


def test_a_client_gives_up_after_its_last_try_and_can_go_on_with_the_same_bytes(
    served: Served, sending: Sending
) -> None:
    with (
        standing_in(*[Said(503, headers={"DUIS-Response-Detail": "busy"})] * 4) as stand_in,
        pytest.raises(NotAnswered, match="HTTP 503: busy") as raised,
    ):
        sending(stand_in.url, options(served.world))

    assert not raised.value.may_have_been_taken
    with Client(f"http://127.0.0.1:{served.port}", **options(served.world)) as client:
        answer = client.submit(raised.value.request)
    assert answer.outcome is Outcome.ACCEPTED
    assert set(stand_in.received) == {raised.value.request.data}


def test_what_may_have_been_taken_is_said_to_be_so(served: Served, sending: Sending) -> None:
    with standing_in(Said(None), Said(503), Said(503), Said(503)) as stand_in, pytest.raises(NotAnswered) as raised:
        sending(stand_in.url, options(served.world))
    assert raised.value.may_have_been_taken


def test_nobody_at_the_address_has_taken_nothing(served: Served, sending: Sending) -> None:
    with pytest.raises(NotAnswered, match="refused") as raised:
        sending("http://127.0.0.1:1", options(served.world))
    assert not raised.value.may_have_been_taken


def test_an_answer_that_takes_too_long_is_a_try(served: Served, sending: Sending) -> None:
    over = threading.Event()

    def late(_data: bytes) -> Said:
        over.wait(20)
        return Said(503)

    with standing_in(late, *[_passed_on(served)] * 7) as stand_in:
        how = options(served.world, retries=Retries(tries=8, timeout=0.5, first_wait=0))
        try:
            assert sending(stand_in.url, how) is Outcome.ACCEPTED
        finally:
            over.set()
    assert len(set(stand_in.received)) == 1


def test_the_processor_says_how_long_to_wait_and_otherwise_waits_grow(served: Served) -> None:
    how = options(served.world)
    with Client("http://127.0.0.1:1", **how) as client:
        request = client.sign(BODY)
    steps = exchange(
        request,
        "http://127.0.0.1:1",
        parser=Parser.trusting(Trust()),
        clock=served.world.clock,
        retries=Retries(tries=9, first_wait=2, longest_wait=5),
        uniform=lambda _, most: most,
    )
    date = format_datetime(NOW + timedelta(seconds=7), usegmt=True)
    replies: list[Reply | NoReply] = [
        Reply(503, {"retry-after": "3"}, b""),
        NoReply("no answer"),
        Reply(429, {"retry-after": date}, b""),
        Reply(500, {"retry-after": "soon"}, b""),
    ]
    waits = []
    assert isinstance(next(steps), Call)
    for reply in replies:
        waits.append(steps.send(reply))
        next(steps)

    assert waits == [Pause(3), Pause(4), Pause(7), Pause(5)]


def test_a_processor_that_asks_for_more_than_the_clients_patience_is_left_alone(
    served: Served, sending: Sending
) -> None:
    with standing_in(Said(503, headers={"Retry-After": "3600"})) as stand_in, pytest.raises(NotAnswered) as raised:
        sending(stand_in.url, options(served.world))
    assert (raised.value.retry_after, len(stand_in.received)) == (3600, 1)


# --- Answers that are not believed ------------------------------------------------------------------------------------


def _response(world: World, *, request_id: str, variant: str = "8.2", key: str = "broker", late: bool = False) -> bytes:
    root = build_response(
        schema_version="5.4",
        request_id=request_id,
        response_id=request_id if late else None,
        code="I0",
        at=NOW,
        service_reference=variant,
        service_reference_variant=variant,
        result=None,
    )
    return Signer(world.key(key)).sign(root)


def _own_id(data: bytes) -> str:
    return data.partition(b"<sr:RequestID>")[2].partition(b"<")[0].decode()


def _of_another(data: bytes) -> str:
    originator, target, counter = _own_id(data).split(":")
    return f"{originator}:{target}:{int(counter) + 1}"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda world, data: _response(world, request_id=_of_another(data)), "it answers 00-00-5E"),
        (lambda world, data: _response(world, request_id=_own_id(data), variant="11.7"), "a Service Request 11.7"),
        (lambda world, data: _response(world, request_id=_own_id(data), late=True), "sent later"),
        (lambda world, data: _response(world, request_id=_own_id(data), key="supplier-b"), "role 87"),
        (lambda world, data: _response(world, request_id=_own_id(data)), "cannot be read, or is not there"),
        (lambda world, data: data, "root is Request|role 87"),
        (lambda world, data: b"<html/>", "Signature"),
        (lambda world, data: b"", "empty"),
    ],
    ids=[
        "another request",
        "another kind",
        "a late Response",
        "another signer",
        "no result",
        "an echo",
        "no message",
        "nothing",
    ],
)
def test_what_is_no_genuine_answer_is_not_believed(
    served: Served, answer: Callable[[World, bytes], bytes], why: str
) -> None:
    with (
        standing_in(lambda data: Said(200, answer(served.world, data))) as stand_in,
        Client(stand_in.url, **options(served.world)) as client,
        pytest.raises(AnswerRefused, match=why),
    ):
        client.send(BODY)


def test_an_answer_that_was_changed_on_its_way_is_not_believed(served: Served) -> None:
    def changed(data: bytes) -> Said:
        return Said(200, served.post(data).body.replace(b"Commissioned", b"Suspended"))

    with (
        standing_in(changed) as stand_in,
        Client(stand_in.url, **options(served.world)) as client,
        pytest.raises(AnswerRefused, match="changed"),
    ):
        client.send(BODY)


# --- Counters ---------------------------------------------------------------------------------------------------------


def test_the_answers_to_earlier_parts_of_a_list_are_not_lost(served: Served) -> None:
    with (
        standing_in(_passed_on(served), *[Said(503)] * 4) as stand_in,
        Client(stand_in.url, **options(served.world, most_devices=2)) as client,
        pytest.raises(NotAnswered) as raised,
    ):
        client.send(exclude([hub.chf for hub in HUBS]))
    (done,) = raised.value.done
    assert done.request.device_ids == (HUBS[0].chf, HUBS[1].chf)
    assert raised.value.request.device_ids == (HUBS[2].chf, HUBS[3].chf)


def test_clients_in_several_processes_never_use_a_counter_twice(served: Served, tmp_path: Path) -> None:
    program = """
import sys
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from sr_engine.client import Client, SoftwareKey, Trust, read_inventory
from sr_engine.clock import FixedClock
folder, counters = Path(sys.argv[1]), Path(sys.argv[2])
key = SoftwareKey.load(folder / "key.pem", folder / "certificate.pem")
clock = FixedClock(datetime(2026, 11, 23, 9, tzinfo=UTC))
with Client("http://127.0.0.1:1", key=key, trust=Trust(), counters=counters, clock=clock) as client:
    for _ in range(40):
        print(client.sign(read_inventory(uprn=1)).request_id.counter)
"""
    arguments = [sys.executable, "-c", program, str(served.world.directory / "pki" / A.name), str(tmp_path / "c")]
    processes = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    drawn = [int(line) for process in processes for line in process.communicate(timeout=60)[0].split()]

    assert len(set(drawn)) == 80


def test_counters_end_with_the_last_of_64_bits(served: Served, tmp_path: Path) -> None:
    class Late:
        def draw(self, eui: str, now: int) -> int:
            return counters.draw(eui, COUNTER_MAX)

    counters = Counters(tmp_path / "counters")
    with Client("http://127.0.0.1:1", **options(served.world, counters=Late())) as client:
        last: SignedRequest = client.sign(BODY)
        with pytest.raises(RequestNotSent, match="used up"):
            client.sign(BODY)
    counters.close()
    assert last.request_id == RequestId.make(A.eui, last.request_id.target, COUNTER_MAX)
