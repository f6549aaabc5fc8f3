"""Devices and registrations: what is where, and which Suppliers are responsible for it at a date."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, ScalarSelect, and_, case, or_, select
from sqlalchemy.dialects.sqlite import insert

from sr_engine.domain.upgrades import Hub
from sr_engine.messages.model import Device, PropertyFilter, ReadInventory
from sr_engine.store.bulk import execute_many
from sr_engine.store.sets import is_one_of
from sr_engine.store.tables import devices, registrations

HAN_DEVICE_TYPES = ("PPMID", "IHD", "CAD", "HCALCS")
_GONE = ("Decommissioned", "Withdrawn")


def put_devices(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert devices, or replace those that are there; each row has every column of the table."""
    statement = insert(devices)
    columns = {column.name: statement.excluded[column.name] for column in devices.columns if not column.primary_key}
    execute_many(connection, statement.on_conflict_do_update(index_elements=["device_id"], set_=columns), rows)


def put_registrations(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert registrations (mpxn, role, effective_from, organisation), or replace the organisation of those there."""
    statement = insert(registrations)
    statement = statement.on_conflict_do_update(
        index_elements=["mpxn", "role", "effective_from"], set_={"organisation": statement.excluded.organisation}
    )
    execute_many(connection, statement, rows)


def device_type(connection: Connection, device_id: str) -> str | None:
    """DeviceType of a device, None if it is unknown."""
    return connection.scalar(select(devices.c.device_type).where(devices.c.device_id == device_id))


def hub_ids_of(connection: Connection, device_ids: Iterable[str]) -> dict[str, str]:
    """CHF id by CHF or GPF id; ids of other devices and unknown ones are left out."""
    found = connection.execute(
        select(devices.c.device_id, devices.c.hub_id).where(
            is_one_of(devices.c.device_id, device_ids), devices.c.device_type.in_(("CHF", "GPF"))
        )
    )
    return {device_id: hub_id for device_id, hub_id in found.all() if hub_id is not None}


def hubs(connection: Connection, hub_ids: Collection[str], at: datetime, *, with_han: bool) -> dict[str, Hub]:
    """Hubs by CHF id, with the Suppliers responsible at `at`; HAN devices only if asked for (they cost a query)."""
    wanted = list(hub_ids)
    han = _han_models(connection, wanted) if with_han else {}
    none: frozenset[tuple[str, str]] = frozenset()
    gpf = devices.alias("gpf")
    found = connection.execute(
        select(
            devices.c.device_id,
            devices.c.device_status,
            devices.c.csp_region,
            devices.c.manufacturer,
            devices.c.model,
            devices.c.firmware_version,
            _responsible("ESME", "IS", at),
            _responsible("GSME", "GS", at),
            select(gpf.c.device_id)
            .where(gpf.c.hub_id == devices.c.device_id, gpf.c.device_type == "GPF")
            .limit(1)
            .scalar_subquery(),
        ).where(is_one_of(devices.c.device_id, wanted), devices.c.device_type == "CHF")
    ).all()
    return {
        hub_id: Hub(
            hub_id, status, region, manufacturer, model, version, electricity, gas, gpf_id, han.get(hub_id, none)
        )
        for hub_id, status, region, manufacturer, model, version, electricity, gas, gpf_id in found
    }


def _responsible(meter_type: str, role: str, at: datetime) -> ScalarSelect[str | None]:
    """The organisation registered in `role` for the meter of a hub at `at`: the latest registration in effect says."""
    meter = devices.alias(meter_type.lower())
    return (
        select(registrations.c.organisation)
        .join(meter, registrations.c.mpxn == meter.c.import_mpxn)
        .where(
            meter.c.hub_id == devices.c.device_id,
            meter.c.device_type == meter_type,
            or_(meter.c.device_status.is_(None), meter.c.device_status.not_in(_GONE)),
            registrations.c.role == role,
            registrations.c.effective_from <= at,
        )
        .order_by(registrations.c.effective_from.desc())
        .limit(1)
        .correlate(devices)
        .scalar_subquery()
    )


def _han_models(connection: Connection, hub_ids: Sequence[str]) -> dict[str, frozenset[tuple[str, str]]]:
    models: dict[str, set[tuple[str, str]]] = {}
    for hub_id, manufacturer, model in connection.execute(
        select(devices.c.hub_id, devices.c.manufacturer, devices.c.model).where(
            is_one_of(devices.c.hub_id, hub_ids), devices.c.device_type.in_(HAN_DEVICE_TYPES)
        )
    ):
        models.setdefault(hub_id, set()).add((manufacturer, model))
    return {hub_id: frozenset(found) for hub_id, found in models.items()}


def hub_ids_of_model(
    connection: Connection, manufacturer: str, model: str, regions: Collection[str], versions: Collection[str]
) -> Iterator[str]:
    """CHF ids, ascending, of a model in some regions that run one of some versions."""
    return iter(
        connection.scalars(
            select(devices.c.device_id)
            .where(
                devices.c.manufacturer == manufacturer,
                devices.c.model == model,
                devices.c.device_type == "CHF",
                devices.c.csp_region.in_(sorted(regions)),
                devices.c.firmware_version.in_(sorted(versions)),
            )
            .order_by(devices.c.device_id)
        )
    )


def set_firmware(connection: Connection, hub_ids: Collection[str], version: str) -> None:
    """Record a version as active on hubs: on the CHF and on the GPF (FACTS DM13)."""
    connection.execute(
        devices.update()
        .where(is_one_of(devices.c.hub_id, hub_ids), devices.c.device_type.in_(("CHF", "GPF")))
        .values(firmware_version=version)
    )


def find(connection: Connection, query: ReadInventory, limit: int) -> list[Device]:
    """Devices that match an 8.2: the one asked for and all that share its hub, or those at the MPxN, UPRN or address.

    At most `limit`, the hub's own two first.
    """
    order = case((devices.c.device_type == "CHF", 0), (devices.c.device_type == "GPF", 1), else_=2)
    if query.device_id is not None:
        named = select(devices.c.hub_id).where(devices.c.device_id == query.device_id.upper())
        condition = or_(devices.c.device_id == query.device_id.upper(), devices.c.hub_id.in_(named))
    elif query.mpxn is not None:
        at_meter = or_(
            devices.c.import_mpxn == query.mpxn,
            devices.c.secondary_import_mpan == query.mpxn,
            devices.c.export_mpan == query.mpxn,
        )
        condition = or_(at_meter, devices.c.hub_id.in_(select(devices.c.hub_id).where(at_meter)))
    elif query.uprn is not None:
        condition = devices.c.uprn == query.uprn
    elif query.property_filter is not None:
        condition = and_(
            devices.c.postcode == query.property_filter.postcode,
            devices.c.address_identifier == query.property_filter.address_identifier,
        )
    else:
        raise ValueError("an inventory query names a device, an MPxN, a UPRN or an address")
    statement = select(devices).where(condition).order_by(order, devices.c.device_id).limit(limit)
    return [_device(row) for row in connection.execute(statement)]


def _device(row: Row[Any]) -> Device:
    address = None if row.postcode is None else PropertyFilter(row.postcode, row.address_identifier or "")
    return Device(
        device_id=row.device_id,
        device_type=row.device_type,
        manufacturer=row.manufacturer,
        model=row.model,
        device_status=row.device_status,
        smets_chts_version=row.smets_chts_version,
        firmware_version=row.firmware_version,
        firmware_version_status=row.firmware_version_status,
        cpl_status=row.cpl_status,
        date_commissioned=row.date_commissioned,
        import_mpxn=row.import_mpxn,
        secondary_import_mpan=row.secondary_import_mpan,
        export_mpan=row.export_mpan,
        esme_variant=row.esme_variant,
        uprn=row.uprn,
        property_filter=address,
        csp_region=row.csp_region,
        gbcs_version=row.gbcs_version,
        han_variant=row.han_variant,
        s1sp=row.s1sp,
        connectivity=row.connectivity,
    )
