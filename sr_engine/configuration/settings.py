"""Where an instance of the processor keeps its things (`sr-engine.toml` of an instance)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from sr_engine.clock import Clock, ScaledClock, SystemClock
from sr_engine.configuration import transport, values
from sr_engine.configuration.monitoring import Monitoring, monitoring
from sr_engine.configuration.reader import ConfigurationError, Key, Scalar, Table, read_file
from sr_engine.configuration.transport import Outgoing, ProxySettings, TlsSettings
from sr_engine.resources import data_directory

SETTINGS_FILE = "sr-engine.toml"


@dataclass(frozen=True, slots=True)
class Listen:
    """The address at which requests arrive."""

    host: str
    """Of this computer; 0.0.0.0 for all its addresses."""
    port: int
    """One number for all services, the console and the interface for CRM systems."""


@dataclass(frozen=True, slots=True)
class Signing:
    """The key with which Responses, alerts and CSP lists are signed."""

    key: Path
    """PEM, on P-256; for its owner only."""
    certificate: Path
    """That of the key, PEM, in a role of `certificate_roles.responses` of `policy.toml`."""


@dataclass(frozen=True, slots=True)
class RegistrationFeed:
    """Who may send registrations over HTTP."""

    token_sha256: str
    """SHA-256 of the bearer token, 64 lower-case hexadecimal digits: the token itself stands nowhere."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Who may decide over HTTP what an operator decides."""

    token_sha256: str
    """SHA-256 of the bearer token, 64 lower-case hexadecimal digits: the token itself stands nowhere."""


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The interface for CRM systems."""

    key_file: Path
    """With which cursors given out, and secrets of webhooks, are sealed; a file for its owner only."""


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """The upstream DCC that is asked for what is not offered here."""

    url: str
    """Without a slash at the end; `/api/v1/...` follows."""
    timeout: timedelta = timedelta(seconds=2.5)
    """Less than the three seconds after which a Supplier's client gives up."""
    requests_at_once: int = 16
    """Further ones are answered HTTP 503; the last quarter is for Users that have none under way."""
    token_sha256: str | None = None
    """SHA-256 of the bearer token it sends with its messages to Users; None: their signature is enough."""


@dataclass(frozen=True, slots=True)
class OpenIdSettings:
    """The OpenID provider where people sign in to the console."""

    name: str
    """What people call it."""
    issuer: str
    """Without a slash at the end; `/.well-known/openid-configuration` follows."""
    client_id: str
    """The console's name there."""
    client_secret_file: Path | None = None
    """None: the console is a public client, known by PKCE alone."""
    redirect_base: str = ""
    """The address of the console as browsers see it, without `/console`; empty: as each browser asks for it."""


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """The console for people."""

    openid: OpenIdSettings | None = None
    """None: people sign in with a password."""


@dataclass(frozen=True, slots=True)
class ClockSettings:
    """A clock for demonstrations: it showed `starts_at` at the real moment `anchored_at` and runs `rate` times as fast.

    All processes of an instance read the same three values and so agree on the time.
    """

    anchored_at: datetime
    """A moment of real time."""
    starts_at: datetime
    """What the clock showed then."""
    rate: float
    """How many times as fast as real time it runs."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one instance; every path is absolute."""

    environment: str
    """What people call this instance; shown, never acted on."""
    listen: Listen
    database_url: str
    """SQLite or PostgreSQL, without password; left out: `sr-engine.db` beside the settings."""
    config_directory: Path
    """The folder of all other configuration; left out: what is shipped."""
    users_file: Path
    """Organisations and their Users."""
    trust_directory: Path
    """Certificates and revocation lists that signatures are verified with; read again when something in it changes."""
    signing: Signing
    archive_directory: Path
    """Where what is older than the retention goes."""
    clock: ClockSettings | None = None
    """None means real time."""
    registration_feed: RegistrationFeed | None = None
    """None: registrations are not taken over HTTP."""
    operator: Operator | None = None
    """None: nothing is decided over HTTP."""
    official_schema: Path | None = None
    """The official DUIS schema; None where there is none, and requests are held against our own alone."""
    relay: RelaySettings | None = None
    """None: what is not offered here is refused."""
    tls: TlsSettings | None = None
    """None: requests arrive over HTTP."""
    proxy: ProxySettings | None = None
    """None: whoever connects is the client."""
    outgoing_tls: Outgoing = field(default_factory=Outgoing)
    monitoring: Monitoring = field(default_factory=Monitoring)
    console: ConsoleSettings | None = None
    """None: there is no console."""
    api: ApiSettings | None = None
    """None: there is no interface for CRM systems."""


