"""Makes a new instance: a folder with settings, configuration, Users, a synthetic PKI and an empty database."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from signing import Participant, make_pki
from sr_engine import configuration
from sr_engine.configuration import SETTINGS_FILE, ClockSettings
from sr_engine.resources import data_directory
from sr_engine.sealing import new_key
from sr_engine.store.database import address_of, create_anew, open_engine
from sr_engine.store.dialects import SQLITE

SIMULATION_FILE = "national.toml"
"""Of the shipped configuration, what no instance reads."""
API_KEY_FILE = "api.key"
"""Beside the settings: what cursors and stored secrets of the interface for CRM systems are sealed with."""
_HERE = {
    'addresses = ["https://"]': 'addresses = ["https://", "http://127.0.0.1:"]',
    "networks = []": 'networks = ["127.0.0.0/8", "::1/128"]',
}
"""Lines of the shipped `api.toml`, and what stands there in an instance for trials."""
USER_ROLE, BROKER_ROLE, CSP_ROLE = "87", "89", "06"


class InstanceExistsError(Exception):
    """There is something in the folder already."""


@dataclass(frozen=True, slots=True)
class SupplierSeed:
    """A Supplier of a new instance: a short name, the EUI of its one User, its User Roles and its receiving URL.

    Also the newest schemaVersion its systems understand, and its status, Active or Suspended.
    """

    name: str
    eui: str
    receiving_url: str
    roles: tuple[str, ...] = ("IS", "GS")
    duis_version: str = "5.4"
    status: str = "Active"


SAMPLE_SUPPLIERS = (
    SupplierSeed("supplier-a", "00-00-5E-EF-10-00-00-A1", "http://127.0.0.1:8091/smartdcc/duis"),
    SupplierSeed("supplier-b", "00-00-5E-EF-10-00-00-A2", "http://127.0.0.1:8092/smartdcc/duis"),
)
"""EUIs from the range set aside for documentation."""


def create_instance(
    directory: Path,
    *,
    now: datetime,
    suppliers: Sequence[SupplierSeed] = SAMPLE_SUPPLIERS,
    host: str = "127.0.0.1",
    port: int = 8080,
    environment: str = "trial",
    clock: ClockSettings | None = None,
    database_url: str = "sqlite:///sr-engine.db",
    strangers: Sequence[SupplierSeed] = (),
) -> None:
    """Write a complete instance that can be served at once, with a synthetic PKI that protects nothing.

    `now` is when its certificates begin to be valid; `strangers` get keys and are no Users. Raises InstanceExistsError
    if the folder is not empty, and DatabaseError or ConfigurationError if the database is not empty or cannot be used;
    nothing has been made then.
    """
    if directory.exists() and any(directory.iterdir()):
        raise InstanceExistsError(f"{directory} is not empty: name a new folder")
    address_of(database_url)
    with _nothing_left_of_failure(directory):
        directory.mkdir(parents=True, exist_ok=True)
        _write_files(directory, now, suppliers, strangers, _settings(environment, host, port, clock, database_url))
        _make_database(configuration.load_settings(directory / SETTINGS_FILE).database_url)


@contextmanager
def _nothing_left_of_failure(directory: Path) -> Iterator[None]:
    """A folder that was not there, or was empty, is as it was if the block fails: all can be done once more."""
    absent = [one for one in (directory, *directory.parents) if not one.exists()]
    try:
        yield
    except BaseException:
        # Where somebody else has put something meanwhile, or that cannot be removed, it stays.
        with suppress(OSError):
            for one in directory.iterdir():
                shutil.rmtree(one) if one.is_dir() else one.unlink()
            for one in absent:
                one.rmdir()
        raise


def _write_files(
    directory: Path,
    now: datetime,
    suppliers: Sequence[SupplierSeed],
    strangers: Sequence[SupplierSeed],
    settings: str,
) -> None:
    shutil.copytree(data_directory("config"), directory / "config", ignore=shutil.ignore_patterns(SIMULATION_FILE))
    _allow_webhooks_here(directory / "config" / "api.toml")
    loaded = configuration.load(directory / "config")
    csps = {region.csp_eui: region.csp_name for region in loaded.regions.values()}
    participants = [
        Participant("broker", loaded.policy.access_control_broker_eui, BROKER_ROLE),
        *(Participant(supplier.name, supplier.eui, USER_ROLE) for supplier in (*suppliers, *strangers)),
        *(Participant(folder_name(name), eui, CSP_ROLE) for eui, name in csps.items()),
    ]
    make_pki(directory / "pki", participants, now=now)
    (directory / "users.toml").write_text(_users(suppliers), encoding="utf-8")
    (directory / SETTINGS_FILE).write_text(settings, encoding="utf-8")
    (directory / API_KEY_FILE).touch(mode=0o600)
    (directory / API_KEY_FILE).write_text(new_key(), encoding="ascii")
    # For their owner only: the password of the database, and all that Suppliers are told.
    (directory / SETTINGS_FILE).chmod(0o600)


def _make_database(url: str) -> None:
    engine = open_engine(url)
    try:
        if engine.dialect.name == SQLITE and engine.url.database is not None:
            # Where it cannot be made, SQLite says so; one that is there is looked at.
            with suppress(OSError):
                Path(engine.url.database).touch(mode=0o600, exist_ok=False)
        create_anew(engine)
    finally:
        engine.dispose()


def _allow_webhooks_here(path: Path) -> None:
    """Whoever tries webhooks receives them on this computer; as shipped, nothing is sent there."""
    text = path.read_text(encoding="utf-8")
    for shipped, here in _HERE.items():
        if shipped not in text:
            raise ValueError(f"{path} does not hold {shipped!r} any more")
        text = text.replace(shipped, here)
    path.write_text(text, encoding="utf-8")


def folder_name(csp_name: str) -> str:
    """The folder of a CSP's key and certificate."""
    return "-".join(csp_name.lower().split())


