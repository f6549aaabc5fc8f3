"""The feed of changes: complete, in the order of commits, and only what is a Supplier's own."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any

import pytest

from sr_engine.messages.model import ReportStatus
from tests.api.conftest import NORTH, SOLE, SPLIT, THEIRS, ApiWorld, C, Client
from tests.gateway.conftest import WAIT, serving
from tests.regions.conftest import Nights
from tests.world import A, B


def said(changes: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    return [(one["kind"], one["what"], one["device_id"]) for one in changes]


def all_of(ask: Client, *, limit: int = 1000, after: str = "beginning") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = ask.get(f"/changes?after={after}&limit={limit}")
        found += page["changes"]
        if not page["more"]:
            return found
        after = page["next"]


def a_campaign(api: ApiWorld) -> None:
    """From the answers of two Suppliers to what became of the hubs."""
    api.suppliers.schedule(A, SPLIT.chf, SOLE.chf)
    api.suppliers.schedule(B, SPLIT.chf, THEIRS.chf)
    api.suppliers.exclude(A, NORTH.chf)
    nights = Nights(api.world, api.world.instance.configuration.regions["Central"])
    assert nights.cut() == 3
    (one,) = nights.lists()
    nights.acknowledge(one.list_id, [SPLIT, SOLE, THEIRS])
    nights.report(
        one.list_id,
        *(nights.saw(hub, ReportStatus.ACTIVATED) for hub in (SPLIT, SOLE)),
        nights.saw(THEIRS, ReportStatus.FAILED),
    )


def test_a_supplier_reads_what_has_changed_at_its_hubs_and_what_it_did_itself(api: ApiWorld) -> None:
    a_campaign(api)

    at_a, at_b = said(all_of(api.client(A))), said(all_of(api.client(B)))

    assert at_a[0] == at_b[0] == ("release", "Opened", None)
    assert [what for kind, what, hub in at_a if hub == SPLIT.chf and kind == "upgrade"] == [
        "AwaitingApproval",
        "Scheduled",
        "Listed",
        "Accepted",
        "Activated",
    ]
    assert ("answer", "Approved", SOLE.chf) in at_a
    assert ("exclusion", "Excluded", NORTH.chf) in at_a
    assert [what for kind, what, hub in at_a if (kind, hub) == ("answer", SPLIT.chf)] == ["Approved"]
    assert [what for _, what, hub in at_b if hub == THEIRS.chf][-1] == "Failed"
    assert THEIRS.chf not in {hub for _, _, hub in at_a}
    assert {SOLE.chf, NORTH.chf}.isdisjoint({hub for _, _, hub in at_b})


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_put_together_are_the_whole_and_ids_do_not_change(api: ApiWorld, limit: int) -> None:
    a_campaign(api)
    ask = api.client(A)

    whole = all_of(ask)

    assert all_of(ask, limit=limit) == whole
    assert len({one["id"] for one in whole}) == len(whole)


def test_nothing_is_missed_across_a_restart(api: ApiWorld) -> None:
    ask = api.client(A)
    first = ask.get("/changes?after=now")
    api.suppliers.schedule(A, SOLE.chf)
    half = ask.get(f"/changes?after={first['next']}&limit=1")
    with serving(api.world) as again:
        rest = all_of(Client(again.port, ask.token), after=half["next"])

    assert said(half["changes"] + rest) == [
        ("answer", "Approved", SOLE.chf),
        ("upgrade", "Scheduled", SOLE.chf),
    ]


def test_a_request_waits_for_the_first_change(api: ApiWorld) -> None:
    ask = api.client(A)
    start = ask.get("/changes?after=now")["next"]
    timer = threading.Timer(0.3, lambda: api.suppliers.exclude(A, SOLE.chf))
    timer.start()

    found = ask.get(f"/changes?after={start}&wait=60")
    timer.join()

    assert said(found["changes"]) == [("exclusion", "Excluded", SOLE.chf)]


def test_a_request_that_waits_in_vain_gets_a_cursor_that_tells_nothing(api: ApiWorld) -> None:
    ask = api.client(A)
    start = ask.get("/changes?after=now")["next"]
    api.suppliers.exclude(B, THEIRS.chf)

    found = ask.get(f"/changes?after={start}&wait=1")

    assert found["changes"] == []
    assert len(found["next"]) == len(start)
    assert found["next"] != start != ask.get(f"/changes?after={start}")["next"]


@contextmanager
def streamed(ask: Client, path: str, **headers: str) -> Iterator[Iterator[dict[str, str]]]:
    """Events as they come, each with its fields."""
    connection = http.client.HTTPConnection("127.0.0.1", ask.port, timeout=WAIT)
    connection.request("GET", f"/api/v2{path}", headers={"Authorization": f"Bearer {ask.token}", **headers})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("content-type")) == (200, "text/event-stream; charset=utf-8")

    def events() -> Iterator[dict[str, str]]:
        fields: dict[str, str] = {}
        for line in iter(answer.readline, b""):
            name, _, value = line.decode().rstrip("\n").partition(": ")
            if name:
                fields[name] = value
            elif fields:
                yield fields
                fields = {}

    try:
        yield events()
    finally:
        connection.close()


def test_changes_are_streamed_and_a_stream_goes_on_where_it_was_broken_off(api: ApiWorld) -> None:
    ask = api.client(A)
    with streamed(ask, "/changes/stream") as events:
        assert "retry" in next(events)
        api.suppliers.schedule(A, SOLE.chf)
        first = next(events)
    api.suppliers.exclude(A, NORTH.chf)
    with streamed(ask, "/changes/stream", **{"Last-Event-ID": first["id"]}) as events:
        next(events)
        rest = [next(events), next(events)]

    assert [(one["event"], json.loads(one["data"])["what"]) for one in (first, *rest)] == [
        ("answer", "Approved"),
        ("upgrade", "Scheduled"),
        ("exclusion", "Excluded"),
    ]


def test_of_one_user_so_many_streams_are_open_and_each_gives_its_place_back(api: ApiWorld) -> None:
    ask, other = api.client(A), api.client(B)
    with ExitStack() as open_ones:
        for _ in range(4):
            next(open_ones.enter_context(streamed(ask, "/changes/stream")))
        refused = [ask("GET", path) for path in ("/changes/stream", "/changes?after=now&wait=3")]
        next(open_ones.enter_context(streamed(other, "/changes/stream")))
        assert ask("GET", "/changes?after=now").status == 200

    assert [(one.status, one.is_problem, one.headers["retry-after"]) for one in refused] == [(429, True, "5")] * 2
    end = time.monotonic() + WAIT
    while ask("GET", "/changes?after=now&wait=1").status != 200:
        assert time.monotonic() < end, "the places were not given back"
        time.sleep(0.1)


def test_nobody_is_kept_waiting_by_a_processor_that_is_told_to_stop(api: ApiWorld) -> None:
    with ExitStack() as left_open:
        with serving(api.world) as stopped:
            events = left_open.enter_context(streamed(Client(stopped.port, api.token(A)), "/changes/stream"))
            next(events)
            began = time.monotonic()
        assert time.monotonic() - began < WAIT / 3
        assert list(events) == []


def test_after_a_change_of_supplier_neither_sees_what_is_the_others(api: ApiWorld) -> None:
    api.suppliers.schedule(A, SOLE.chf)
    api.world.clock.set(api.world.clock.now() + timedelta(days=1))
    api.move(SOLE, C)
    api.world.clock.set(api.world.clock.now() + timedelta(hours=1))
    api.suppliers.exclude(C, SOLE.chf)
    loser, gainer = api.client(A), api.client(C)

    at_loser, at_gainer = said(all_of(loser)), said(all_of(gainer))

    assert [one for one in at_loser if one[2] == SOLE.chf] == [
        ("answer", "Approved", SOLE.chf),
        ("upgrade", "Scheduled", SOLE.chf),
        ("responsibility", "Ended", SOLE.chf),
    ]
    assert [one for one in at_gainer if one[2] == SOLE.chf] == [
        ("responsibility", "Began", SOLE.chf),
        ("exclusion", "Excluded", SOLE.chf),
    ]
    unknown = loser("GET", f"/hubs/{SOLE.chf}")
    assert unknown.status == 404
    assert "Scheduled" not in {one["kind"] for one in gainer.get(f"/hubs/{SOLE.chf}")["history"]}
