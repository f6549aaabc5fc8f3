"""A Supplier's token on every route, with every id of another Supplier: as if there were no such thing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from sr_engine.api.app import application
from tests.api.conftest import FIRMWARE_NAME, NO_HUB, SOLE, THEIRS, Answer, ApiWorld, C, Client
from tests.requests.conftest import schedule_id
from tests.world import WINDOW, A, B

WHEN = {"start": WINDOW.start.isoformat(), "end": WINDOW.end.isoformat()}
UNKNOWN_SCHEDULE, UNKNOWN_WEBHOOK = 999_999_999_999, "0" * 32


@dataclass(frozen=True, slots=True)
class Try:
    """One request; what identifies something stands in it by its name."""

    method: str
    route: str
    query: str = ""
    body: object = None


def tries() -> Iterator[Try]:
    """Every route, with an id wherever one can stand."""
    yield Try("GET", "/hubs", "?prefix={hub}")
    yield Try("POST", "/hubs/lookup", body={"device_ids": ["{hub}"]})
    yield Try("GET", "/hubs/{device_id}")
    yield Try("GET", "/releases")
    yield Try("GET", "/releases/{release_id}")
    yield Try("GET", "/approvals", "?release_id={release_id}")
    answer = {"firmware": FIRMWARE_NAME, "device_ids": ["{hub}"]}
    for dry_run in ("true", "false"):
        for decision in ("Approve", "Decline"):
            yield Try("POST", "/approvals", f"?dry_run={dry_run}", {**answer, "decision": decision})
        yield Try("POST", "/schedules", f"?dry_run={dry_run}", {**answer, "window": WHEN})
        replaced = {**answer, "window": WHEN, "replaces_schedule_id": "{schedule_id}"}
        yield Try("POST", "/schedules", f"?dry_run={dry_run}", replaced)
        for action in ("Exclude", "Include"):
            yield Try("POST", "/exclusions", f"?dry_run={dry_run}", {"action": action, "device_ids": ["{hub}"]})
        yield Try("POST", "/schedules/{schedule_id}/withdrawals", f"?dry_run={dry_run}", {})
        yield Try("POST", "/schedules/{schedule_id}/withdrawals", f"?dry_run={dry_run}", {"device_ids": ["{hub}"]})
    yield Try("GET", "/schedules")
    yield Try("GET", "/schedules/{schedule_id}")
    yield Try("GET", "/schedules/{schedule_id}/hubs")
    yield Try("GET", "/exclusions")
    yield Try("GET", "/changes", "?after=beginning")
    yield Try("GET", "/changes", "?after={cursor}")
    yield Try("GET", "/changes/stream", "?after={cursor}")
    yield Try("GET", "/webhooks")
    yield Try("POST", "/webhooks", body={"url": "http://127.0.0.1:9/", "after": "{cursor}"})
    yield Try("GET", "/webhooks/{webhook_id}")
    yield Try("DELETE", "/webhooks/{webhook_id}")
    yield Try("POST", "/registrations", body=[])


@dataclass(frozen=True, slots=True)
class Ids:
    """What a request names."""

    hub: str
    schedule_id: int
    webhook_id: str
    cursor: str
    release_id: str


def ask(client: Client, one: Try, ids: Ids) -> Answer:
    def filled(value: object) -> object:
        if value == "{schedule_id}":
            return ids.schedule_id
        if isinstance(value, str):
            return value.replace("{hub}", ids.hub).replace("{cursor}", ids.cursor)
        if isinstance(value, dict):
            return {name: filled(part) for name, part in value.items()}
        return [filled(part) for part in value] if isinstance(value, list) else value

    path = one.route.replace("{device_id}", ids.hub).replace("{schedule_id}", str(ids.schedule_id))
    path = path.replace("{webhook_id}", ids.webhook_id).replace("{release_id}", ids.release_id)
    query = str(filled(one.query)).replace("{release_id}", ids.release_id)
    return client(one.method, path + query, filled(one.body))


def seen(answer: Answer, ids: Ids) -> tuple[int, str, list[str]]:
    """Status, body and headers, without what the request itself said and what differs each time."""
    text = answer.body.decode()
    for own in (ids.hub, str(ids.schedule_id), ids.webhook_id, ids.cursor):
        text = text.replace(own, "?")
    text = re.sub(r'"(request_id|next)": ?"[^"]*"', "", text)
    passing = {"date", "content-length", "ratelimit-remaining", "ratelimit-reset", "etag"}
    return (
        answer.status,
        text,
        sorted(f"{name}: {value}" for name, value in answer.headers.items() if name not in passing),
    )


@pytest.fixture
def theirs(api: ApiWorld) -> Ids:
    """What the other Supplier has."""
    number = schedule_id(api.suppliers.schedule(B, THEIRS.chf))
    other = api.client(B)
    api.suppliers.exclude(B, THEIRS.chf)
    hook = other.do("/webhooks", {"url": "http://127.0.0.1:9/"})["webhook_id"]
    return Ids(THEIRS.chf, number, hook, other.get("/changes?after=now")["next"], api.release_id)


def test_every_route_there_is_is_tried() -> None:
    routes = {
        (method.upper(), path) for path, methods in application().openapi()["paths"].items() for method in methods
    }

    assert {(one.method, one.route) for one in tries()} == routes


def test_what_is_another_suppliers_is_nowhere_told_from_what_there_is_not(api: ApiWorld, theirs: Ids) -> None:
    client = api.client(A)
    nothing = Ids(NO_HUB, UNKNOWN_SCHEDULE, UNKNOWN_WEBHOOK, "x" * len(theirs.cursor), api.release_id)
    before = api.client(B).get("/changes")["changes"]

    listed = []
    for one in tries():
        of_theirs, of_nothing = ask(client, one, theirs), ask(client, one, nothing)
        assert seen(of_theirs, theirs) == seen(of_nothing, nothing), one
        assert theirs.hub.encode() not in of_theirs.body or one.body is not None, one
        assert b"supplier-b" not in of_theirs.body
        listed.append(f"{one.method} {one.route}{one.query} -> {of_theirs.status}")

    print(f"\n{len(listed)} requests with ids of another Supplier, each as with ids of nothing:", *listed, sep="\n  ")
    assert api.client(B).get("/changes")["changes"] == before, "nothing has happened to what is theirs"


def test_after_a_change_of_supplier_what_was_ones_own_is_as_if_it_were_not_there(api: ApiWorld) -> None:
    """The loser's own schedule, which it may go on reading, shows the hub as it saw it last."""
    number = schedule_id(api.suppliers.schedule(A, SOLE.chf))
    loser, gainer = api.client(A), api.client(C)
    start = gainer.get("/changes?after=now")["next"]
    api.world.clock.set(api.world.clock.now() + timedelta(days=1))
    api.move(SOLE, C)
    api.suppliers.exclude(C, SOLE.chf)
    gone = Ids(SOLE.chf, UNKNOWN_SCHEDULE, UNKNOWN_WEBHOOK, "x", api.release_id)
    nothing = Ids(NO_HUB, UNKNOWN_SCHEDULE, UNKNOWN_WEBHOOK, "x", api.release_id)

    for one in tries():
        if one.route not in {"/changes", "/exclusions"} or one.method == "POST":
            assert seen(ask(loser, one, gone), gone) == seen(ask(loser, one, nothing), nothing), one
    (frozen,) = loser.get(f"/schedules/{number}/hubs")["hubs"]
    assert frozen["upgrade"]["status"] == "Voided"
    assert gainer("GET", f"/schedules/{number}").status == 404
    for cursor in ("beginning", start):
        told = gainer.get(f"/changes?after={cursor}")["changes"]
        assert [one["kind"] for one in told if one["device_id"] == SOLE.chf] == ["responsibility", "exclusion"]
    replayed = loser.get("/changes")["changes"]
    assert [one["what"] for one in replayed if one["device_id"] == SOLE.chf] == ["Approved", "Scheduled", "Ended"]
    assert "Scheduled" not in str(gainer.get(f"/hubs/{SOLE.chf}")["history"])
    found = gainer.do("/hubs/lookup", {"device_ids": [SOLE.chf]})["hubs"]
    assert [one["upgrade"]["status"] for one in found] == ["Excluded"]
