from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sr_engine.configuration import (
    ClockSettings,
    ConfigurationError,
    Listen,
    RegistrationFeed,
    RelaySettings,
    load_settings,
)
from sr_engine.resources import data_directory

SETTINGS = """
environment = "demonstration"
users_file = "users.toml"
trust_directory = "trust"

[listen]
host = "127.0.0.1"
port = 8080

[signing]
key = "keys/acb.key"
certificate = "keys/acb.pem"
"""

CLOCK = """
[clock]
anchored_at = 2026-03-02T09:00:00+01:00
starts_at = 2026-10-24T20:00:00Z
rate = 600
"""


def _write(folder: Path, content: str) -> Path:
    path = folder / "sr-engine.toml"
    path.write_text(content, encoding="utf-8")
    return path


def test_paths_are_relative_to_the_folder_of_the_file(tmp_path: Path) -> None:
    settings = load_settings(_write(tmp_path, SETTINGS))
    assert settings.environment == "demonstration"
    assert settings.listen == Listen("127.0.0.1", 8080)
    assert settings.users_file == tmp_path / "users.toml"
    assert settings.trust_directory == tmp_path / "trust"
    assert settings.signing.key == tmp_path / "keys" / "acb.key"
    assert settings.signing.certificate == tmp_path / "keys" / "acb.pem"


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    settings = load_settings(_write(tmp_path, SETTINGS))
    assert settings.database_url == f"sqlite:///{tmp_path / 'sr-engine.db'}"
    assert settings.config_directory == data_directory("config")
    assert settings.archive_directory == tmp_path / "archive"
    assert settings.clock is None, "real time"
    assert settings.official_schema is None


def test_the_official_schema_is_where_the_file_says(tmp_path: Path) -> None:
    settings = load_settings(_write(tmp_path, f'official_schema = "duis/DUIS Schema V5.4.xsd"\n{SETTINGS}'))
    assert settings.official_schema == tmp_path / "duis" / "DUIS Schema V5.4.xsd"


def test_an_absolute_path_stays_as_it_is(tmp_path: Path) -> None:
    settings = load_settings(_write(tmp_path, SETTINGS.replace('"users.toml"', '"/etc/sr-engine/users.toml"')))
    assert settings.users_file == Path("/etc/sr-engine/users.toml")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("sqlite:///data/hubs.db", "sqlite:///{folder}/data/hubs.db"),
        ("sqlite+pysqlite:///hubs.db", "sqlite+pysqlite:///{folder}/hubs.db"),
        ("sqlite:////var/lib/hubs.db", "sqlite:////var/lib/hubs.db"),
        ("postgresql+psycopg://engine@db.example/hubs", "postgresql+psycopg://engine@db.example/hubs"),
    ],
)
def test_a_relative_sqlite_file_is_taken_from_that_folder_too(tmp_path: Path, written: str, read: str) -> None:
    settings = load_settings(_write(tmp_path, f'database_url = "{written}"\n{SETTINGS}'))
    assert settings.database_url == read.format(folder=tmp_path)


def test_a_clock_for_demonstrations_has_its_anchors_in_utc(tmp_path: Path) -> None:
    settings = load_settings(_write(tmp_path, SETTINGS + CLOCK))
    assert settings.clock == ClockSettings(
        anchored_at=datetime(2026, 3, 2, 8, tzinfo=UTC), starts_at=datetime(2026, 10, 24, 20, tzinfo=UTC), rate=600.0
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("port = 8080", "port = 0", "listen.port: must be a whole number from 1 to 65535, not 0"),
        (
            'host = "127.0.0.1"',
            'host = "http://localhost"',
            "listen.host: must be a host name or an address, not 'http://localhost'",
        ),
        (
            'key = "keys/acb.key"\n',
            "",
            "signing.key: is missing; it must be a path, relative to the folder of this file",
        ),
        (
            'environment = "demonstration"',
            'environment = "demonstration"\ndatabase_url = "mysql://x:open-sesame@y"',
            "database_url: must be a database URL that begins with sqlite:/// or postgresql://",
        ),
        ("rate = 600", "rate = 0", "clock.rate: must be a number above 0 and at most 100000, not 0"),
        ("rate = 600", "rate = nan", "clock.rate: must be a number above 0 and at most 100000, not NaN"),
        (
            "starts_at = 2026-10-24T20:00:00Z",
            "starts_at = 2026-10-24T20:00:00",
            (
                "clock.starts_at: must be a moment with its offset such as 2026-03-01T06:00:00Z, without quotes, "
                "not 2026-10-24 20:00:00"
            ),
        ),
        (
            "starts_at = 2026-10-24T20:00:00Z\n",
            "",
            (
                "clock.starts_at: is missing; it must be a moment with its offset such as 2026-03-01T06:00:00Z, "
                "without quotes"
            ),
        ),
    ],
)
def test_a_mistake_in_the_settings_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as refusal:
        load_settings(_write(tmp_path, (SETTINGS + CLOCK).replace(old, new, 1)))
    assert refusal.value.problems == (f"sr-engine.toml: {message}",)


