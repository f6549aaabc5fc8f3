"""How an instance is connected: TLS, reverse proxies, and what it shows of itself to monitoring (`sr-engine.toml`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from sr_engine.configuration import values
from sr_engine.configuration.reader import Array, Key, Place, Scalar, Table

Network = IPv4Network | IPv6Network

LOOPBACK: tuple[Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


class Demand(StrEnum):
    """Whether whoever connects must show a certificate."""

    REQUIRED = "required"
    OPTIONAL = "optional"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class TlsSettings:
    """HTTPS at the address where requests arrive; the files are PEM."""

    certificate: Path
    """With those of the authorities between it and the root, if there are any."""
    key: Path
    """That of the certificate, on an elliptic curve, not encrypted."""
    client_ca: Path | None = None
    """Who issues the certificates that clients show."""
    client_crl: Path | None = None
    """Revocation lists of these issuers; None: none is heeded."""
    client_certificate: Demand = Demand.REQUIRED
    """Whether a client has to show one."""


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """Reverse proxies that end TLS, and say in a header which certificate a client has shown them."""

    addresses: tuple[Network, ...]
    """Of the proxies: from others the headers are passed over."""
    certificate_header: str = "X-Client-Certificate"
    """The certificate: PEM in percent encoding, or DER in base64 between colons (RFC 9440)."""
    verified_header: str = "X-Client-Verified"
    """Says SUCCESS where the proxy has verified the certificate."""
    address_header: str = "X-Forwarded-For"
    """From which address the client came."""
    scheme_header: str = "X-Forwarded-Proto"
    """Whether it came by http or https."""
    client_certificate: Demand = Demand.REQUIRED
    """Whether Users and CSPs have to come past a proxy, with a certificate."""


@dataclass(frozen=True, slots=True)
class OutgoingTls:
    """What is shown to a receiver at an https address, and which authorities may have issued its certificate."""

    certificate: Path | None = None
    """What is shown, PEM; None: nothing."""
    key: Path | None = None
    """That of the certificate, to be named with it."""
    trusted: Path | None = None
    """Authorities of receivers, PEM; None: those that the system trusts."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """By receiver; None: nothing is shown, and what the system trusts is trusted."""

    users: OutgoingTls | None = None
    csps: OutgoingTls | None = None
    relay: OutgoingTls | None = None


def tls(path: Scalar[Path]) -> Table[TlsSettings]:
    """`[tls]`."""
    return Table(
        TlsSettings,
        Key("certificate", path),
        Key("key", path),
        Key("client_ca", path, optional=True),
        Key("client_crl", path, optional=True),
        Key("client_certificate", values.member(Demand), optional=True),
        check=_check_tls,
    )


def proxy() -> Table[ProxySettings]:
    """`[proxy]`."""
    header = values.pattern("the name of a header", "[A-Za-z0-9-]+")
    return Table(
        ProxySettings,
        Key("addresses", Array(network(), may_be_empty=False)),
        Key("certificate_header", header, optional=True),
        Key("verified_header", header, optional=True),
        Key("address_header", header, optional=True),
        Key("scheme_header", header, optional=True),
        Key("client_certificate", values.member(Demand), optional=True),
    )


def outgoing(path: Scalar[Path]) -> Table[Outgoing]:
    """`[outgoing_tls]`."""
    one = Table(
        OutgoingTls,
        Key("certificate", path, optional=True),
        Key("key", path, optional=True),
        Key("trusted", path, optional=True),
        check=_check_outgoing,
    )
    return Table(
        Outgoing, Key("users", one, optional=True), Key("csps", one, optional=True), Key("relay", one, optional=True)
    )


def network() -> Scalar[Network]:
    """An address, or a network of them."""

    def convert(value: object) -> Network:
        if not isinstance(value, str):
            raise TypeError
        return ip_network(value)

    return Scalar("an address such as 10.0.0.7, or a network such as 10.0.0.0/8", convert)


def _check_tls(settings: TlsSettings, place: Place) -> None:
    if settings.client_ca is None and settings.client_certificate is not Demand.NONE:
        place.inside("client_ca").report(
            f'is missing; without it client_certificate must be "{Demand.NONE}", not "{settings.client_certificate}"'
        )
    if settings.client_crl is not None and settings.client_certificate is Demand.NONE:
        place.inside("client_crl").report(f'must be left out: client_certificate is "{Demand.NONE}"')


def _check_outgoing(settings: OutgoingTls, place: Place) -> None:
    if (settings.certificate is None) != (settings.key is None):
        missing = "key" if settings.key is None else "certificate"
        place.inside(missing).report("is missing; certificate and key belong together")
