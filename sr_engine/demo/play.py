"""Plays the demonstration: sets everything up, starts the processes, watches, and checks what came of it."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table
from sqlalchemy import Engine, func, select

from sr_engine.bootstrap import Instance, draw_id, open_instance
from sr_engine.configuration import ClockSettings
from sr_engine.demo import csp, supplier
from sr_engine.demo.country import FIRMWARE, HUBS, OLD_VERSION, REGIONS, homes, populate
from sr_engine.instance import SupplierSeed, create_instance, folder_name
from sr_engine.operations.releases import open_release
from sr_engine.store import outbox
from sr_engine.store.tables import attempts, decisions, devices, upgrade_lists
from sr_engine.store.tables import outbox as outbox_table

RATE = 14_400
"""Four hours a second: the nights of a week pass in under a minute."""
STARTS_AT = datetime(2026, 11, 21, 18, 0, tzinfo=UTC)
"""A Saturday evening: what is agreed by Sunday is upgraded in the nights before Friday, in every region."""
GIVE_UP_SECONDS = 100
_LOOK_SECONDS = 0.5
_SETTING_UP = timedelta(seconds=5)
_START_SECONDS = 20
_STATES = (
    "AwaitingApproval",
    "Scheduled",
    "Listed",
    "Accepted",
    "Delivered",
    "Activated",
    "Failed",
    "Missed",
    "Cancelled",
)
_ENDED = frozenset({"Activated", "Failed", "Missed", "Cancelled", "AwaitingApproval"})


class DemoFailed(Exception):
    """Something did not happen as it should."""


@dataclass(slots=True)
class Cast:
    """Who takes part, at which port."""

    directory: Path
    processor_port: int
    first: SupplierSeed
    second: SupplierSeed
    csp_ports: dict[str, int]
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.processor_port}"


def run(console: Console | None = None) -> int:
    """Play the demonstration; returns 0 if everything came out as it should, 1 otherwise."""
    console = console or Console(width=None if sys.stdout.isatty() else 120)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sr-engine-demo-") as folder:
        cast = _set_up(Path(folder) / "instance")
        instance = open_instance(cast.directory)
        try:
            with _processes(cast, console):
                _open_release(instance, console)
                _watch(instance, cast, console)
                stats = {name: _stats(cast, name) for name in (cast.first.name, cast.second.name)}
                csp_stats = {region: _get(f"http://127.0.0.1:{port}/stats") for region, port in cast.csp_ports.items()}
            _tell(instance, console, stats, csp_stats)
            problems = _problems(instance, cast, stats, csp_stats)
        except DemoFailed as failed:
            problems = [str(failed)]
        finally:
            instance.engine.dispose()
            instance.reading_engine.dispose()
        left = [name for name, process in cast.processes.items() if process.poll() is None]
        problems += [f"process {name} is still running" for name in left]
    for problem in problems:
        console.print(f"[bold red]not as it should be:[/] {problem}")
    console.print(
        f"{'Done' if not problems else 'Failed'} in {time.monotonic() - started:.1f} s; no process left behind."
    )
    return 1 if problems else 0


def _set_up(directory: Path) -> Cast:
    ports = iter(_free_ports(3 + len(REGIONS)))
    processor_port = next(ports)
    first, second = (
        SupplierSeed(name, eui, f"http://127.0.0.1:{next(ports)}{supplier.RECEIVING_PATH}")
        for name, eui in (("supplier-a", "00-00-5E-EF-10-00-00-A1"), ("supplier-b", "00-00-5E-EF-10-00-00-A2"))
    )
    csp_ports = {region: next(ports) for region in REGIONS}
    clock = ClockSettings(datetime.now(UTC) + _SETTING_UP, STARTS_AT, RATE)
    create_instance(
        directory,
        now=STARTS_AT - timedelta(days=1),
        suppliers=(first, second),
        port=processor_port,
        environment="demonstration",
        clock=clock,
    )
    _configure(directory, csp_ports)
    return Cast(directory, processor_port, first, second, csp_ports)


def _configure(directory: Path, csp_ports: dict[str, int]) -> None:
    """Point the regions at the CSPs of the demonstration, and look for due work every second."""
    regions = directory / "config" / "regions.toml"
    text = regions.read_text(encoding="utf-8")
    for region, port in csp_ports.items():
        text = re.sub(
            rf'(\[region\.{region}\].*?\nendpoint = )"[^"]*"',
            rf'\g<1>"http://127.0.0.1:{port}{csp.RECEIVING_PATH}"',
            text,
            count=1,
            flags=re.DOTALL,
        )
    regions.write_text(text, encoding="utf-8")
    policy = directory / "config" / "policy.toml"
    text = policy.read_text(encoding="utf-8")
    policy.write_text(re.sub(r"\ntick_seconds = \d+", "\ntick_seconds = 1", text), encoding="utf-8")


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@contextmanager
def _processes(cast: Cast, console: Console) -> Iterator[None]:
    """Start everyone, each in a process of its own; stop all, whatever happens."""
    log = (cast.directory / "serve.log").open("wb")
    interrupted = signal.signal(signal.SIGTERM, _interrupt)
    try:
        directory = str(cast.directory)
        serve = [sys.executable, "-m", "sr_engine.cli.main", "serve", "--dir", directory]
        cast.processes["processor"] = subprocess.Popen(serve, stdout=log, stderr=log)
        for one, part in ((cast.first, "schedules"), (cast.second, "approves")):
            port = one.receiving_url.split(":")[2].split("/")[0]
            arguments = [directory, one.name, port, cast.url, part]
            cast.processes[one.name] = _start("sr_engine.demo.supplier", arguments)
        loaded = open_instance(cast.directory)
        populated = loaded.transactions.run_now
        populated(lambda unit_of_work: populate(unit_of_work, cast.first, cast.second))
        for region, csp_port in cast.csp_ports.items():
            name = folder_name(loaded.configuration.regions[region].csp_name)
            arguments = [directory, name, str(csp_port), cast.url, region]
            cast.processes[f"csp {region}"] = _start("sr_engine.demo.csp", arguments)
        loaded.engine.dispose()
        loaded.reading_engine.dispose()
        _await_start(cast)
        console.print(f"{len(cast.processes)} processes talk HTTP; {HUBS:,} hubs are in the inventory.")
        yield
    finally:
        signal.signal(signal.SIGTERM, interrupted)
        for process in cast.processes.values():
            process.terminate()
        for process in cast.processes.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        log.close()


def _interrupt(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _start(module: str, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", module, *arguments])


def _await_start(cast: Cast) -> None:
    addresses = [f"{cast.url}/health/live"]
    addresses += [f"http://127.0.0.1:{port}/stats" for port in cast.csp_ports.values()]
    addresses += [one.receiving_url.replace(supplier.RECEIVING_PATH, "/stats") for one in (cast.first, cast.second)]
    give_up = time.monotonic() + _START_SECONDS
    while addresses:
        _check_alive(cast)
        try:
            with urllib.request.urlopen(addresses[0], timeout=2):
                addresses.pop(0)
        except (urllib.error.URLError, OSError):
            if time.monotonic() > give_up:
                raise DemoFailed(f"nothing answers at {addresses[0]}") from None
            time.sleep(_LOOK_SECONDS / 5)


def _check_alive(cast: Cast) -> None:
    for name, process in cast.processes.items():
        if process.poll() is not None:
            log = (cast.directory / "serve.log").read_text(encoding="utf-8", errors="replace")
            raise DemoFailed(f"process {name} ended with {process.returncode}\n{log[-2000:]}")


def _open_release(instance: Instance, console: Console) -> None:
    _, concerned = instance.transactions.run_now(
        lambda unit_of_work: open_release(
            unit_of_work,
            configuration=instance.configuration,
            alerts=instance.alerts,
            draw_id=draw_id,
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
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            _check_alive(cast)
            by_region = _states(instance.reading_engine)
            waiting = _waiting(instance.reading_engine)
            live.update(_progress(instance.clock.now(), by_region, waiting), refresh=True)
            if not waiting and _all_ended(by_region) and _lists_done(cast):
                return
            if time.monotonic() > give_up:
                raise DemoFailed(f"not finished after {GIVE_UP_SECONDS} s: {by_region}, {waiting} messages waiting")
            time.sleep(_LOOK_SECONDS)


def _states(engine: Engine) -> dict[str, dict[str, int]]:
    with engine.connect() as connection:
        found = connection.execute(
            select(attempts.c.region, attempts.c.state, func.count()).group_by(attempts.c.region, attempts.c.state)
        ).all()
    by_region: dict[str, dict[str, int]] = {region: {} for region in REGIONS}
    for region, state, count in found:
        by_region[region][state] = count
    return by_region


def _waiting(engine: Engine) -> int:
    with engine.connect() as connection:
        counts = outbox.counts(connection)
    return sum(number for (_, _, state), number in counts.items() if state == outbox.PENDING)


def _all_ended(by_region: dict[str, dict[str, int]]) -> bool:
    """Every region has outcomes, and nothing is under way but what waits for an approval that was declined."""
    return all(states.get("Activated") and set(states) <= _ENDED for states in by_region.values())


def _lists_done(cast: Cast) -> bool:
    stats = [_get(f"http://127.0.0.1:{port}/stats") for port in cast.csp_ports.values()]
    return all(one.get("lists", 0) == one.get("lists done", 0) > 0 for one in stats)


def _progress(now: datetime, by_region: dict[str, dict[str, int]], waiting: int) -> Table:
    table = Table(title=f"{now:%A %d %B, %H:%M} UTC; {waiting:,} messages on their way", title_justify="left")
    table.add_column("region")
    for state in _STATES:
        table.add_column(state, justify="right")
    for region, states in by_region.items():
        table.add_row(region, *(f"{states.get(state, 0):,}" for state in _STATES))
    return table


def _stats(cast: Cast, name: str) -> dict[str, int]:
    one = cast.first if name == cast.first.name else cast.second
    return _get(one.receiving_url.replace(supplier.RECEIVING_PATH, "/stats"))


def _get(url: str) -> dict[str, int]:
    with urllib.request.urlopen(url, timeout=5) as response:
        stats: dict[str, int] = json.load(response)
    return stats


def _tell(
    instance: Instance, console: Console, stats: dict[str, dict[str, int]], csp_stats: dict[str, dict[str, int]]
) -> None:
    """Say what happened, region by region and Supplier by Supplier."""
    table = Table(title="What happened, region by region", title_justify="left")
    for heading in ("region", "hubs", "lists", "night of", "listed", "activated", "failed", "declined", "verified"):
        text = heading in {"region", "night of"}
        table.add_column(heading, justify="left" if text else "right", no_wrap=True)
    with instance.reading_engine.connect() as connection:
        total: dict[str | None, int] = dict(
            connection.execute(
                select(devices.c.csp_region, func.count()).where(devices.c.device_type == "CHF").group_by("csp_region")
            )
            .tuples()
            .all()
        )
        nights = connection.execute(
            select(upgrade_lists.c.region, upgrade_lists.c.period_start, upgrade_lists.c.hub_count)
        ).all()
    for region, states in _states(instance.reading_engine).items():
        own = [row for row in nights if row.region == region]
        table.add_row(
            region,
            f"{total[region]:,}",
            str(len(own)),
            ", ".join(sorted({f"{row.period_start:%a %d}" for row in own})),
            f"{sum(row.hub_count for row in own):,}",
            f"{states.get('Activated', 0):,}",
            f"{states.get('Failed', 0):,}",
            f"{states.get('AwaitingApproval', 0):,}",
            f"{csp_stats[region].get('signatures verified', 0)} of {csp_stats[region].get('lists', 0)}",
        )
    console.print(table)
    for name, one in stats.items():
        hubs = ", ".join(
            f"{key.removeprefix('hubs: ')} {count:,}" for key, count in sorted(one.items()) if key.startswith("hubs: ")
        )
        console.print(
            f"{name}: {one['alerts']:,} alerts, {one['signatures verified']:,} signatures verified, "
            f"{one.get('signatures refused', 0)} refused; hubs by alert: {hubs}"
        )


def _problems(
    instance: Instance, cast: Cast, stats: dict[str, dict[str, int]], csp_stats: dict[str, dict[str, int]]
) -> list[str]:
    """Compare what the parties received with what the processor holds."""
    problems = []
    with instance.reading_engine.connect() as connection:
        for one in (cast.first, cast.second):
            stored = connection.scalar(
                select(func.count()).where(
                    outbox_table.c.destination == f"user:{one.eui}", outbox_table.c.state == outbox.DELIVERED
                )
            )
            if stored != stats[one.name]["alerts"]:
                problems.append(f"{one.name} took {stats[one.name]['alerts']} alerts, but {stored} were delivered")
        parked = connection.scalar(
            select(func.count()).select_from(outbox_table).where(outbox_table.c.state != outbox.DELIVERED)
        )
        if parked:
            problems.append(f"{parked} messages were not delivered")
        declined_and_listed = connection.scalar(
            select(func.count())
            .select_from(decisions.join(attempts, attempts.c.hub_id == decisions.c.hub_id))
            .where(decisions.c.approval == "Declined", attempts.c.list_id.is_not(None))
        )
        if declined_and_listed:
            problems.append(f"{declined_and_listed} hubs were listed although a Supplier declined")
        upgraded = connection.scalar(
            select(func.count()).select_from(devices).where(devices.c.firmware_version == FIRMWARE.version)
        )
        activated = sum(states.get("Activated", 0) for states in _states(instance.reading_engine).values())
        if upgraded != 2 * activated:
            problems.append(f"{activated} hubs were activated, but {upgraded} CHFs and GPFs have the new version")
    problems += [
        f"{name} refused {counted['signatures refused']} signatures"
        for name, counted in {**stats, **csp_stats}.items()
        if counted.get("signatures refused", 0)
    ]
    split = sum(1 for home in homes(cast.first, cast.second) if home.electricity != home.gas)
    if stats[cast.second.name].get("hubs: release opened") != split:
        problems.append(f"{cast.second.name} was not told of each of its {split} hubs")
    return problems
