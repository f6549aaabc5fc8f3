"""How a release goes from a pilot to everybody in a region (section 5 of the domain description, Phases).

Pure decisions over counts: when the soak began, whether the gate opens, whether too much has failed, who may pilot how
many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction


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


@dataclass(frozen=True, slots=True)
class RegionPhase:
    """Where a release stands in a region."""

    release_id: str
    region: str
    status: str
    """Of the release: Open, Closed or Withdrawn."""
    plan: PhasePlan
    general_open: bool
    halted_at: datetime | None = None
    halt_reason: str | None = None
    resumed_at: datetime | None = None
    told_up_to: int | None = None
    """The attempt up to which Suppliers have been told of the last halt or resumption; None: nobody is left to tell."""


@dataclass(frozen=True, slots=True)
class PilotPlaces:
    """What is left to a Supplier of its shares of a release's pilot limits."""

    free: Mapping[str, int]
    """How many hubs it may still name, by region; regions without a limit are left out."""
    held: frozenset[str] = frozenset()
    """Hubs that have a place: they take no other if they are named again."""


@dataclass(frozen=True, slots=True)
class PilotCounts:
    """Where the pilot of a release stands in a region."""

    waiting: int
    """Pilot hubs that are Scheduled or with the CSP."""
    ended: int
    """Pilot hubs that were listed and have an outcome."""
    last_outcome: datetime | None
    """The latest of those outcomes."""


@dataclass(frozen=True, slots=True)
class OutcomeCounts:
    """Outcomes of hubs that were listed."""

    activated: int
    failed: int
    missed: int

    @property
    def failures(self) -> int:
        return self.failed + self.missed

    @property
    def sample(self) -> int:
        return self.activated + self.failures


def soak_start(plan: PhasePlan, pilot: PilotCounts) -> datetime | None:
    """Return when the soak starts or started; None while the pilot goes on, or if nothing says when it ends.

    That is the last outcome once no pilot hub waits for its own. Where none was listed and none can be any more, it is
    PilotCloses.
    """
    if pilot.waiting:
        return None
    return plan.pilot_closes if pilot.last_outcome is None else pilot.last_outcome


def gate_opens_at(plan: PhasePlan, pilot: PilotCounts) -> datetime | None:
    """Return when the gate opens by itself, as things stand; None: not by itself, or not known yet."""
    start = soak_start(plan, pilot) if plan.automatic_gate else None
    return None if start is None else start + plan.soak


def too_many_failures(plan: PhasePlan, counts: OutcomeCounts) -> bool:
    """True if the share of failures is above the plan's, with a sample large enough to judge by."""
    return counts.sample >= plan.minimum_sample and counts.failures * 100 > plan.failure_percent * counts.sample


def activations_that_matter(plan: PhasePlan, failures: int) -> int:
    """Return a number of activations from which on further ones cannot change the judgement of these failures."""
    if plan.failure_percent == 0:
        return plan.minimum_sample
    return max(plan.minimum_sample, -(-failures * 100 // plan.failure_percent))


def pilot_shares(limit: int, hubs: Mapping[str, int]) -> dict[str, int]:
    """Split a region's pilot limit over Suppliers in proportion to their hubs, by largest remainder.

    `hubs` is by organisation. Each with hubs gets at least one place; if there are not as many, those with the most
    hubs get one each. What is left over after these single places is split in proportion among the others.
    """
    ranked = sorted((name for name, count in hubs.items() if count > 0), key=lambda name: (-hubs[name], name))
    shares = dict.fromkeys(hubs, 0)
    if limit <= len(ranked):
        return shares | dict.fromkeys(ranked[:limit], 1)
    left = limit
    # From the smallest on: whoever would not get a whole place gets one, and the rest is split without either.
    while ranked and left * hubs[ranked[-1]] < sum(hubs[name] for name in ranked):
        shares[ranked.pop()] = 1
        left -= 1
    total = sum(hubs[name] for name in ranked)
    exact = {name: Fraction(left * hubs[name], total) for name in ranked}
    shares |= {name: int(part) for name, part in exact.items()}
    spare = left - sum(int(part) for part in exact.values())
    for name in sorted(ranked, key=lambda name: int(exact[name]) - exact[name])[:spare]:
        shares[name] += 1
    return shares