def load_settings(path: Path) -> Settings:
    """Read the settings of an instance.

    Paths are relative to the folder of the file. Left out, the database is `sr-engine.db` beside the file, the archive
    the folder `archive` there, the configuration the one that comes with the product, and the clock real time. Raises
    ConfigurationError naming every problem in the file.
    """
    folder = path.resolve().parent
    problems: list[str] = []
    content = read_file(path, settings_table(folder), problems)
    if content is None:
        raise ConfigurationError(tuple(problems))
    return Settings(
        environment=content.environment,
        listen=content.listen,
        database_url=content.database_url or f"sqlite:///{folder / 'sr-engine.db'}",
        config_directory=content.config_directory or data_directory("config"),
        users_file=content.users_file,
        trust_directory=content.trust_directory,
        signing=content.signing,
        archive_directory=content.archive_directory or folder / "archive",
        clock=content.clock,
        registration_feed=content.registration_feed,
        operator=content.operator,
        official_schema=content.official_schema,
        relay=content.relay,
        tls=content.tls,
        proxy=content.proxy,
        outgoing_tls=content.outgoing_tls,
        monitoring=content.monitoring,
        console=content.console,
        api=content.api,
    )


def clock_of(settings: Settings) -> Clock:
    """The clock an instance's settings ask for."""
    if settings.clock is None:
        return SystemClock()
    return ScaledClock(settings.clock.anchored_at, settings.clock.starts_at, settings.clock.rate)


@dataclass(frozen=True, slots=True)
class _File:
    environment: str
    listen: Listen
    users_file: Path
    trust_directory: Path
    signing: Signing
    archive_directory: Path | None = None
    database_url: str | None = None
    config_directory: Path | None = None
    clock: ClockSettings | None = None
    registration_feed: RegistrationFeed | None = None
    operator: Operator | None = None
    official_schema: Path | None = None
    relay: RelaySettings | None = None
    tls: TlsSettings | None = None
    proxy: ProxySettings | None = None
    outgoing_tls: Outgoing = field(default_factory=Outgoing)
    monitoring: Monitoring = field(default_factory=Monitoring)
    console: ConsoleSettings | None = None
    api: ApiSettings | None = None


_SHA256 = values.pattern("a SHA-256 of 64 lower-case hexadecimal digits in quotes", "[0-9a-f]{64}")
_CLIENT_GIVES_UP_AFTER = 3
"""Seconds (section 2 of the domain description)."""


def settings_table(folder: Path) -> Table[_File]:
    """What `sr-engine.toml` holds, in a folder."""
    path = values.path_from(folder)
    return Table(
        _File,
        Key("environment", values.text()),
        Key(
            "listen",
            Table(
                Listen,
                Key("host", values.pattern("a host name or an address", r"[^\s/]+")),
                Key("port", values.whole_number(1, 65_535)),
            ),
        ),
        Key("database_url", _database_url(folder), optional=True),
        Key("config_directory", path, optional=True),
        Key("users_file", path),
        Key("trust_directory", path),
        Key("archive_directory", path, optional=True),
        Key("signing", Table(Signing, Key("key", path), Key("certificate", path))),
        Key(
            "clock",
            Table(
                ClockSettings,
                Key("anchored_at", values.moment()),
                Key("starts_at", values.moment()),
                Key("rate", values.rate()),
            ),
            optional=True,
        ),
        Key(
            "registration_feed",
            Table(RegistrationFeed, Key("token_sha256", values.token_sha256())),
            optional=True,
        ),
        Key(
            "relay",
            Table(
                RelaySettings,
                Key("url", values.base_url("/api/v1/...")),
                Key("timeout_seconds", values.seconds_below(_CLIENT_GIVES_UP_AFTER), field="timeout", optional=True),
                Key("requests_at_once", values.whole_number(1, 1000), optional=True),
                Key("token_sha256", values.token_sha256(), optional=True),
            ),
            optional=True,
        ),
        Key("api", Table(ApiSettings, Key("key_file", path)), optional=True),
        Key("operator", Table(Operator, Key("token_sha256", values.token_sha256())), optional=True),
        Key("official_schema", path, optional=True),
        Key("tls", transport.tls(path), optional=True),
        Key("proxy", transport.proxy(), optional=True),
        Key("outgoing_tls", transport.outgoing(path), optional=True),
        Key("monitoring", monitoring(), optional=True),
        Key("console", _console(path), optional=True),
    )


def _console(path: Scalar[Path]) -> Table[ConsoleSettings]:
    return Table(
        ConsoleSettings,
        Key(
            "openid",
            Table(
                OpenIdSettings,
                Key("name", values.text()),
                Key("issuer", values.base_url("/.well-known/openid-configuration")),
                Key("client_id", values.text()),
                Key("client_secret_file", path, optional=True),
                Key("redirect_base", values.base_url("/console/oidc/callback"), optional=True),
            ),
            optional=True,
        ),
    )


def _database_url(folder: Path) -> Scalar[str]:
    """The address of a database; a relative SQLite file is taken from `folder`."""

    def convert(value: object) -> str:
        if not isinstance(value, str):
            raise TypeError
        sqlite = re.fullmatch(r"(sqlite(?:\+\w+)?:///)(.+)", value)
        if sqlite is not None:
            return f"{sqlite[1]}{folder / sqlite[2]}"
        if re.fullmatch(r"postgresql(?:\+\w+)?://\S+", value) is None:
            raise ValueError
        return value

    return Scalar("a database URL that begins with sqlite:/// or postgresql://", convert, is_shown=False)
