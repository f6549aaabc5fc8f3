"""Devices and registrations: what is where, and which Suppliers are responsible for it at a date."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, ScalarSelect, Select, and_, bindparam, case, func, or_, select
from sqlalchemy.dialects.postgresql import Insert, insert

from sr_engine.domain.upgrades import Hub
from sr_engine.messages.model import Device, PropertyFilter, ReadInventory
from sr_engine.store import candidates, changed_hubs
from sr_engine.store.bulk import execute_many
from sr_engine.store.dialects import joined
from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of, is_one_of_many, members
from sr_engine.store.tables import devices, due_registrations, registrations

HAN_DEVICE_TYPES = ("PPMID", "IHD", "CAD", "HCALCS")
SUPPLIER_ROLES = frozenset({"IS", "GS"})
"""The roles in which an organisation is responsible for a hub."""
RESPONSIBILITIES = candidates.RESPONSIBILITIES
"""The counter that goes up whenever meters or registrations are written."""
GONE = ("Decommissioned", "Withdrawn")
"""A meter in one of these statuses makes nobody responsible."""
_MANY = 50
"""From so many hubs on they are found in few rows, each index gone along once."""
_NOTHING_BEHIND: frozenset[tuple[str, str]] = frozenset()
# Not an IN, the text of which SQLAlchemy would write anew for each execution.
_IS_CHF_OR_GPF = or_(devices.c.device_type == "CHF", devices.c.device_type == "GPF")


def _upsert_of_devices() -> Insert:
    statement = insert(devices)
    columns = {column.name: statement.excluded[column.name] for column in devices.columns if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=["device_id"], set_=columns)


def _upsert_of_registrations() -> Insert:
    statement = insert(registrations)
    return statement.on_conflict_do_update(
        index_elements=["mpxn", "role", "effective_from"], set_={"organisation": statement.excluded.organisation}
    )


def responsible(
    meter_type: str, role: str, hub_id: ColumnElement[str] = devices.c.device_id
) -> ScalarSelect[str | None]:
    """The organisation registered in `role` for the meter of a hub `at` a time: the latest registration then says.

    Of two meters whose registrations begin at the same time that with the greater MPxN does. `hub_id` is the column of
    `devices` that names the hub.
    """
    meter = devices.alias(meter_type.lower())
    return (
        select(registrations.c.organisation)
        .join(meter, registrations.c.mpxn == meter.c.import_mpxn)
        .where(
            meter.c.hub_id == hub_id,
            meter.c.device_type == meter_type,
            _is_present(meter.c.device_status),
            registrations.c.role == role,
            registrations.c.effective_from <= bindparam("at"),
        )
        .order_by(registrations.c.effective_from.desc(), registrations.c.mpxn.desc())
        .limit(1)
        .correlate(devices)
        .scalar_subquery()
    )


def _is_present(status: ColumnElement[str]) -> ColumnElement[bool]:
    return or_(status.is_(None), and_(*(status != gone for gone in GONE)))


def _hubs() -> Select[Any]:
    gpf = devices.alias("gpf")
    return select(
        devices.c.device_id,
        devices.c.device_status,
        devices.c.csp_region,
        devices.c.manufacturer,
        devices.c.model,
        devices.c.firmware_version,
        responsible("ESME", "IS"),
        responsible("GSME", "GS"),
        select(gpf.c.device_id)
        .where(gpf.c.hub_id == devices.c.device_id, gpf.c.device_type == "GPF")
        .limit(1)
        .scalar_subquery(),
    ).where(is_one_of_many(devices.c.device_id, "hub_ids"), devices.c.device_type == "CHF")


def _listing(condition: ColumnElement[bool]) -> Select[Any]:
    """Devices that match and those that share a hub with them: the hub's own two first, then those that match."""
    order = case((devices.c.device_type == "CHF", 0), (devices.c.device_type == "GPF", 1), (condition, 2), else_=3)
    return (
        select(devices)
        .where(_with_their_hubs(condition))
        .order_by(order, devices.c.device_id)
        .limit(bindparam("at_most"))
    )


