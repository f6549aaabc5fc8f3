"""The instance whose processes are killed: three Suppliers, three regions, small homes, a fast clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

from sr_engine.bootstrap import Instance, open_instance
from sr_engine.clock import Clock
from sr_engine.configuration import ClockSettings, Configuration, UserDirectory
from sr_engine.instance import SupplierSeed, create_instance
from sr_engine.messages.model import Firmware
from sr_engine.operations.releases import open_release
from sr_engine.replay.homes import MANUFACTURER, MODEL, OLD_VERSION, Home, move_in
from tests.world import edit

RATE = 28_800
"""Eight hours a second: every three there is a night, and its lists are cut nine before it."""
LEAD_HOURS = 72
LEASE_SECONDS = 1.0
STARTS_AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
FIRMWARE = Firmware(MANUFACTURER, MODEL, "9002")
REGIONS = ("North", "Central", "South")
NAMES = ("supplier-a", "supplier-b", "supplier-c")
_SHARED_WITH_NEXT = 2
"""Every second home has two Suppliers."""


class Surrounded(Protocol):
    """What those around an instance know of it: most of the time it is the instance itself."""

    @property
    def clock(self) -> Clock: ...

    @property
    def configuration(self) -> Configuration: ...

    @property
    def users(self) -> UserDirectory: ...


def suppliers(url: str) -> tuple[SupplierSeed, ...]:
    """Who receives below an address."""
    return tuple(
        SupplierSeed(name, f"00-00-5E-EF-10-00-00-A{number}", f"{url}/supplier/{name}")
        for number, name in enumerate(NAMES, 1)
    )


def homes(count: int) -> Sequence[Home]:
    """So many homes, spread over Suppliers and regions."""
    found = []
    for number in range(1, count + 1):
        electricity = NAMES[number % len(NAMES)]
        shared = number // len(NAMES) % _SHARED_WITH_NEXT == 0
        gas = NAMES[(number + 1) % len(NAMES)] if shared else electricity
        region = REGIONS[number // (len(NAMES) * _SHARED_WITH_NEXT) % len(REGIONS)]
        found.append(Home(number, electricity, gas, region))
    return found


def make_country(
    directory: Path,
    *,
    url: str,
    port: int,
    database_url: str,
    known: Sequence[Home],
    starts_at: datetime = STARTS_AT,
    configure: Callable[[Path], None] = lambda _: None,
) -> Instance:
    """An instance in an empty folder, whose messages go to receivers at `url`, with an open release.

    `configure` may change its files further before it is opened.
    """
    create_instance(
        directory,
        now=starts_at - timedelta(days=1),
        suppliers=suppliers(url),
        port=port,
        clock=ClockSettings(datetime.now(UTC), starts_at, RATE),
        database_url=database_url,
    )
    _configure(directory, url)
    configure(directory)
    instance = open_instance(directory)
    run = instance.transactions.run_now
    run(lambda unit_of_work: move_in(unit_of_work, known))
    run(
        lambda unit_of_work: open_release(
            unit_of_work,
            configuration=instance.configuration,
            alerts=instance.alerts,
            draw_id=instance.draw_id,
            firmware=FIRMWARE,
            image_hash="AB" * 32,
            regions=REGIONS,
            reachable_from=(OLD_VERSION,),
        )
    )
    return instance


def _configure(directory: Path, url: str) -> None:
    regions = directory / "config" / "regions.toml"
    text = regions.read_text(encoding="utf-8")
    kept, _, others = text.partition("# The three 4G regions")
    names = re.findall(r'^\[region\."(.*)"\]', others, flags=re.MULTILINE)
    text = kept.replace('["Unknown", "SMETS1"', '["Unknown", "SMETS1", ' + ", ".join(f'"{name}"' for name in names))
    for name in REGIONS:
        text = text.replace(f"http://127.0.0.1:8090/{name.lower()}", f"{url}/csp/{name}")
    every_day = '"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"'
    values = {
        "weekdays": f"[{every_day}]",
        "blackout_dates": "[]",
        "lead_time_hours": str(LEAD_HOURS),
        "list_size": "5",
        "open_from": "20:00:00",
        "open_until": "06:00:00",
    }
    for key, value in values.items():
        text = re.sub(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
    # Holidays would be nights without lists.
    text = re.sub(r"(?m)^(bank_holidays|on_bank_holidays) = .*\n", "", text)
    regions.write_text(text, encoding="utf-8")
    policy = directory / "config" / "policy.toml"
    edit(policy, "tick_seconds = 30", "tick_seconds = 1")
    edit(policy, "portion_devices = 2_000", "portion_devices = 2")
    # Hours of kills are years of its clock: what is compared in the end must not have been pruned by then.
    for kept in ("messages_days = 400", "requests_days = 400", "upgrades_days = 800", "audit_days = 2_557"):
        edit(policy, kept, f"{kept.partition('=')[0]}= 36_500")
    edit(policy, "\nlength_seconds = 20", f"\nlength_seconds = {LEASE_SECONDS:g}")
    edit(policy, "heartbeat_seconds = 5", f"heartbeat_seconds = {LEASE_SECONDS / 4:g}")
    # Nothing halts: what a kill makes late counts as missed.
    edit(policy, "failure_percent = 10", "failure_percent = 100")
