"""Firmware releases."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Connection, ScalarSelect, Table, bindparam, select

from sr_engine.domain.phases import PhasePlan
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import Firmware
from sr_engine.store import changed_hubs, phases, sharing
from sr_engine.store.dialects import json_rows
from sr_engine.store.prepared import Prepared, Row
from sr_engine.store.tables import release_han_models, release_paths, release_regions, releases


def _parts(table: Table, *columns: str) -> ScalarSelect[str]:
    """The rows of a release in another table, as one JSON array of arrays: a release is read by one statement."""
    row = json_rows(*(table.c[name] for name in columns))
    return select(row).where(table.c.release_id == releases.c.release_id).scalar_subquery()


_RELEASES = select(
    releases,
    _parts(release_regions, "region", "general_open", "halted_at").label("regions"),
    _parts(release_paths, "from_version").label("paths"),
    _parts(release_han_models, "manufacturer", "model").label("han_models"),
)
_BY_ID = Prepared(_RELEASES.where(releases.c.release_id == bindparam("release_id")))
_OF_MODEL = _RELEASES.where(
    releases.c.manufacturer == bindparam("manufacturer"), releases.c.model == bindparam("model")
)
_BY_FIRMWARE = Prepared(_OF_MODEL.where(releases.c.version == bindparam("version")))
_OF_MODEL_NEWEST_FIRST = Prepared(_OF_MODEL.order_by(releases.c.opened_at.desc(), releases.c.release_id))
_NEWEST_FIRST = Prepared(_RELEASES.order_by(releases.c.opened_at.desc()))
_KNOWN = ("releases by firmware",)


def add(connection: Connection, release: Release, phase_plan: PhasePlan, *, opened_at: datetime) -> None:
    """Insert a release with its regions, all of which have the same plan, its paths and affected HAN models."""
    connection.execute(
        releases.insert().values(
            release_id=release.release_id,
            manufacturer=release.firmware.manufacturer,
            model=release.firmware.model,
            version=release.firmware.version,
            image_hash=release.image_hash,
            status=release.status,
            cpl_status=release.cpl_status,
            management=release.management,
            obligation=release.obligation,
            comply_by=release.comply_by,
            compulsory_from=release.compulsory_from,
            opened_at=opened_at,
        )
    )
    add_regions(connection, release.release_id, release.regions, release.general_open, phase_plan)
    add_paths(connection, release.release_id, release.reachable_from)
    add_han_models(connection, release.release_id, release.han_models)


def add_regions(
    connection: Connection, release_id: str, regions: Collection[str], general_open: Collection[str], plan: PhasePlan
) -> None:
    """Add regions to a release, all with the same plan; `general_open` names those whose gate is open."""
    rows = [
        {
            "release_id": release_id,
            "region": region,
            "general_open": region in general_open,
            **phases.plan_values(plan),
        }
        for region in sorted(regions)
    ]
    _insert(connection, release_regions, rows)


def add_paths(connection: Connection, release_id: str, versions: Iterable[str]) -> None:
    """Add versions from which a release may be installed."""
    _insert(
        connection, release_paths, [{"release_id": release_id, "from_version": version} for version in sorted(versions)]
    )


def remove_paths(connection: Connection, release_id: str, versions: Collection[str]) -> None:
    """Remove versions from which a release may be installed; hubs that run one and wait for it are looked at."""
    changed_hubs.note_running(connection, release_id, versions)
    connection.execute(
        release_paths.delete().where(
            release_paths.c.release_id == release_id, release_paths.c.from_version.in_(sorted(versions))
        )
    )


def add_han_models(connection: Connection, release_id: str, models: Iterable[tuple[str, str]]) -> None:
    """Add HAN device models, each by manufacturer and model, that a release may break."""
    rows = [{"release_id": release_id, "manufacturer": one, "model": model} for one, model in sorted(models)]
    _insert(connection, release_han_models, rows)


def remove_han_models(connection: Connection, release_id: str, models: Iterable[tuple[str, str]]) -> None:
    """Remove HAN device models from those that a release may break."""
    for manufacturer, model in sorted(models):
        connection.execute(
            release_han_models.delete().where(
                release_han_models.c.release_id == release_id,
                release_han_models.c.manufacturer == manufacturer,
                release_han_models.c.model == model,
            )
        )


def set_status(connection: Connection, release_id: str, status: str) -> None:
    """Record whether a release is Open, Closed or Withdrawn."""
    connection.execute(releases.update().where(releases.c.release_id == release_id).values(status=status))


def set_cpl_status(connection: Connection, release_id: str, cpl_status: str) -> None:
    """Record what the Certified Products List says of a release."""
    connection.execute(releases.update().where(releases.c.release_id == release_id).values(cpl_status=cpl_status))


def by_firmware(connection: Connection, firmware: Firmware) -> Release | None:
    """The release of exactly this manufacturer, model and version."""
    shared = sharing.of(connection)
    if shared is None:
        return _by_firmware(connection, firmware)
    known: Release | None = shared.known(_KNOWN, firmware)
    if known is sharing.UNKNOWN:
        shared.read(_KNOWN, lambda: {firmware: _by_firmware(connection, firmware)})
        known = shared.known(_KNOWN, firmware)
    return known


def ask_ahead(connection: Connection, shared: sharing.Shared, sought: Collection[Firmware]) -> sharing.Take:
    """Find for all that share this transaction the releases of some firmware."""
    asked = {one: _BY_FIRMWARE.ask(connection, _sought(one)) for one in sought}

    def look() -> Mapping[Firmware, Release | None]:
        return {one: next(map(_release_of, found.all()), None) for one, found in asked.items()}

    return lambda: shared.read(_KNOWN, look)


def _by_firmware(connection: Connection, firmware: Firmware) -> Release | None:
    found = _read(connection, _BY_FIRMWARE, _sought(firmware))
    return found[0] if found else None


def _sought(firmware: Firmware) -> Mapping[str, str]:
    return {"manufacturer": firmware.manufacturer, "model": firmware.model, "version": firmware.version}


def by_id(connection: Connection, release_id: str) -> Release:
    """The release with this id; raises LookupError if there is none."""
    found = _read(connection, _BY_ID, {"release_id": release_id})
    if not found:
        raise LookupError(f"no release {release_id}")
    return found[0]


def of_model(connection: Connection, manufacturer: str, model: str) -> list[Release]:
    """All releases for a hub model, newest first."""
    return _read(connection, _OF_MODEL_NEWEST_FIRST, {"manufacturer": manufacturer, "model": model})


def all_releases(connection: Connection) -> list[Release]:
    """All releases, newest first."""
    return _read(connection, _NEWEST_FIRST, {})


def _insert(connection: Connection, table: Table, rows: Sequence[Mapping[str, object]]) -> None:
    if rows:
        connection.execute(table.insert(), rows)


def _read(connection: Connection, statement: Prepared, sought: Mapping[str, str]) -> list[Release]:
    return [_release_of(row) for row in statement.all(connection, sought)]


@lru_cache(maxsize=64)
def _release_of(row: Row) -> Release:
    # Read with every request; what is read of one release is the same most of the time.
    regions = json.loads(row.regions)
    return Release(
        release_id=row.release_id,
        firmware=Firmware(row.manufacturer, row.model, row.version),
        image_hash=row.image_hash,
        status=row.status,
        cpl_status=row.cpl_status,
        management=row.management,
        regions=frozenset(region for region, _, _ in regions),
        general_open=frozenset(region for region, is_open, _ in regions if is_open),
        reachable_from=frozenset(version for version in json.loads(row.paths)),
        han_models=frozenset((manufacturer, model) for manufacturer, model in json.loads(row.han_models)),
        obligation=row.obligation,
        comply_by=row.comply_by,
        compulsory_from=row.compulsory_from,
        halted=frozenset(region for region, _, halted_at in regions if halted_at is not None),
    )
