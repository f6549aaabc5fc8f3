"""The simulated CSP as a process of its own, with a processor that is served: all they say to each other is HTTP."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sr_engine.bootstrap import withdrawing_of
from sr_engine.messages.model import ListEntry
from sr_engine.operations.lists import find_list
from sr_engine.simulator.behaviour import OTHER_VERSION, Behaviour, reply, steps
from tests.gateway.conftest import serving, still
from tests.ports import reserved_port
from tests.regions.conftest import HOUR, Nights, hubs
from tests.world import World, make_world

WAIT = 90.0
HABITS = {"refuse": 20, "fail": 30, "mismatch": 20, "lose": 10, "out_of_order": 30, "duplicate": 50, "seed": 7}


@pytest.fixture
def port() -> Iterator[int]:
    with reserved_port() as port:
        yield port


@contextmanager
def simulated(directory: Path, processor: str, *options: str) -> Iterator[list[str]]:
    """The process, from when it listens to the end of the block; then the list holds what it said last."""
    said: list[str] = []
    command = [sys.executable, "-m", "sr_engine", "simulate-csp", "--dir", str(directory), "--processor", processor]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("ready: Central at http://127.0.0.1:")
            yield said
        finally:
            process.send_signal(signal.SIGTERM)
            said += process.communicate(timeout=WAIT)[0].splitlines()
            assert process.returncode == 0


def stats(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats", timeout=WAIT) as answer:
        found: dict[str, int] = json.load(answer)
        return found


def world_whose_csp_listens_at(port: int, directory: Path) -> World:
    def prepare(directory: Path) -> None:
        still(directory)
        regions = directory / "config" / "regions.toml"
        endpoint = f'endpoint = "http://127.0.0.1:{port}/lists"'
        regions.write_text(regions.read_text().replace('endpoint = "http://127.0.0.1:8090/central"', endpoint))

    return make_world(directory, prepare=prepare)


def set_clock(world: World, at: datetime, anchored_at: datetime, rate: float) -> None:
    """The clock that other processes read."""
    settings = world.directory / "sr-engine.toml"
    anchors = f"anchored_at = {anchored_at.isoformat()}\nstarts_at = {at.isoformat()}\n"
    settings.write_text(f"{settings.read_text()}\n[clock]\n{anchors}rate = {rate}\n")


def stand_still(world: World) -> None:
    """The clock that other processes read stands where that of the world does."""
    set_clock(world, world.clock.now(), datetime(2026, 1, 1, tzinfo=UTC), 0.000001)


def test_lists_are_verified_acknowledged_and_reported_as_the_options_ask(tmp_path: Path, port: int) -> None:
    world = world_whose_csp_listens_at(port, tmp_path / "instance")
    world.open_release()
    central = Nights(world, world.instance.configuration.regions["Central"])
    central.change(list_size=15)
    members = hubs(40)
    world.add_hubs(members)
    central.schedule(members)
    central.cut()
    # For the simulated CSP it is soon night, and an hour is a second. For the processor, which sends a list before its
    # night is over, that is to come.
    set_clock(world, central.period().start - 8 * HOUR, datetime.now(UTC), 3600)
    options = [text for name, value in HABITS.items() for text in (f"--{name.replace('_', '-')}", str(value))]

    with serving(world) as served:
        processor = f"http://127.0.0.1:{served.port}"
        with simulated(world.directory, processor, "--region", "Central", *options) as said:
            give_up = time.monotonic() + WAIT
            while stats(port).get("lists done", 0) < 3:
                assert time.monotonic() < give_up, stats(port)
                time.sleep(0.05)
                # The first try may have been before the CSP listened.
                world.clock.advance(timedelta(seconds=5))
            counted = stats(port)
        assert json.loads(said[-1]) == counted

    behaviour = Behaviour(**HABITS)  # type: ignore[arg-type]  # the names of its fields
    entry = ListEntry(central.period(), tuple(hub.chf for hub in members))
    in_time = central.period().start
    answer = reply(behaviour, [entry], Counter(), in_time)
    expected = dict.fromkeys((hub.chf for hub in members), "Scheduled")
    for step in steps(behaviour, entry, answer.accepted, in_time):
        for one in step.entries:
            if expected[one.device_id] not in {"Activated", "Failed"}:
                expected[one.device_id] = one.status.value if one.version is None else "Failed"
    assert dict(zip(expected, central.states(members), strict=True)) == expected
    assert set(expected.values()) == {"Scheduled", "Delivered", "Failed", "Activated"}
    assert (counted["lists"], counted["signatures verified"]) == (3, 3)
    assert counted["hubs accepted"] == len(answer.accepted)
    assert counted["reports sent twice"] > 0
    odd = {
        one.device_id
        for step in steps(behaviour, entry, answer.accepted, in_time)
        for one in step.entries
        if one.version
    }
    assert {hub.chf for hub in members if central.version(hub.chf) == OTHER_VERSION} == odd != set()
    assert "messages refused" not in counted
    world.close()


def test_a_list_is_replaced_and_its_places_in_the_night_are_taken_by_the_new_one(tmp_path: Path, port: int) -> None:
    world = world_whose_csp_listens_at(port, tmp_path / "instance")
    world.open_release()
    central = Nights(world, world.instance.configuration.regions["Central"])
    members = hubs(10)
    world.add_hubs(members)
    central.schedule(members)
    central.cut()
    (old,) = central.list_ids()
    stand_still(world)

    def wait_for(counted: str, number: int) -> None:
        give_up = time.monotonic() + WAIT
        while stats(port).get(counted, 0) < number:
            assert time.monotonic() < give_up, stats(port)
            time.sleep(0.05)
            world.clock.advance(timedelta(seconds=5))

    with serving(world) as served:
        processor = f"http://127.0.0.1:{served.port}"
        with simulated(world.directory, processor, "--region", "Central", "--capacity", str(len(members))):
            wait_for("hubs accepted", len(members))
            assert central.states(members) == ["Accepted"] * len(members)
            withdrawing = withdrawing_of(world.instance)
            world.run(
                lambda uow: withdrawing(uow, central.region, find_list(uow, old), (), "another key", replacing=True)
            )
            wait_for("hubs accepted", 2 * len(members))
            counted = stats(port)

    assert (counted["lists"], counted["hubs withdrawn"]) == (2, len(members))
    assert counted["hubs refused"] == 0
    assert central.states(members) == ["Accepted"] * len(members)
    assert [one.replaces for one in central.lists()] == [None, old]
    world.close()
