"""Who holds which lease."""

from __future__ import annotations

from datetime import timedelta

from sr_engine.clock import SystemClock
from sr_engine.store import leases
from tests.cli.conftest import Run
from tests.world import World, on_connection


def test_leases_are_listed_with_their_holders_and_times(run: Run, world: World) -> None:
    now, minute = SystemClock().now() - timedelta(hours=1), timedelta(minutes=1)
    for name, holder in (("held", "a"), ("run out", "b"), ("back", "c")):
        world.run(on_connection(leases.claim, name, holder, now, minute))
    world.run(lambda uow: leases.renew(uow.connection, "a", now, timedelta(days=1)))
    world.run(lambda uow: leases.give_back(uow.connection, "c", now))

    done = run("lease", "list", "--dir", world.directory)

    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert done.exit_code == 0
    (held,) = [line for line in lines if line.startswith("held a 1 ")]
    (run_out,) = [line for line in lines if line.startswith("run out b 1 ")]
    (back,) = [line for line in lines if line.startswith("back none 1 ")]
    assert "run out" not in held
    assert run_out.endswith(", run out")
    assert back.endswith("given back")


def test_an_instance_that_was_never_served_has_no_leases(run: Run, world: World) -> None:
    done = run("lease", "list", "--dir", world.directory)

    assert done.stdout.startswith("Leases at ")
    assert done.stdout.endswith("none\n")
