"""Which hubs are listed for one region and one nightly period, and how they are cut into lists.

The rules are section 5 of the domain description (Region triggers: hubs by period, capacity and fairness between
Suppliers); what that section leaves open is decided and written down here.

Fairness: where hubs equal in deadline and phase have to share, each Supplier gets its exact proportion of what it has
waiting, rounded up or down, every night. What rounding has cost or brought a Supplier is carried to the next sharing in
the region, where those it cost most are rounded up. So whatever the nights, and whatever is scheduled in between,

    what a Supplier has got by sharing, in all, differs from the sum of its exact proportions by at most n - 1 hubs,

where n Suppliers have shared in the region: by one hub between two of them (`docs/fairness.md` has the proof).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from sr_engine.messages.model import Period

PARTS = 1_000_000_000
"""Parts of a hub, in which is counted what Suppliers are owed: whole numbers, so that nothing is lost."""

_by_hub = attrgetter("hub_id")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A hub that may be listed."""

    hub_id: str
    release_id: str
    supplier: str
    """The organisation that scheduled it."""
    window: Period
    pilot: bool
    remaining: int
    """How many further periods, after the one being planned, its window holds: 0 means this is its last chance."""
    compulsory: bool = False
    """Planned by the processor, whatever Suppliers have answered: it may have any period of its window."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the candidates of one period, each part with agreed hubs first, then by deadline, pilot hubs
    first, then hub id."""

    chosen: tuple[Candidate, ...]
    left_out: tuple[Candidate, ...]
    """Those for whom there was no place or who are spread over later periods; a candidate whose window does not hold
    the period is in neither part."""
    owed: Mapping[str, int] = field(default_factory=dict)
    """By Supplier, what rounding has cost it up to and including this plan, in PARTS of a hub; below 0, brought it."""


@dataclass(frozen=True, slots=True)
class ListDraft:
    """The hubs of one upgrade list, all of one release, ascending."""

    release_id: str
    hub_ids: tuple[str, ...]