def _users(suppliers: Sequence[SupplierSeed]) -> str:
    tables = ["# Who may send Service Requests, in which roles, and where each receives Responses and alerts.\n"]
    for supplier in suppliers:
        roles = ", ".join(f'"{role}"' for role in supplier.roles)
        tables.append(
            f"[[organisation]]\n"
            f'id = "{supplier.name}"\n'
            f'status = "{supplier.status}"\n\n'
            f"[[organisation.user]]\n"
            f'eui = "{supplier.eui}"\n'
            f"roles = [{roles}]\n"
            f'receiving_url = "{supplier.receiving_url}"\n'
            f"duis_version = {supplier.duis_version}\n"
            f'status = "Active"\n'
        )
    return "\n".join(tables)


def _settings(environment: str, host: str, port: int, clock: ClockSettings | None, database_url: str) -> str:
    text = (
        "# Settings of this instance; paths are relative to this file.\n"
        f'environment = "{environment}"\n'
        'config_directory = "config"\n'
        'users_file = "users.toml"\n'
        'trust_directory = "pki/trust"\n'
        f"database_url = {json.dumps(database_url)}\n\n"
        f'[listen]\nhost = "{host}"\nport = {port}\n\n'
        "# The console for people, at /console; `sr-engine account add` lets somebody in.\n[console]\n\n"
        "# The key with which Responses, alerts and upgrade lists are signed.\n"
        '[signing]\nkey = "pki/broker/key.pem"\ncertificate = "pki/broker/certificate.pem"\n\n'
        "# The interface for CRM systems, below /api/v2, for whoever has a token (`sr-engine api-token`).\n"
        f'[api]\nkey_file = "{API_KEY_FILE}"\n'
    )
    if clock is not None:
        text += (
            "\n# A clock for demonstrations: every process of this instance reads it from here.\n"
            f"[clock]\nanchored_at = {clock.anchored_at.isoformat()}\n"
            f"starts_at = {clock.starts_at.isoformat()}\nrate = {clock.rate}\n"
        )
    return text
