"""What a Supplier's systems read over HTTP."""

from __future__ import annotations

from datetime import timedelta

from tests.api.conftest import HOMES, NO_HUB, NORTH, SOLE, SPLIT, THEIRS, ApiWorld, C
from tests.world import A, B


def test_a_supplier_reads_its_hubs_page_by_page(api: ApiWorld) -> None:
    ask = api.client(A)
    found, after = [], ""
    while True:
        page = ask.get(f"/hubs?limit=1{after}")
        found += [hub["device_id"] for hub in page["hubs"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"

    assert found == [SPLIT.chf, SOLE.chf, NORTH.chf]
    (north,) = ask.get("/hubs?region=North")["hubs"]
    assert (north["region"], north["roles"], north["upgrade"]["status"]) == ("North", ["IS", "GS"], "NotScheduled")


def test_a_region_that_there_is_not_is_refused_with_those_there_are(api: ApiWorld) -> None:
    ask = api.client(A)

    for unknown in ("Atlantis", "north", ""):
        answer = ask("GET", f"/hubs?region={unknown}")
        assert (answer.status, answer.is_problem) == (400, True)
        assert answer.json["detail"] == (
            "region must be one of North, Central, South, 4G North, 4G Central, 4G South, Unknown, SMETS1"
        )
    # Where no hub is upgraded there may be hubs all the same.
    assert ask.get("/hubs?region=4G%20North")["hubs"] == ask.get("/hubs?region=Unknown")["hubs"] == []


def test_hubs_are_found_by_their_status_at_a_release(api: ApiWorld) -> None:
    api.suppliers.schedule(A, SOLE.chf)
    ask = api.client(A)

    scheduled = ask.get(f"/hubs?release_id={api.release_id}&status=Scheduled")["hubs"]
    waiting = ask.get(f"/hubs?release_id={api.release_id}&waiting=true")["hubs"]

    assert [hub["device_id"] for hub in scheduled] == [SOLE.chf]
    assert [hub["device_id"] for hub in waiting] == [SPLIT.chf, NORTH.chf]
    assert ask("GET", "/hubs?status=Scheduled").status == 400


def test_hubs_are_looked_up_by_many_ids_in_any_writing(api: ApiWorld) -> None:
    asked = [SOLE.gpf.replace("-", "").lower(), SOLE.chf, THEIRS.chf, NO_HUB]

    found = api.client(A).do("/hubs/lookup", {"device_ids": asked})

    assert [hub["device_id"] for hub in found["hubs"]] == [SOLE.chf]
    assert found["unknown"] == [THEIRS.chf, NO_HUB]


def test_one_hub_comes_with_its_history_and_why(api: ApiWorld) -> None:
    api.suppliers.schedule(A, SOLE.chf)

    shown = api.client(A).get(f"/hubs/{SOLE.chf}")

    assert shown["hub"]["upgrade"]["status"] == "Scheduled"
    assert shown["why"].startswith(f"Hub {SOLE.chf}: it is scheduled for firmware 9002")
    assert {"Responsible", "Scheduled", "Answered", "Attempt"} <= {one["kind"] for one in shown["history"]}


def test_releases_say_how_many_hubs_wait(api: ApiWorld) -> None:
    (at_a,) = api.client(A).get("/releases")["releases"]
    (at_b,) = api.client(B).get("/releases")["releases"]

    assert (at_a["hubs"], at_a["waiting"]) == (3, 3)
    assert (at_b["hubs"], at_b["waiting"]) == (2, 2)
    assert api.client(A).get(f"/releases/{api.release_id}") == at_a


def test_a_release_that_does_not_concern_a_supplier_is_as_if_it_were_not_there(api: ApiWorld) -> None:
    nowhere = "0" * 32
    concerned, ask = api.client(A), api.client(C)
    there = concerned.get("/releases")

    assert ask.get("/releases") == {"releases": []}
    paths = ("/releases/{}", "/hubs?release_id={}", "/approvals?release_id={}")
    for path in paths:
        assert concerned("GET", path.format(api.release_id)).status == 200
        refused, unknown = ask("GET", path.format(api.release_id)), ask("GET", path.format(nowhere))
        assert (refused.status, refused.body) == (unknown.status, unknown.body) == (404, unknown.body), path
    sought = {"device_ids": [NO_HUB], "release_id": api.release_id}
    assert ask("POST", "/hubs/lookup", sought).status == 404
    assert concerned.get("/releases") == there


def test_a_release_stays_in_sight_of_whoever_has_scheduled_hubs_for_it(api: ApiWorld) -> None:
    ask = api.client(A)
    api.suppliers.schedule(A, SOLE.chf)
    api.world.clock.advance(timedelta(days=1))
    for hub in (SPLIT, SOLE, NORTH):
        api.move(hub, C)

    (left,) = ask.get("/releases")["releases"]

    assert (left["release_id"], left["hubs"]) == (api.release_id, 0)
    assert [one["release_id"] for one in api.client(C).get("/releases")["releases"]] == [api.release_id]


def test_what_has_not_changed_is_not_sent_again(api: ApiWorld) -> None:
    ask = api.client(A)
    for path in ("/hubs?limit=1", f"/hubs/{SOLE.chf}", "/releases", "/exclusions"):
        first = ask("GET", path)
        again = ask("GET", path, headers={"If-None-Match": first.headers["etag"]})
        assert (first.status, again.status, again.body) == (200, 304, b""), path
    api.suppliers.exclude(A, *(home.chf for home in HOMES[:3]))
    assert ask("GET", path, headers={"If-None-Match": first.headers["etag"]}).status == 200


def test_a_cursor_is_good_for_its_supplier_and_its_list_only(api: ApiWorld) -> None:
    cursor = api.client(A).get("/hubs?limit=1")["next"]

    for ask, path in ((api.client(B), "/hubs"), (api.client(A), "/exclusions"), (api.client(A), "/changes")):
        refused = ask("GET", f"{path}?after={cursor}")
        assert (refused.status, refused.is_problem) == (400, True)
    assert api.client(A)("GET", f"/hubs?after={cursor[:-1]}").status == 400
