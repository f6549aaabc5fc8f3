"""Firmware releases."""

from __future__ import annotations

from sqlalchemy import Connection, Select, select

from sr_engine.domain.upgrades import Release
from sr_engine.messages.model import Firmware
from sr_engine.store.tables import release_han_models, release_paths, release_regions, releases


def add(connection: Connection, release: Release, *, opened_at: object) -> None:
    """Insert a release with its regions, paths and affected HAN models."""
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
            opened_at=opened_at,
        )
    )
    key = {"release_id": release.release_id}
    connection.execute(
        release_regions.insert(),
        [
            {**key, "region": region, "general_open": region in release.general_open}
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
    return _one(
        connection,
        select(releases).where(
            releases.c.manufacturer == firmware.manufacturer,
            releases.c.model == firmware.model,
            releases.c.version == firmware.version,
        ),
    )


def by_id(connection: Connection, release_id: str) -> Release:
    """The release with this id; raises LookupError if there is none."""
    found = _one(connection, select(releases).where(releases.c.release_id == release_id))
    if found is None:
        raise LookupError(f"no release {release_id}")
    return found


def of_model(connection: Connection, manufacturer: str, model: str) -> list[Release]:
    """All releases for a hub model, newest first."""
    ids = connection.scalars(
        select(releases.c.release_id)
        .where(releases.c.manufacturer == manufacturer, releases.c.model == model)
        .order_by(releases.c.opened_at.desc(), releases.c.release_id)
    ).all()
    return [by_id(connection, release_id) for release_id in ids]


def all_releases(connection: Connection) -> list[Release]:
    """All releases, newest first."""
    ids = connection.scalars(select(releases.c.release_id).order_by(releases.c.opened_at.desc())).all()
    return [by_id(connection, release_id) for release_id in ids]


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


def _one(connection: Connection, statement: Select[tuple[object, ...]]) -> Release | None:
    row = connection.execute(statement).mappings().one_or_none()
    if row is None:
        return None
    release_id = row["release_id"]
    regions = connection.execute(
        select(release_regions.c.region, release_regions.c.general_open).where(
            release_regions.c.release_id == release_id
        )
    ).all()
    return Release(
        release_id=release_id,
        firmware=Firmware(row["manufacturer"], row["model"], row["version"]),
        image_hash=row["image_hash"],
        status=row["status"],
        cpl_status=row["cpl_status"],
        management=row["management"],
        regions=frozenset(region for region, _ in regions),
        general_open=frozenset(region for region, is_open in regions if is_open),
        reachable_from=frozenset(
            connection.scalars(select(release_paths.c.from_version).where(release_paths.c.release_id == release_id))
        ),
        han_models=frozenset(
            (manufacturer, model)
            for manufacturer, model in connection.execute(
                select(release_han_models.c.manufacturer, release_han_models.c.model).where(
                    release_han_models.c.release_id == release_id
                )
            )
        ),
    )
