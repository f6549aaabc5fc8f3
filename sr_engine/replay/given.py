"""What is given before the first step of a fixture: Users, homes, releases, the CPL, the policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sr_engine.configuration import values
from sr_engine.configuration.duis import CSP_REGIONS, UserRole
from sr_engine.configuration.reader import Array, Key, Named, Place, Table, Unusable
from sr_engine.domain.deliveries import CplEntry
from sr_engine.importers.inventory_csv import DEVICE_STATUSES
from sr_engine.instance import SupplierSeed
from sr_engine.replay.homes import DEVICES, OLD_VERSION, Home
from sr_engine.replay.shapes import weekday_moment

HAN_MANUFACTURER = "4D42"
DEFAULT_AT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
"""A Monday: when a fixture begins that does not say."""
GIVEN_KEYS = frozenset({"at", "spreadsheets", "supplier", "hub", "release", "cpl", "policy"})


class Standing(StrEnum):
    """What the processor knows of a Supplier."""

    ACTIVE = "Active"
    SUSPENDED = "Suspended"
    UNKNOWN = "Unknown"
    """It has a key and is no User."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release that is open from the beginning."""

    version: str
    regions: tuple[str, ...] = ()
    """All, if none is named."""
    may_break: tuple[str, ...] = ()
    """Models of HAN devices."""
    general: bool = True
    """Whether all may be listed, not only pilot hubs."""
    dcc_managed: bool = False


@dataclass(frozen=True, slots=True)
class Given:
    """Everything that is so before the first step."""

    at: datetime
    suppliers: Mapping[str, SupplierSeed]
    strangers: frozenset[str]
    """The names of those among them who are no Users."""
    homes: Mapping[str, Home]
    groups: Mapping[str, tuple[str, ...]]
    """Names that stand for many homes alike: `Estate` for `Estate 1`, `Estate 2` and so on."""
    releases: tuple[Release, ...]
    cpl: tuple[CplEntry, ...]
    policy: Mapping[str, Mapping[str, Any]]
    """Values of policy.toml that are otherwise here, by table and key."""
    spreadsheets: bool
    """Nothing is known of the homes until somebody imports it."""
    names: Mapping[str, str]
    """What each device is called, by its id."""
    key: str
    """Equal for two that say the same."""


@dataclass(frozen=True, slots=True)
class _Supplier:
    name: str
    roles: tuple[UserRole, ...]
    status: Standing = Standing.ACTIVE
    duis_version: Decimal = Decimal("5.4")
    eui: str | None = None


@dataclass(frozen=True, slots=True)
class _Hub:
    name: str
    region: str
    electricity: str | None = None
    gas: str | None = None
    han: str | None = None
    home: str = ""
    """What a reader should know of it."""
    homes: int | None = None
    status: str = "Commissioned"
    version: str = OLD_VERSION


@dataclass(frozen=True, slots=True)
class _Content:
    supplier: Mapping[str, _Supplier]
    at: datetime = DEFAULT_AT
    spreadsheets: bool = False
    hub: Mapping[str, _Hub] = field(default_factory=dict)
    release: Mapping[str, Release] = field(default_factory=dict)
    cpl: tuple[CplEntry, ...] = ()
    policy: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def identity(supplier: str) -> str:
    """The short name that users.toml gives a Supplier."""
    return supplier.lower().replace(" ", "-")


def read_given(content: Mapping[str, Any], place: Place, *, key: str) -> Given:
    """Raises Unusable once everything that is wrong has been reported."""
    before = len(place.problems)
    found = _GIVEN.read(content, place)
    if len(place.problems) > before:
        raise Unusable
    suppliers = {
        name: SupplierSeed(
            identity(name),
            one.eui or f"00-00-5E-EF-10-00-01-{number:02X}",
            f"http://127.0.0.1:{8090 + number}/duis",
            tuple(role.value for role in one.roles),
            str(one.duis_version),
            "Active" if one.status is Standing.UNKNOWN else one.status.value,
        )
        for number, (name, one) in enumerate(found.supplier.items(), 1)
    }
    homes: dict[str, Home] = {}
    groups: dict[str, tuple[str, ...]] = {}
    for name, hub in found.hub.items():
        members = _members(hub)
        groups[name] = members
        homes |= {member: _home(len(homes) + number, hub, suppliers) for number, member in enumerate(members, 1)}
    return Given(
        at=found.at,
        suppliers=MappingProxyType(suppliers),
        strangers=frozenset(name for name, one in found.supplier.items() if one.status is Standing.UNKNOWN),
        homes=MappingProxyType(homes),
        groups=MappingProxyType(groups),
        releases=tuple(found.release.values()),
        cpl=found.cpl,
        policy=found.policy,
        spreadsheets=found.spreadsheets,
        names=MappingProxyType(
            {home.device(kind): called(name, kind) for name, home in homes.items() for kind in DEVICES}
        ),
        key=key,
    )


