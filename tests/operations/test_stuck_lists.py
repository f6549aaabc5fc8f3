"""A long list that was answered and cannot be carried out: whoever watches over the processor is told, and by whose."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from sr_engine.configuration.operator_pages import load_operator_rules
from sr_engine.messages.model import Phase, ScheduleCommsHubFirmware
from sr_engine.monitoring import counting_of, metrics_desk_of
from sr_engine.store import kept_changes
from sr_engine.store.kept_changes import Unfinished
from sr_engine.store.tables import kept_changes as table
from tests.console.desk import console_world
from tests.console.operator.office import OperatorFront
from tests.observing.test_metrics import number, read
from tests.operations.test_attention import look
from tests.pipeline.test_portions import HUBS, in_portions, keep, nothing, portions_left
from tests.world import FIRMWARE, NOW, WINDOW, A, World

LIMIT = timedelta(minutes=5)


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[World]:
    world = in_which_lists_are_long(tmp_path / "instance")
    yield world
    world.close()


@pytest.fixture
def world(empty: World) -> World:
    """One in which a long list was answered, and the process stopped right after."""
    answer_and_stop(empty)
    return empty


def in_which_lists_are_long(directory: Path) -> World:
    world = console_world(directory, in_portions)
    world.add_hubs(HUBS)
    world.open_release()
    return world


def answer_and_stop(world: World) -> None:
    keep(world, A, ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, tuple(hub.chf for hub in HUBS)))


def cannot_be_read(world: World) -> None:
    with world.instance.engine.begin() as connection:
        connection.execute(table.update().values(changes="{}"))


def unfinished(world: World) -> Unfinished:
    with world.instance.reading_engine.connect() as connection:
        found = kept_changes.unfinished(connection)
    assert found is not None
    return found


def test_it_matters_once_it_has_waited_too_long_and_until_it_is_carried_out(world: World) -> None:
    left = unfinished(world)
    assert left.portions == portions_left(world) > 1
    assert left.oldest is not None
    assert left.oldest.at == NOW
    assert A.eui in left.oldest.message_key

    world.clock.advance(LIMIT - timedelta(seconds=1))
    assert (look(world).unfinished, look(world).matters) == (left, 0)
    world.clock.advance(timedelta(seconds=1))
    assert (look(world).is_stuck, look(world).matters) == (True, 1)

    world.run(nothing)

    assert (look(world).unfinished, look(world).matters) == (None, 0)


def test_what_cannot_be_read_is_stuck_at_once(world: World) -> None:
    cannot_be_read(world)

    assert unfinished(world).oldest is None
    assert look(world).is_stuck


@pytest.mark.parametrize("changes", ["", "[]", "null", '{"message_key": "k", "at": 7}', '{"at": "soon"}'])
def test_whatever_stands_there_it_is_told_of(world: World, changes: str) -> None:
    with world.instance.engine.begin() as connection:
        connection.execute(table.update().values(changes=changes))

    assert unfinished(world) == Unfinished(portions_left(world), None)


def test_the_limit_is_configuration_and_one_without_it_has_the_shipped_one(world: World) -> None:
    folder = world.instance.settings.config_directory
    assert load_operator_rules(folder).attention.carried_out == LIMIT
    rules = folder / "operator.toml"
    rules.write_text(re.sub("carried_out_minutes.*", "", rules.read_text()))

    assert load_operator_rules(folder).attention.carried_out == LIMIT


def test_monitoring_sees_how_many_portions_wait_and_for_how_long(world: World) -> None:
    def seen() -> tuple[float, float]:
        found = read(metrics_desk_of(world.instance, counting_of(world.instance)).text())
        return number(found, "sr_engine_unfinished_portions"), number(found, "sr_engine_unfinished_oldest_seconds")

    world.clock.advance(timedelta(seconds=90))
    assert seen() == (portions_left(world), 90)

    cannot_be_read(world)
    portions, seconds = seen()
    assert portions == portions_left(world)
    assert seconds > LIMIT.total_seconds()

    with world.instance.engine.begin() as connection:
        connection.execute(table.delete())
    assert seen() == (0, 0)


def test_the_overview_of_operators_names_it_and_leads_to_the_request(empty: World) -> None:
    front = OperatorFront(empty)
    olga = front.olga()
    answer_and_stop(empty)
    oldest = unfinished(empty).oldest
    assert oldest is not None

    olga.open("/operator/overview")
    assert "Nothing needs attention" in olga.main
    assert oldest.message_key not in olga.main

    empty.clock.advance(LIMIT)
    olga.open("/operator/overview")
    assert "1 thing needs attention" in olga.main
    olga.follow(oldest.message_key)
    assert "11.5" in olga.main

    cannot_be_read(empty)
    olga.open("/operator/overview")
    assert "cannot be read" in olga.main
    front.close()
