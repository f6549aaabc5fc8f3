"""What a Supplier's systems do over HTTP is what Service Requests do."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select

from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.operations.quarantine import set_thresholds
from sr_engine.store.tables import audit
from tests.api.conftest import FIRMWARE_NAME, NO_HUB, NORTH, SOLE, SPLIT, THEIRS, ApiWorld
from tests.world import WINDOW, A, B

WHEN = {"start": WINDOW.start.isoformat(), "end": WINDOW.end.isoformat()}
SCHEDULE = {"firmware": FIRMWARE_NAME, "window": WHEN, "device_ids": [SOLE.chf, NORTH.chf]}


def test_hubs_are_scheduled_and_taken_back(api: ApiWorld) -> None:
    ask = api.client(A)
    made = ask.do("/schedules", SCHEDULE)
    number = made["schedule_id"]

    assert (made["code"], made["accepted"], made["refused"]) == ("I0", 2, [])
    assert api.suppliers.view(A, SOLE.chf).status == "Scheduled"
    assert ask.get("/schedules")["schedules"][0]["schedule_id"] == number
    assert [one["device_id"] for one in ask.get(f"/schedules/{number}/hubs")["hubs"]] == [SOLE.chf, NORTH.chf]
    ask.do(f"/schedules/{number}/withdrawals", {"device_ids": [SOLE.chf]})
    assert ask.get(f"/schedules/{number}")["hubs_in_force"] == 1
    assert api.suppliers.view(A, SOLE.chf).status == "Cancelled"


def test_a_schedule_that_has_changed_meanwhile_is_not_taken_back(api: ApiWorld) -> None:
    ask = api.client(A)
    number = ask.do("/schedules", SCHEDULE)["schedule_id"]
    etag = ask("GET", f"/schedules/{number}").headers["etag"]
    path = f"/schedules/{number}/withdrawals"
    ask.do(path, {"device_ids": [SOLE.chf]})

    refused = ask("POST", path, {}, headers={"If-Match": etag})
    now = ask("GET", f"/schedules/{number}").headers["etag"]

    assert (refused.status, refused.is_problem) == (412, True)
    assert ask("POST", path, {}, headers={"If-Match": now}).status == 200


def test_whoever_asks_again_for_what_was_done_is_answered_though_that_has_changed_it(api: ApiWorld) -> None:
    ask = api.client(A)
    number = ask.do("/schedules", SCHEDULE)["schedule_id"]
    etag = ask("GET", f"/schedules/{number}").headers["etag"]

    first, again = (
        ask("POST", f"/schedules/{number}/withdrawals", {}, key="one", headers={"If-Match": etag}) for _ in range(2)
    )

    assert (first.status, again.status) == (200, 200)
    assert (first.json["repeated"], again.json["repeated"]) == (False, True)


def test_the_same_again_is_answered_alike_though_a_hub_has_gone_to_another_supplier(api: ApiWorld) -> None:
    ask = api.client(A)
    body = {"firmware": FIRMWARE_NAME, "decision": "Approve", "device_ids": [SOLE.chf, THEIRS.chf, NO_HUB, NORTH.chf]}
    first = ask.do("/approvals", body, key="one")
    api.world.clock.advance(timedelta(minutes=1))
    api.move(SOLE, B)
    again = ask.do("/approvals", body, key="one")

    assert [one["device_ids"] for one in first["refused"]] == [[THEIRS.chf, NO_HUB]]
    assert {**again, "repeated": False} == first


def test_hubs_are_approved_declined_and_deferred(api: ApiWorld) -> None:
    ask = api.client(A)
    later = {"defer_until": WINDOW.start.isoformat()}
    for hub, decision, more in ((SPLIT, "Approve", {}), (SOLE, "Decline", {}), (NORTH, "Defer", later)):
        ask.do("/approvals", {"firmware": FIRMWARE_NAME, "decision": decision, "device_ids": [hub.chf], **more})

    listed = ask.get(f"/approvals?release_id={api.release_id}")["approvals"]
    declined = ask.get(f"/approvals?release_id={api.release_id}&approval=Declined")["approvals"]

    assert [one["approval"] for one in listed] == ["Approved", "Declined", "Deferred"]
    assert [one["device_id"] for one in declined] == [SOLE.chf]


def test_hubs_are_kept_out_and_let_in(api: ApiWorld) -> None:
    ask = api.client(A)
    ask.do("/exclusions", {"action": "Exclude", "device_ids": [SOLE.chf, SPLIT.chf]})
    ask.do("/exclusions", {"action": "Include", "device_ids": [SPLIT.chf]})

    (kept,) = ask.get("/exclusions")["exclusions"]

    assert (kept["device_id"], kept["responsible"]) == (SOLE.chf, True)
    assert api.suppliers.view(A, SOLE.chf).status == "Excluded"


def test_the_same_under_the_same_key_is_done_once(api: ApiWorld) -> None:
    ask = api.client(A)
    first = ask.do("/schedules", SCHEDULE, key="once")
    again = ask.do("/schedules", SCHEDULE, key="once")
    other = ask("POST", "/schedules", {**SCHEDULE, "device_ids": [SPLIT.chf]}, key="once")

    assert (first["repeated"], again["repeated"]) == (False, True)
    assert {**first, "repeated": True} == again
    assert (other.status, other.is_problem) == (422, True)
    assert len(ask.get("/schedules")["schedules"]) == 1


def test_a_dry_run_says_what_would_happen_and_changes_nothing(api: ApiWorld) -> None:
    ask = api.client(A)
    before = api.world.snapshot()

    said = ask.do("/schedules?dry_run=true", {**SCHEDULE, "device_ids": [SOLE.chf, THEIRS.chf]})

    assert (said["code"], said["accepted"]) == ("W110501", 1)
    after = api.world.snapshot()
    assert {name for name in after if after[name] != before[name]} <= {"api_tokens"}


def test_a_hub_of_somebody_elses_is_refused_as_one_that_there_is_not(api: ApiWorld) -> None:
    ask = api.client(A)

    def tried(device_id: str) -> str:
        done = ask.do("/schedules?dry_run=true", {**SCHEDULE, "device_ids": [SOLE.chf, device_id]})
        return str(done).replace(device_id, "?").replace(done["request_id"], "?").replace(str(done["schedule_id"]), "?")

    assert tried(THEIRS.chf) == tried(THEIRS.gpf) == tried(NO_HUB)
    both = ask.do("/schedules?dry_run=true", {**SCHEDULE, "device_ids": [SOLE.chf, THEIRS.chf, THEIRS.gpf]})
    assert both["refused"][0]["device_ids"] == [THEIRS.chf, THEIRS.gpf]


def test_what_is_done_stands_in_the_audit_trail_with_its_token(api: ApiWorld) -> None:
    api.client(B, name="crm").do("/exclusions", {"action": "Exclude", "device_ids": [THEIRS.chf]})

    with api.world.instance.reading_engine.connect() as connection:
        found = connection.execute(select(audit.c.actor, audit.c.action, audit.c.detail)).all()

    assert any(
        (row.actor, row.action) == (f"user:{B.eui}", "request") and "api, token:crm" in row.detail for row in found
    )


def test_a_token_is_noted_once_an_hour_however_often_it_is_used(api: ApiWorld) -> None:
    ask = api.client(A, name="crm")

    def uses() -> int:
        with api.world.instance.reading_engine.connect() as connection:
            return len(connection.scalars(select(audit.c.audit_id).where(audit.c.action == "api token used")).all())

    for _ in range(5):
        ask.get("/releases")
    in_the_first = uses()
    api.world.clock.set(api.world.clock.now().replace(minute=59))
    ask.get("/releases")
    api.world.clock.set(api.world.clock.now().replace(hour=11, minute=0))
    ask.get("/releases")

    assert (in_the_first, uses()) == (1, 2)


def test_a_dry_run_says_that_an_anomaly_threshold_would_be_crossed(api: ApiWorld) -> None:
    ask = api.client(A)
    api.world.run(lambda uow: set_thresholds(uow, A.eui, Breach.USER, Thresholds(None, 1)))

    dry = [ask("POST", "/schedules?dry_run=true", SCHEDULE) for _ in range(2)]

    assert {(one.status, one.json["code"], "threshold" in one.json["detail"]) for one in dry} == {(409, "E100", True)}
    assert ask("POST", "/schedules", SCHEDULE).json == dry[0].json
