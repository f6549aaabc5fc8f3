"""What a client says, and does not say, when server, key or connection fail in unusual ways."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from signing import Signer, Trust
from sr_engine.client import (
    AnswerRefused,
    AsyncClient,
    Client,
    ClientError,
    ListResult,
    NotAnswered,
    NotTaken,
    Outcome,
    RequestId,
    Retries,
    SigningFailed,
    SigningServer,
    exclude,
    read_inventory,
)
from sr_engine.client.exchange import Call, NoReply, Pause, Reply, exchange
from sr_engine.messages.build import build_response
from sr_engine.parsing import Parser
from sr_engine.receiver import Pull
from tests.cli.conftest import Run, run
from tests.client.conftest import HUBS, SOON, TOKEN, Said, options, standing_in
from tests.gateway.conftest import Served
from tests.world import NOW, A

__all__ = ["run"]

BODY = read_inventory(device_id=HUBS[0].chf)


def _blocking(url: str, how: dict[str, Any]) -> None:
    with Client(url, **how) as client:
        client.send(BODY)


def _awaited(url: str, how: dict[str, Any]) -> None:
    async def send() -> None:
        async with AsyncClient(url, **how) as client:
            await client.send(BODY)

    asyncio.run(send())


@contextmanager
def _raw(*connections: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that does these things on one connection after another, and then is down; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for number, one in enumerate(connections, 1):
                connection, _ = listener.accept()
                if number == len(connections):
                    listener.close()
                with connection:
                    one(connection)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(90)


def _request(connection: socket.socket) -> None:
    """Read one request."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")
    )
    while len(body) < length:
        body += connection.recv(65536)


def test_a_request_that_went_out_on_an_open_connection_may_have_been_taken_though_nobody_is_there_afterwards(
    served: Served,
) -> None:
    def answers_once_and_dies(connection: socket.socket) -> None:
        _request(connection)
        connection.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
        _request(connection)

    how = options(served.world, retries=Retries(tries=3, timeout=90, first_wait=0))
    for send in (_blocking, _awaited):
        with _raw(answers_once_and_dies) as port, pytest.raises(NotAnswered, match="refused") as raised:
            send(f"http://127.0.0.1:{port}", how)

        assert raised.value.may_have_been_taken