def plan_period(
    candidates: Iterable[Candidate], *, period: Period, capacity: int, owed: Mapping[str, int] | None = None
) -> Plan:
    """Choose at most `capacity` hubs whose window holds the whole of `period`; below one place nobody is chosen.

    Compulsory hubs are spread: of those of one release that have equally many periods left, this one included, no more
    than an even share of them is chosen for it, rounded up. They come after what Suppliers have agreed.

    Hubs with the fewest periods remaining go first and, among those, pilot hubs before general ones. If the places run
    out among hubs equal in all this, the Suppliers share what is left in proportion to the hubs each has waiting there:
    what a Supplier gets differs from its exact proportion by less than one hub, and whom rounding favours depends on
    `owed`, which is that of the region's last plan. Its own hubs go in ascending hub id. The plan depends on which
    candidates there are, not on their order.

    Raises ValueError if a hub is a candidate twice: it has one open attempt at a time, and listed for two releases in
    one night it might end with either.
    """
    ranks: defaultdict[tuple[bool, int, bool], list[Candidate]] = defaultdict(list)
    compulsory: defaultdict[tuple[str, int], list[Candidate]] = defaultdict(list)
    hub_ids: set[str] = set()
    start, end = period.start, period.end
    for candidate in candidates:
        window = candidate.window
        if window.start <= start and end <= window.end:
            if candidate.compulsory:
                compulsory[candidate.release_id, candidate.remaining].append(candidate)
            else:
                ranks[_rank(candidate)].append(candidate)
            if candidate.hub_id in hub_ids:
                raise ValueError(f"hub {candidate.hub_id} is a candidate twice: give only its one open attempt")
            hub_ids.add(candidate.hub_id)

    chosen: list[Candidate] = []
    left_out: list[Candidate] = []
    balance = dict(owed or {})
    places = max(capacity, 0)
    if places > sum(map(len, ranks.values())):
        for (_, remaining), alike in sorted(compulsory.items()):
            now, later = _take(alike, -(-len(alike) // (remaining + 1)), balance)
            left_out += later
            for candidate in now:
                ranks[_rank(candidate)].append(candidate)
    else:
        # What has been agreed takes all places: nobody's turn is counted that none can be given.
        left_out += [candidate for alike in compulsory.values() for candidate in alike]
    for _, waiting in sorted(ranks.items()):
        taken, rest = _take(waiting, places, balance)
        chosen += taken
        left_out += rest
        places -= len(taken)
    if compulsory:
        left_out.sort(key=lambda candidate: (_rank(candidate), candidate.hub_id))
    return Plan(tuple(chosen), tuple(left_out), balance)


def rank(compulsory: bool, remaining: int, pilot: bool) -> tuple[bool, int, bool]:
    """Return who goes first: what is lower."""
    return compulsory, remaining, not pilot


def _rank(candidate: Candidate) -> tuple[bool, int, bool]:
    return rank(candidate.compulsory, candidate.remaining, candidate.pilot)


def _take(waiting: list[Candidate], places: int, balance: dict[str, int]) -> tuple[list[Candidate], list[Candidate]]:
    """Those who get one of the places, shared between Suppliers, and the rest; each by hub id. Brings `balance` on."""
    waiting.sort(key=_by_hub)
    if len(waiting) <= places:
        return waiting, []
    if places == 0:
        return [], waiting
    shares = _shares(Counter(candidate.supplier for candidate in waiting), places, balance)
    taken: list[Candidate] = []
    rest: list[Candidate] = []
    for candidate in waiting:
        if shares[candidate.supplier] > 0:
            shares[candidate.supplier] -= 1
            taken.append(candidate)
        else:
            rest.append(candidate)
    return taken, rest


@dataclass(frozen=True, slots=True)
class Group:
    """How many hubs there are that may be listed and are alike in all that decides who is, but for their ids."""

    release_id: str
    supplier: str
    pilot: bool
    remaining: int
    compulsory: bool
    hubs: int


@dataclass(frozen=True, slots=True)
class First:
    """The first `hubs` by hub id of some groups, named by their places in the sequence that was planned."""

    groups: tuple[int, ...]
    hubs: int


@dataclass(frozen=True, slots=True)
class Quota:
    """The first `hubs` by hub id of all that `parts` hold; at most as many as they do."""

    parts: tuple[First, ...]
    hubs: int


def plan_groups(
    groups: Sequence[Group], *, capacity: int, owed: Mapping[str, int]
) -> tuple[tuple[Quota, ...], Mapping[str, int]]:
    """Choose as `plan_period` does, from numbers alone: each hub of the plan is in one of the quotas.

    Also returns what is owed then. No hub that is compulsory is pilot; the window of each holds the period.
    """
    ranks: defaultdict[tuple[bool, int, bool], defaultdict[str, list[First]]] = defaultdict(lambda: defaultdict(list))
    compulsory: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for place, group in enumerate(groups):
        if group.compulsory:
            compulsory[group.release_id, group.remaining].append(place)
        elif group.hubs:
            waiting = ranks[rank(False, group.remaining, group.pilot)]
            waiting[group.supplier].append(First((place,), group.hubs))
    balance = dict(owed)
    left = max(capacity, 0)
    agreed = sum(part.hubs for waiting in ranks.values() for parts in waiting.values() for part in parts)
    for (_, remaining), places in sorted(compulsory.items()) if left > agreed else ():
        number = sum(groups[place].hubs for place in places)
        of_supplier: defaultdict[str, list[int]] = defaultdict(list)
        for place in places:
            of_supplier[groups[place].supplier].append(place)
        counts = {supplier: sum(groups[place].hubs for place in mine) for supplier, mine in of_supplier.items()}
        for supplier, now in _shared(counts, -(-number // (remaining + 1)), balance).items():
            if now:
                ranks[rank(True, remaining, False)][supplier].append(First(tuple(of_supplier[supplier]), now))
    quotas: list[Quota] = []
    for _, waiting in sorted(ranks.items()):
        numbers = {supplier: sum(part.hubs for part in parts) for supplier, parts in waiting.items()}
        shares = _shared(numbers, left, balance)
        quotas += [Quota(tuple(waiting[supplier]), hubs) for supplier, hubs in shares.items() if hubs]
        left -= sum(shares.values())
    return tuple(quotas), balance


def cut(chosen: Iterable[Candidate], *, list_size: int) -> tuple[ListDraft, ...]:
    """Cut the chosen hubs into lists of one release and at most `list_size` hubs each, by release id, then hub id.

    Raises ValueError if `list_size` is below one.
    """
    if list_size < 1:
        raise ValueError(f"a list must have room for at least one hub, but the list size is {list_size}")
    by_release: defaultdict[str, list[str]] = defaultdict(list)
    for candidate in chosen:
        by_release[candidate.release_id].append(candidate.hub_id)
    drafts: list[ListDraft] = []
    for release_id, hub_ids in sorted(by_release.items()):
        hub_ids.sort()
        drafts += [
            ListDraft(release_id, tuple(hub_ids[first : first + list_size]))
            for first in range(0, len(hub_ids), list_size)
        ]
    return tuple(drafts)


def _shared(waiting: Mapping[str, int], places: int, balance: dict[str, int]) -> Mapping[str, int]:
    """How many places each gets; nobody gets more than it has waiting. Brings `balance` on where they have to share."""
    if sum(waiting.values()) <= places:
        return waiting
    return _shares(waiting, places, balance) if places else {}


def _shares(waiting: Mapping[str, int], places: int, balance: dict[str, int]) -> dict[str, int]:
    """Share `places` in proportion to the number waiting, rounded; there are more waiting than places.

    Those are rounded up whose remainder and what they are owed come to most; at equal sums the Supplier with fewer
    waiting goes first, to which one hub matters more; then by name. Brings `balance`, by Supplier what it is owed, on.
    """
    exact = _in_parts(waiting, places)
    shares = {supplier: parts // PARTS for supplier, parts in exact.items()}
    order = sorted(
        (-(parts % PARTS) - balance.get(supplier, 0), waiting[supplier], supplier)
        for supplier, parts in exact.items()
        if parts % PARTS
    )
    for _, _, supplier in order[: places - sum(shares.values())]:
        shares[supplier] += 1
    for supplier, parts in exact.items():
        balance[supplier] = balance.get(supplier, 0) + parts - shares[supplier] * PARTS
    return shares


def _in_parts(waiting: Mapping[str, int], places: int) -> dict[str, int]:
    """The exact proportions in PARTS of a hub, which add up to the places; what is less than a part goes as above."""
    total = sum(waiting.values())
    exact: dict[str, int] = {}
    order: list[tuple[int, int, str]] = []
    for supplier, number in waiting.items():
        exact[supplier], remainder = divmod(places * number * PARTS, total)
        order.append((-remainder, number, supplier))
    order.sort()
    for _, _, supplier in order[: places * PARTS - sum(exact.values())]:
        exact[supplier] += 1
    return exact
