"""What the processes of an instance are there for: one takes requests, another does what is due."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from sr_engine.bootstrap import open_instance, processor_of
from sr_engine.gateway.working import Role
from sr_engine.store.leases import LeaseState, all_leases
from sr_engine.store.tables import outbox
from tests.gateway.conftest import Served, serving
from tests.gateway.test_held import HUB, READ, Inbox, responses
from tests.world import A, B, World, edit, make_world

EVERY_SECOND = ("tick_seconds = 30", "tick_seconds = 1")


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()
    with inbox.listening():
        yield inbox


@pytest.fixture
def world(tmp_path: Path, inbox: Inbox) -> Iterator[World]:
    def prepare(directory: Path) -> None:
        edit(directory / "config" / "policy.toml", *EVERY_SECOND)
        for supplier in (A, B):
            edit(directory / "users.toml", supplier.receiving_url, inbox.url)

    world = make_world(tmp_path / "instance", prepare=prepare)
    world.add_hubs([HUB])
    yield world
    world.close()


@contextmanager
def another_process(world: World, role: Role) -> Iterator[Served]:
    """The same instance, opened and served a second time."""
    instance = open_instance(world.directory, clock=world.clock)
    again = World(world.directory, instance, world.clock, processor_of(instance))
    with serving(again, role=role) as served:
        yield served
    again.close()


def leases(world: World) -> list[LeaseState]:
    with world.instance.reading_engine.connect() as connection:
        return all_leases(connection)


def test_a_gateway_takes_requests_and_a_worker_answers_those_that_waited(world: World, inbox: Inbox) -> None:
    first, second = world.request_id(A), world.request_id(A)
    with serving(world, role=Role.GATEWAY) as gateway:
        gateway.post(world.signed(A, READ, "8.2", request_id=second, preceding=first))
        assert gateway.decoded(gateway.post(world.signed(A, READ, "8.2", request_id=first))).code == "I0"
        assert leases(world) == []
        assert gateway.post(b"", "/health/live", method="GET").body == b"alive\n"
        # The gateway has noted that its answers have left, or so much time has passed that they have.
        world.clock.advance(timedelta(seconds=4))
        with another_process(world, Role.WORKER):
            assert responses(world, inbox, 1) == [second]
    assert "held requests" in {one.name for one in leases(world)}
    with world.instance.reading_engine.connect() as connection:
        assert set(connection.scalars(select(outbox.c.state))) == {"Delivered"}


def test_a_worker_takes_no_requests_and_says_that_it_is_alive(world: World) -> None:
    with serving(world, role=Role.WORKER) as worker:
        assert worker.post(world.signed(A, READ, "8.2")).status == 404
        assert worker.post(b"", "/api/v1/messages", method="GET").status == 404
        said = worker.post(b"", "/health/live", method="GET").body.decode()
    assert re.fullmatch(r"alive: process r[0-9a-f]{31}, \d+ leases\n", said)


def test_a_process_that_stops_gives_back_what_it_holds(world: World, inbox: Inbox) -> None:
    with serving(world) as alone:
        first, second = world.request_id(A), world.request_id(A)
        alone.post(world.signed(A, READ, "8.2", request_id=second, preceding=first))
        alone.post(world.signed(A, READ, "8.2", request_id=first))
        responses(world, inbox, 1)
        held = {one.name for one in leases(world) if one.holder is not None}
        assert {"held requests", f"delivery:user:{A.eui}"} <= held

    assert {one.holder for one in leases(world)} == {None}