def test_a_connection_that_was_closed_while_it_was_idle_costs_no_try(served: Served) -> None:
    closed = threading.Event()

    def answers(connection: socket.socket) -> None:
        _request(connection)
        connection.sendall(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")

    def answers_and_is_closed(connection: socket.socket) -> None:
        answers(connection)
        connection.shutdown(socket.SHUT_WR)
        closed.set()

    with (
        _raw(answers_and_is_closed, answers) as port,
        Client(f"http://127.0.0.1:{port}", **options(served.world, retries=Retries(tries=1))) as client,
    ):
        for _ in range(2):
            with pytest.raises(NotTaken):
                client.send(BODY)
            assert closed.wait(90)


def test_an_answer_that_drips_is_given_up_when_its_time_is_over(served: Served) -> None:
    over = threading.Event()

    def drips(connection: socket.socket) -> None:
        _request(connection)
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not over.wait(0.05):
                connection.sendall(b"<")
        except OSError:
            return

    with _raw(drips) as port:
        threading.Timer(90, over.set).start()
        with (
            Client(
                f"http://127.0.0.1:{port}", **options(served.world, retries=Retries(tries=1, timeout=0.5))
            ) as client,
            pytest.raises(NotAnswered, match=r"no answer within 0\.5 s"),
        ):
            client.send(BODY)
        assert not over.is_set()
        over.set()


def test_what_a_proxy_turns_away_may_have_been_taken_before(served: Served) -> None:
    with (
        standing_in(Said(None), Said(403)) as stand_in,
        Client(stand_in.url, **options(served.world)) as client,
        pytest.raises(NotTaken, match="an earlier try may have been") as raised,
    ):
        client.send(BODY)
    assert raised.value.may_have_been_taken
    with (
        standing_in(Said(503), Said(403)) as stand_in,
        Client(stand_in.url, **options(served.world)) as client,
        pytest.raises(NotTaken) as raised,
    ):
        client.send(BODY)
    assert not raised.value.may_have_been_taken


def test_thousands_of_tries_are_made_if_they_are_asked_for(served: Served) -> None:
    with Client("http://127.0.0.1:1", **options(served.world)) as client:
        request = client.sign(BODY)
    steps = exchange(
        request,
        "http://127.0.0.1:1",
        parser=Parser.trusting(Trust()),
        clock=served.world.clock,
        retries=Retries(tries=3_000),
        uniform=lambda _, most: most,
    )
    for _ in range(2_999):
        assert isinstance(next(steps), Call)
        pause = steps.send(NoReply("down"))
    assert pause == Pause(15.0)


@pytest.mark.parametrize("asked_for", ["0", "Mon, 23 Nov 2026 08:59:00 GMT"], ids=["no time", "a time that is over"])
def test_to_be_asked_for_no_time_does_not_use_up_all_tries_at_once(served: Served, asked_for: str) -> None:
    with Client("http://127.0.0.1:1", **options(served.world)) as client:
        request = client.sign(BODY)
    steps = exchange(
        request,
        "http://127.0.0.1:1",
        parser=Parser.trusting(Trust()),
        clock=served.world.clock,
        retries=Retries(first_wait=2),
        uniform=lambda _, most: most,
    )
    next(steps)
    assert steps.send(Reply(503, {"retry-after": asked_for}, b"")) == Pause(2)


@dataclass(frozen=True)
class _Token:
    """A key in a device that fails after so many signatures."""

    inner: Any
    left: list[int]

    @property
    def eui(self) -> str:
        return str(self.inner.eui)

    @property
    def issuer_name(self) -> str:
        return str(self.inner.issuer_name)

    @property
    def serial(self) -> int:
        return int(self.inner.serial)

    def sign(self, data: bytes) -> bytes:
        if not self.left:
            raise RuntimeError("the token was pulled out")
        self.left.pop()
        return bytes(self.inner.sign(data))


def test_a_key_that_fails_between_two_parts_of_a_list_loses_no_answer(served: Served) -> None:
    how = options(served.world, most_devices=2)
    how["key"] = _Token(how["key"], [1])
    with (
        Client(f"http://127.0.0.1:{served.port}", **how) as client,
        pytest.raises(SigningFailed, match="pulled out") as raised,
    ):
        client.send(exclude([hub.chf for hub in HUBS]))

    assert ListResult.of(raised.value.done).outcome is Outcome.ACCEPTED
    with pytest.raises(ValueError, match="no answers"):
        ListResult.of(())


@pytest.mark.parametrize("token", ["secret\n", "", "sécret"])
def test_a_token_that_no_header_can_hold_is_said_at_once_and_not_repeated(served: Served, token: str) -> None:
    makers: list[Callable[[], object]] = [
        lambda: Client("http://127.0.0.1:1", token=token, **options(served.world)),
        lambda: SigningServer("http://127.0.0.1:1", A.eui, token=token),
        lambda: Pull("http://127.0.0.1:1", token),
    ]
    for maker in makers:
        with pytest.raises(ValueError, match="the token is empty, or holds") as raised:
            maker()
        assert "cret" not in str(raised.value)
    assert "cret" not in repr(Call("GET", "http://127.0.0.1:1", {"Authorization": "Bearer secret"}))


@pytest.mark.parametrize(
    "wrong",
    [
        ("ftp://127.0.0.1", "token", "not an http or https address"),
        ("http://127.0.0.1", "sécret", "what no header can"),
    ],
)
def test_the_command_says_in_one_line_why_nothing_can_be_fetched(
    served: Served, tmp_path: Path, run: Run, wrong: tuple[str, str, str]
) -> None:
    url, token, why = wrong
    file = tmp_path / "token"
    file.write_text(token, encoding="utf-8")
    trust = served.world.directory / "pki" / "trust"
    files = ["--trust", trust, "--inbox", tmp_path / "inbox.db", "--out", tmp_path / "lines", "--token-file", file]

    refused = run("receive", *files, "--port", "0", "--pull", url)

    assert refused.exit_code == 2
    (line,) = refused.stderr.splitlines()
    assert line.startswith("sr-engine: nothing can be fetched")
    assert why in line
    assert "cret" not in line


def test_an_address_with_a_port_that_is_none_is_said_at_once(served: Served) -> None:
    with pytest.raises(ValueError, match="Port"):
        Client("http://127.0.0.1:99999", **options(served.world))


def test_certificates_that_are_trusted_later_are_believed_without_a_new_client(served: Served, tmp_path: Path) -> None:
    trusted = served.world.directory / "pki" / "trust"
    trust = tmp_path / "trust"
    shutil.copytree(trusted, trust, ignore=shutil.ignore_patterns("*.pem"))
    how = options(served.world) | {"trust": trust}
    with Client(f"http://127.0.0.1:{served.port}", **how) as client:
        with pytest.raises(AnswerRefused, match="no certificate"):
            client.send(BODY)
        shutil.copytree(trusted, trust, dirs_exist_ok=True)
        assert client.send(BODY).outcome is Outcome.ACCEPTED


def test_a_name_that_nobody_knows_is_said_to_be_one(served: Served) -> None:
    with pytest.raises(NotAnswered) as raised:
        _awaited("http://nobody.invalid", options(served.world, retries=Retries(tries=1)))
    assert not raised.value.may_have_been_taken
    assert "Unknown error" not in str(raised.value)


class _Fetched:
    """A processor's place of Responses, as a proxy or a cache in front of it may have it."""

    def __init__(self, *said: tuple[int, bytes]) -> None:
        self.said = list(said)

    def __call__(self, connection: socket.socket) -> None:
        while self.said and connection.recv(65536):
            status, body = self.said.pop(0)
            connection.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body))


def test_the_answer_that_a_held_request_was_given_at_once_is_not_taken_for_its_response(served: Served) -> None:
    request_id = RequestId.make(A.eui, "90-B3-D5-1F-30-00-00-02", 17)
    held = build_response(
        schema_version="5.4",
        request_id=request_id.text,
        code="I99",
        at=NOW,
        service_reference="11.6",
        service_reference_variant="11.6",
        result=None,
    )
    answers = _Fetched((500, b""), (429, b""), (200, Signer(served.world.key("broker")).sign(held)))
    with (
        _raw(answers) as port,
        Client(f"http://127.0.0.1:{port}", token=TOKEN, **options(served.world, retries=SOON)) as client,
        pytest.raises(ClientError, match="given at once"),
    ):
        client.fetch_response(request_id)
    assert answers.said == []
