"""Who is at the other end of a connection: by the certificate shown, to this processor or to a proxy before it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sr_engine.connections import CLIENT_CERTIFICATE
from sr_engine.messages.identifiers import canonical_eui
from sr_engine.origins import origin_of
from sr_engine.value_objects import value_object

Scope = MutableMapping[str, Any]

_PLAIN_EUI = re.compile("[0-9A-Fa-f]{16}")
_VERIFIED = "SUCCESS"
_REMEMBERED = 1024
_SCHEMES = frozenset({"http", "https"})
_SHOW_ONE = "show a certificate: requests are taken only over connections that have shown one"


class _NotBelieved(Exception):
    """What is said of a certificate cannot be believed; says why."""


@value_object
class Peer:
    """Whoever has connected."""

    address: str
    """Of the client; of the nearest proxy that is not known, if there are some. Empty if it has none."""
    has_certificate: bool
    eui: str | None
    """The EUI-64 that the certificate names, canonical; None without one."""
    certificate_sha256: str | None = None
    """Of the certificate in DER, in hexadecimal; None without one."""
    objection: str | None = None
    """Why nothing is taken that somebody must stand for: a certificate had to be shown, or is not believed."""

    @property
    def origin(self) -> str:
        """As whose the address counts."""
        return origin_of(self.address)


@dataclass(frozen=True, slots=True)
class ProxyHeaders:
    """What proxies say, and which of them are believed."""

    addresses: Sequence[IPv4Network | IPv6Network]
    certificate: str
    verified: str
    address: str
    scheme: str
    must_show: bool
    """Whether a client of theirs, or whoever connects past them, must have shown a certificate."""


PEER = "sr_engine.peer"
"""Where in an ASGI scope the peer stands that came by a proxy."""


class Peers:
    """Tells who is at the other end of a request's connection."""

    def __init__(self, proxies: ProxyHeaders | None = None) -> None:
        self._proxies = proxies
        # A connection brings one certificate and many requests.
        self._eui = lru_cache(maxsize=_REMEMBERED)(certified_eui)
        self._der = lru_cache(maxsize=_REMEMBERED)(_certificate_of)
        self._known = lru_cache(maxsize=_REMEMBERED)(self._is_proxy)

    def is_proxy(self, address: str) -> bool:
        """Whether an address is that of a proxy that is believed."""
        return self._known(address)

    def of(self, scope: Mapping[str, Any]) -> Peer:
        """By the scope of a request."""
        known: Peer | None = scope.get(PEER)
        if known is not None:
            return known
        client = scope.get("client")
        address = "" if client is None else str(client[0])
        shown: bytes | None = scope.get(CLIENT_CERTIFICATE)
        if (proxies := self._proxies) is not None:
            if self._known(address):
                headers = _by_name(scope, (proxies.certificate, proxies.verified, proxies.address))
                address = self._forwarded(headers[proxies.address], address)
                try:
                    shown = self._said(headers[proxies.certificate], headers[proxies.verified])
                except _NotBelieved as why:
                    return Peer(address, has_certificate=False, eui=None, objection=str(why))
            if shown is None and proxies.must_show:
                return Peer(address, has_certificate=False, eui=None, objection=_SHOW_ONE)
        if shown is None:
            return Peer(address, has_certificate=False, eui=None)
        return Peer(address, has_certificate=True, eui=self._eui(shown), certificate_sha256=fingerprint(shown))

    def scheme(self, scope: Mapping[str, Any]) -> str | None:
        """By which a client has come to the proxy that a request came by; None if that has not said it, once."""
        if self._proxies is None:
            return None
        said = _by_name(scope, (self._proxies.scheme,))[self._proxies.scheme]
        return said[0] if len(said) == 1 and said[0] in _SCHEMES else None

    def _said(self, certificates: Sequence[str], verdicts: Sequence[str]) -> bytes | None:
        """The certificate of which a proxy says that it has verified it."""
        if len(certificates) > 1 or len(verdicts) > 1:
            raise _NotBelieved(
                "a header about the client's certificate stands twice: the proxy has to replace the client's"
            )
        if not any(certificates):
            return None
        if list(verdicts) != [_VERIFIED]:
            raise _NotBelieved("the proxy has not verified the certificate that it hands on")
        der = self._der(certificates[0])
        if der is None:
            raise _NotBelieved("what the proxy hands on is no certificate")
        return der

    def _forwarded(self, lines: Sequence[str], address: str) -> str:
        """The last address in the chain that is not a proxy's: what stands before it may be made up."""
        for one in reversed(",".join(lines).split(",")):
            if not one.strip() or not self._known(address):
                break
            address = one.strip()
        return address

    def _is_proxy(self, address: str) -> bool:
        parsed = _address(address)
        return (
            self._proxies is not None and parsed is not None and any(parsed in one for one in self._proxies.addresses)
        )


