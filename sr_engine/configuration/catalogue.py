"""The catalogue of Service Requests: every published one and our own (`service_requests.toml`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from sr_engine.configuration import values
from sr_engine.configuration.duis import COMMAND_VARIANTS, UserRole
from sr_engine.configuration.reader import Array, ASet, Key, Named, Place, Table

_NON_DEVICE: Final = frozenset({8})
_CRITICAL: Final = frozenset({4, 5, 6, 7})
_NON_CRITICAL: Final = frozenset({1, 2, 3})


class FutureDating(StrEnum):
    """Who keeps a future-dated request until its time (FACTS RQ15)."""

    DSP = "DSP"
    DEVICE = "Device"


class CatalogueSource(StrEnum):
    """Whose Service Request it is."""

    PUBLISHED = "published"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class ServiceReferenceVariant:
    """One entry of the catalogue (FACTS RQ9, RQ14, RQ15, DM3)."""

    variant: str
    """ServiceReferenceVariant, e.g. 6.2.4."""
    reference: str
    """ServiceReference, e.g. 6.2."""
    name: str
    body_element: str
    """Local name of the element in Body, Signed Pre-Commands apart (see `Catalogue.body_element`)."""
    critical: bool
    on_demand: bool
    future_dated_by: frozenset[FutureDating]
    dcc_scheduled: bool
    non_device: bool
    command_variants: frozenset[int]
    roles: frozenset[UserRole]
    """User Roles that may send it; empty means nobody."""
    source: CatalogueSource
    offered: bool
    """Whether this processor executes it."""


@dataclass(frozen=True, slots=True)
class SignedPreCommand:
    """The body that carries a critical command back once its User has signed it (FACTS RQ9)."""

    body_element: str
    command_variants: frozenset[int]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Looks up Service Requests and the web services that take them."""

    service_request: Mapping[str, ServiceReferenceVariant]
    """By ServiceReferenceVariant."""
    service: Mapping[str, frozenset[int]]
    """Command Variants taken, by the last part of the service's path."""
    signed_pre_command: SignedPreCommand

    def by_variant(self, variant: str) -> ServiceReferenceVariant | None:
        """Return the entry of a ServiceReferenceVariant, None if there is no such one."""
        return self.service_request.get(variant)

    def body_element(self, entry: ServiceReferenceVariant, command_variant: int) -> str:
        """Return the element that Body must hold in such a request with that Command Variant."""
        pre_command = self.signed_pre_command
        return pre_command.body_element if command_variant in pre_command.command_variants else entry.body_element

    def service_for(self, command_variant: int) -> str | None:
        """Return the service that takes a Command Variant, e.g. `serviceD`; None if none does."""
        for name, taken in self.service.items():
            if command_variant in taken:
                return name
        return None


def _service(command_variants: frozenset[int], name: str) -> tuple[str, frozenset[int]]:
    return name, command_variants


def _catalogue(
    service_request: Mapping[str, ServiceReferenceVariant],
    service: Mapping[str, tuple[str, frozenset[int]]],
    signed_pre_command: SignedPreCommand,
) -> Catalogue:
    services = MappingProxyType(dict(service.values()))
    return Catalogue(service_request, services, signed_pre_command)


def _check_entry(entry: ServiceReferenceVariant, place: Place) -> None:
    if entry.non_device and entry.critical:
        place.inside("critical").report("must be false: a Non-Device Service Request is never critical")
    if entry.variant != entry.reference and not entry.variant.startswith(f"{entry.reference}."):
        place.inside("reference").report(f"must be the beginning of {entry.variant}, not {entry.reference!r}")
    pattern, kind = _NON_CRITICAL, "not critical"
    if entry.non_device:
        pattern, kind = _NON_DEVICE, "Non-Device"
    elif entry.critical:
        pattern, kind = _CRITICAL, "critical"
    if not entry.command_variants <= pattern:
        allowed = ", ".join(map(str, sorted(pattern)))
        place.inside("command_variants").report(
            f"must be among {allowed} for a Service Request that is {kind}, not {sorted(entry.command_variants)}"
        )


def _check_catalogue(catalogue: Catalogue, place: Place) -> None:
    requests = place.inside("service_request")
    first: dict[str, str] = {catalogue.signed_pre_command.body_element: "a Signed Pre-Command"}
    for entry in catalogue.service_request.values():
        other = first.setdefault(entry.body_element, entry.variant)
        if other != entry.variant:
            requests.inside(entry.variant).inside("body_element").report(
                f"{entry.body_element} already belongs to {other}; every Service Request has a body element of its own"
            )
    for number in sorted(COMMAND_VARIANTS):
        takers = [name for name, taken in catalogue.service.items() if number in taken]
        if len(takers) > 1:
            place.inside("service").report(f"Command Variant {number} is taken by {' and '.join(takers)}; keep one")
    taken = frozenset[int]().union(*catalogue.service.values())
    for entry in catalogue.service_request.values():
        if not entry.command_variants <= taken:
            requests.inside(entry.variant).inside("command_variants").report(
                f"no service takes Command Variant {min(entry.command_variants - taken)}; add it to a [service] table"
            )


_COMMAND_VARIANTS = ASet(Array(values.whole_number(1, 8), may_be_empty=False))
_ELEMENT = values.pattern("the name of an XML element", "[A-Za-z_][A-Za-z0-9_]*")
_NUMBER = r"(?:0|[1-9]\d*)"

_SERVICE_REQUEST = Table(
    ServiceReferenceVariant,
    Key("reference", values.pattern("a ServiceReference such as 6.2", rf"{_NUMBER}\.{_NUMBER}")),
    Key("name", values.text()),
    Key("body_element", _ELEMENT),
    Key("critical", values.boolean()),
    Key("on_demand", values.boolean()),
    Key("future_dated_by", ASet(Array(values.member(FutureDating)))),
    Key("dcc_scheduled", values.boolean()),
    Key("non_device", values.boolean()),
    Key("command_variants", _COMMAND_VARIANTS),
    Key("roles", ASet(Array(values.member(UserRole)))),
    Key("source", values.member(CatalogueSource)),
    Key("offered", values.boolean()),
    check=_check_entry,
)

CATALOGUE = Table(
    _catalogue,
    Key(
        "service_request",
        Named(
            _SERVICE_REQUEST,
            "variant",
            values.pattern("a ServiceReferenceVariant such as 6.2.4", rf"{_NUMBER}\.{_NUMBER}(?:\.{_NUMBER})?"),
        ),
    ),
    Key(
        "service",
        Named(
            Table(_service, Key("command_variants", _COMMAND_VARIANTS)),
            "name",
            values.choice(("serviceD", "serviceS", "serviceT")),
        ),
    ),
    Key(
        "signed_pre_command",
        Table(SignedPreCommand, Key("body_element", _ELEMENT), Key("command_variants", _COMMAND_VARIANTS)),
    ),
    check=_check_catalogue,
)
"""What `service_requests.toml` holds."""
