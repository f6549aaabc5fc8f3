"""The registration feed over HTTP: who is let in, what is taken, and that it is all or nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sr_engine.bootstrap import supplier_changes_of
from sr_engine.messages.model import Phase, ReadCommsHubFirmwareSchedule, ScheduleCommsHubFirmware
from sr_engine.store import audit, inventory
from tests.gateway.conftest import HttpAnswer, Served, serving, still
from tests.world import FIRMWARE, NOW, WINDOW, A, B, TestHub, World, edit, make_world

TOKEN = "0123456789abcdef-feed"
HUB = TestHub(1)
MOVES: list[dict[str, Any]] = [
    {"mpxn": HUB.mpan, "role": "IS", "organisation": B.name, "effective_from": NOW.isoformat()},
    {"mpxn": HUB.mprn, "role": "GS", "organisation": None, "effective_from": "2026-12-24"},
]


def with_feed(directory: Path) -> None:
    still(directory)
    settings = directory / "sr-engine.toml"
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    settings.write_text(f'{settings.read_text()}\n[registration_feed]\ntoken_sha256 = "{digest}"\n')
    edit(directory / "config" / "policy.toml", "max_body_bytes = 16_777_216", "max_body_bytes = 100_000")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One instance for all tests: what a test changes, no other depends on."""
    world = make_world(tmp_path_factory.mktemp("feed"), prepare=with_feed)
    world.add_hubs([HUB])
    # That they have moved in is due to be looked at: the first message would do it, if nobody else has.
    while world.run(supplier_changes_of(world.instance)):
        pass
    with serving(world) as running:
        yield running
    world.close()


def send(
    served: Served, content: object, *, token: str | None = TOKEN, media_type: str = "application/json"
) -> HttpAnswer:
    headers = {"Content-Type": media_type} | ({} if token is None else {"Authorization": f"Bearer {token}"})
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return served.post(data, "/registrations", headers=headers)


def newest(world: World) -> audit.Entry:
    with world.instance.reading_engine.connect() as connection:
        return next(one for one in audit.newest(connection, 100) if one.action == "registrations received")


def test_registrations_are_durable_and_those_in_force_carried_out_when_they_are_answered(served: Served) -> None:
    world = served.world
    world.open_release()
    body = ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, (HUB.chf,))
    assert world.send(A, body, "11.5").code == "I0"

    answer = send(served, MOVES)

    assert (answer.status, answer.body) == (204, b"")
    assert newest(world).actor == "registration feed"
    assert newest(world).detail == "2 registered, 0 cancelled"
    with world.instance.reading_engine.connect() as connection:
        hub = inventory.hubs(connection, [HUB.chf], NOW, with_han=False)[HUB.chf]
    assert (hub.electricity, hub.gas) == (B.name, A.name)
    assert world.send(B, ReadCommsHubFirmwareSchedule(device_id=HUB.chf), "11.7").code == "I0"
    before = world.snapshot()
    assert send(served, MOVES).status == 204
    assert world.snapshot() == before
    assert send(served, [MOVES[1] | {"cancelled": True}]).status == 204
    assert newest(world).detail == "0 registered, 1 cancelled"


@pytest.mark.parametrize("token", [None, "another-token-altogether", ""])
def test_without_the_token_nobody_is_let_in(served: Served, token: str | None) -> None:
    before = served.world.snapshot()

    answer = send(served, MOVES, token=token)

    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert served.world.snapshot() == before


GOOD = MOVES[0] | {"mpxn": "77"}
BAD_ITEMS = {
    "an item that is no object": (7, "/1", "item 2: must be an object"),
    "a field that is missing": ({"mpxn": "1", "role": "IS", "organisation": None}, "/1/effective_from", "is missing"),
    "an MPxN that is a number": (GOOD | {"mpxn": 1}, "/1/mpxn", "item 2, mpxn: must be an MPAN"),
    "an MPxN that is too long": (GOOD | {"mpxn": "1" * 14}, "/1/mpxn", "at most 13 digits"),
    "an unknown role": (GOOD | {"role": "XS"}, "/1/role", "must be one of IS, GS"),
    "a role that is a list": (GOOD | {"role": ["IS"]}, "/1/role", "must be one of IS, GS"),
    "an unknown organisation": (GOOD | {"organisation": "x"}, "/1/organisation", "or null for nobody"),
    "an organisation that is a list": (GOOD | {"organisation": []}, "/1/organisation", "or null for nobody"),
    "a time without its zone": (GOOD | {"effective_from": "2026-12-24T00:00:00"}, "/1/effective_from", "with its zone"),
    "a time that is a number": (GOOD | {"effective_from": 5}, "/1/effective_from", "with its zone"),
    "cancelled that is a word": (GOOD | {"cancelled": "yes"}, "/1/cancelled", "must be true or false"),
    "a field that is not known": (GOOD | {"colour": 1}, "/1/colour", "is not a known field"),
    "the same registration twice": (GOOD, "/1/mpxn", "stand in item 1 already"),
}


@pytest.mark.parametrize(("item", "pointer", "says"), BAD_ITEMS.values(), ids=BAD_ITEMS.keys())
def test_one_bad_item_and_nothing_is_taken(served: Served, item: object, pointer: str, says: str) -> None:
    before = served.world.snapshot()

    answer = send(served, [GOOD, item])

    problem = json.loads(answer.body)
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert (problem["status"], problem["pointer"]) == (400, pointer)
    assert says in problem["detail"]
    assert served.world.snapshot() == before


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[", b"\xff", b"[" * 50_000], ids=["empty", "object", "cut", "bytes", "deep"]
)
def test_what_is_no_array_of_json_is_refused(served: Served, body: bytes) -> None:
    answer = send(served, body)

    assert answer.status == 400
    assert "not" in json.loads(answer.body)["detail"]


def test_other_media_types_methods_and_sizes_are_refused(served: Served) -> None:
    assert send(served, MOVES, media_type="application/xml").status == 415
    assert send(served, b"[" + b" " * 100_000 + b"]").status == 413
    assert served.post(b"", "/registrations", method="GET").status == 405


def test_an_empty_message_changes_nothing(served: Served) -> None:
    before = served.world.snapshot()

    assert send(served, []).status == 204
    assert served.world.snapshot() == before


def test_without_a_token_in_the_settings_there_is_no_such_address(tmp_path: Path) -> None:
    world = make_world(tmp_path, prepare=still)
    with serving(world) as served:
        assert send(served, MOVES).status == 404
    world.close()
