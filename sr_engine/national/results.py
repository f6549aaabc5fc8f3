"""What came of a campaign, played or modelled, and what it cost."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from sr_engine.national.parameters import Channel, Parameters


@dataclass(frozen=True, slots=True)
class Costs:
    """Of a campaign, in pounds."""

    set_up: float = 0.0
    """Its share of building and running what it is done by."""
    messages: float = 0.0
    work: float = 0.0
    """On items and exceptions, at Suppliers and the DCC."""

    @property
    def total(self) -> float:
        """All of it."""
        return self.set_up + self.messages + self.work


@dataclass(slots=True)
class Result:
    """What came of a campaign, played or modelled; days are counted from the opening."""

    name: str
    played: bool
    """By the processor; otherwise by a model."""
    hubs: int
    by_day: Counter[int] = field(default_factory=Counter)
    """Hubs upgraded, by the whole days from the opening until they were active."""
    waits: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """By Supplier: hubs by the hours from the start of the window it wanted first until they were active."""
    messages: int = 0
    items: int = 0
    """Requests, selections or spreadsheets of Suppliers."""
    misses: int = 0
    """Windows that ended without an upgrade, and places of a night that were lost."""
    failures: int = 0
    costs: Costs = Costs()

    @property
    def upgraded(self) -> int:
        """Hubs with the new firmware."""
        return self.by_day.total()

    @property
    def days(self) -> int:
        """Until the last hub was upgraded; 0 if none was."""
        return max(self.by_day, default=0)

    def day_of(self, percent: int) -> int:
        """On which day so many per cent of those that were upgraded in the end had been."""
        return quantile(self.by_day, percent)

    def wait_days(self, percent: int, supplier: str | None = None) -> float:
        """The wait that so many per cent of the upgraded hubs did not exceed."""
        found = sum(self.waits.values(), Counter[int]()) if supplier is None else self.waits.get(supplier, Counter())
        return quantile(found, percent) / 24

    @property
    def cost_per_hub(self) -> float:
        """In pounds, for each hub upgraded."""
        return self.costs.total / self.upgraded if self.upgraded else 0.0


def quantile(counts: Mapping[int, int], percent: int) -> int:
    """The least value that at least so many per cent of what was counted do not exceed; 0 if nothing was."""
    wanted = sum(counts.values()) * percent
    seen = 0
    for value in sorted(counts):
        seen += counts[value]
        if seen * 100 >= wanted:
            return value
    return 0


def costs_of(channel: Channel, parameters: Parameters, result: Result) -> Costs:
    """What a campaign costs by a channel."""
    share = min(1.0, result.hubs / parameters.campaign.capacity_for_hubs)
    minutes = result.items * (channel.supplier_minutes + channel.dcc_minutes)
    minutes += (result.misses + result.failures) * channel.exception_minutes
    return Costs(
        channel.set_up_cost * share, result.messages * channel.message_cost, minutes / 60 * parameters.costs.hour
    )
