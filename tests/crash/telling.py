"""Who has to be told of what has happened to upgrades, by who was responsible then; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.crash.evidence import Evidence

CAME, LEFT = "Supplier came", "Supplier left"
_BY_CHANGE = "attempt supplier_changed"


def told(evidence: Evidence) -> Iterator[tuple[tuple[str, str, str], int, int, int]]:
    """Alert, hub and organisation: how often it has happened at least and at most, and how often that was told.

    The two differ only where a change of Supplier was announced late. Whoever has come by it knows of no attempt that
    it has ended.
    """
    least: Counter[tuple[str, str, str]] = Counter()
    most: Counter[tuple[str, str, str]] = Counter()
    came = {(one.at, one.detail, hub) for one in evidence.records if one.action == CAME for hub in one.hubs}
    for one in evidence.records:
        alert = evidence.alerts_of.get(one.action)
        if alert is None:
            continue
        for hub in one.hubs:
            home = evidence.homes[hub]
            surely, possibly = home.surely(one.at), home.possibly(one.at)
            if one.action == _BY_CHANGE:
                new = {organisation for organisation in possibly if (one.at, organisation, hub) in came}
                surely, possibly = surely - new, possibly - new
            least.update((alert, hub, organisation) for organisation in surely)
            most.update((alert, hub, organisation) for organisation in possibly)
    of_interest = set(evidence.alerts_of.values())
    times = Counter((one.event, one.hub, one.organisation) for one in evidence.alerted if one.event in of_interest)
    for name in sorted(most.keys() | times.keys()):
        yield name, least[name], most[name], times[name]
