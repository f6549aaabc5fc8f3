"""Makes the instance of a simulated country: Suppliers, keys, capacities, an empty database on a clock of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

from sr_engine.bootstrap import Instance, open_instance
from sr_engine.clock import FixedClock
from sr_engine.configuration import ConfigurationError, Region
from sr_engine.instance import SupplierSeed, create_instance
from sr_engine.national.parameters import FILE, Parameters

_FIRST_EUI = 0xA1
_CERTIFICATES_BEFORE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Stage:
    """An instance that stands ready, and who takes part."""

    directory: Path
    instance: Instance
    clock: FixedClock
    suppliers: tuple[SupplierSeed, ...]

    def close(self) -> None:
        """Let go of the database."""
        self.instance.engine.dispose()
        self.instance.reading_engine.dispose()


def set_up(directory: Path, parameters: Parameters, hubs: int, database_url: str) -> None:
    """Make a new instance in an empty folder; raises ConfigurationError for regions that cannot be upgraded."""
    create_instance(
        directory,
        now=parameters.campaign.starts_at - _CERTIFICATES_BEFORE,
        suppliers=suppliers_of(parameters),
        environment="national simulation",
        database_url=database_url,
    )
    _scale_capacity(directory / "config" / "regions.toml", share=min(1.0, hubs / parameters.campaign.capacity_for_hubs))


def open_stage(directory: Path, parameters: Parameters, seed: str) -> Stage:
    """Open an instance on a clock of its own; raises ConfigurationError for regions that cannot be upgraded."""
    clock = FixedClock(parameters.campaign.starts_at)
    ids = Random(f"{seed} ids")  # noqa: S311 - nobody has anything to gain from guessing them
    # Nobody needs what is simulated after the computer has lost its power.
    instance = open_instance(directory, clock=clock, randbelow=ids.randrange, durable=False)
    stage = Stage(directory, instance, clock, suppliers_of(parameters))
    unknown = parameters.country.region_percent.keys() - instance.configuration.regions.keys()
    if unknown:
        stage.close()
        known = ", ".join(instance.configuration.regions)
        raise ConfigurationError(
            tuple(
                f"{FILE}: country.region_percent.{name}: is not upgraded; the regions of regions.toml are {known}"
                for name in sorted(unknown)
            )
        )
    return stage


def suppliers_of(parameters: Parameters) -> tuple[SupplierSeed, ...]:
    """Who takes part, with EUIs from the range set aside for documentation."""
    return tuple(
        SupplierSeed(
            one.name, f"00-00-5E-EF-10-00-{number // 256:02X}-{number % 256:02X}", f"http://127.0.0.1/{one.name}"
        )
        for number, one in enumerate(parameters.suppliers, _FIRST_EUI)
    )


def scaled(hubs_per_night: int, share: float) -> int:
    """A country's part of a night, rounded up."""
    return max(1, -int(-hubs_per_night * share // 1))


def regions_of(stage: Stage, parameters: Parameters) -> dict[str, Region]:
    """The regions that have hubs, as the instance has them."""
    return {name: stage.instance.configuration.regions[name] for name in parameters.country.region_percent}


def _scale_capacity(regions: Path, share: float) -> None:
    text = regions.read_text(encoding="utf-8")
    regions.write_text(
        re.sub(
            r"(?m)^(hubs_per_night = )(\d[\d_]*)",
            lambda found: f"{found[1]}{scaled(int(found[2].replace('_', '')), share)}",
            text,
        ),
        encoding="utf-8",
    )
