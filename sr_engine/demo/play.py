"""Plays the demonstration: sets everything up, starts the processes, watches, and checks what came of it."""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from sr_engine.bootstrap import Instance, open_instance
from sr_engine.demo.cast import Cast, DemoFailed, check_alive, csp_stats, processes, set_up, supplier_stats
from sr_engine.demo.country import FIRMWARE, OLD_VERSION, REGIONS
from sr_engine.demo.report import problems, states_by_region, tell, waiting
from sr_engine.operations.releases import open_release

GIVE_UP_SECONDS = 60
"""Without anything having changed: a computer that does much else takes longer, and is no failure."""
_LOOK_SECONDS = 0.5
_LINE_SECONDS = 5.0
"""How often progress is printed where there is no terminal to show it live."""
_STATES = ("AwaitingApproval", "Scheduled", "Listed", "Accepted", "Delivered", "Activated", "Failed", "Missed")
_ENDED = frozenset({"Activated", "Failed", "Missed", "AwaitingApproval"})


def run(console: Console | None = None) -> int:
    """Play the demonstration; returns 0 if everything came out as it should, 1 otherwise."""
    terminal = sys.stdout.isatty()
    console = console or Console(width=None if terminal else 120, soft_wrap=not terminal)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sr-engine-demo-") as folder:
        cast = set_up(Path(folder) / "instance")
        instance = open_instance(cast.directory)
        try:
            with processes(cast, console):
                _open_release(instance, console)
                _watch(instance, cast, console)
                of_suppliers, of_csps = supplier_stats(cast), csp_stats(cast)
            tell(instance, console, of_suppliers, of_csps)
            wrong = problems(instance, cast, of_suppliers, of_csps)
        except DemoFailed as failed:
            wrong = [str(failed)]
        finally:
            instance.engine.dispose()
            instance.reading_engine.dispose()
        wrong += [f"process {name} is still running" for name, one in cast.processes.items() if one.poll() is None]
    for problem in wrong:
        console.print(f"[bold red]not as it should be:[/] {problem}")
    seconds = time.monotonic() - started
    console.print(f"Failed after {seconds:.1f} s." if wrong else f"Done in {seconds:.1f} s; no process left behind.")
    return 1 if wrong else 0


def _open_release(instance: Instance, console: Console) -> None:
    _, concerned = instance.transactions.run_now(
        lambda unit_of_work: open_release(
            unit_of_work,
            configuration=instance.configuration,
            alerts=instance.alerts,
            draw_id=instance.draw_id,
            firmware=FIRMWARE,
            image_hash="5EC0" * 16,
            regions=REGIONS,
            reachable_from=(OLD_VERSION,),
        )
    )
    console.print(
        f"{instance.clock.now():%a %d %b %H:%M}: release {FIRMWARE.manufacturer} {FIRMWARE.model} {FIRMWARE.version} "
        f"opened for {concerned:,} hubs."
    )


def _watch(instance: Instance, cast: Cast, console: Console) -> None:
    """Show the state of things until every hub has its outcome and every message has been taken."""
    give_up = time.monotonic() + GIVE_UP_SECONDS
    seen: object = None
    next_line = time.monotonic() + _LINE_SECONDS
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            check_alive(cast)
            by_region = states_by_region(instance.reading_engine)
            on_their_way = waiting(instance.reading_engine)
            now = instance.clock.now()
            if seen != (by_region, on_their_way):
                seen, give_up = (by_region, on_their_way), time.monotonic() + GIVE_UP_SECONDS
            if console.is_terminal:
                live.update(_progress(now, by_region, on_their_way), refresh=True)
            elif time.monotonic() >= next_line:
                console.print(_line(now, by_region, on_their_way))
                next_line += _LINE_SECONDS
            if not on_their_way and _all_ended(by_region) and _lists_done(cast):
                return
            if time.monotonic() > give_up:
                raise DemoFailed(
                    f"nothing has changed for {GIVE_UP_SECONDS} s: {by_region}, {on_their_way} messages on their way"
                )
            time.sleep(_LOOK_SECONDS)


def _all_ended(by_region: dict[str, dict[str, int]]) -> bool:
    """Every region has outcomes, and nothing is under way but what waits for an approval that was declined."""
    return all(states.get("Activated") and set(states) <= _ENDED for states in by_region.values())


def _lists_done(cast: Cast) -> bool:
    return all(one.get("lists", 0) == one.get("lists done", 0) > 0 for one in csp_stats(cast).values())


def _progress(now: datetime, by_region: dict[str, dict[str, int]], on_their_way: int) -> Table:
    table = Table(title=f"{now:%A %d %B, %H:%M} UTC; {on_their_way:,} messages on their way", title_justify="left")
    table.add_column("region")
    for state in _STATES:
        table.add_column(state, justify="right")
    for region, states in by_region.items():
        table.add_row(region, *(f"{states.get(state, 0):,}" for state in _STATES))
    return table


def _line(now: datetime, by_region: dict[str, dict[str, int]], on_their_way: int) -> str:
    """The same in one line."""
    total = {state: sum(states.get(state, 0) for states in by_region.values()) for state in _STATES}
    hubs = ", ".join(f"{state} {count:,}" for state, count in total.items() if count)
    return f"{now:%a %d %b %H:%M}: {hubs or 'no hub scheduled yet'}; {on_their_way:,} messages on their way"
