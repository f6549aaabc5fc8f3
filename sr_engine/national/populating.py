"""Brings the homes of a country into an instance: devices, and who supplies them since long before."""

from __future__ import annotations

import asyncio
from functools import partial

from sr_engine.bootstrap import triggers
from sr_engine.national import country as homes
from sr_engine.national.country import Country
from sr_engine.national.running import EVERY_REGION, AtOnce, Say
from sr_engine.national.setting_up import Stage
from sr_engine.operations.imports import import_devices, import_registrations
from sr_engine.store.units_of_work import UnitOfWork

IMPORTED_AT_ONCE = 10_000
"""Homes that one transaction brings in."""

_SOURCE = "national simulation"


def populate(stage: Stage, country: Country, say: Say) -> None:
    """Import all homes, and take note of who supplies them: nothing has happened to them before."""
    total = len(country)
    for start in range(0, total, IMPORTED_AT_ONCE):
        numbers = range(start, min(start + IMPORTED_AT_ONCE, total))
        stage.instance.transactions.run_now(partial(_bring_in, stage=stage, country=country, numbers=numbers))
        say(f"{numbers.stop:,} of {total:,} homes imported")
    asyncio.run(_look_once(stage))


def _bring_in(work: UnitOfWork, *, stage: Stage, country: Country, numbers: range) -> None:
    import_devices(work, list(homes.device_rows(country, numbers)), _SOURCE)
    import_registrations(work, list(homes.registration_rows(country, numbers, stage.clock.now())), _SOURCE)


async def _look_once(stage: Stage) -> None:
    asyncio.get_running_loop().set_default_executor(AtOnce())
    housekeeping = next(one for one in triggers(stage.instance, lambda: None) if one.name == EVERY_REGION)
    await housekeeping.tick()
    await stage.instance.transactions.close()
