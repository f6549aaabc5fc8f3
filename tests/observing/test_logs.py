"""One line per exchange, which says who asked what and what came of it, and holds nothing of what was sent."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import DBAPIError

from sr_engine.configuration import LogFormat
from sr_engine.messages.model import ReadInventory
from sr_engine.observing import logs
from tests.gateway.guarded import Guarded
from tests.observing.test_metrics import HUB, served
from tests.world import A

TOKEN = "a-token-that-nobody-may-read"


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[], str]]:
    """Tells what was logged since it was last asked."""
    root, ours = logging.getLogger(), logging.getLogger("sr_engine")
    before, level, our_level = root.handlers[:], root.level, ours.level
    yield lambda: capsys.readouterr().err
    root.handlers[:] = before
    root.setLevel(level)
    ours.setLevel(our_level)


@contextmanager
def logged(tmp_path: Path, style: LogFormat) -> Iterator[Guarded]:
    with served(tmp_path, "") as here:
        logs.log_to_stderr(style)
        yield here


def exchanges(here: Guarded) -> str:
    """Several, good and bad; the RequestID of the first."""
    request_id = here.world.request_id(A)
    here.post(here.world.signed(A, ReadInventory(device_id=HUB.chf), "8.2", request_id=request_id))
    unsigned = here.world.signed(A, ReadInventory(device_id=HUB.chf), "8.2")
    here.post(re.sub(rb"(?<=<ds:SignatureValue>)....", b"AAAA", unsigned))
    here.post(b"<secret-body/>", headers={"Authorization": f"Bearer {TOKEN}"})
    here.post(f"<{TOKEN}/>".encode(), path="/api/v1/csp")
    return request_id


def test_a_line_as_json_holds_what_is_known_by_name(tmp_path: Path, said: Callable[[], str]) -> None:
    with logged(tmp_path, LogFormat.JSON) as here:
        request_id = exchanges(here)

    lines = [json.loads(line) for line in said().splitlines()]
    noted = [line for line in lines if line["logger"].endswith("exchanges")]
    assert [(one["service"], one["code"], one["srv"], one["user"]) for one in noted] == [
        ("serviceD", "I0", "8.2", A.eui),
        ("serviceD", "E100", "8.2", ""),
        ("serviceD", "400", "", ""),
        ("csp", "400", "", ""),
    ]
    assert noted[0]["request_id"] == request_id
    assert all(0 < one["milliseconds"] < 60_000 for one in noted)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", noted[0]["at"])


@pytest.mark.parametrize("style", list(LogFormat))
def test_no_line_holds_a_body_or_a_token(tmp_path: Path, said: Callable[[], str], style: LogFormat) -> None:
    with logged(tmp_path, style) as here:
        exchanges(here)

    text = said()
    assert text.count(" answered ") == 4
    assert not [word for word in (TOKEN, "secret-body", HUB.chf, "Bearer", "<") if word in text]


def test_a_line_for_people_names_service_code_time_request_and_user(tmp_path: Path, said: Callable[[], str]) -> None:
    with logged(tmp_path, LogFormat.HUMAN) as here:
        request_id = exchanges(here)

    first, *_ = (line for line in said().splitlines() if " answered " in line)
    assert re.search(rf"serviceD answered I0 in \d+\.\d ms: 8\.2 {request_id} of {A.eui}$", first)


def test_what_goes_wrong_is_one_line_too(said: Callable[[], str]) -> None:
    logs.log_to_stderr(LogFormat.JSON)
    error = ValueError("two\nlines")
    logging.getLogger("sr_engine.x").error("it \x1b[31m failed", exc_info=error)

    (line,) = said().splitlines()
    assert json.loads(line)["traceback"].endswith("ValueError: two\nlines")


def test_lines_of_one_turn_of_the_event_loop_are_written_in_the_next_and_in_their_order(
    said: Callable[[], str],
) -> None:
    logs.log_to_stderr()
    here = logging.getLogger("sr_engine.x")

    async def say() -> tuple[str, str, str]:
        here.info("first")
        here.info("second")
        at_once = said()
        await asyncio.sleep(0)
        next_turn = said()
        here.info("third")
        here.warning("fourth")
        return at_once, next_turn, said()

    at_once, next_turn, with_warning = asyncio.run(say())
    assert at_once == ""
    assert [line.rpartition(" ")[2] for line in next_turn.splitlines()] == ["first", "second"]
    assert [line.rpartition(" ")[2] for line in with_warning.splitlines()] == ["third", "fourth"]


def test_where_no_event_loop_runs_a_line_is_written_at_once(said: Callable[[], str]) -> None:
    logs.log_to_stderr()
    logging.getLogger("sr_engine.x").info("alone")

    assert said().endswith("Z INFO sr_engine.x: alone\n")


def test_a_line_that_its_event_loop_never_wrote_comes_with_the_next(said: Callable[[], str]) -> None:
    logs.log_to_stderr()
    here = logging.getLogger("sr_engine.x")
    loop = asyncio.new_event_loop()

    async def say(text: str) -> None:
        here.info(text)
        loop.stop()

    said_first = loop.create_task(say("first"))
    loop.run_forever()
    loop.close()
    assert said_first.done()
    asyncio.run(asyncio.sleep(0))
    here.info("second")

    assert [line.rpartition(" ")[2] for line in said().splitlines()] == ["first", "second"]


@pytest.mark.parametrize("style", list(LogFormat))
def test_a_database_that_is_away_is_told_in_few_words_and_all_else_with_its_traceback(
    said: Callable[[], str], style: LogFormat
) -> None:
    logs.log_to_stderr(style)
    log = logging.getLogger("sr_engine.somewhere")
    with closing(socket.socket()) as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        port = nobody_listens.getsockname()[1]
        engine = create_engine(f"postgresql+psycopg://somebody@127.0.0.1:{port}/anything")
        try:
            engine.connect()
        except DBAPIError:
            log.exception("the outbox cannot be looked through")
    away = said()
    assert "Connection refused" in away
    assert str(port) in away
    assert "Traceback" not in away
    assert len(away.splitlines()) <= 2

    with closing(sqlite3.connect(":memory:")) as connection:
        try:
            connection.execute("SELECT no_such_column")
        except sqlite3.Error:
            log.exception("this should not have happened")
    assert "Traceback" in said()