def test_the_registration_feed_has_the_digest_of_a_token_or_is_off(tmp_path: Path) -> None:
    feed = f'\n[registration_feed]\ntoken_sha256 = "{"0a" * 32}"\n'

    assert load_settings(_write(tmp_path, SETTINGS)).registration_feed is None
    assert load_settings(_write(tmp_path, SETTINGS + feed)).registration_feed == RegistrationFeed("0a" * 32)
    with pytest.raises(ConfigurationError, match="token_sha256: must be a SHA-256 of 64 lower-case hexadecimal digits"):
        load_settings(_write(tmp_path, SETTINGS + feed.replace("0a", "0A")))


def test_the_relay_has_an_address_and_gives_up_before_clients_do_or_is_off(tmp_path: Path) -> None:
    relay = '\n[relay]\nurl = "https://dcc.example:8079/duis/"\n'
    more = f'timeout_seconds = 1.5\nrequests_at_once = 4\ntoken_sha256 = "{"0a" * 32}"\n'

    assert load_settings(_write(tmp_path, SETTINGS)).relay is None
    assert load_settings(_write(tmp_path, SETTINGS + relay)).relay == RelaySettings("https://dcc.example:8079/duis")
    assert load_settings(_write(tmp_path, SETTINGS + relay + more)).relay == RelaySettings(
        "https://dcc.example:8079/duis", timedelta(seconds=1.5), 4, "0a" * 32
    )


@pytest.mark.parametrize(
    ("key", "added"), [("issuer", "/.well-known/openid-configuration"), ("redirect_base", "/console/oidc/callback")]
)
def test_of_an_address_at_an_openid_provider_it_is_said_what_is_added_to_it(
    tmp_path: Path, key: str, added: str
) -> None:
    given = {
        "name": "Example ID",
        "issuer": "https://id.example",
        "client_id": "sr-engine",
        key: "https://id.example/?a",
    }
    lines = "\n".join(f'{name} = "{value}"' for name, value in given.items())

    with pytest.raises(ConfigurationError) as refusal:
        load_settings(_write(tmp_path, f"{SETTINGS}\n[console.openid]\n{lines}\n"))

    says = f"must be an http or https address to which {added} is added, not 'https://id.example/?a'"
    assert refusal.value.problems == (f"sr-engine.toml: console.openid.{key}: {says}",)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("timeout_seconds = 3", "timeout_seconds: must be a number of seconds from 0.01 and below 3, not 3"),
        ("timeout_seconds = 0", "timeout_seconds: must be a number of seconds from 0.01 and below 3, not 0"),
        ("timeout_seconds = nan", "timeout_seconds: must be a number of seconds from 0.01 and below 3, not NaN"),
        ('timeout_seconds = "2"', "timeout_seconds: must be a number of seconds from 0.01 and below 3, not '2'"),
        ("requests_at_once = 0", "requests_at_once: must be a whole number from 1 to 1000, not 0"),
        (
            'url = "https://dcc.example/?to=duis"',
            ("url: must be an http or https address to which /api/v1/... is added, not 'https://dcc.example/?to=duis'"),
        ),
        ("", "url: is missing; it must be an http or https address to which /api/v1/... is added"),
    ],
)
def test_a_mistake_in_the_relay_is_named(tmp_path: Path, line: str, message: str) -> None:
    url = "" if line.startswith("url") or not line else 'url = "http://dcc.example"\n'
    with pytest.raises(ConfigurationError) as refusal:
        load_settings(_write(tmp_path, f"{SETTINGS}\n[relay]\n{url}{line}\n"))
    assert refusal.value.problems == (f"sr-engine.toml: relay.{message}",)
