"""All that a simulation has found, and the ways it sets side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sr_engine.configuration import Region
from sr_engine.national.figures import Figures
from sr_engine.national.parameters import Parameters
from sr_engine.national.results import Result


@dataclass(frozen=True, slots=True)
class Simulation:
    """All that a report tells of."""

    hubs: int
    seed: int
    parameters: Parameters
    regions: Mapping[str, Region]
    played: Sequence[Figures]
    compared: Sequence[Result]
    """Played and modelled, in the order in which they are shown."""
    prepared_seconds: float
    """Of wall time, for bringing the country in once for all that were played."""


def ways(simulation: Simulation) -> list[Result]:
    """Each way once, in the order of the models: as it was played, or else as its model has it."""
    played = {figures.result.name: figures.result for figures in simulation.played}
    return [played.get(one.name, one) for one in simulation.compared if not one.played]


def checked(simulation: Simulation) -> list[tuple[Result, Result]]:
    """What was played, each with its model: how far the models may be trusted."""
    models = {one.name: one for one in simulation.compared if not one.played}
    return [(figures.result, models[figures.result.name]) for figures in simulation.played]
