"""Where webhooks may be sent to: what their addresses may say, and what may be behind these when something is sent.

A Supplier names the address and the processor sends from where it is: it must not be made to ask its own network.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from errno import EACCES
from ipaddress import IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

from sr_engine.configuration import Webhooks


class NotReached(OSError):
    """Nothing is sent to this address."""

    def __init__(self) -> None:
        super().__init__(EACCES, "nothing is sent to an address that is not public")


@dataclass(frozen=True, slots=True)
class Reachable:
    """What the operator allows."""

    rules: Webhooks

    def objection(self, url: str) -> str | None:
        """What speaks against a URL, as far as it can be told without looking its name up; None: nothing."""
        begins = self.rules.addresses
        try:
            address = urlsplit(url)
            host = address.hostname or ""
            usable = bool(host) and address.username is None and address.port != 0
        except ValueError:
            usable, host = False, ""
        if not usable or not url.startswith(begins):
            return f"url must be an address without a user's name that begins with {' or '.join(begins) or 'nothing'}"
        try:
            reached = self.may_reach(host)
        except ValueError:
            # A name, which is looked up when something is sent.
            return None
        return None if reached else "url must not be an address of a network that is not public"

    def may_reach(self, address: str) -> bool:
        """Whether anything may be sent to an IP address; raises ValueError if it is none."""
        one = ip_address(address.partition("%")[0])
        if isinstance(one, IPv6Address):
            if one.sixtofour is not None:
                # May lead to any address of IPv4, and is in use no more (RFC 7526).
                return False
            one = one.ipv4_mapped or one
        if any(one in network for network in self.rules.networks):
            return True
        if any(one in network for network in self.rules.never):
            return False
        inside = isinstance(one, IPv6Address) and one.is_site_local
        return one.is_global and not (one.is_multicast or one.is_reserved or inside)

    def socket(self, where: tuple[Any, ...]) -> socket.socket:
        """A socket for one connection to an address that a name was found to have, or that stood in a URL.

        Raises NotReached: nothing is looked up between this and the connection.
        """
        family, kind, protocol, _, address = where
        if not self.may_reach(str(address[0])):
            raise NotReached
        return socket.socket(family, kind, protocol)
