"""Taking a backup of an instance, whoever serves it meanwhile: its database as of one moment, and what serves that."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

from sr_engine.backup.manifest import DATABASE, INSTANCE, Manifest, files_in, write
from sr_engine.backup.places import new_folder
from sr_engine.backup.settings_file import with_database
from sr_engine.configuration import SETTINGS_FILE, Settings, load_settings
from sr_engine.store import dump
from sr_engine.store.database import address_of, check_tables, open_engine, schema_state, without_secrets
from sr_engine.store.schema import Standing

_KEYS = "pki"
"""The folder of an instance in which the keys of those who take part in a trial are."""
_PRIVATE = b"PRIVATE KEY-----"


def take(directory: Path, target: Path, *, taken_at: datetime, with_keys: bool) -> Manifest:
    """Write a backup of an instance into a new folder, and return what it holds.

    It appears there once it is whole and on the disk. Private keys are left out unless asked for. Raises PlaceTaken,
    ConfigurationError or DatabaseError.
    """
    directory = directory.resolve()
    settings = load_settings(directory / SETTINGS_FILE)
    engine = open_engine(settings.database_url, read_only=True)
    try:
        # Before it is brought forward is when a backup is needed most.
        if schema_state(engine).standing is not Standing.PENDING:
            check_tables(engine)
        with new_folder(target) as folder:
            (folder / DATABASE).mkdir(mode=0o700)
            taken = dump.take(engine, folder / DATABASE)
            left_out = _copy_files(directory, settings, folder / INSTANCE, with_keys=with_keys)
            manifest = Manifest(
                taken_at=taken_at.isoformat(),
                program=version("sr-engine"),
                keys=with_keys,
                left_out=left_out,
                dump=taken,
                files=files_in(folder),
            )
            write(manifest, folder)
            return manifest
    finally:
        engine.dispose()


def _copy_files(directory: Path, settings: Settings, folder: Path, *, with_keys: bool) -> list[str]:
    """Copy what the settings name; return what of it is outside the instance's folder."""
    text = (directory / SETTINGS_FILE).read_text(encoding="utf-8")
    folder.mkdir(mode=0o700)
    (folder / SETTINGS_FILE).write_text(_without_password(text, settings), encoding="utf-8")
    (folder / SETTINGS_FILE).chmod(0o600)
    outside = []
    for path in sorted(set(_named(directory, settings, with_keys=with_keys))):
        if not path.is_relative_to(directory):
            outside.append(str(path))
            continue
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and (with_keys or _PRIVATE not in file.read_bytes()):
                copy = folder / file.relative_to(directory)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, copy)
    return outside


def _named(directory: Path, settings: Settings, *, with_keys: bool) -> Iterator[Path]:
    yield settings.config_directory
    yield settings.users_file
    yield settings.trust_directory
    yield settings.signing.certificate
    if settings.official_schema is not None:
        # With those it imports, which are beside it.
        yield from settings.official_schema.parent.glob("*.xsd")
    yield from _of_tls(settings, with_keys=with_keys)
    if with_keys:
        yield settings.signing.key
        if settings.api is not None:
            yield settings.api.key_file
        if (keys := directory / _KEYS).is_dir():
            yield keys


def _of_tls(settings: Settings, *, with_keys: bool) -> Iterator[Path]:
    """Certificates and authorities for both directions; whoever has a copy has to bring the keys."""
    named: list[Path | None] = []
    keys: list[Path | None] = []
    if (tls := settings.tls) is not None:
        named += [tls.certificate, tls.client_ca, tls.client_crl]
        keys.append(tls.key)
    outgoing = settings.outgoing_tls
    for one in (outgoing.users, outgoing.csps, outgoing.relay):
        if one is not None:
            named += [one.certificate, one.trusted]
            keys.append(one.key)
    yield from (path for path in named + (keys if with_keys else []) if path is not None)


def _without_password(text: str, settings: Settings) -> str:
    address = address_of(settings.database_url)
    bare = without_secrets(address)
    return text if bare == address else with_database(text, bare.render_as_string())
