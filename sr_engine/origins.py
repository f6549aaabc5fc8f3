"""As whose an address counts where something is limited by it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network

_OF_ONE_CUSTOMER = 64
"""Bits of an IPv6 address: whoever has one address of such a network has them all (RFC 6177, RFC 7934)."""

_TRANSLATED = IPv6Network("64:ff9b::/96")
"""Clients of IPv4, to a server that has IPv6 alone (RFC 6052)."""
_IPV4 = 2**32 - 1


def origin_of(address: str) -> str:
    """The network of 64 bits of an IPv6 address; every other address, and what is none, is its own.

    Otherwise whoever has such a network would be somebody else with each connection. IPv4 in the guise of IPv6, as a
    socket for both kinds or a translator shows it, is IPv4.
    """
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None or parsed in _TRANSLATED:
        return str(IPv4Address(int(parsed) & _IPV4))
    return str(IPv6Network((int(parsed), _OF_ONE_CUSTOMER), strict=False))
