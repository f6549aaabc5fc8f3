"""How SQLite finds rows where there are millions: by an index that leads to them, not past all there ever were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, CursorResult, Engine, event

from sr_engine.store import firmware, lists, outbox, sla, upgrades
from sr_engine.store.database import create_tables, open_engine
from tests.world import NOW


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{tmp_path}/plans.db")
    create_tables(engine)
    yield engine
    engine.dispose()


def plans_of(engine: Engine, work: Callable[[Connection], object]) -> list[str]:
    """The plan of each statement that `work` executes."""
    executed: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        executed.append((statement, parameters))

    with engine.begin() as connection:
        event.listen(connection, "before_cursor_execute", note)
        work(connection)
        return ["; ".join(row.detail for row in _explained(connection, *one)) for one in tuple(executed)]


def _explained(connection: Connection, statement: str, parameters: Any) -> CursorResult[Any]:
    return connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)


def test_overdue_attempts_are_found_by_state_and_end_of_window(engine: Engine) -> None:
    agreed, compelled = plans_of(
        engine, lambda one: lists.overdue(one, "Central", now=NOW, listed_before=NOW, limit=10)
    )

    assert "ix_attempts_region_state_window_end (region=? AND state=? AND window_end<?)" in agreed
    assert "ix_attempts_compelled (region=? AND period_end<?)" in compelled


def test_schedules_that_end_are_found_by_hub(engine: Engine) -> None:
    (plan,) = plans_of(engine, lambda one: upgrades.end_all_schedules(one, ["hub"], "release"))

    assert "ix_schedule_hubs_hub_id (hub_id=?)" in plan
    assert "SCAN schedules" not in plan


def test_devices_of_which_nothing_is_heard_are_found_by_region_and_time(engine: Engine) -> None:
    (plan,) = plans_of(engine, lambda one: firmware.overdue(one, "Central", NOW, 10))

    assert "ix_firmware_deliveries_open (region=? AND listed_at<?)" in plan


def test_devices_of_a_firmware_request_are_found_by_their_ids_and_their_registrations_by_meter_point(
    engine: Engine,
) -> None:
    (plan,) = plans_of(engine, lambda one: firmware.targets(one, ["device"], NOW))

    assert "SEARCH registrations USING PRIMARY KEY (mpxn=? AND role=? AND effective_from<?)" in plan
    assert "ix_firmware_deliveries_one_open (device_id=?)" in plan
    assert "SCAN devices" not in plan
    assert "SCAN hub" not in plan


def test_what_may_be_sent_is_found_without_going_through_the_lists_there_were(engine: Engine) -> None:
    plan = "; ".join(plans_of(engine, lambda one: outbox.sendable(one, "csp:Central", NOW, 10)))

    assert "SEARCH firmware_lists" in plan
    assert "SCAN firmware_lists" not in plan


def test_regions_in_which_something_is_open_are_found_one_by_one(engine: Engine) -> None:
    (plan,) = plans_of(engine, lambda one: list(firmware.open_regions(one)))

    assert "ix_firmware_deliveries_open (region>?)" in plan


def test_lists_that_wait_for_an_acknowledgement_are_found_by_region_and_time(engine: Engine) -> None:
    (plan,) = plans_of(engine, lambda one: firmware.unacknowledged(one, "Central", NOW, NOW))

    assert "ix_firmware_lists_unacknowledged (region=? AND listed_at>?)" in plan


def test_lists_that_expire_are_found_by_their_ids(engine: Engine) -> None:
    (plan,) = plans_of(engine, lambda one: outbox.expire_meter_lists(one, ["list"]))

    assert "SCAN outbox" not in plan
    assert "SCAN firmware_lists" not in plan


def test_service_levels_are_counted_along_indexes(engine: Engine) -> None:
    hour = timedelta(hours=1)
    month = {"now": NOW, "limit": hour}
    events = ("hub_activated", "hub_failed")
    (completion,) = plans_of(engine, lambda one: sla.completion(one, "Central", NOW, NOW, **month))
    (alerts,) = plans_of(engine, lambda one: sla.alert_times(one, "Central", NOW, NOW, **month, events=events))
    (missed,) = plans_of(engine, lambda one: sla.missed(one, "Central", NOW, NOW))

    assert "ix_attempts_region_state_window_end (region=? AND state=? AND window_end>?)" in completion
    assert "ix_attempts_reported (region=? AND reported_at>? AND reported_at<?)" in alerts
    assert "SCAN alerted_hubs" not in alerts
    assert "ix_attempts_outcomes (release_id=? AND region=? AND state=? AND state_at>? AND state_at<?)" in missed
