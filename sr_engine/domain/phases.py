"""How a release goes from a pilot to everybody in a region (section 5 of the domain description, Phases)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class PhasePlan:
    """What was decided for a region when the release was opened."""

    pilot_limit: int | None
    """The most pilot hubs; None: no limit."""
    pilot_closes: datetime | None
    """When the pilot ends if nobody has named a hub."""
    soak: timedelta
    """From the last outcome of the pilot, or its close, to the opening of the gate."""
    automatic_gate: bool
    """The gate opens by itself after the soak; otherwise the operator opens it."""
    failure_percent: int
    minimum_sample: int
