"""The country of `country.py`, put into PostgreSQL by PostgreSQL itself: Python would take hours for all its rows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ARRAY, Connection, Engine, Integer, Text, bindparam, create_engine, text
from sqlalchemy.types import TypeEngine

from sr_engine.store.tables import (
    UtcDateTime,
    attempts,
    decisions,
    devices,
    registrations,
    schedule_hubs,
    scheduled_hubs,
)
from tests.bench.country import BY_LOT, Country
from tests.world import FIRMWARE, OLD_VERSION

BACKENDS = 2
"""Of PostgreSQL that work side by side."""

AT_ONCE = 1_000_000
"""Hubs of one statement; of these no Supplier has more in a region than one 11.5 may list."""


def _eui(kind: str) -> str:
    bytes_of = [f"upper(lpad(to_hex((n >> {shift}) & 255), 2, '0'))" for shift in (16, 8, 0)]
    return f"('00-00-5E-EF-{kind}-' || " + " || '-' || ".join(bytes_of) + ")"


_HOMES = f"""
CREATE TEMPORARY TABLE homes AS
SELECT n, {_eui("C0")} AS chf, {_eui("D0")} AS gpf, {_eui("E0")} AS esme, {_eui("F0")} AS gsme,
       (:regions)[n % :region_count + 1] AS region, n % :region_count AS region_number,
       (:by_lot)[lot % 100 + 1] AS electricity,
       CASE WHEN lot / 100 % 20 < 3 THEN NULL
            WHEN lot / 100 % 20 < 5 THEN (:by_lot)[(lot % 100 + 37) % 100 + 1]
            ELSE (:by_lot)[lot % 100 + 1] END AS gas,
       (1000000000000 + n)::text AS mpan, (2000000000 + n)::text AS mprn
FROM (SELECT n, n::bigint * 7919 % 100003 AS lot FROM generate_series(:first, :last) AS n) AS numbers
"""
_DEVICES = """
INSERT INTO devices (device_id, device_type, hub_id, device_status, manufacturer, model, firmware_version, cpl_status,
                     csp_region, uprn, postcode, address_identifier, import_mpxn)
SELECT device_id, device_type, chf, 'Commissioned', :manufacturer, device_model, running, cpl, region,
       100000000 + n, 'AB' || n / 1000 % 100 || ' ' || n / 20 % 10 || 'CD', (n % 20)::text, mpxn
FROM homes, LATERAL (VALUES
    (chf, 'CHF', :model, :version, 'Active', NULL),
    (gpf, 'GPF', :model, :version, 'Active', NULL),
    (esme, 'ESME', 'METER', NULL, NULL, mpan),
    (CASE WHEN gas IS NULL THEN NULL ELSE gsme END, 'GSME', 'METER', NULL, NULL, mprn)
) AS of_home (device_id, device_type, device_model, running, cpl, mpxn)
WHERE device_id IS NOT NULL
"""
_REGISTRATIONS = """
INSERT INTO registrations (mpxn, role, effective_from, organisation)
SELECT mpan, 'IS', :since, electricity FROM homes
UNION ALL SELECT mprn, 'GS', :since, gas FROM homes WHERE gas IS NOT NULL
"""
_AGREED = """
CREATE TEMPORARY TABLE agreed AS
SELECT chf, region, organisation, organisation = electricity AS first,
       (region_number * :supplier_count + array_position(:suppliers, organisation)) * 1000 + :portion AS schedule_id
FROM homes, LATERAL (SELECT electricity UNION SELECT gas WHERE gas IS NOT NULL) AS suppliers (organisation)
"""
_SCHEDULES = """
INSERT INTO schedules (schedule_id, organisation, release_id, request_id, window_start, window_end, phase,
                       accept_han_impact, created_at)
SELECT DISTINCT schedule_id, organisation, :release_id, :request_id || schedule_id, :starts, :ends, 'General', false,
       :now
