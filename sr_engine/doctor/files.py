"""Looks at an instance's files: configuration, keys, certificates, permissions, and the space there is for more."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from signing import KeyUnavailable, SoftwareKey, Trust
from sr_engine.bootstrap import check_tokens, official_schema_of
from sr_engine.configuration import (
    SETTINGS_FILE,
    Configuration,
    ConfigurationError,
    OutgoingTls,
    Region,
    Settings,
    User,
    UserDirectory,
)
from sr_engine.doctor.findings import Finding, error, ok, warning
from sr_engine.operations.expiries import TLS_REVOCATIONS, expiries, tls_revocations_until
from sr_engine.sealing import SealingKeyUnusable, load_sealer
from sr_engine.transport import incoming_tls, outgoing_tls

SOON = timedelta(days=30)
"""Certificates that expire within it are warned of."""
LIST_SOON = timedelta(hours=6)
"""The same of revocation lists, which are made anew much more often."""
LITTLE_SPACE, NO_SPACE = 2 * 2**30, 200 * 2**20
"""Bytes left on a disk: less than the first is warned of, less than the second is an error."""


def wrong_configuration(wrong: ConfigurationError) -> Iterator[Finding]:
    """Each of its problems names file and key."""
    for problem in wrong.problems:
        yield error("configuration", problem, "put it right in that file; comments in config/ say what each key means")


def configured(settings: Settings, loaded: Configuration, users: UserDirectory, now: datetime) -> Iterator[Finding]:
    """What files that are right in themselves do not agree on, or will not for long."""
    yield ok("configuration", f"{settings.environment}: {len(loaded.regions)} regions, {len(users.users())} Users")
    if settings.clock is not None:
        yield warning(
            "clock",
            f"the instance goes by a clock of its own, {settings.clock.rate:g} times as fast as real time",
            f"take [clock] out of {SETTINGS_FILE}, unless this is a trial",
        )
    furthest = (now + loaded.policy.horizon.upgrade_window).date()
    if furthest > loaded.holidays_complete_until and any(one.bank_holidays for one in loaded.regions.values()):
        yield warning(
            "configuration",
            f"bank holidays are known up to {loaded.holidays_complete_until}, hubs can be scheduled up to {furthest}",
            "name those that follow, and complete_until, in bank_holidays.toml",
        )
    try:
        official_schema_of(settings)
        check_tokens(settings, loaded, users)
    except ConfigurationError as wrong:
        yield from wrong_configuration(wrong)


def webhooks(settings: Settings, loaded: Configuration) -> Iterator[Finding]:
    """Where Suppliers can have the processor send to."""
    rules = loaded.api.webhooks
    if settings.api is None:
        return
    of_api = "in [webhooks] of api.toml, unless this is a trial"
    if rules.networks:
        named = ", ".join(map(str, rules.networks))
        says = f"Suppliers can have messages sent into networks that are not public: {named}"
        yield warning("webhooks", says, f"set networks = [] {of_api}")
    if plain := [one for one in rules.addresses if one.startswith("http:")]:
        says = f"Suppliers can have messages sent without TLS: {', '.join(plain)}"
        yield warning("webhooks", says, f'set addresses = ["https://"] {of_api}')


def key_that_signs(settings: Settings, broker: str) -> Iterator[Finding]:
    """The key with which all answers are signed."""
    try:
        key = SoftwareKey.load(settings.signing.key, settings.signing.certificate)
    except KeyUnavailable as unavailable:
        yield error("signing key", str(unavailable), f"put key and certificate where [signing] of {SETTINGS_FILE} says")
        return
    if key.eui != broker:
        yield error(
            "signing key",
            f"its certificate is for {key.eui}, and access_control_broker_eui of policy.toml is {broker}",
            "use the certificate of that EUI, or name the certificate's in policy.toml",
        )
        return
    yield ok("signing key", f"of {key.eui}, valid until {key.certificate.not_after:%Y-%m-%d}")


def key_that_seals(settings: Settings) -> Iterator[Finding]:
    """The key without which the interface for CRM systems, and so the processor, does not start."""
    if settings.api is None:
        return
    try:
        load_sealer(settings.api.key_file)
    except SealingKeyUnusable as unusable:
        to_do = "put back the one that was there, if there was one: with another, secrets of webhooks cannot be read"
        yield error("sealing key", str(unusable), to_do)


def trusted(settings: Settings, loaded: Configuration, users: UserDirectory, now: datetime) -> Iterator[Finding]:
    """Certificates of others, and until when all of them are valid."""
    try:
        trust = Trust.from_directory(settings.trust_directory, crl_grace=loaded.policy.trust.crl_grace)
    except KeyUnavailable as unavailable:
        yield error("trust", str(unavailable), f"put the issuers' certificates below {settings.trust_directory}")
        return
    for overdue in trust.overdue(now):
        yield warning(
            "trust", f"a newer revocation list than {overdue} is due", "fetch it and put it into the folder crls"
        )
    known = {certificate.eui for certificate in trust.certificates if certificate.is_valid(now)}
    senders: list[tuple[str, User | Region]] = [(user.eui, user) for user in users.users()]
    senders += [(region.csp_eui, region) for region in loaded.regions.values()]
    for eui in sorted({eui for eui, _ in senders} - known):
        yield warning(
            "trust",
            f"no valid certificate of {eui} is known: nothing that it signs is taken",
            f"put its certificate into {settings.trust_directory / 'certificates'}",
        )
    for whose, until in sorted(expiries(settings, trust).items()):
        if whose == TLS_REVOCATIONS:
            continue  # is looked at with TLS
        if until < now:
            yield error("certificates", f"{whose}: expired on {until:%Y-%m-%d}", "renew it")
        elif until < now + SOON:
            yield warning("certificates", f"{whose}: expires on {until:%Y-%m-%d}", "renew it before")


def tls(settings: Settings, now: datetime) -> Iterator[Finding]:
    """What HTTPS needs, in both directions."""
    try:
        incoming = incoming_tls(settings)
        outgoing_tls(settings)
    except ConfigurationError as wrong:
        yield from (
            error("TLS", one, "name files that belong together; key and certificate in PEM") for one in wrong.problems
        )
        return
    until = tls_revocations_until(settings)
    if until is not None and until < now:
        says = f"a newer revocation list was due at {until:%Y-%m-%d %H:%MZ}: nobody who shows a certificate is let in"
        yield error("TLS", says, "put it where client_crl says: it is read without a restart")
    elif until is not None and until < now + LIST_SOON:
        says = f"the revocation list is overdue at {until:%Y-%m-%d %H:%MZ}: then nobody with a certificate is let in"
        yield warning("TLS", says, "put a newer one where client_crl says: it is read without a restart")
    if incoming is not None:
        yield ok("TLS", "certificate, key and authorities can be used")
    elif settings.proxy is None and settings.listen.host not in {"127.0.0.1", "::1", "localhost"}:
        yield warning(
            "TLS",
            f"requests arrive at {settings.listen.host} over HTTP: whoever is on the way reads them",
            f"add [tls] to {SETTINGS_FILE}, or let a reverse proxy end TLS and name it in [proxy]",
        )


def permissions(directory: Path, settings: Settings, database: Path | None) -> Iterator[Finding]:
    """Who may read keys, passwords and all that Suppliers are told; and that this user may."""
    with_keys = (settings.signing, settings.tls, *_outgoing(settings))
    keys = {one.key: None for one in with_keys if one is not None and one.key is not None}
    others = {directory / SETTINGS_FILE: None} | ({} if database is None else {database: None})
    found = [
        error("permissions", f"others may use the key {path} (mode {mode:o})", f"chmod 600 {path}")
        for path, mode in _open_to_others(keys)
    ]
    found += [
        warning("permissions", f"others may read {path} (mode {mode:o})", f"chmod 600 {path}")
        for path, mode in _open_to_others(others)
    ]
    if database is not None and database.is_file() and not os.access(database.parent, os.W_OK):
        says = f"{database.parent} cannot be written to, and SQLite needs files there"
        found.append(error("permissions", says, "let the owner of the folder serve"))
    yield from found or [ok("permissions", "keys, settings and database are for their owner only")]


def _outgoing(settings: Settings) -> tuple[OutgoingTls | None, ...]:
    return settings.outgoing_tls.users, settings.outgoing_tls.csps, settings.outgoing_tls.relay


def _open_to_others(paths: Iterable[Path]) -> Iterator[tuple[Path, int]]:
    """Those that others than their owner may read or change, with their modes."""
    for path in paths:
        if path.is_file() and (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
            yield path, mode


def space(settings: Settings, database: Path | None, free: Callable[[Path], int]) -> Iterator[Finding]:
    """`free` tells the bytes that are left where a folder is."""
    folders = {"archive": settings.archive_directory} | ({} if database is None else {"database": database.parent})
    for what, folder in folders.items():
        there = next(one for one in (folder, *folder.parents) if one.exists())
        left = free(there)
        says = f"{left / 2**30:.1f} GiB are left for the {what}, in {folder}"
        if left < NO_SPACE:
            yield error("disk", says, "make room, or move it: nothing is answered that cannot be kept")
        elif left < LITTLE_SPACE:
            yield warning("disk", says, "make room; `sr-engine prune` writes what is old into the archive")
        else:
            yield ok("disk", says)
