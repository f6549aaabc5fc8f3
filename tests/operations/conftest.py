"""A world with hubs and a release, and what operators read of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sr_engine.bootstrap import quiet_days_of
from sr_engine.operations.status import Status, status
from sr_engine.operations.why import explain
from tests.world import World, make_world


class Operator:
    """Someone who looks at a world."""

    def __init__(self, world: World) -> None:
        self.world = world

    def why(self, device_id: str) -> str:
        with self.world.instance.reading_engine.connect() as connection:
            now = self.world.clock.now()
            loaded = self.world.instance.configuration
            return explain(connection, device_id, now, loaded.regions, quiet_days_of(loaded.policy))

    def status(self) -> Status:
        with self.world.instance.reading_engine.connect() as connection:
            return status(connection, self.world.clock.now())


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = make_world(tmp_path / "instance")
    yield world
    world.close()


@pytest.fixture
def operator(world: World) -> Operator:
    return Operator(world)
