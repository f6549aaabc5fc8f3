"""Examines an instance from end to end; changes nothing, and goes as far as what is broken allows."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from sr_engine import configuration
from sr_engine.configuration import SETTINGS_FILE, Configuration, ConfigurationError, Settings, UserDirectory
from sr_engine.configuration.console import load_console
from sr_engine.configuration.operator_pages import load_operator_rules
from sr_engine.doctor import files, surroundings
from sr_engine.doctor.findings import Finding, error
from sr_engine.store.database import DatabaseError, address_of
from sr_engine.store.dialects import SQLITE
from sr_engine.transport import outgoing_tls

T = TypeVar("T")


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free


def examine(
    directory: Path, now: datetime, *, offline: bool = False, free: Callable[[Path], int] = _free
) -> Iterator[Finding]:
    """All that was found, as it is found; `offline` leaves receivers alone.

    `now` is real time, by which certificates expire; `free` tells the bytes that are left where a folder is.
    """
    if not (directory / SETTINGS_FILE).is_file():
        yield error(
            "instance",
            f"{directory.resolve()} has no {SETTINGS_FILE}",
            "name an instance's folder with --dir or SR_ENGINE_DIR, or make one with `sr-engine init`",
        )
        return
    wrong: list[ConfigurationError] = []
    settings = _tried(wrong, lambda: configuration.load_settings(directory / SETTINGS_FILE))
    loaded = users = None
    if settings is not None:
        loaded = _tried(wrong, lambda: configuration.load(settings.config_directory))
        users = _tried(wrong, lambda: configuration.load_users(settings.users_file))
        if settings.console is not None:
            _tried(wrong, lambda: load_console(settings.config_directory))
            _tried(wrong, lambda: load_operator_rules(settings.config_directory))
    for one in wrong:
        yield from files.wrong_configuration(one)
    if settings is None:
        return
    database = _file_of_database(settings)
    yield from files.permissions(directory, settings, database)
    yield from files.space(settings, database, free)
    yield from files.tls(settings, now)
    yield from surroundings.own_address(settings)
    if loaded is None:
        return
    yield from files.key_that_signs(settings, loaded.policy.access_control_broker_eui)
    yield from files.key_that_seals(settings)
    yield from files.webhooks(settings, loaded)
    yield from surroundings.open_files(loaded)
    yield from surroundings.database(settings, loaded)
    if users is not None:
        yield from _with_users(settings, loaded, users, now, offline=offline)


def _file_of_database(settings: Settings) -> Path | None:
    """None if it is on a server, or at an address that is none, which is said by whoever looks into it."""
    try:
        address = address_of(settings.database_url)
    except DatabaseError:
        return None
    return Path(address.database) if address.get_backend_name() == SQLITE and address.database is not None else None


def _with_users(
    settings: Settings, loaded: Configuration, users: UserDirectory, now: datetime, *, offline: bool
) -> Iterator[Finding]:
    yield from files.configured(settings, loaded, users, now)
    yield from files.trusted(settings, loaded, users, now)
    if offline:
        return
    try:
        tls = outgoing_tls(settings)
    except ConfigurationError:
        # Said already, and receivers cannot be judged without it.
        return
    yield from surroundings.receivers(settings, loaded, users, tls)


def _tried(wrong: list[ConfigurationError], load: Callable[[], T]) -> T | None:
    try:
        return load()
    except ConfigurationError as one:
        wrong.append(one)
        return None
