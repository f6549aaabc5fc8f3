"""What an instance's settings and policy make of its connections: TLS in both directions, proxies, limits."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from sr_engine.configuration import ConfigurationError, Demand, Policy, Settings
from sr_engine.connections import ConnectionLimits
from sr_engine.peers import Peers, ProxyHeaders
from sr_engine.tls import Renewable, TlsUnusable, client_context, server_context
from sr_engine.watching import Watched

_FILE = "sr-engine.toml"


def incoming_tls(settings: Settings) -> Renewable | None:
    """With what requests are taken over HTTPS, None over HTTP; raises ConfigurationError naming the file."""
    tls = settings.tls
    if tls is None:
        return None
    asked = tls.client_certificate is not Demand.NONE
    make = partial(
        server_context,
        tls.certificate,
        tls.key,
        client_authorities=tls.client_ca if asked else None,
        revocations=tls.client_crl,
        must_show=tls.client_certificate is Demand.REQUIRED,
    )
    try:
        return Renewable.of(make)
    except TlsUnusable as unusable:
        raise ConfigurationError((f"{_FILE}: tls: {unusable}",)) from None


def outgoing_tls(settings: Settings) -> Mapping[str, Renewable]:
    """With what receivers are sent to: `user`, `csp` and `relay`, as far as settings say something of them.

    Raises ConfigurationError naming the file.
    """
    found = {}
    named = {"user": ("users", settings.outgoing_tls.users), "csp": ("csps", settings.outgoing_tls.csps)}
    named["relay"] = ("relay", settings.outgoing_tls.relay)
    for kind, (key, tls) in named.items():
        if tls is None:
            continue
        try:
            found[kind] = Renewable.of(partial(client_context, tls.certificate, tls.key, tls.trusted))
        except TlsUnusable as unusable:
            raise ConfigurationError((f"{_FILE}: outgoing_tls.{key}: {unusable}",)) from None
    return found


def watched_tls(
    settings: Settings, outgoing: Mapping[str, Renewable], incoming: Renewable | None = None
) -> list[Watched]:
    """The files of each, to be read again when they change."""
    watched = []
    if incoming is not None and (tls := settings.tls) is not None:
        watched += _watched(
            "TLS, where requests arrive", incoming, tls.certificate, tls.key, tls.client_ca, tls.client_crl
        )
    for kind, own in (
        ("user", settings.outgoing_tls.users),
        ("csp", settings.outgoing_tls.csps),
        ("relay", settings.outgoing_tls.relay),
    ):
        if own is not None and kind in outgoing:
            watched += _watched(f"TLS, to {kind}s", outgoing[kind], own.certificate, own.key, own.trusted)
    return watched


def _watched(name: str, renewable: Renewable, *paths: Path | None) -> list[Watched]:
    return [Watched(f"{name}: {path}", path, renewable.renew) for path in paths if path is not None]


def peers_of(settings: Settings) -> Peers:
    """What tells who is at the other end of a connection."""
    proxy = settings.proxy
    if proxy is None:
        return Peers()
    return Peers(
        ProxyHeaders(
            proxy.addresses,
            proxy.certificate_header,
            proxy.verified_header,
            proxy.address_header,
            proxy.scheme_header,
            must_show=proxy.client_certificate is Demand.REQUIRED,
        )
    )


def connection_limits(policy: Policy) -> ConnectionLimits:
    """What a connection may take."""
    rules = policy.connections
    return ConnectionLimits(
        most=rules.most,
        of_one_address=rules.of_one_address,
        new_of_one_address_per_second=rules.new_of_one_address_per_second,
        handshake=rules.handshake.total_seconds(),
        head=rules.head.total_seconds(),
        head_bytes=rules.head_bytes,
        message=rules.message.total_seconds(),
        message_bytes=rules.message_bytes,
        idle=round(rules.idle.total_seconds()),
        unread=rules.unread.total_seconds(),
    )
