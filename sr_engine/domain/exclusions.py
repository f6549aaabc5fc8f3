"""Keeping hubs out of pilots and voluntary waves: who may, who may end it (section 5 of the domain description)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sr_engine.domain.upgrades import Exclusion, Hub


@dataclass(frozen=True, slots=True)
class ExcludableHub:
    """A hub with the exclusions that run, whatever the release."""

    hub: Hub
    exclusions: tuple[Exclusion, ...] = ()
    with_csp: bool = False
    """An upgrade of it, to whichever release, stands on a list that was cut."""
    predecessors: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """By responsible Supplier, those it has taken the hub over from, where one of these still excludes it."""

    def is_excluded_by(self, organisation: str) -> bool:
        """True if this Supplier's own exclusion runs: only then may it include the hub again."""
        return any(one.organisation == organisation for one in self.exclusions)

    def superseded_by(self, organisation: str) -> tuple[str, ...]:
        """Whose exclusions end when this Supplier sets its own: those of Suppliers that it took the hub over from."""
        left = self.predecessors.get(organisation, frozenset())
        return tuple(
            one.organisation
            for one in self.exclusions
            if one.organisation in left and one.organisation not in self.hub.responsible
        )


@dataclass(frozen=True, slots=True)
class ExclusionChanges:
    """What one decision of a Supplier changes about exclusions; no attempt is touched by it."""

    organisation: str
    excluded: tuple[str, ...] = ()
    """Hubs that it excludes."""
    until: datetime | None = None
    """None: until it includes them again."""
    lifted: tuple[tuple[str, str], ...] = ()
    """Hub and organisation whose exclusion ends."""
