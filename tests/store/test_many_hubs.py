"""Hubs that are read in great numbers are what they are when each is read by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import cycle

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from sr_engine.domain.upgrades import Hub
from sr_engine.store import inventory
from sr_engine.store.tables import devices
from tests.world import NOW

HUBS = 60
"""More than one statement for each hub is worth."""
_STATUSES = (None, "Commissioned", *inventory.GONE)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Meter:
    kind: str
    status: str | None
    has_point: bool
    registered: Sequence[tuple[str, str | None]]
    """Role and organisation."""


@dataclass(frozen=True)
class Home:
    has_chf: bool
    has_gpf: bool
    status: str | None
    meters: Sequence[Meter]
    days: Sequence[int]
    """When its registrations become effective: no two at the same time."""


statuses = st.sampled_from(_STATUSES)
registrations = st.tuples(st.sampled_from(("IS", "GS", "ED")), st.sampled_from((None, "A", "B")))
meters = st.builds(
    Meter, st.sampled_from(("ESME", "GSME")), statuses, st.booleans(), st.lists(registrations, max_size=2)
)
homes = st.builds(
    Home, st.booleans(), st.booleans(), statuses, st.lists(meters, max_size=3), st.permutations(range(-4, 4))
)


def rows_of(home: Home, number: int) -> tuple[list[Mapping[str, object]], list[Mapping[str, object]]]:
    """Its devices and registrations."""
    hub_id = f"{number:023x}"
    found: list[Mapping[str, object]] = []
    registered: list[Mapping[str, object]] = []
    if home.has_chf:
        found.append(device(hub_id, "CHF", hub_id, home.status))
    if home.has_gpf:
        found.append(device(f"g{hub_id[1:]}", "GPF", hub_id, None))
    days = iter(home.days)
    for place, meter in enumerate(home.meters):
        mpxn = f"{number * 10 + place:013d}" if meter.has_point else None
        found.append(device(f"{place}m{hub_id[2:]}", meter.kind, hub_id, meter.status, mpxn))
        if mpxn is not None:
            registered += [
                {"mpxn": mpxn, "role": role, "effective_from": NOW + next(days) * _DAY, "organisation": organisation}
                for role, organisation in meter.registered
            ]
    return found, registered


def device(device_id: str, kind: str, hub_id: str, status: str | None, mpxn: str | None = None) -> Mapping[str, object]:
    row = dict.fromkeys(column.name for column in devices.columns)
    model = {"manufacturer": "M", "model": "1", "firmware_version": "2", "csp_region": "North"}
    known = {"device_id": device_id, "device_type": kind, "hub_id": hub_id}
    return {**row, **model, **known, "device_status": status, "import_mpxn": mpxn}


_REPLACED = Home(
    has_chf=True,
    has_gpf=True,
    status=None,
    # One meter after the other: whoever was registered last is responsible, whichever meter it is for.
    meters=[Meter("ESME", None, has_point=True, registered=[("IS", name)]) for name in ("A", "B")],
    days=range(-2, 0),
)


@example(some=[_REPLACED, replace(_REPLACED, days=range(-1, -3, -1))], days=0)
@given(some=st.lists(homes, min_size=1, max_size=4), days=st.integers(-5, 5))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_at_once_are_as_one_after_the_other(engine: Engine, some: Sequence[Home], days: int) -> None:
    hub_ids = [f"{number:023x}" for number in range(HUBS)]
    at = NOW + days * _DAY
    with engine.connect() as connection, connection.begin() as transaction:
        rows = [rows_of(home, number) for number, home in zip(range(HUBS), cycle(some), strict=False)]
        inventory.put_devices(connection, [row for found, _ in rows for row in found])
        inventory.put_registrations(connection, [row for _, registered in rows for row in registered])
        together = inventory.hubs(connection, hub_ids, at, with_han=False)
        apart: dict[str, Hub] = {}
        for hub_id in hub_ids:
            apart |= inventory.hubs(connection, [hub_id], at, with_han=False)
        alike = inventory.hubs_alike(connection, hub_ids, at, with_han=False)
        few = inventory.hubs_alike(connection, hub_ids[: HUBS // 2], at, with_han=False)
        transaction.rollback()
    assert together == apart
    assert _each_of(alike) == {hub_id: replace(hub, gpf_id=None) for hub_id, hub in apart.items()}
    assert _each_of(few) == {hub_id: hub for hub_id, hub in _each_of(alike).items() if hub_id in hub_ids[: HUBS // 2]}


def _each_of(alike: inventory.HubsAlike) -> dict[str, Hub]:
    """Each hub as it is said to be; raises AssertionError if one is in two places, or two are not the same."""
    found = {hub_id: hub.of(hub_id) for hub, some in alike for hub_id in some}
    assert len(found) == sum(len(some) for _, some in alike)
    assert all(hub.hub_id in some for hub, some in alike)
    return found