def _members(hub: _Hub) -> tuple[str, ...]:
    """The names of the homes that are described alike."""
    if hub.homes is None:
        return (hub.name,)
    return tuple(f"{hub.name} {number}" for number in range(1, hub.homes + 1))


def called(home: str, kind: str) -> str:
    """What a device is called: a hub by the name of its home, all else with what it is."""
    return home if kind == "CHF" else f"{home} {kind}"


def _home(number: int, hub: _Hub, suppliers: Mapping[str, SupplierSeed]) -> Home:
    manufacturer, colon, model = (hub.han or "").rpartition(":")
    return Home(
        number,
        None if hub.electricity is None else suppliers[hub.electricity].name,
        None if hub.gas is None else suppliers[hub.gas].name,
        hub.region,
        hub.status,
        hub.version,
        han=None if hub.han is None else (manufacturer if colon else HAN_MANUFACTURER, model),
    )


def _check(content: _Content, place: Place) -> None:
    described: set[str] = set()
    for name, hub in content.hub.items():
        if twice := described & {*_members(hub), name}:
            place.inside("hub").inside(name).report(f"{min(twice)!r} is the name of a home that is described already")
        described |= {*_members(hub), name}
        for fuel, supplier in (("electricity", hub.electricity), ("gas", hub.gas)):
            if supplier is not None and supplier not in content.supplier:
                place.inside("hub").inside(name).inside(fuel).report(f"is of {supplier!r}, who is not given")


class _Settings:
    """Tables of values, whatever these are: what they mean is for the policy to say."""

    wants = "a table of the tables of policy.toml"

    def read(self, value: object, place: Place) -> Mapping[str, Mapping[str, Any]]:
        if not isinstance(value, dict) or not all(isinstance(one, dict) for one in value.values()):
            place.refuse(f"must be {self.wants}")
        return value


_NAME = values.text()
_GIVEN = Table(
    _Content,
    Key("at", weekday_moment(), optional=True),
    Key("spreadsheets", values.boolean(), optional=True),
    Key(
        "supplier",
        Named(
            Table(
                _Supplier,
                Key("roles", Array(values.member(UserRole), may_be_empty=False)),
                Key("status", values.member(Standing), optional=True),
                Key("duis_version", values.schema_version(), optional=True),
                Key("eui", values.eui(), optional=True),
            ),
            "name",
            _NAME,
        ),
    ),
    Key(
        "hub",
        Named(
            Table(
                _Hub,
                Key("home", values.text(), optional=True),
                Key("homes", values.whole_number(1, 100_000), optional=True),
                Key("region", values.choice(CSP_REGIONS)),
                Key("electricity", values.text(), optional=True),
                Key("gas", values.text(), optional=True),
                Key("han", values.text(), optional=True),
                Key("status", values.choice(DEVICE_STATUSES), optional=True),
                Key("version", values.text(), optional=True),
            ),
            "name",
            _NAME,
        ),
        optional=True,
    ),
    Key(
        "release",
        Named(
            Table(
                Release,
                Key("regions", Array(values.choice(CSP_REGIONS)), optional=True),
                Key("may_break", Array(values.text()), optional=True),
                Key("general", values.boolean(), optional=True),
                Key("dcc_managed", values.boolean(), optional=True),
            ),
            "version",
            _NAME,
        ),
        optional=True,
    ),
    Key(
        "cpl",
        Array(
            Table(
                CplEntry,
                *(Key(name, values.text()) for name in ("manufacturer", "model", "device_type", "version")),
                *(Key(name, values.text()) for name in ("image_hash", "status")),
            )
        ),
        optional=True,
    ),
    Key("policy", _Settings(), optional=True),
    check=_check,
)
