"""Webhooks: changes are sent, signed, in their order, until they are taken."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from click.testing import CliRunner

from sr_engine.api.sending import ID, is_genuine
from sr_engine.cli.main import commands
from sr_engine.store import webhooks
from sr_engine.store.webhooks import Webhook
from tests.api.conftest import NORTH, SOLE, THEIRS, ApiWorld, Client
from tests.gateway.conftest import WAIT
from tests.world import A, B

WINDOW = 300


@dataclass
class Receiver:
    """A Supplier's system that takes what is sent to it, or does not."""

    url: str = ""
    status: int = 204
    taken: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    location: str = ""
    refused: int = 0
    waiting: int = 0
    ids: list[str] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)
    """Not set, whoever sends has to wait."""

    def __post_init__(self) -> None:
        self.answers.set()

    def changes(self) -> list[tuple[str, str]]:
        return [(one["kind"], one["what"]) for _, body in self.taken for one in json.loads(body)["changes"]]


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.waiting += 1
            receiver.answers.wait(WAIT)
            if receiver.status < 300:
                receiver.taken.append((dict(self.headers.items()), body))
            else:
                receiver.refused += 1
                receiver.ids.append(self.headers[ID])
            self.send_response(receiver.status)
            if receiver.location:
                self.send_header("Location", receiver.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(WAIT)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that the processor does by itself."""
    end = time.monotonic() + WAIT
    while not holds():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def kept(api: ApiWorld, webhook_id: str) -> Webhook:
    with api.world.instance.reading_engine.connect() as connection:
        found = webhooks.find(connection, webhook_id)
    assert found is not None
    return found


def test_changes_are_sent_signed_and_in_their_order(api: ApiWorld, receiver: Receiver) -> None:
    made = api.client(A).do("/webhooks", {"url": receiver.url})
    api.suppliers.schedule(A, SOLE.chf)
    api.suppliers.exclude(B, THEIRS.chf)
    api.suppliers.exclude(A, NORTH.chf)
    until(lambda: len(receiver.changes()) >= 3)

    now = int(api.world.clock.now().timestamp())
    assert receiver.changes() == [("answer", "Approved"), ("upgrade", "Scheduled"), ("exclusion", "Excluded")]
    for headers, body in receiver.taken:
        assert is_genuine(made["secret"], headers, body, now, window=WINDOW)
        assert not is_genuine(made["secret"], headers, body + b" ", now, window=WINDOW)
        assert not is_genuine("another", headers, body, now, window=WINDOW)
        assert not is_genuine(made["secret"], headers, body, now + WINDOW + 1, window=WINDOW)


def test_what_is_not_taken_is_sent_again_and_what_comes_after_it_waits(api: ApiWorld, receiver: Receiver) -> None:
    receiver.status = 503
    api.client(A).do("/webhooks", {"url": receiver.url})
    api.suppliers.exclude(A, SOLE.chf)
    until(lambda: receiver.refused > 0)
    receiver.status = 204
    api.suppliers.exclude(A, NORTH.chf)
    api.world.clock.set(api.world.clock.now().replace(hour=23))
    until(lambda: len(receiver.changes()) == 2)

    assert len({headers[ID] for headers, _ in receiver.taken}) == len(receiver.taken)


def test_a_redirect_is_not_followed(api: ApiWorld, receiver: Receiver) -> None:
    with receiving() as elsewhere:
        receiver.status, receiver.location = 307, elsewhere.url
        made = api.client(A).do("/webhooks", {"url": receiver.url})
        api.suppliers.schedule(A, SOLE.chf)
        until(lambda: receiver.refused >= 1 and kept(api, made["webhook_id"]).tries >= 1)

        assert kept(api, made["webhook_id"]).last_error == "HTTP 307"
        assert elsewhere.waiting == 0


def test_what_is_sent_again_with_more_in_it_is_not_taken_for_the_same(api: ApiWorld, receiver: Receiver) -> None:
    receiver.status = 503
    webhook_id = api.client(A).do("/webhooks", {"url": receiver.url})["webhook_id"]
    api.suppliers.exclude(A, SOLE.chf)
    until(lambda: kept(api, webhook_id).tries > 0)
    receiver.status = 204
    api.suppliers.exclude(A, NORTH.chf)
    api.world.clock.set(api.world.clock.now().replace(hour=23))
    until(lambda: bool(receiver.taken))

    ((headers, _),) = receiver.taken
    assert len(receiver.changes()) == 2
    assert headers[ID] not in receiver.ids


def test_a_slow_receiver_delays_nobody_elses(api: ApiWorld, receiver: Receiver) -> None:
    receiver.answers.clear()
    with receiving() as quick:
        api.client(A).do("/webhooks", {"url": receiver.url})
        api.client(B).do("/webhooks", {"url": quick.url})
        api.suppliers.exclude(A, SOLE.chf)
        until(lambda: receiver.waiting > 0)
        api.suppliers.exclude(B, THEIRS.chf)
        until(lambda: bool(quick.taken))

        assert receiver.taken == [], "it has not answered yet"
        receiver.answers.set()


def test_only_the_kinds_that_were_asked_for_are_sent(api: ApiWorld, receiver: Receiver) -> None:
    api.client(A).do("/webhooks", {"url": receiver.url, "kinds": ["exclusion"]})
    api.suppliers.schedule(A, SOLE.chf)
    api.suppliers.exclude(A, SOLE.chf)
    until(lambda: bool(receiver.taken))

    assert receiver.changes() == [("exclusion", "Excluded")]


def run(api: ApiWorld, *arguments: str) -> str:
    """What a command says that succeeds."""
    result = CliRunner().invoke(commands, [*arguments, "--dir", str(api.world.directory)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_webhook_is_parked_after_the_last_try_and_goes_on_where_it_was(api: ApiWorld, receiver: Receiver) -> None:
    receiver.status = 500
    webhook_id = api.client(A).do("/webhooks", {"url": receiver.url})["webhook_id"]
    api.suppliers.exclude(A, SOLE.chf)
    until(lambda: receiver.refused > 0 and kept(api, webhook_id).tries > 0)

    def later() -> bool:
        one = kept(api, webhook_id)
        if one.parked_at is None:
            api.world.clock.set(max(api.world.clock.now(), one.next_try_at))
        return one.parked_at is not None

    until(later)
    shown = api.client(A).get(f"/webhooks/{webhook_id}")
    assert (shown["state"], shown["failures"], shown["last_error"]) == ("Parked", 3, "HTTP 500")
    assert "HTTP 500" in run(api, "webhook", "list", "--parked")
    receiver.status = 204
    run(api, "webhook", "resend", webhook_id)
    until(lambda: receiver.changes() == [("exclusion", "Excluded")])
    until(lambda: api.client(A).get(f"/webhooks/{webhook_id}")["state"] == "Active")


def test_the_secret_is_shown_once_and_kept_sealed(api: ApiWorld) -> None:
    ask = api.client(A)
    made = ask.do("/webhooks", {"url": "http://127.0.0.1:9/"}, key="one")
    again = ask.do("/webhooks", {"url": "http://127.0.0.1:9/"}, key="one")
    other = ask("POST", "/webhooks", {"url": "http://127.0.0.1:9/other"}, key="one")

    assert made == again
    assert (other.status, other.is_problem) == (422, True)
    assert made["secret"] not in str(kept(api, made["webhook_id"]))
    assert "secret" not in str(ask.get("/webhooks"))
    key_file = api.world.directory / "api.key"
    assert key_file.stat().st_mode & 0o077 == 0


def test_a_webhook_is_removed_unless_it_has_changed(api: ApiWorld) -> None:
    ask = api.client(A)
    path = f"/webhooks/{ask.do('/webhooks', {'url': 'http://127.0.0.1:9/'})['webhook_id']}"
    etag = ask("GET", path).headers["etag"]

    assert ask("DELETE", path, headers={"If-Match": '"another"'}).status == 412
    assert ask("DELETE", path, headers={"If-Match": etag}).status == 204
    assert ask("GET", path).status == 404


def test_a_webhook_outlives_the_token_and_the_operator_can_take_it_away(api: ApiWorld) -> None:
    run(api, "api-token", "create", "stolen", "--user", A.eui, "--scope", "webhooks")
    run(api, "api-token", "create", "reader", "--user", A.eui, "--scope", "read")
    webhook_id = api.client(A).do("/webhooks", {"url": "http://127.0.0.1:9/"})["webhook_id"]

    assert run(api, "api-token", "revoke", "reader") == "1 revoked\n"
    said = run(api, "api-token", "revoke", "stolen")
    assert f"webhook {webhook_id} of {A.eui} goes on, to http://127.0.0.1:9/" in said
    assert "http://127.0.0.1:9/" in run(api, "webhook", "remove", webhook_id)

    assert api.client(A)("GET", f"/webhooks/{webhook_id}").status == 404
    assert "webhook removed" in run(api, "audit", "show")
    again = CliRunner().invoke(commands, ["webhook", "remove", webhook_id, "--dir", str(api.world.directory)])
    assert again.exit_code != 0
    assert "there is no webhook" in again.output


def test_a_supplier_has_so_many_webhooks_and_no_more(api: ApiWorld) -> None:
    ask = api.client(A)
    for _ in range(10):
        ask.do("/webhooks", {"url": "http://127.0.0.1:9/"})

    refused = ask("POST", "/webhooks", {"url": "http://127.0.0.1:9/"})

    assert (refused.status, refused.is_problem) == (409, True)
    assert Client(api.port, api.token(B)).do("/webhooks", {"url": "http://127.0.0.1:9/"})["state"] == "Active"


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "http://127.0.0.1:9@example.org/",
        "https://user@example.org/",
        "https://",
        "http://127.0.0.1:x/",
    ],
)
def test_nothing_is_sent_to_an_address_that_the_operator_does_not_allow(api: ApiWorld, url: str) -> None:
    refused = api.client(A)("POST", "/webhooks", {"url": url})

    assert (refused.status, refused.is_problem) == (422, True)
