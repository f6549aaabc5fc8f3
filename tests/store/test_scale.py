"""The largest request and what follows from it: 50,000 hubs scheduled, a night of them listed, some reported."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select

from sr_engine.messages.model import CommsHubFirmwareResult, ReportStatus
from sr_engine.store import outbox
from sr_engine.store.tables import attempts
from tests.regions.conftest import Nights, hubs
from tests.world import make_world

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
