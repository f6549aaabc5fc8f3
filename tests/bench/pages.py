"""Every page of the console, of either role, over very many hubs: how long the server takes, and how much it sends.

`python -m tests.bench.pages [HUBS]` measures this alone.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision
from sr_engine.operations.quarantine import set_thresholds
from sr_engine.store import candidates
from sr_engine.store.bulk import execute_many
from sr_engine.store.tables import (
    attempts,
    audit,
    exchanges,
    listed_hubs,
    outbox,
    scheduled_hubs,
    schedules,
    upgrade_lists,
)
from tests.bench.country import Country, chf, suppliers_of
from tests.bench.cutting import new_release
from tests.bench.measure import Row
from tests.console.desk import Somebody, plain
from tests.console.operator.office import OperatorFront
from tests.world import FIRMWARE, NOW, WINDOW, A, B, World, on_connection

HUBS = 1_000_000
MOST_MILLISECONDS, MOST_KILOBYTES = 300, 150
_ROUNDS = 3
_LIST_SIZE = 5_000
_AT_ONCE = 10_000
_BY_LOT = tuple(A.name if number < 60 else B.name for number in range(100))
_LATER = NOW + timedelta(days=7)


def rows(hubs: int = HUBS) -> Iterator[Row]:
    """Measure: for each page the best of some rounds, made in this process and sent nowhere."""
    with tempfile.TemporaryDirectory() as name:
        world, values = prepare(Path(name) / "instance", hubs)
        front = OperatorFront(world)
        try:
            yield from _measured(front, values, hubs)
        finally:
            front.close()


def prepare(directory: Path, hubs: int) -> tuple[World, dict[str, str]]:
    """An instance in the middle of a campaign, and what stands for the variable parts of addresses."""
    world, release_id, regions = new_release(directory, None, prepare=plain)
    country = Country(release_id, regions, hubs, WINDOW, NOW, suppliers=lambda number: suppliers_of(number, _BY_LOT))
    world.run(lambda uow: country.put(uow.connection))
    after: str | None = ""
    while after is not None:
        after = world.run(on_connection(candidates.look_through, after, _AT_ONCE))
    world.clock.set(_LATER)
    list_id = world.run(lambda uow: _go_on(uow.connection, release_id, regions, hubs))
    world.run(lambda uow: set_thresholds(uow, A.eui, Breach.USER, Thresholds(20, None)))
    for number in range(hubs - 30, hubs):
        answered = world.post(
            world.signed(A, ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (chf(number),)), "11.6")
        )
        assert answered.code is not None
    world.settle()
    world.run(lambda uow: _traffic(uow.connection, hubs))
    with world.instance.reading_engine.connect() as connection:
        event_ref = connection.exec_driver_sql("SELECT max(event_ref) FROM held_requests").scalar()
        of_a = select(schedules.c.schedule_id).where(schedules.c.organisation == A.name).limit(1)
        schedule_id = connection.scalar(of_a)
        sent = select(outbox.c.message_id).where(outbox.c.destination == f"user:{A.eui}", outbox.c.kind == "alert")
        message_id = connection.scalar(sent.order_by(outbox.c.outbox_id).limit(1))
    values = {
        "release_id": release_id,
        "region": regions[0],
        "list_id": list_id,
        "event_ref": str(event_ref),
        "message_id": str(message_id),
        "schedule_id": str(schedule_id),
        "exchange_id": "1",
        "audit_id": "1",
        "hub_id": chf(hubs - 1),
        "device_id": chf(hubs - 1),
        "action": "halt",
        "word": "release",
        "part": "received",
    }
    return world, values


def _go_on(connection: Connection, release_id: str, regions: Sequence[str], hubs: int) -> str:
    """Most hubs were listed, most of these upgraded; each was told of; returns the id of the newest list."""
    ended = {"is_open": False, "outcome_at": _LATER}
    kinds = (
        (0.00, 0.55, {"state": "Activated", "outcome": "Activated", **ended}),
        (0.55, 0.58, {"state": "Failed", "outcome": "Failed", "reason": "the hub could not be reached", **ended}),
        (0.58, 0.60, {"state": "Missed", "outcome": "Missed", **ended}),
        (0.60, 0.70, {"state": "Listed"}),
    )
    for start, end, state in kinds:
        of_kind = attempts.update().where(
            attempts.c.hub_id >= chf(int(hubs * start)), attempts.c.hub_id < chf(int(hubs * end))
        )
        connection.execute(of_kind.values(state_at=_LATER, **state))
    listed = int(hubs * 0.7)
    connection.execute(scheduled_hubs.delete().where(scheduled_hubs.c.hub_id < chf(listed)))
    list_id = ""
    for number, first in enumerate(range(0, listed, _LIST_SIZE)):
        hub_ids = [chf(one) for one in range(first, min(first + _LIST_SIZE, listed))]
        list_id = f"{number:032x}"
        cut_at = NOW + timedelta(minutes=number)
        sent = _message(list_id, "upgrade_list", f"csp:{regions[number % len(regions)]}", "upgrade_list", None)
        connection.execute(outbox.insert(), sent | {"state": "Delivered", "delivered_at": cut_at, "created_at": cut_at})
        connection.execute(
            upgrade_lists.insert().values(
                list_id=list_id,
                region=regions[number % len(regions)],
                release_id=release_id,
                period_start=_LATER,
                period_end=_LATER + timedelta(hours=6),
                windows_end=WINDOW.end,
                hub_count=len(hub_ids),
                cut_at=cut_at,
                acknowledged_at=cut_at + timedelta(hours=1) if first < hubs * 0.6 else None,
                message_id=list_id,
            )
        )
        connection.execute(listed_hubs.insert().values(list_id=list_id, hub_ids=json.dumps(hub_ids)))
        of_list = attempts.update().where(attempts.c.hub_id >= hub_ids[0], attempts.c.hub_id <= hub_ids[-1])
        connection.execute(of_list.values(list_id=list_id))
    return list_id


def _message(message_id: str, kind: str, destination: str, event: str, hub_id: str | None) -> dict[str, Any]:
    return {
        "message_id": message_id,
        "kind": kind,
        "destination": destination,
        "event": event,
        "hub_id": hub_id,
        "body": b"<x/>" * 200,
        "sha256": "00" * 32,
        "created_at": NOW,
        "tries": 1,
        "next_try_at": NOW,
    }


def _traffic(connection: Connection, hubs: int) -> None:
    """An alert for each hub, one in twenty still to be delivered and one in a hundred parked; requests; a trail."""
    # One that was really signed: pages decode what they show.
    body = connection.scalar(select(outbox.c.body).where(outbox.c.kind == "notice").limit(1))
    fates = {
        0: ("Parked", A),
        1: ("Pending", B),
        2: ("Pending", B),
        3: ("Pending", B),
        4: ("Pending", B),
        5: ("Pending", A),
    }
    for first in range(0, hubs, _AT_ONCE):
        some = range(first, min(first + _AT_ONCE, hubs))
        alerts = []
        for number in some:
            state, supplier = fates.get(number % 100, ("Delivered", A))
            alert = _message(f"{1 << 64 | number:032x}", "alert", f"user:{supplier.eui}", "hub_activated", chf(number))
            taken = NOW if state == "Delivered" else None
            alerts.append(
                alert
                | {"body": body, "state": state, "delivered_at": taken, "last_error": None if taken else "HTTP 503"}
                | {"organisation": supplier.name, "occurrence": "1"}
            )
        execute_many(connection, outbox.insert(), alerts)
    model = connection.execute(select(exchanges).limit(1)).mappings().one()
    for first in range(0, hubs // 20, _AT_ONCE):
        kept = [
            {**model, "exchange_id": 1_000 + number, "message_key": f"{A.eui}:90-B3-D5-1F-30-00-00-02:{10**9 + number}"}
            for number in range(first, min(first + _AT_ONCE, hubs // 20))
        ]
        execute_many(connection, exchanges.insert(), kept)
    for first in range(0, hubs // 10, _AT_ONCE):
        records = []
        for number in range(first, min(first + _AT_ONCE, hubs // 10)):
            named = [chf(one) for one in range(number * 10, number * 10 + 10)]
            records.append(
                {
                    "chain_id": 1,
                    "at": NOW + timedelta(seconds=number),
                    "actor": f"user:{A.eui}",
                    "action": "attempt listed",
                    "message_key": f"key{number}",
                    "from_state": "Scheduled",
                    "to_state": "Listed",
                    "hub_count": 10,
                    "hubs": ",".join(named),
                    "detail": "as planned",
                }
            )
        execute_many(connection, audit.insert(), records)


def _addresses(app: Starlette, values: Mapping[str, str]) -> list[str]:
    """The address of every page that is shown, of either role."""
    (console,) = (route for route in app.routes if isinstance(route, Mount))
    paths = [route.path for route in console.routes if isinstance(route, Route) and "GET" in (route.methods or ())]
    no_pages = ("/static", "/sign-in", "/live", "/whole", "/openid", "/export", "/sheets/", "/xml")
    shown = [one for one in paths if not one.endswith("/sheet") and not any(part in one for part in no_pages)]
    return [_address(path, values) for path in shown]


def _address(route: str, values: Mapping[str, str]) -> str:
    path = route.replace(":int}", "}")
    path += {"/operator/deliveries/resend": "?message={message_id}", "/act": "?release={release_id}"}.get(path, "")
    try:
        return path.format(**values)
    except KeyError as missing:
        raise ValueError(f"tests/bench/pages.py knows nothing for {missing} in {route}") from None


def _measured(front: OperatorFront, values: Mapping[str, str], hubs: int) -> Iterator[Row]:
    front.add("ann", A.name)
    ann, hub = front.signed_in("ann"), chf(hubs // 2)
    ann.open(f"/act?release={values['release_id']}&hubs={chf(hubs - 1)}")
    ann.send("Show", deed="decline")
    known = {**values, "proposal_id": ann.path.rpartition("/")[2]}
    addresses = _addresses(front.app, known)
    operator = [one for one in addresses if one.startswith("/operator")]
    supplier = [one for one in addresses if not one.startswith("/operator") and one != "/"]
    operator += [
        "/operator/csp?state=open",
        f"/operator/deliveries?to=user:{B.eui}",
        "/operator/deliveries?state=Delivered",
        f"/operator/messages?q={hub}",
        f"/operator/messages?supplier={B.name}",
        f"/operator/audit?hub={chf(3)}",
        "/operator/audit?message=nothing",
    ]
    slowest = largest = 0.0
    for who, browser, paths in (("operator", front.olga(), operator), ("Supplier", ann, supplier)):
        for path in paths:
            seconds, kilobytes = _page(front, browser, path)
            slowest, largest = max(slowest, seconds), max(largest, kilobytes)
            name = f"{who}'s page {path}, {hubs:,} hubs"
            yield Row(name, seconds * 1e3, "ms", MOST_MILLISECONDS)
            yield Row(f"{name}, its size", kilobytes, "KB", MOST_KILOBYTES)
    yield Row(f"slowest page of the console, {hubs:,} hubs", slowest * 1e3, "ms", MOST_MILLISECONDS)
    yield Row(f"largest page of the console, {hubs:,} hubs", largest, "KB", MOST_KILOBYTES)


def _page(front: OperatorFront, browser: Somebody, path: str) -> tuple[float, float]:
    """Seconds that a page takes once what takes long is known, and its kilobytes."""
    browser.open(path)
    front.runner.run(front.office.looks.come_to_rest())
    best = float("inf")
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        answer = browser.open(path)
        best = min(best, time.perf_counter() - began)
        if answer.status_code != 200:
            raise ValueError(f"{path} was answered {answer.status_code}: {browser.main[:200]}")
    return best, len(answer.content) / 1e3


if __name__ == "__main__":
    for row in rows(int(sys.argv[1]) if len(sys.argv) > 1 else HUBS):
        print(f"{row.name}: {row.figure:.2f} {row.unit}{' NOT MET' if row.met is False else ''}", flush=True)
