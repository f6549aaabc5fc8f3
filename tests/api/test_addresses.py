"""Where webhooks are sent: to public addresses, and to networks that the operator names."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from sr_engine.api.addresses import NotReached, Reachable
from sr_engine.configuration import load
from sr_engine.resources import data_directory
from tests.api.conftest import SOLE, ApiWorld, served_api
from tests.api.test_webhooks import kept, receiving, until
from tests.gateway.conftest import serving
from tests.world import A, edit, reopen


def not_for_trials(directory: Path) -> None:
    """Webhooks as shipped."""
    api = directory / "config" / "api.toml"
    edit(api, 'networks = ["127.0.0.0/8", "::1/128"]', "networks = []")
    edit(api, '"https://", "http://127.0.0.1:"', '"https://"')


@pytest.fixture
def as_shipped() -> Reachable:
    return Reachable(load(data_directory("config")).api.webhooks)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "100.100.100.200",
        "169.254.169.254",
        "168.63.129.16",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_nothing_is_sent_to_an_address_that_is_not_public(as_shipped: Reachable, address: str) -> None:
    assert not as_shipped.may_reach(address)
    with pytest.raises(NotReached):
        as_shipped.socket((2, 1, 6, "", (address, 443)))


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", "::ffff:93.184.215.14"])
def test_what_is_public_is_sent_to(as_shipped: Reachable, address: str) -> None:
    assert as_shipped.may_reach(address)


def test_a_network_that_the_operator_names_is_sent_to_and_no_other(as_shipped: Reachable) -> None:
    named = Reachable(replace(as_shipped.rules, networks=(ip_network("10.1.0.0/16"), ip_network("::1/128"))))

    assert [named.may_reach(one) for one in ("10.1.2.3", "::ffff:10.1.2.3", "::1")] == [True] * 3
    assert [named.may_reach(one) for one in ("10.2.0.1", "127.0.0.1", "fe80::1")] == [False] * 3


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example/hook",
        "https://127.0.0.1/hook",
        "https://[::1]:8443/hook",
        "https://169.254.169.254/latest/meta-data/",
        "https://user@crm.example/",
        "ftp://crm.example/",
    ],
)
def test_as_shipped_an_address_is_refused_that_is_not_https_or_plainly_not_public(
    as_shipped: Reachable, url: str
) -> None:
    assert as_shipped.objection(url)


def test_as_shipped_a_name_is_taken_and_looked_up_when_something_is_sent(as_shipped: Reachable) -> None:
    assert as_shipped.objection("https://crm.example/hook") is None
    assert as_shipped.objection("https://localhost/hook") is None


def test_names_that_stand_for_this_computer_are_not_connected_to(tmp_path: Path, quiet_logs: None) -> None:
    with receiving() as receiver, served_api(tmp_path, not_for_trials) as api:
        ask = api.client(A)
        made = [
            ask.do("/webhooks", {"url": receiver.url.replace("http://127.0.0.1", f"https://{host}")})["webhook_id"]
            for host in ("localhost", "2130706433", "0x7f000001", "127.1")
        ]
        api.suppliers.schedule(A, SOLE.chf)
        until(lambda: all(kept(api, one).last_error for one in made))

        errors = [kept(api, one).last_error or "" for one in made]
        assert [one for one in errors if "not public" not in one and "InvalidUrl" not in one] == []
        assert "not public" in errors[0]
        assert receiver.waiting == 0


def test_what_the_operator_does_not_allow_any_more_is_not_sent_though_the_webhook_is_there(
    tmp_path: Path, quiet_logs: None
) -> None:
    with receiving() as receiver:
        with served_api(tmp_path) as api:
            made = api.client(A).do("/webhooks", {"url": receiver.url})["webhook_id"]
            not_for_trials(tmp_path)
        world = reopen(api.world)
        with serving(world) as served:
            again = ApiWorld(world, served.port, api.release_id)
            again.suppliers.schedule(A, SOLE.chf)
            until(lambda: kept(again, made).last_error is not None)
            assert "begins with https://" in (kept(again, made).last_error or "")
        world.close()
        assert receiver.waiting == 0