@dataclass(frozen=True, slots=True)
class Forwarded:
    """An ASGI application whose requests are of the clients of known proxies, where they came by these."""

    application: Callable[[Scope, Any, Any], Awaitable[None]]
    peers: Peers

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        client = scope.get("client")
        if scope["type"] == "http" and client is not None and self.peers.is_proxy(client[0]):
            peer, scheme = self.peers.of(scope), self.peers.scheme(scope)
            scope[PEER], scope["client"] = peer, (peer.address, 0)
            if scheme is not None:
                scope["scheme"] = scheme
        await self.application(scope, receive, send)


def fingerprint(der: bytes) -> str:
    """By which a certificate in DER is known: its SHA-256, in hexadecimal."""
    return hashlib.sha256(der).hexdigest()


def fingerprint_of_pem(pem: bytes) -> str:
    """The same of a certificate in PEM, the first if there are several; raises ValueError if there is none."""
    return fingerprint(x509.load_pem_x509_certificates(pem)[0].public_bytes(Encoding.DER))


def certified_eui(der: bytes) -> str | None:
    """The EUI-64 that a certificate in DER names, canonical; None if it names none.

    That is its x500UniqueIdentifier, as in SMKI, otherwise a common name that is an EUI-64, with hyphens or without.
    """
    try:
        subject = x509.load_der_x509_certificate(der).subject
        unique = subject.get_attributes_for_oid(NameOID.X500_UNIQUE_IDENTIFIER)
        # The first octet of the BIT STRING counts unused bits.
        if unique:
            value = unique[0].value
            one = len(unique) == 1 and isinstance(value, bytes) and len(value) == 9 and value[0] == 0
            return value[1:].hex("-").upper() if one and isinstance(value, bytes) else None
        names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        text = str(names[0].value) if len(names) == 1 else ""
        return canonical_eui(bytes.fromhex(text).hex("-") if _PLAIN_EUI.fullmatch(text) else text)
    except ValueError:
        return None


def is_in(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Whether an address is in one of some networks."""
    parsed = _address(address)
    return parsed is not None and any(parsed in one for one in networks)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    # A socket for both kinds shows IPv4 in the guise of IPv6.
    return getattr(parsed, "ipv4_mapped", None) or parsed


def _by_name(scope: Mapping[str, Any], names: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {name: [] for name in names}
    wanted = {name.lower().encode("ascii"): name for name in names}
    for name, value in scope["headers"]:
        if name in wanted:
            found[wanted[name]].append(value.decode("latin-1").strip())
    return found


def _certificate_of(text: str) -> bytes | None:
    """The certificate in a header, in DER: base64 between colons (RFC 9440), or PEM in percent encoding."""
    try:
        if len(text) > 1 and text[0] == text[-1] == ":":
            return x509.load_der_x509_certificate(base64.b64decode(text[1:-1], validate=True)).public_bytes(
                Encoding.DER
            )
        found = x509.load_pem_x509_certificates(unquote_to_bytes(text))
        return found[0].public_bytes(Encoding.DER)
    except (ValueError, binascii.Error):
        return None
