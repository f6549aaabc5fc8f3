"""Reads from the database of an instance what the invariants are judged by."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, func, select

from sr_engine.bootstrap import Instance
from sr_engine.configuration.policy import Leases
from sr_engine.replay.homes import Home as KnownHome
from sr_engine.store import forms, tables
from tests.crash import evidence as of
from tests.crash.archived import Archived, broken_chains, read_archive, when
from tests.crash.country import FIRMWARE
from tests.crash.load import Load
from tests.crash.receivers import Receivers

_HUB = re.compile(rb"00-00-5E-EF-C0-[0-9A-F]{2}-[0-9A-F]{2}-[0-9A-F]{2}")
_REQUEST_ID = re.compile(rb":RequestID>([^<]+)<")


def collect(
    instance: Instance,
    load: Load,
    receivers: Receivers,
    homes: Sequence[KnownHome],
    at_rest: datetime,
    *,
    acted: Sequence[of.Acted] = (),
    moves: Sequence[of.Move] = (),
) -> of.Evidence:
    """Everything, at one moment of the database and its archive.

    What was queued after `at_rest` may still be on its way. `acted` is what was done by other faces than signed
    requests, `moves` the changes of Supplier in the order of their dates.
    """
    moves_at: dict[str, list[of.Move]] = defaultdict(list)
    for one in moves:
        moves_at[one.hub].append(one)
    with instance.reading_engine.connect() as connection:
        archived = read_archive(instance, connection)
        return of.Evidence(
            sent=[one.evidence() for one in load.asked],
            of_csps=receivers.of_csps_answered(),
            stored=_stored(connection, archived),
            records=_records(connection, archived),
            schedules=_schedules(connection),
            held=_held(connection),
            decisions={
                (row.hub_id, row.organisation): (row.approval, row.request_id.upper())
                for row in connection.execute(select(tables.decisions))
            },
            exclusions=frozenset(
                (row.hub_id, row.organisation) for row in connection.execute(select(tables.exclusions))
            ),
            outbox=_outbox(connection, archived, at_rest),
            alerted=[
                of.Alerted(row["hub_id"], row["event"], row["organisation"], row["occurrence"], row["message_id"])
                for table in (tables.alerted_hubs, tables.outbox)
                for row in _all_of(connection, archived, table)
                if row["occurrence"] is not None
            ],
            alerted_devices=[
                of.AlertedDevice(row["device_id"], row["event"], row["firmware_request_id"], row["message_id"])
                for row in _all_of(connection, archived, tables.firmware_alerted)
            ],
            acted=acted,
            tidings_left=sum(
                connection.scalar(select(func.count()).select_from(one)) or 0
                for one in (tables.tidings, tables.firmware_tidings)
            ),
            lists=_lists(connection, archived),
            attempts=[
                of.Attempt(row.hub_id, row.number, row.state, row.is_open)
                for row in connection.execute(select(tables.attempts))
            ],
            arrivals=tuple(receivers.arrivals),
            leases=_leases(connection, instance),
            broken_chains=broken_chains(instance, connection),
            damaged=archived.wrong,
            at_rest=at_rest,
            homes={
                home.chf: of.Home(
                    home.region,
                    frozenset({home.electricity or "", home.gas or ""}),
                    tuple(moves_at.get(home.chf, ())),
                )
                for home in homes
            },
            upgraded=_upgraded(connection),
            alerts_of=_alerts_of(instance),
            addresses={user.organisation_id: f"user:{user.eui}" for user in instance.users.users()},
        )


def _all_of(connection: Connection, archived: Archived, table: Table) -> Iterator[Mapping[str, Any]]:
    """The rows of a table, those that were pruned among them."""
    yield from archived.rows.get(table.name, ())
    for row in connection.execute(select(table)):
        yield dict(row._mapping)


def _stored(connection: Connection, archived: Archived) -> list[of.Stored]:
    """What is pruned of an exchange is what it said; that there was one is kept for ever."""
    answers = {row["exchange_id"]: row["answer"] for row in archived.rows.get("exchanges", ())}
    return [
        of.Stored(
            row.interface,
            row.message_key,
            row.code,
            answers.get(row.exchange_id, row.answer),
            pruned=row.exchange_id in answers,
        )
        for row in connection.execute(select(tables.exchanges).order_by(tables.exchanges.c.exchange_id))
    ]


def _records(connection: Connection, archived: Archived) -> list[of.Record]:
    kept = connection.execute(select(tables.audit).order_by(tables.audit.c.audit_id))
    return [_record(row, when(row["at"])) for row in archived.records] + [
        _record(dict(row._mapping), row.at) for row in kept
    ]


def _record(row: Mapping[str, Any], at: datetime) -> of.Record:
    return of.Record(
        row["actor"],
        row["action"],
        row["message_key"],
        tuple(row["hubs"].split(",")) if row["hubs"] else (),
        row["from_state"],
        row["to_state"],
        row["attempt_number"],
        row["detail"],
        at,
    )


def _schedules(connection: Connection) -> list[of.Schedule]:
    rows = connection.execute(
        select(tables.schedules, func.count(tables.schedule_hubs.c.hub_id).label("hubs"))
        .outerjoin(tables.schedule_hubs, tables.schedule_hubs.c.schedule_id == tables.schedules.c.schedule_id)
        .group_by(*tables.schedules.c)
    )
    return [of.Schedule(row.schedule_id, row.request_id.upper(), row.organisation, row.hubs) for row in rows]


def _held(connection: Connection) -> list[of.HeldRequest]:
    rows = connection.execute(
        select(tables.held_requests, tables.exchanges.c.message_key).join(
            tables.exchanges, tables.exchanges.c.exchange_id == tables.held_requests.c.exchange_id
        )
    )
    return [
        of.HeldRequest(
            row.message_key,
            row.code,
            row.response is not None,
            row.sender_eui,
            was_quarantined=row.event_ref is not None,
            word="released" if row.released_at else "deleted" if row.deleted_at else "",
        )
        for row in rows
    ]


def _outbox(connection: Connection, archived: Archived, at_rest: datetime) -> list[of.Message]:
    """In the order in which they were queued; of a list that was pruned its row is still there."""
    digested = select(tables.outbox.c.outbox_id, *forms.DIGESTED).select_from(forms.WITH_FORMS)
    digests = {outbox_id: forms.sha256(*columns) for outbox_id, *columns in connection.execute(digested)}
    kept = [{**row._mapping, "sha256": digests[row.outbox_id]} for row in connection.execute(select(tables.outbox))]
    there = {row["outbox_id"] for row in kept}
    gone = [row for row in archived.rows.get("outbox", ()) if row["outbox_id"] not in there]
    found = []
    for row in sorted([*gone, *kept], key=lambda row: int(row["outbox_id"])):
        request = _REQUEST_ID.search(row["body"]) if row["kind"] == "response" else None
        found.append(
            of.Message(
                row["outbox_id"],
                row["message_id"],
                row["kind"],
                row["destination"],
                row["hub_id"],
                row["sha256"],
                row["state"],
                None if request is None else request[1].decode().upper(),
                may_be_under_way=row["outbox_id"] in there and row["created_at"] >= at_rest,
                event=row["event"],
            )
        )
    return found


def _lists(connection: Connection, archived: Archived) -> list[of.UpgradeList]:
    bodies = {row["message_id"]: row["body"] for row in archived.rows.get("outbox", ())}
    rows = connection.execute(
        select(tables.upgrade_lists, tables.outbox.c.body).join(
            tables.outbox, tables.outbox.c.message_id == tables.upgrade_lists.c.message_id
        )
    )
    return [
        of.UpgradeList(
            row.list_id,
            row.message_id,
            tuple(one.decode() for one in _HUB.findall((row.body or bodies[row.message_id]).upper())),
            row.period_start,
            row.period_end,
            row.cut_at,
        )
        for row in rows
    ]


def _leases(connection: Connection, instance: Instance) -> list[of.Lease]:
    policy: Leases = instance.configuration.policy.leases
    clock = instance.settings.clock
    length = policy.length * (1.0 if clock is None else clock.rate)
    now = instance.clock.now()
    return [
        of.Lease(row.name, row.holder, row.holder is not None and row.expires_at > now + length)
        for row in connection.execute(select(tables.leases))
    ]


def _upgraded(connection: Connection) -> frozenset[str]:
    runs = tables.devices.c.firmware_version == FIRMWARE.version
    rows = connection.execute(
        select(tables.devices.c.hub_id, tables.devices.c.device_type).where(
            runs, tables.devices.c.device_type.in_(("CHF", "GPF"))
        )
    )
    parts = Counter(row.hub_id for row in rows)
    return frozenset(hub for hub, number in parts.items() if number == 2)


def _alerts_of(instance: Instance) -> dict[str, str]:
    """What every responsible Supplier is told, whoever brought it about."""
    events = instance.configuration.lifecycle.event.values()
    not_always = {one.alert for one in events if one.unless_alone}
    return {
        f"attempt {one.event.value}": one.alert.value
        for one in events
        if one.alert is not None and one.alert not in not_always
    }
