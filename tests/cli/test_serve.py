"""What stops a processor from starting."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import pytest

from tests.cli.conftest import Run
from tests.databases import only_sqlite
from tests.official import with_official
from tests.world import World, edit


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """`serve` sets logging up for its process, which here is everybody's."""
    root, ours = logging.getLogger(), logging.getLogger("sr_engine")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:], level, our_level = before
    root.setLevel(level)
    ours.setLevel(our_level)


def refused(run: Run, world: World, *options: str) -> tuple[int, str]:
    done = run("serve", "--dir", world.directory, *options)
    assert done.stdout == ""
    return done.exit_code, done.stderr


def test_missing_keys_are_exit_code_3(run: Run, world: World) -> None:
    (world.directory / "pki" / "broker" / "certificate.pem").unlink()

    code, said = refused(run, world)

    assert (code, said.count("\n")) == (3, 1)
    assert "pki/broker/certificate.pem" in said


def test_wrong_configuration_is_named_by_file_and_key(run: Run, world: World) -> None:
    edit(world.directory / "config" / "policy.toml", "requests_in_flight = 64", "requests_in_flight = 0")

    code, said = refused(run, world)

    assert (code, said) == (
        2,
        "sr-engine: policy.toml: overload.requests_in_flight: must be a whole number of at least 1, not 0\n",
    )


def test_an_official_schema_that_is_not_usable_is_named_by_file_and_key(run: Run, world: World) -> None:
    with_official(world.directory)
    (world.directory / "official" / "The Schema V9.6.xsd").write_text("<schema/>", encoding="utf-8")

    code, said = refused(run, world)

    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith("sr-engine: sr-engine.toml: official_schema: ")
    assert "is not the DUIS schema" in said


def test_bank_holidays_that_end_before_windows_do_are_warned_of(run: Run, world: World) -> None:
    path = world.directory / "config" / "bank_holidays.toml"
    _, silent = refused(run, world, "--host", "192.0.2.1", "--port", "0")
    path.write_text(
        "complete_until = 2026-12-31\n"
        '[nation."England and Wales"]\ndates = [2026-12-28]\n[nation.Scotland]\ndates = [2026-11-30]\n',
        encoding="utf-8",
    )

    _, said = refused(run, world, "--host", "192.0.2.1", "--port", "0")

    assert "bank_holidays.toml" not in silent
    assert "bank_holidays.toml: complete_until: 2026-12-31, but hubs can be scheduled up to 2027-05-" in said


def test_the_official_schema_in_use_is_logged(run: Run, world: World) -> None:
    with_official(world.directory)

    _, said = refused(run, world, "--host", "192.0.2.1", "--port", "0")

    assert f"official DUIS schema 9.7, from {world.directory / 'official'}" in said


@only_sqlite
def test_a_missing_database_is_named(run: Run, world: World) -> None:
    world.close()
    (world.directory / "sr-engine.db").unlink()

    code, said = refused(run, world)

    assert code == 2
    assert said.startswith(f"sr-engine: there is no database {world.directory / 'sr-engine.db'}")


def test_an_address_that_is_not_ours_is_named(run: Run, world: World) -> None:
    code, said = refused(run, world, "--host", "192.0.2.1", "--port", "0")

    assert (code, said.count("\n")) == (2, 1)
    assert said.startswith("sr-engine: cannot listen on 192.0.2.1, port 0: ")


def test_where_the_port_of_metrics_is_taken_it_is_said_which_setting_that_is(run: Run, world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (world.directory / "sr-engine.toml").open("a", encoding="utf-8") as settings:
            settings.write(f'\n[monitoring.metrics]\nhost = "127.0.0.1"\nport = {port}\n')

        code, said = refused(run, world, "--port", "0")

    assert code == 2
    assert f"port {port} of 127.0.0.1 is taken: stop what listens there, or change [monitoring.metrics]" in said
