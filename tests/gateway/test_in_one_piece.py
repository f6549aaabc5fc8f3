"""An answer that is sent in one piece is what it would be in parts; what cannot be answered is told so, and logged."""

from __future__ import annotations

import logging
import re
import socket
from typing import Any

import pytest

from sr_engine.connections import IN_ONE_PIECE, ConnectionLimits, Crowd
from sr_engine.gateway.services import FAILED, Served, Service
from sr_engine.pipeline.answer import Answer
from sr_engine.serving import Door
from tests.gateway.conftest import WAIT
from tests.gateway.guarded import guarded_app

LIMITS = ConnectionLimits(10, 10, 10, 9, 9, 9999, 9, 9999, 9, 9)
HEADERS = [(b"content-length", b"4"), (b"x-other", b"yes")]
_tried: list[bool] = []


async def application(scope: Any, _receive: Any, send: Any) -> None:
    """Answers in one piece below /whole, in parts elsewhere, and says whether that could be."""
    in_one_piece = scope[IN_ONE_PIECE]
    if scope["path"] == "/whole":
        _tried.append(in_one_piece(200, HEADERS, b"said"))
        if _tried[-1]:
            _tried.append(in_one_piece(200, HEADERS, b"twice"))
            return
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": b"said"})


def said(port: int, request: bytes) -> bytes:
    """All that comes back on a connection of its own, without the time."""
    with socket.create_connection(("127.0.0.1", port), timeout=WAIT) as connection:
        connection.sendall(request)
        came = b"".join(iter(lambda: connection.recv(65536), b""))
    return re.sub(rb"date: .*?\r\n", b"date: now\r\n", came)


@pytest.mark.parametrize(
    ("head", "tries"),
    [
        ("GET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n", [True, False]),
        ("GET {path} HTTP/1.0\r\n\r\n", [True, False]),
        (
            "GET {path} HTTP/1.1\r\nHost: here\r\n\r\nGET {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n",
            [True, False, True, False],
        ),
        ("HEAD {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n", [False]),
    ],
)
def test_an_answer_in_one_piece_is_what_it_is_in_parts(head: str, tries: list[bool]) -> None:
    _tried.clear()
    with guarded_app(application, lambda listener: Door([listener], Crowd(LIMITS))) as port:
        whole, parts = (said(port, head.format(path=path).encode()) for path in ("/whole", "/parts"))

    assert whole == parts
    assert whole.count(b"HTTP/1.1 200 OK\r\n") == head.count("{path}")
    assert _tried == tries  # a second answer to a request is none


def test_what_fails_is_answered_and_logged_and_the_next_request_is_not_concerned(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def take(scope: Any, _receive: Any) -> Answer:
        if (b"x-fail", b"yes") in scope["headers"]:
            raise ZeroDivisionError("so it was asked for")
        return Answer(200, b"<done/>", "done")

    async def answer_left(_request_id: str, _command_variant: int) -> None:
        """Nothing is held here."""

    app = Served({"/service": Service(take, answer_left)})
    head = "POST /service HTTP/1.1\r\nHost: here\r\nContent-Length: 0\r\nConnection: close\r\n{more}\r\n"
    with (
        caplog.at_level(logging.ERROR),
        guarded_app(app, lambda listener: Door([listener], Crowd(LIMITS))) as port,
    ):
        failed, good = (said(port, head.format(more=more).encode()) for more in ("X-Fail: yes\r\n", ""))

    assert failed.startswith(b"HTTP/1.1 500 Internal Server Error\r\n")
    assert failed.endswith(FAILED.body)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]
    assert good.startswith(b"HTTP/1.1 200 OK\r\n")
    assert good.endswith(b"<done/>")
