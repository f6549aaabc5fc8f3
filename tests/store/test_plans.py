"""How SQLite finds rows where there are millions: by an index that leads to them, not past all there ever were."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import Connection, CursorResult, Engine, event

from sr_engine.domain.agreement import AttemptChange
from sr_engine.domain.states import AttemptEvent, AttemptState
from sr_engine.domain.upgrades import Attempt
from sr_engine.messages.model import Period
from sr_engine.store import (
    firmware,
    list_runs,
    lists,
    moves,
    outbox,
    prepared,
    retention,
    scheduled,
    sla,
    undelivered,
    upgrade_writing,
    waiting,
)
from sr_engine.store.database import create_tables, open_engine
from sr_engine.store.moves import Move, Standing
from sr_engine.store.overlays import QuietDays
from sr_engine.store.portions import ChangedMeanwhile, Kind, Portion
from sr_engine.store.tables import devices, due_registrations
from tests.world import NOW

PERIOD = Period(NOW, NOW + timedelta(hours=8))


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

    def note_prepared(connection: Connection, sql: str, how: str, values: Any) -> Any:
        executed.append((sql, tuple(values[0] if how == "executemany" else values)))
        return execute(connection, sql, how, values)

    execute = prepared._executed
    with engine.begin() as connection, patch.object(prepared, "_executed", note_prepared):
        event.listen(connection, "before_cursor_execute", note)
        work(connection)
        return ["; ".join(row.detail for row in _explained(connection, *one)) for one in tuple(executed)]


def _explained(connection: Connection, statement: str, parameters: Any) -> CursorResult[Any]:
    return connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)


def test_overdue_attempts_are_found_by_state_and_end_of_window(engine: Engine) -> None:
    agreed, compelled = plans_of(
        engine, lambda one: lists.overdue(one, "Central", now=NOW, listed_before=NOW, limit=10)
    )

    assert "ix_attempts_open (region=? AND window_end<?)" in agreed
    assert "ix_attempts_compelled (region=? AND compelled_until<?)" in compelled


def test_schedules_that_end_are_found_by_hub(engine: Engine) -> None:
    (plan,) = plans_of(engine, lambda one: upgrade_writing.end_all_schedules(one, ["hub"], "release"))

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


def test_what_may_be_sent_is_found_without_going_through_all_that_was_sent_or_waits(engine: Engine) -> None:
    barrier, chosen = plans_of(engine, lambda one: outbox.sendable(one, "user:A", NOW, 10))

    assert "SEARCH waiting USING INDEX ix_outbox_alone (destination=?)" in barrier
    assert "SEARCH outbox USING INDEX ix_outbox_due (destination=? AND next_try_at<?)" in chosen
    assert "SEARCH waiting USING INDEX ix_outbox_told (hub_id=?)" in chosen


def test_receivers_for_which_something_waits_are_found_one_by_one(engine: Engine) -> None:
    (plan,) = plans_of(engine, lambda one: outbox.destinations(one, NOW))

    assert "SCAN outbox" not in plan
    assert plan.count("SEARCH outbox") == 3
    assert "(destination=? AND next_try_at<?)" in plan


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


def test_what_waits_to_be_listed_is_counted_and_chosen_in_the_order_of_an_index(engine: Engine) -> None:
    alike = waiting.Alike("release", "supplier", PERIOD, pilot=False, compulsory=False, number=1)
    (counts,) = plans_of(engine, lambda one: waiting.groups(one, "release", "Central", PERIOD))
    (chosen,) = plans_of(engine, lambda one: waiting.of_group(one, "Central", alike, limit=10))
    (all_of_it,) = plans_of(engine, lambda one: waiting.of_group(one, "Central", alike))

    assert "scheduled_hubs USING PRIMARY KEY (region=? AND release_id=?)" in counts
    assert "scheduled_hubs USING PRIMARY KEY (region=? AND release_id=? AND organisation=? AND window_end=?" in chosen
    assert (
        "attempts USING COVERING INDEX sqlite_autoindex_attempts_1 (hub_id=? AND release_id=? AND number=?)" in chosen
    )
    assert all_of_it == chosen
    assert "TEMP B-TREE" not in counts + chosen


def test_what_may_keep_hubs_off_lists_is_looked_for_from_its_own_side(engine: Engine) -> None:
    def fill(connection: Connection) -> None:
        due = {"due_at": NOW, "mpxn": "1000000000001", "role": "IS"}
        connection.execute(due_registrations.insert(), due)
        meter = {"device_id": "meter", "device_type": "ESME", "hub_id": "hub", "import_mpxn": due["mpxn"]}
        connection.execute(devices.insert(), {**meter, "manufacturer": "M", "model": "M"})

    with engine.begin() as connection:
        fill(connection)
    quiet = QuietDays(timedelta(days=3), timedelta(days=3))
    plan = "; ".join(plans_of(engine, lambda one: waiting.peculiar(one, "Central", (), NOW, quiet)))

    assert "SEARCH registrations USING COVERING INDEX ix_registrations_effective_from (effective_from>?)" in plan
    assert "SEARCH devices USING INDEX ix_devices_import_mpxn (import_mpxn=?)" in plan
    assert "SEARCH attempts USING INDEX ix_attempts_one_open (hub_id=?)" in plan
    assert "SCAN devices" not in plan
    assert "SCAN attempts" not in plan


@pytest.mark.parametrize("looked_at", [False, True])
def test_hubs_are_put_on_a_list_by_their_row_numbers_and_no_table_is_gone_through(
    engine: Engine, looked_at: bool
) -> None:
    group = waiting.Alike("release", "supplier", PERIOD, pilot=False, compulsory=False, number=1)

    def put(connection: Connection) -> None:
        scheduled.leave_group(connection, waiting.key_of("Central", group), ["hub"])
        list_runs.put_on_list(
            connection,
            [("hub", 0, 1)],
            list_id="list",
            region="Central",
            period=PERIOD,
            now=NOW,
            group=group,
            looked_at=looked_at,
        )

    plan = "; ".join(plans_of(engine, put))

    assert "SEARCH attempts USING INTEGER PRIMARY KEY (rowid=?)" in plan
    assert "SEARCH scheduled_hubs USING PRIMARY KEY (region=? AND release_id=? AND organisation=?" in plan
    assert "number=? AND hub_id=?)" in plan
    assert "SCAN attempts" not in plan
    assert "SCAN scheduled_hubs" not in plan


def _on_lists(connection: Connection) -> None:
    now, region, period = NOW, "Central", PERIOD
    lists.newest_lists(connection, region=region, limit=10)
    lists.cut_list(connection, "list")
    lists.with_csp(connection, "list")
    lists.with_csp_in(connection, region, period)
    lists.with_csp_beside(connection, region, period)
    lists.acknowledged(connection, "list", now)
    lists.unacknowledged(connection, region, now, now)
    lists.on_list(connection, "list", ["hub"])
    moves.on_list_or_replacement(connection, "list", ["hub"])
    undelivered.still_listed(connection, "list", 10)


def _writing(connection: Connection) -> None:
    standing = Standing("hub", 1, 1, AttemptState.SCHEDULED, None)
    moves.write(connection, [Move(standing, AttemptEvent.WINDOW_ENDED, AttemptState.MISSED, NOW, None)])
    attempt = Attempt(1, AttemptState.SCHEDULED, PERIOD, False, "supplier", NOW, attempt_id=1)
    change = AttemptChange("hub", "Central", AttemptEvent.CHANGED, AttemptState.SCHEDULED, attempt)
    upgrade_writing.write_attempts(connection, [change], "release")


@pytest.mark.parametrize("work", [_on_lists, _writing], ids=["on lists", "writing"])
def test_attempts_on_lists_and_on_their_way_are_found_without_going_through_all(
    engine: Engine, work: Callable[[Connection], object]
) -> None:
    plans = plans_of(engine, work)

    assert any("attempts" in plan for plan in plans)
    for plan in plans:
        assert "SCAN attempts" not in plan
        assert "SCAN scheduled_hubs" not in plan
        assert "SCAN listed_hubs" not in plan


def test_service_levels_are_counted_along_indexes(engine: Engine) -> None:
    hour = timedelta(hours=1)
    month: dict[str, Any] = {"now": NOW, "limit": hour}
    events = ("hub_activated", "hub_failed")
    (completion,) = plans_of(engine, lambda one: sla.completion(one, "Central", NOW, NOW, **month))
    (alerts,) = plans_of(engine, lambda one: sla.alert_times(one, "Central", NOW, NOW, **month, events=events))
    (late,) = plans_of(engine, lambda one: sla.late_completions(one, "Central", NOW, NOW, limit=hour))

    assert "ix_upgrade_lists_windows_end (region=? AND windows_end>?)" in completion
    assert "SEARCH listed_hubs" in completion
    assert "SEARCH attempts" in completion
    assert "(hub_id=?" in completion
    assert "ix_attempts_reported (region=? AND reported_at>? AND reported_at<?)" in alerts
    assert "SCAN alerted_hubs" not in alerts
    for index in (
        "ix_attempts_outcomes (release_id=? AND region=? AND outcome=? AND outcome_at>?)",
        "ix_attempts_reported (region=? AND reported_at>?)",
        "ix_attempts_open (region=? AND window_end<?)",
        "ix_attempts_compelled (region=? AND compelled_until<?)",
    ):
        assert index in late
    assert "SCAN attempts" not in late


def test_what_was_told_and_who_was_on_lists_is_found_along_indexes_when_it_goes_into_the_archive(
    engine: Engine,
) -> None:
    (told,) = plans_of(engine, lambda one: retention.choose(one, Kind.MESSAGES, NOW, 0))
    (hubs,) = plans_of(engine, lambda one: retention.choose(one, Kind.LISTS, NOW, 0))
    (devices_,) = plans_of(engine, lambda one: retention.choose(one, Kind.DELIVERIES, NOW, 0))

    assert "ix_alerted_hubs_message_id (message_id=?)" in told
    assert "SCAN alerted_hubs" not in told
    assert "SEARCH listed_hubs" in hubs
    assert "SEARCH attempts" in hubs
    assert "SCAN attempts" not in hubs
    assert "SEARCH firmware_deliveries USING PRIMARY KEY (list_id=?)" in devices_
    for plan in (told, hubs, devices_):
        assert "AUTOMATIC" not in plan


def test_what_is_open_is_not_gone_through_for_each_list_that_may_go_into_the_archive(engine: Engine) -> None:
    chosen = Portion([1, 2])
    plans = [
        *plans_of(engine, lambda one: retention.choose(one, Kind.MESSAGES, NOW, 0)),
        *plans_of(engine, lambda one: _tried(lambda: retention.remove(one, Kind.MESSAGES, chosen))),
    ]

    on_lists = [plan for plan in plans if "attempts" in plan]
    assert len(on_lists) == 2
    for plan in on_lists:
        assert "SEARCH upgrade_lists USING INDEX ix_upgrade_lists_message_id (message_id=?)" in plan
        assert "SEARCH attempts USING INDEX ix_attempts_one_open (hub_id=?)" in plan
        assert "SEARCH firmware_deliveries USING PRIMARY KEY (list_id=?)" in plan
        assert "AUTOMATIC" not in plan


def _tried(remove: Callable[[], None]) -> None:
    with suppress(ChangedMeanwhile):
        remove()