def _with_their_hubs(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return or_(condition, devices.c.hub_id.in_(select(devices.c.hub_id).where(condition)))


def _chfs() -> Select[Any]:
    """What is alike of CHFs, and the ids of those of which it is so."""
    alike = (
        devices.c.device_status,
        devices.c.csp_region,
        devices.c.manufacturer,
        devices.c.model,
        devices.c.firmware_version,
    )
    return (
        select(*alike, joined(devices.c.device_id))
        .where(is_one_of_many(devices.c.device_id, "hub_ids"), devices.c.device_type == "CHF")
        .group_by(*alike)
    )


def _gpfs() -> Select[Any]:
    """The ids of CHFs, and, in the same order, of the GPFs in the same boxes."""
    ids: tuple[ColumnElement[Any], ...] = (joined(devices.c.hub_id), joined(devices.c.device_id))
    return select(*ids).where(is_one_of_many(devices.c.hub_id, "hub_ids"), devices.c.device_type == "GPF")


def _suppliers() -> Select[Any]:
    """By type of meter and the organisation registered for it, the hubs of which that is so, as often as it is."""
    meter = devices.alias("meter")
    registered = (
        select(registrations.c.organisation)
        .where(
            registrations.c.mpxn == meter.c.import_mpxn,
            registrations.c.role == case((meter.c.device_type == "ESME", "IS"), else_="GS"),
            registrations.c.effective_from <= bindparam("at"),
        )
        .order_by(registrations.c.effective_from.desc())
        .limit(1)
        .correlate(meter)
        .scalar_subquery()
    )
    of_meter = (
        select(meter.c.hub_id, meter.c.device_type, registered.label("organisation"))
        .where(
            is_one_of_many(meter.c.hub_id, "hub_ids"),
            or_(meter.c.device_type == "ESME", meter.c.device_type == "GSME"),
            _is_present(meter.c.device_status),
        )
        .subquery("of_meter")
    )
    by_supplier = of_meter.c.device_type, of_meter.c.organisation
    return select(*by_supplier, joined(of_meter.c.hub_id)).group_by(*by_supplier)


_PUT_DEVICES = _upsert_of_devices()
_PUT_REGISTRATIONS = _upsert_of_registrations()
_PUT_DUE = insert(due_registrations).on_conflict_do_nothing()
_DEVICE_TYPE = select(devices.c.device_type).where(devices.c.device_id == bindparam("device_id"))
_HUB_IDS_OF = Prepared(
    select(devices.c.device_id, devices.c.hub_id).where(
        is_one_of_many(devices.c.device_id, "device_ids"), _IS_CHF_OR_GPF
    )
)
_HUBS_OF_GPFS = Prepared(
    select(devices.c.hub_id).where(is_one_of_many(devices.c.device_id, "device_ids"), devices.c.device_type == "GPF")
)
_HUBS = Prepared(_hubs())
_CHFS = Prepared(_chfs())
_SUPPLIERS = Prepared(_suppliers())
_VERSIONS = Prepared(
    select(devices.c.device_id, devices.c.firmware_version).where(
        is_one_of_many(devices.c.device_id, "hub_ids"), devices.c.device_type == "CHF"
    )
)
_GPFS = Prepared(_gpfs())
_HAN_MODELS = select(devices.c.hub_id, devices.c.manufacturer, devices.c.model).where(
    is_one_of(devices.c.hub_id, "hub_ids"), devices.c.device_type.in_(HAN_DEVICE_TYPES)
)
_SET_FIRMWARE = Prepared(
    devices.update()
    .where(is_one_of_many(devices.c.hub_id, "hub_ids"), _IS_CHF_OR_GPF)
    .values(firmware_version=bindparam("version"))
)
_BY_DEVICE = _listing(devices.c.device_id == bindparam("device_id"))
_BY_MPXN = _listing(
    or_(
        devices.c.import_mpxn == bindparam("mpxn"),
        devices.c.secondary_import_mpan == bindparam("mpxn"),
        devices.c.export_mpan == bindparam("mpxn"),
    )
)
_BY_UPRN = _listing(devices.c.uprn == bindparam("uprn"))
_BY_ADDRESS = _listing(
    and_(
        devices.c.postcode == bindparam("postcode"),
        # An address without identifier is shown, and so asked for, with an empty one.
        func.coalesce(devices.c.address_identifier, "") == bindparam("address_identifier"),
    )
)


def put_devices(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert devices, or replace those that are there; each row has every column of the table."""
    changed_hubs.note_replaced(connection, rows)
    execute_many(connection, _PUT_DEVICES, rows)
    candidates.written(connection, device_ids=[str(row["device_id"]) for row in rows if row["import_mpxn"]])


def put_registrations(connection: Connection, rows: Sequence[Mapping[str, object]]) -> None:
    """Insert registrations (mpxn, role, effective_from, organisation), or replace the organisation of those there.

    Each meter point is noted to be looked at once the registration is effective (`store.registrations`).
    """
    execute_many(connection, _PUT_REGISTRATIONS, rows)
    candidates.written(connection, mpxns={str(row["mpxn"]) for row in rows})
    due = [
        {"due_at": row["effective_from"], "mpxn": row["mpxn"], "role": row["role"]}
        for row in rows
        if row["role"] in SUPPLIER_ROLES
    ]
    execute_many(connection, _PUT_DUE, due)


def device_type(connection: Connection, device_id: str) -> str | None:
    """DeviceType of a device, None if it is unknown."""
    return connection.scalar(_DEVICE_TYPE, {"device_id": device_id})


def hub_ids_of(connection: Connection, device_ids: Iterable[str]) -> dict[str, str]:
    """CHF id by CHF or GPF id; ids of other devices and unknown ones are left out."""
    wanted = list(device_ids)
    read = _HUB_IDS_OF.tuples if len(wanted) < _MANY else _HUB_IDS_OF.many
    found = read(connection, {"device_ids": members(wanted)})
    # A CHF names itself: one text will do.
    return {one: one if one == hub_id else hub_id for one, hub_id in found if hub_id is not None}


HubsAlike = Sequence[tuple[Hub, Sequence[str]]]
"""What is alike of hubs, as it is of one of them, with the ids of all."""

Registered = Sequence[tuple[str, str | None, Sequence[str]]]
"""By type of meter and the organisation registered for it, the hubs of which that is so: as often as they have such."""


def hubs_of_gpfs(connection: Connection, device_ids: Iterable[str]) -> list[str]:
    """CHF ids of the hubs whose GPFs are among some devices."""
    found = _HUBS_OF_GPFS.all(connection, {"device_ids": members(device_ids)})
    return [hub_id for (hub_id,) in found if hub_id is not None]


def hubs(
    connection: Connection,
    hub_ids: Collection[str],
    at: datetime,
    *,
    with_han: bool,
) -> dict[str, Hub]:
    """Hubs by CHF id, with the Suppliers responsible at `at`; HAN devices only if asked for (they cost a query)."""
    if len(hub_ids) < _MANY:
        wanted = members(hub_ids)
        return _each_hub(connection, wanted, at, _han_models(connection, wanted) if with_han else {})
    found: dict[str, Hub] = {}
    gpfs = _gpfs_of(connection, hub_ids)
    for hub, some in hubs_alike(connection, hub_ids, at, with_han=with_han):
        for one in some:
            found[one] = Hub(
                one,
                hub.device_status,
                hub.region,
                hub.manufacturer,
                hub.model,
                hub.version,
                hub.electricity,
                hub.gas,
                gpfs.get(one, hub.gpf_id),
                hub.han_models,
            )
    return found


def hubs_alike(
    connection: Connection,
    hub_ids: Collection[str],
    at: datetime,
    *,
    with_han: bool,
    registered: Callable[[], Registered] | None = None,
) -> HubsAlike:
    """The same hubs without their GPFs, those together of which all else but the id is alike.

    Who is `registered` for meters of these hubs is read unless it says so, last.
    """
    wanted = members(hub_ids)
    han = _han_models(connection, wanted) if with_han else {}
    if len(hub_ids) < _MANY:
        return _together(_each_hub(connection, wanted, at, han))
    return _many_hubs(connection, wanted, at, han, registered or (lambda: suppliers(connection, hub_ids, at)))


def _each_hub(
    connection: Connection, hub_ids: str, at: datetime, han: Mapping[str, frozenset[tuple[str, str]]]
) -> dict[str, Hub]:
    found = _HUBS.tuples(connection, {"hub_ids": hub_ids, "at": at})
    return {
        one: Hub(one, status, region, maker, model, version, electricity, gas, gpf_id, han.get(one, _NOTHING_BEHIND))
        for one, status, region, maker, model, version, electricity, gas, gpf_id in found
    }


def versions(connection: Connection, hub_ids: Collection[str]) -> dict[str, str | None]:
    """The firmware that hubs run as far as is known, by CHF id."""
    return dict(_VERSIONS.many(connection, {"hub_ids": members(hub_ids)}))


def suppliers(connection: Connection, hub_ids: Collection[str], at: datetime) -> Registered:
    """Who is registered at `at` for the meters of hubs."""
    found = _SUPPLIERS.all(connection, {"hub_ids": members(hub_ids), "at": at})
    return [(device_type, organisation, some.split(",")) for device_type, organisation, some in found]


def _together(hubs: Mapping[str, Hub]) -> HubsAlike:
    alike: defaultdict[Hub, list[str]] = defaultdict(list)
    for hub_id, hub in hubs.items():
        alike[hub.of("")].append(hub_id)
    return [(hub.of(some[0]), some) for hub, some in alike.items()]


def _many_hubs(
    connection: Connection,
    hub_ids: str,
    at: datetime,
    han: Mapping[str, frozenset[tuple[str, str]]],
    registered: Callable[[], Registered],
) -> HubsAlike:
    """The same found in few rows, of which each costs more in the driver than in the database."""
    chfs = _CHFS.all(connection, {"hub_ids": hub_ids})
    by_type: dict[str, dict[str, str | None]] = {"ESME": {}, "GSME": {}}
    of_meters = registered()
    for meter_type, organisation, some in of_meters:
        by_type[meter_type].update(dict.fromkeys(some, organisation))
    several: set[str] = set()
    if sum(len(some) for _, _, some in of_meters) > sum(map(len, by_type.values())):
        # Of two meters of one type behind a hub, that which was registered last says who is responsible for it.
        times = Counter((meter_type, hub_id) for meter_type, _, some in of_meters for hub_id in some)
        several = {hub_id for (_, hub_id), number in times.items() if number > 1}
    electricity, gas = by_type["ESME"].get, by_type["GSME"].get
    found: list[tuple[Hub, Sequence[str]]] = []
    for status, region, manufacturer, model, version, some in chfs:
        alike: defaultdict[tuple[str | None, str | None, frozenset[tuple[str, str]]], list[str]] = defaultdict(list)
        for one in some.split(","):
            if one not in several:
                alike[electricity(one), gas(one), han.get(one, _NOTHING_BEHIND)].append(one)
        for (by_electricity, by_gas, behind), ids in alike.items():
            hub = Hub(ids[0], status, region, manufacturer, model, version, by_electricity, by_gas, None, behind)
            found.append((hub, ids))
    return [*found, *_together(_each_hub(connection, members(several), at, han))] if several else found


def _gpfs_of(connection: Connection, hub_ids: Collection[str]) -> dict[str, str]:
    """The ids of the GPFs of hubs, by those of their CHFs."""
    (found,) = _GPFS.all(connection, {"hub_ids": members(hub_ids)})
    with_gpf, gpfs = found
    return {} if gpfs is None else dict(zip(with_gpf.split(","), gpfs.split(","), strict=True))


def _han_models(connection: Connection, hub_ids: str) -> dict[str, frozenset[tuple[str, str]]]:
    models: dict[str, set[tuple[str, str]]] = {}
    for hub_id, manufacturer, model in connection.execute(_HAN_MODELS, {"hub_ids": hub_ids}):
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
    """Record a version as active on hubs: on the CHF and on the GPF (FACTS DM13).

    The caller names the hubs in the audit trail, by which it is found that what was decided about them may not stand.
    """
    _SET_FIRMWARE.run(connection, {"hub_ids": members(hub_ids), "version": version})
    changed_hubs.note(connection, hub_ids)


def find(connection: Connection, query: ReadInventory, limit: int) -> list[Device]:
    """Devices that match an 8.2, by device, MPxN, UPRN or address, and all that share a hub with them.

    At most `limit`, the hub's own two first, then those that match.
    """
    sought: dict[str, object]
    if query.device_id is not None:
        statement, sought = _BY_DEVICE, {"device_id": query.device_id.upper()}
    elif query.mpxn is not None:
        statement, sought = _BY_MPXN, {"mpxn": query.mpxn}
    elif query.uprn is not None:
        statement, sought = _BY_UPRN, {"uprn": query.uprn}
    elif query.property_filter is not None:
        address = query.property_filter
        statement = _BY_ADDRESS
        sought = {"postcode": address.postcode, "address_identifier": address.address_identifier}
    else:
        raise ValueError("an inventory query names a device, an MPxN, a UPRN or an address")
    return [_device(row) for row in connection.execute(statement, {**sought, "at_most": limit})]


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
