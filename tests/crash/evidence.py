"""What is left after the kills: what everybody outside has sent and got, and what the database holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sent:
    """A Service Request as its Supplier knows it; `key` is the RequestID in upper case."""

    key: str
    organisation: str
    variant: str
    hubs: frozenset[str]
    answers: tuple[bytes, ...]
    """Every answer to these bytes, in the order in which they came."""
    code: str
    held: bool = False
    """The first answer said that a Response follows."""
    schedule_id: int | None = None
    accepted: int | None = None
    """How many hubs the answer says were accepted, if it does."""

    @property
    def in_force(self) -> bool:
        return self.code.startswith(("I", "W"))


@dataclass(frozen=True, slots=True)
class Stored:
    """An exchange in the inbox."""

    interface: str
    key: str
    code: str
    answer: bytes
    """From the archive, if it was pruned."""
    pruned: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """A record of the audit trail."""

    actor: str
    action: str
    key: str | None
    hubs: tuple[str, ...] = ()
    before: str | None = None
    after: str | None = None
    number: int | None = None
    detail: str = ""
    at: datetime = _LONG_AGO


@dataclass(frozen=True, slots=True)
class Schedule:
    schedule_id: int
    key: str
    organisation: str
    hubs: int


@dataclass(frozen=True, slots=True)
class HeldRequest:
    key: str
    code: str | None
    """None: it waits."""
    has_response: bool
    sender: str = ""
    """The EUI."""
    was_quarantined: bool = False
    word: str = ""
    """What the operator has said of it: released, deleted, or nothing."""


@dataclass(frozen=True, slots=True)
class Message:
    """A row of the outbox."""

    outbox_id: int
    message_id: str
    kind: str
    destination: str
    hub: str | None
    sha256: str
    state: str
    request_key: str | None = None
    """Of a Response: the RequestID it answers, in upper case."""
    may_be_under_way: bool = False
    """It was queued so late that it need not have been taken yet."""
    event: str = ""


@dataclass(frozen=True, slots=True)
class Alerted:
    """That a Supplier was alerted to an event of a hub, by which message."""

    hub: str
    event: str
    organisation: str
    occurrence: str
    message_id: str


@dataclass(frozen=True, slots=True)
class AlertedDevice:
    """That whoever sent a firmware request was alerted to an event of a device, by which message."""

    device: str
    event: str
    request: int
    message_id: str


@dataclass(frozen=True, slots=True)
class Acted:
    """Something that was done by another face than signed requests, and succeeded; the key is of the RequestID given.

    The key is empty where the face does not tell it.
    """

    interface: str
    key: str = ""


@dataclass(frozen=True, slots=True)
class UpgradeList:
    """A list that was cut, with the hubs that stand in its bytes."""

    list_id: str
    message_id: str
    hubs: tuple[str, ...]
    starts: datetime = _LONG_AGO
    ends: datetime = _LONG_AGO
    """Of its night."""
    cut_at: datetime = _LONG_AGO


@dataclass(frozen=True, slots=True)
class Attempt:
    hub: str
    number: int
    state: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message as it came to a receiver, and whether that took it."""

    destination: str
    message_id: str
    sha256: str
    taken: bool
    hubs: frozenset[str] = frozenset()
    """Those named in it, by themselves or by a meter."""


@dataclass(frozen=True, slots=True)
class OfCsp:
    """A message of a CSP, and the statuses it was answered with."""

    key: str
    statuses: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lease:
    name: str
    holder: str | None
    blocks: bool
    """Nobody else can have it for longer than a lease lasts."""


@dataclass(frozen=True, slots=True)
class Move:
    """A change of Supplier at a hub, of which the processor was told."""

    hub: str
    meters: int
    """That went to the gaining Supplier, which had nothing to do with the hub before."""
    gains: str
    loses: str | None
    """None: it keeps the other meter."""
    organisations: frozenset[str]
    """Who is responsible afterwards."""
    effective: datetime
    known: datetime
    """When the notice was answered."""
    earliest: datetime
    """It cannot have been in force before."""
    under_way: bool = False
    """Somebody had asked for an upgrade of the hub shortly before."""

    @property
    def latest(self) -> datetime:
        """From here on it was in force."""
        return max(self.effective, self.known)


@dataclass(frozen=True, slots=True)
class Home:
    region: str
    organisations: frozenset[str]
    """At first."""
    moves: tuple[Move, ...] = ()
    """In the order of their dates."""

    def surely(self, at: datetime) -> frozenset[str]:
        """Those that were responsible then, whatever was known of a notice that was under way."""
        first, *others = self._candidates(at)
        return first.intersection(*others)

    def possibly(self, at: datetime) -> frozenset[str]:
        """Those that may have been."""
        return frozenset().union(*self._candidates(at))

    @property
    def ever(self) -> frozenset[str]:
        """Those that were, or are going to be."""
        return self.organisations.union(*(one.organisations for one in self.moves))

    def _candidates(self, at: datetime) -> list[frozenset[str]]:
        found = [self.organisations]
        for one in self.moves:
            if at >= one.latest:
                found = [one.organisations]
            elif at >= one.earliest:
                found.append(one.organisations)
        return found


@dataclass(frozen=True, slots=True)
class Evidence:
    """All of it, once nothing is under way any more but what waits for a night; sequences are in their own order."""

    sent: Sequence[Sent] = ()
    of_csps: Sequence[OfCsp] = ()
    stored: Sequence[Stored] = ()
    records: Sequence[Record] = ()
    schedules: Sequence[Schedule] = ()
    held: Sequence[HeldRequest] = ()
    decisions: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """By hub and organisation: the answer in force, and the key of the request that gave it."""
    exclusions: frozenset[tuple[str, str]] = frozenset()
    """Hub and organisation."""
    outbox: Sequence[Message] = ()
    alerted: Sequence[Alerted] = ()
    alerted_devices: Sequence[AlertedDevice] = ()
    acted: Sequence[Acted] = ()
    tidings_left: int = 0
    """Portions of what Suppliers are to be told that no alert tells yet."""
    lists: Sequence[UpgradeList] = ()
    attempts: Sequence[Attempt] = ()
    arrivals: Sequence[Arrival] = ()
    leases: Sequence[Lease] = ()
    broken_chains: Sequence[str] = ()
    damaged: Sequence[str] = ()
    """What is wrong with the archive, or was pruned too early."""
    at_rest: datetime = _LONG_AGO
    """When nothing was under way any more that had begun before."""
    homes: Mapping[str, Home] = field(default_factory=dict)
    upgraded: frozenset[str] = frozenset()
    """Hubs whose CHF and GPF run the release, by the inventory."""
    alerts_of: Mapping[str, str] = field(default_factory=dict)
    """By what the audit trail calls an event of an attempt: the alert that every responsible Supplier gets."""
    addresses: Mapping[str, str] = field(default_factory=dict)
    """By organisation, its destination."""
