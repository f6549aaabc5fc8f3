"""Who has a network of IPv6 addresses is one, however many of them it uses."""

from __future__ import annotations

from typing import Any

import pytest

from sr_engine.connections import ConnectionLimits, Crowd
from sr_engine.origins import origin_of
from sr_engine.peers import Peers


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("64:ff9b::c000:207", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("not:an:address", "not:an:address"),
        ("", ""),
    ],
)
def test_an_ipv6_address_counts_as_its_network_and_every_other_as_itself(address: str, origin: str) -> None:
    assert origin_of(address) == origin


def test_whoever_connects_from_ever_new_addresses_of_one_network_has_the_connections_of_one() -> None:
    crowd = Crowd(ConnectionLimits(100, 3, 100, 1, 1, 1024, 1, 1024, 1, 1))
    members: list[Any] = [object() for _ in range(5)]

    taken = [crowd.join(one, f"2001:db8::{number:x}", 0.0) for number, one in enumerate(members)]

    assert taken == [True, True, True, False, False]
    assert crowd.join(object(), "2001:db8:0:1::", 0.0), "another network has its own"  # type: ignore[arg-type]
    crowd.leave(members[0])
    assert crowd.join(object(), "2001:db8::ffff", 0.0)  # type: ignore[arg-type]


def test_clients_of_ipv4_at_a_socket_for_both_kinds_are_not_taken_for_one() -> None:
    crowd = Crowd(ConnectionLimits(100, 1, 100, 1, 1, 1024, 1, 1024, 1, 1))

    assert [crowd.join(object(), f"::ffff:192.0.2.{one}", 0.0) for one in (1, 2)] == [True, True]  # type: ignore[arg-type]


def test_a_request_is_of_the_network_that_its_connection_comes_from() -> None:
    peer = Peers().of({"client": ("2001:db8::7", 40_000), "headers": []})

    assert (peer.address, peer.origin) == ("2001:db8::7", "2001:db8::/64")
