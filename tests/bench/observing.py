"""What it costs an exchange to be observed: CPU of its notes, beside that of the whole exchange without HTTP.

`python -m tests.bench.observing` prints it.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sr_engine.gateway.binding import Binding
from sr_engine.monitoring import counting_of
from sr_engine.observing import logs
from sr_engine.observing.counting import Stage
from sr_engine.observing.exchanges import Observer
from sr_engine.transport import peers_of
from tests.bench.stages import measure
from tests.world import A, World, make_world

ROUNDS, TIMES = 7, 10_000
_SCOPE = {"client": ("127.0.0.1", 1), "headers": [(b"content-type", b"application/xml")] * 6}


def main() -> None:
    whole = min(sum(one.values()) for one in measure())
    with tempfile.TemporaryDirectory() as folder, Path("/dev/null").open("w") as nowhere:
        world = make_world(Path(folder) / "instance")
        sys.stderr, before = nowhere, sys.stderr
        logs.log_to_stderr()
        try:
            notes = _seconds(_observing(world))
            line = _seconds(_one_line)
        finally:
            sys.stderr = before
            world.close()
    added = notes - line
    sys.stdout.write(
        f"an exchange: {whole * 1e6:.0f} us of CPU; its notes: {notes * 1e6:.1f} us, of which a line of the log: "
        f"{line * 1e6:.1f} us; added: {added * 1e6:.1f} us, {100 * added / whole:.2f} %\n"
    )


def _observing(world: World) -> Callable[[], None]:
    observer, peers = Observer(counting_of(world.instance)), peers_of(world.instance.settings)
    binding = Binding(world.instance.configuration.policy.connections.bound_to, world.instance.users)
    request_id = world.request_id(A)

    def once() -> None:
        exchange = observer.begin("serviceD", ())
        peer = peers.of(_SCOPE)
        for stage in (Stage.BODY, Stage.TURN, Stage.CHECKS):
            exchange.over(stage)
        binding.of(peer)(A.eui)
        exchange.request_id, exchange.user, exchange.variant = request_id, A.eui, "8.2"
        exchange.over(Stage.TRANSACTION)
        observer.end(exchange, "I0")

    return once


def _one_line() -> None:
    logging.getLogger("sr_engine.gateway.app").info(
        "%s answered %s: %s", "serviceD", "I0", "1 hub answered, none refused"
    )


def _seconds(once: Callable[[], None]) -> float:
    """The least of some rounds."""
    rounds = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        for _ in range(TIMES):
            once()
        rounds.append((time.thread_time() - began) / TIMES)
    return min(rounds)


if __name__ == "__main__":
    main()
