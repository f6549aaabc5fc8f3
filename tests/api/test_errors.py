"""Whatever is wrong with a request, it is said as a problem document."""

from __future__ import annotations

import socket

import pytest

from sr_engine.store.api_tokens import Scope
from tests.api.conftest import FIRMWARE_NAME, SOLE, ApiWorld, Client
from tests.gateway.conftest import WAIT
from tests.world import A

EXCLUDE = {"action": "Exclude", "device_ids": [SOLE.chf]}


@pytest.fixture
def ask(api: ApiWorld) -> Client:
    return api.client(A)


def test_every_error_is_a_problem_that_says_its_status(ask: Client) -> None:
    lots = b" " * 5_000_000
    wrong = [
        (404, ask("GET", "/nothing")),
        (404, ask("GET", "/hubs/")),
        (404, ask("GET", "/hubs/%0A")),
        (405, ask("DELETE", "/hubs")),
        (415, ask("POST", "/exclusions", raw=b"a=b", headers={"Content-Type": "text/plain"})),
        (415, ask("POST", "/exclusions", raw=b"{}", headers={"Content-Encoding": "gzip"})),
        (413, ask("POST", "/exclusions", raw=lots)),
        (422, ask("POST", "/exclusions", raw=b"{")),
        (422, ask("POST", "/exclusions", {**EXCLUDE, "action": "Perhaps"})),
        (422, ask("POST", "/exclusions", {**EXCLUDE, "more": 1})),
        (422, ask("POST", "/exclusions", EXCLUDE, key="x" * 65)),
        (422, ask("GET", "/hubs?limit=0")),
        (422, ask("GET", "/hubs?release_id=none")),
        (422, ask("GET", "/hubs?stauts=Listed")),
        (422, ask("POST", "/exclusions?dryrun=true", EXCLUDE)),
        (422, ask("POST", "/exclusions", {**EXCLUDE, "exclude_until": 1796824000})),
        (422, ask("POST", "/exclusions", {**EXCLUDE, "exclude_until": "1796824000"})),
        (400, ask("GET", "/hubs?prefix=XY")),
        (404, ask("GET", f"/hubs?release_id={'0' * 32}")),
        (404, ask("GET", f"/schedules/{17}")),
        (401, Client(ask.port, "")("GET", "/hubs")),
        (401, Client(ask.port, "sre_" + "0" * 64)("GET", "/nothing")),
    ]

    assert [(answer.status, answer.is_problem) for _, answer in wrong] == [(status, True) for status, _ in wrong]


def test_a_mistake_in_a_body_is_pointed_at(ask: Client) -> None:
    found = ask("POST", "/exclusions", {"action": "Exclude", "device_ids": [SOLE.chf, "x"]}).json

    assert found["errors"][0]["pointer"] == "/device_ids/1"


def test_a_parameter_that_is_misspelt_is_named_and_nothing_is_done(ask: Client) -> None:
    answer = ask("POST", "/exclusions?dry-run=true", EXCLUDE)

    assert "no parameter dry-run; there are dry_run" in answer.json["detail"]
    assert ask.get("/exclusions")["exclusions"] == []


def test_what_acts_needs_a_key(ask: Client) -> None:
    answer = ask("POST", "/exclusions", EXCLUDE, headers={"Idempotency-Key": ""})

    assert (answer.status, answer.is_problem) == (422, True)


@pytest.mark.parametrize(
    ("scope", "method", "path"),
    [
        (Scope.READ, "POST", "/exclusions"),
        (Scope.READ, "GET", "/webhooks"),
        (Scope.ACT, "GET", "/hubs"),
        (Scope.WEBHOOKS, "GET", "/changes"),
    ],
)
def test_a_token_is_for_its_scopes_only(api: ApiWorld, scope: Scope, method: str, path: str) -> None:
    answer = api.client(A, frozenset({scope}))(method, path, EXCLUDE if method == "POST" else None)

    assert (answer.status, answer.is_problem) == (403, True)


def test_every_answer_says_how_much_may_still_be_asked(api: ApiWorld) -> None:
    ask = api.client(A)
    answer = ask("GET", "/releases")

    assert int(answer.headers["ratelimit-limit"]) == 100_000
    assert int(answer.headers["ratelimit-remaining"]) == 99_999
    assert int(answer.headers["ratelimit-reset"]) == 1


def test_a_body_that_does_not_come_is_not_waited_for_for_ever(api: ApiWorld) -> None:
    with socket.create_connection(("127.0.0.1", api.port), timeout=WAIT) as connection:
        connection.sendall(
            b"POST /api/v2/exclusions HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
            b"Content-Type: application/json\r\n\r\n"
        )
        # Nobody is waited for who has no token.
        assert connection.recv(12) == b"HTTP/1.1 401"


def test_what_the_rules_do_not_allow_is_a_conflict_with_its_response_code(ask: Client) -> None:
    name = {**FIRMWARE_NAME, "version": "1234"}
    answer = ask("POST", "/approvals", {"firmware": name, "decision": "Approve", "device_ids": [SOLE.chf]})

    assert (answer.status, answer.is_problem, answer.json["code"]) == (409, True, "E110601")


@pytest.mark.parametrize("path", ["/hubs?region=%00", "/hubs/%00", "/webhooks/%00"])
def test_what_no_database_can_look_for_is_refused(api: ApiWorld, path: str) -> None:
    answer = api.client(A)("GET", path)
    assert (answer.status, answer.is_problem) == (400, True)
