"""Firmware releases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, ScalarSelect, Select, Table, bindparam, func, select

from sr_engine.domain.phases import PhasePlan
from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import Firmware
from sr_engine.store.tables import release_han_models, release_paths, release_regions, releases


def _parts(table: Table, *columns: str) -> ScalarSelect[str]:
    """The rows of a release in another table, as one JSON array of arrays: a release is read by one statement."""
    row = func.json_array(*(table.c[name] for name in columns))
    return select(func.json_group_array(row)).where(table.c.release_id == releases.c.release_id).scalar_subquery()


_RELEASES = select(
    releases,
    _parts(release_regions, "region", "general_open", "halted_at").label("regions"),
    _parts(release_paths, "from_version").label("paths"),
    _parts(release_han_models, "manufacturer", "model").label("han_models"),
)
_BY_ID = _RELEASES.where(releases.c.release_id == bindparam("release_id"))
_OF_MODEL = _RELEASES.where(
    releases.c.manufacturer == bindparam("manufacturer"), releases.c.model == bindparam("model")
)
_BY_FIRMWARE = _OF_MODEL.where(releases.c.version == bindparam("version"))
_OF_MODEL_NEWEST_FIRST = _OF_MODEL.order_by(releases.c.opened_at.desc(), releases.c.release_id)
_NEWEST_FIRST = _RELEASES.order_by(releases.c.opened_at.desc())


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
    key = {"release_id": release.release_id}
    connection.execute(
        release_regions.insert(),
        [
            {
                **key,
                "region": region,
                "general_open": region in release.general_open,
                "pilot_limit": phase_plan.pilot_limit,
                "pilot_closes": phase_plan.pilot_closes,
                "soak_seconds": round(phase_plan.soak.total_seconds()),
                "automatic_gate": phase_plan.automatic_gate,
                "failure_percent": phase_plan.failure_percent,
                "minimum_sample": phase_plan.minimum_sample,
            }
            for region in sorted(release.regions)
        ],
    )
    connection.execute(
        release_paths.insert(), [{**key, "from_version": version} for version in sorted(release.reachable_from)]
    )
    if release.han_models:
        connection.execute(
            release_han_models.insert(),
            [{**key, "manufacturer": one, "model": model} for one, model in sorted(release.han_models)],
        )


def by_firmware(connection: Connection, firmware: Firmware) -> Release | None:
    """The release of exactly this manufacturer, model and version."""
    sought = {"manufacturer": firmware.manufacturer, "model": firmware.model, "version": firmware.version}
    found = _read(connection, _BY_FIRMWARE, sought)
    return found[0] if found else None


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


def open_gate(connection: Connection, release_id: str, region: str) -> bool:
    """Open a region's gate to the General phase; False if it was open already."""
    result = connection.execute(
        release_regions.update()
        .where(
            release_regions.c.release_id == release_id,
            release_regions.c.region == region,
            release_regions.c.general_open.is_(False),
        )
        .values(general_open=True)
    )
    return result.rowcount == 1


def _read(connection: Connection, statement: Select[Any], sought: Mapping[str, str]) -> list[Release]:
    return [_release_of(row) for row in connection.execute(statement, sought)]


def _release_of(row: Row[Any]) -> Release:
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
        reachable_from=frozenset(version for (version,) in json.loads(row.paths)),
        han_models=frozenset((manufacturer, model) for manufacturer, model in json.loads(row.han_models)),
        obligation=row.obligation,
        comply_by=row.comply_by,
        compulsory_from=row.compulsory_from,
        halted=frozenset(region for region, _, halted_at in regions if halted_at is not None),
    )