FROM agreed
"""
_SCHEDULE_HUBS = """
INSERT INTO schedule_hubs (schedule_id, hub_id, in_force, done) SELECT schedule_id, chf, true, false FROM agreed
"""
_DECISIONS = """
INSERT INTO decisions (hub_id, release_id, organisation, approval, request_id, accept_han_impact, schedule_id,
                       decided_at)
SELECT chf, :release_id, organisation, 'Approved', :request_id || schedule_id, false, schedule_id, :now FROM agreed
"""
_ATTEMPTS = """
INSERT INTO attempts (hub_id, release_id, number, state, is_open, region, organisation, window_start, window_end, pilot,
                      compulsory, state_at)
SELECT chf, :release_id, 1, 'Scheduled', true, region, organisation, :starts, :ends, false, false, :now
FROM agreed WHERE first
"""
_SCHEDULED = """
INSERT INTO scheduled_hubs (region, release_id, organisation, window_end, window_start, pilot, compulsory, number,
                            hub_id)
SELECT region, :release_id, organisation, :ends, :starts, false, false, 1, chf FROM agreed WHERE first
"""


def put_country(
    engine: Engine,
    country: Country,
    *,
    by_lot: Sequence[str] = BY_LOT,
    say: Callable[[str], None] = lambda what: None,
) -> None:
    """Insert it all, a portion at a time; indexes are made afterwards.

    Homes draw their Suppliers from `by_lot`, a hundred names; `say` is told how far it is.
    """
    suppliers = sorted(set(by_lot))
    tables = (devices, registrations, schedule_hubs, decisions, attempts, scheduled_hubs)
    indexes = [index for table in tables for index in table.indexes]
    with engine.begin() as connection:
        for index in indexes:
            index.drop(connection)

    # One that knows of no order in which to write.
    side_by_side = create_engine(engine.url)

    def put(portion: int) -> None:
        first = portion * AT_ONCE
        last = min(first + AT_ONCE, country.hubs) - 1
        values = {
            "first": first,
            "last": last,
            "portion": portion,
            "regions": list(country.regions),
            "region_count": len(country.regions),
            "suppliers": suppliers,
            "supplier_count": len(suppliers),
            "by_lot": list(by_lot),
            "release_id": country.release_id,
            "request_id": "00-00-5E-EF-10-00-00-01:90-B3-D5-1F-30-00-00-02:",
            "manufacturer": FIRMWARE.manufacturer,
            "model": FIRMWARE.model,
            "version": OLD_VERSION,
            "starts": country.window.start,
            "ends": country.window.end,
            "since": country.now - timedelta(days=400),
            "now": country.now,
        }
        with side_by_side.begin() as connection:
            # What refers to what is right by the way it is made.
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            _put(connection, values, scheduled=country.scheduled)
        say(f"hubs {first:,} to {last:,} put into the database")

    with ThreadPoolExecutor(BACKENDS) as pool:
        list(pool.map(put, range(-(-country.hubs // AT_ONCE))))
    side_by_side.dispose()
    for index in indexes:
        with engine.begin() as connection:
            index.create(connection)
    say("indexes made")


def _put(connection: Connection, values: dict[str, object], *, scheduled: bool) -> None:
    agreed = (_AGREED, _SCHEDULES, _SCHEDULE_HUBS, _DECISIONS, _ATTEMPTS, _SCHEDULED, "DROP TABLE agreed")
    for statement in (_HOMES, _DEVICES, _REGISTRATIONS, *(agreed if scheduled else ()), "DROP TABLE homes"):
        named = set(re.findall(r"(?<!:):([a-z_]+)", statement))
        typed = [bindparam(name, value, type_=_type_of(value)) for name, value in values.items() if name in named]
        connection.execute(text(statement).bindparams(*typed))


def _type_of(value: object) -> TypeEngine[Any]:
    """The server is told what each value is: it cannot see that where there is no column beside it."""
    match value:
        case int():
            return Integer()
        case datetime():
            return UtcDateTime()
        case list():
            return ARRAY(Text())
        case _:
            return Text()
