"""The largest request and what follows from it, and the preview of many nights' work."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from sr_engine.bootstrap import quiet_days_of
from sr_engine.messages.model import CommsHubFirmwareResult, ReportStatus
from sr_engine.operations.preview import Horizon, foresee
from sr_engine.regions.preview import Fate
from sr_engine.store import inventory, outbox, scheduled
from sr_engine.store.tables import attempts, exclusions
from sr_engine.store.units_of_work import UnitOfWork
from tests.regions.conftest import Nights, hubs
from tests.world import NOW, WINDOW, A, B, TestHub, make_world

HUBS = 50_000
REPORT = 2_000
"""Hubs in one report: the schema allows no more."""


@pytest.mark.slow
def test_fifty_thousand_hubs_are_scheduled_in_one_request_and_a_full_night_is_listed_and_reported(
    tmp_path: Path,
) -> None:
    world = make_world(tmp_path / "instance")
    central = Nights(world, world.instance.configuration.regions["Central"])
    members = hubs(HUBS)
    world.add_hubs(members)
    world.open_release()

    result = central.schedule(members).result
    assert isinstance(result, CommsHubFirmwareResult)
    assert (result.accepted_device_count, dict(result.refused)) == (HUBS, {})

    night = central.region.hubs_per_night
    assert central.cut() == night
    entries = [entry for one in central.lists() for entry in one.entries]
    assert [len(entry.device_ids) for entry in entries] == [central.region.list_size, night - central.region.list_size]

    seen = (central.saw(hub, ReportStatus.ACTIVATED) for hub in members[:REPORT])
    assert central.report(central.list_ids()[0], *seen) == f"{REPORT} hubs brought forward"

    with world.instance.reading_engine.connect() as connection:
        states = connection.execute(select(attempts.c.state, func.count()).group_by(attempts.c.state)).all()
        queued = outbox.counts(connection)
    assert dict(states) == {"Activated": REPORT, "Listed": night - REPORT, "Scheduled": HUBS - night}
    assert queued["alert", "hub_listed", "Pending"] == night
    assert queued["alert", "hub_activated", "Pending"] == REPORT
    assert central.version(members[REPORT - 1].gpf) == "9002"
    world.close()


SCHEDULED = 200_000


@pytest.mark.slow
def test_two_hundred_thousand_scheduled_hubs_are_previewed_in_seconds(tmp_path: Path) -> None:
    world = make_world(tmp_path / "instance")
    release_id = world.open_release()
    region = world.instance.configuration.regions["Central"]

    def fill(unit_of_work: UnitOfWork) -> None:
        for start in range(1, SCHEDULED, 10_000):
            some = [TestHub(number) for number in range(start, start + 10_000)]
            inventory.put_devices(unit_of_work.connection, [row for hub in some for row in hub.rows()])
            rows = [
                {
                    "hub_id": hub.chf,
                    "release_id": release_id,
                    "number": 1,
                    "state": "Scheduled",
                    "is_open": True,
                    "region": region.name,
                    "organisation": A.name if hub.number % 3 else B.name,
                    "window_start": WINDOW.start + timedelta(days=hub.number % 7),
                    "window_end": WINDOW.end + timedelta(days=hub.number % 11),
                    "pilot": hub.number % 50 == 0,
                    "compulsory": False,
                    "state_at": NOW,
                }
                for hub in some
            ]
            unit_of_work.connection.execute(attempts.insert(), rows)
            scheduled.enter(unit_of_work.connection, [hub.chf for hub in some])
            excluded = [
                {"hub_id": hub.chf, "organisation": A.name, "set_at": NOW} for hub in some if hub.number % 20 == 0
            ]
            unit_of_work.connection.execute(exclusions.insert(), excluded)

    world.run(fill)
    quiet_days = quiet_days_of(world.instance.configuration.policy)
    began = time.process_time()
    with world.instance.reading_engine.connect() as connection:
        found = foresee(connection, region, NOW, Horizon(nights=14), quiet_days).preview
    took = time.process_time() - began

    held = [night.listed for night in found.nights if night.night.period.start >= WINDOW.start]
    assert set(held[1:]) == {region.hubs_per_night}
    ended = sum(line.hubs for night in found.nights for line in night.lines if line.fate is not Fate.WAITS)
    assert ended + sum(found.without_night.values()) + sum(found.beyond.values()) == SCHEDULED
    assert took < 30
    world.close()
