"""Looking into an instance: status, why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import click

from sr_engine.bootstrap import official_schema_of, quiet_days_of
from sr_engine.cli.failures import Failure
from sr_engine.cli.opening import instance_option, opened
from sr_engine.cli.output import moment, show_table
from sr_engine.domain.sla import Month
from sr_engine.importers.csv_table import eui
from sr_engine.operations.status import Status
from sr_engine.operations.status import status as count_all
from sr_engine.operations.why import Happening, explain, history
from sr_engine.store import inventory
from sr_engine.store.audit import pruned_up_to
from sr_engine.store.circuits import OpenCircuit
from sr_engine.store.kept_changes import Oldest


@click.command(short_help="Where everything stands, in counts.")
@instance_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
def status(directory: Path, as_json: bool) -> None:
    """Where everything stands: releases, regions, answers, upgrade lists and messages, in counts."""
    with opened(directory) as instance, instance.engine.connect() as connection:
        found = count_all(connection, instance.clock.now())
        longest = max(instance.configuration.policy.delivery.circuit)
        environment = instance.settings.environment
        official = official_schema_of(instance.settings)
    if as_json:
        schema = None if official is None else {"version": official.version, "path": str(official.path)}
        click.echo(
            json.dumps({"environment": environment, "official_schema": schema, **_as_json(found, longest)}, indent=2)
        )
        return
    click.echo(f"{environment}, {moment(found.at)}")
    if official is not None:
        click.echo(f"official DUIS schema {official.version}, from {official.path}")
    _show(found, longest)


@click.command(short_help="Why a hub has not been upgraded yet.")
@click.argument("device_id", metavar="DEVICE_ID")
@instance_option
@click.option("--history", "past", is_flag=True, help="List what is on record about the hub instead, oldest first.")
def why(device_id: str, directory: Path, past: bool) -> None:
    """Why a hub has not been upgraded yet, in one sentence; DEVICE_ID is its CHF or its GPF.

    With --history, the records of the audit trail that name the hub. All of the trail is read for that.
    """
    try:
        canonical = eui(device_id)
    except ValueError:
        raise click.BadParameter(
            f"{device_id!r} is not an EUI-64, such as 00-DB-12-34-56-78-90-A2", param_hint="DEVICE_ID"
        ) from None
    with opened(directory) as instance, instance.engine.connect() as connection:
        happened = history(connection, canonical) if past else []
        # What has left the inventory may be on record still.
        if not happened and inventory.device_type(connection, canonical) is None:
            raise Failure(f"no such device: {canonical} is not in the inventory")
        if past:
            _show_history(canonical, happened, pruned_up_to(connection))
            return
        loaded = instance.configuration
        quiet_days = quiet_days_of(loaded.policy)
        click.echo(explain(connection, canonical, instance.clock.now(), loaded.regions, quiet_days))


def _show_history(device_id: str, found: Sequence[Happening], begins_at: datetime | None) -> None:
    if begins_at is not None:
        click.echo(f"the trail begins at {moment(begins_at)}; what was before has been pruned")
    show_table(
        f"History of {device_id}",
        ("Time", "Who", "What", "Firmware", "Attempt", "From", "To", "Detail"),
        (
            (
                one.entry.at,
                one.entry.actor,
                one.entry.action,
                one.firmware,
                one.entry.attempt_number,
                one.entry.from_state,
                one.entry.to_state,
                one.entry.detail,
            )
            for one in found
        ),
    )


def _show(found: Status, longest: timedelta) -> None:
    for release in found.releases:
        firmware = release.firmware
        show_table(
            f"Firmware {firmware.version} for {firmware.manufacturer} {firmware.model}: "
            f"{release.status}, CPL {release.cpl_status}",
            ("Region", "General phase", "Halted", "Hubs", "On this version", "Attempts"),
            (
                (
                    region.region,
                    "open" if region.general_open else "closed",
                    "halted" if region.halted else "no",
                    region.hubs,
                    region.on_version,
                    ", ".join(f"{state} {count:,}" for state, count in region.states.items()) or "none",
                )
                for region in release.regions
            ),
        )
        answers = ", ".join(f"{approval} {count:,}" for approval, count in release.answers.items())
        click.echo(f"  Answers: {answers or 'none'}")
    show_table(
        "Upgrade lists",
        ("Region", "Cut", "Hubs", "Acknowledged"),
        ((one.region, one.cut, one.hubs, one.acknowledged) for one in found.lists),
    )
    show_table(
        "Newest firmware requests of meters and PPMIDs",
        ("RequestID", "Supplier", "Version", "Accepted", "Devices"),
        (
            (
                one.request_id,
                one.organisation,
                one.version,
                one.accepted_at,
                ", ".join(f"{state} {count:,}" for state, count in one.states.items()),
            )
            for one in found.firmware_requests
        ),
    )
    show_table(
        f"SLA breaches found in {Month.of(found.at)}",
        ("Region", "Measure", "Number", "Last found"),
        ((one.region, one.measure.value, one.number, one.last_found_at) for one in found.breaches),
    )
    show_table(
        "Messages",
        ("Kind", "Event", "State", "Number"),
        ((*key, count) for key, count in found.messages.items()),
    )
    if (left := found.unfinished) is not None:
        show_table(
            "Long lists that are answered and still to be carried out",
            ("Portions", "Oldest request", "Answered"),
            ((left.portions, *_oldest(left.oldest)),),
        )
    if found.circuits:
        show_table(
            "Receivers that fail: their circuits are open",
            ("To", "Since", "State", "Next probe", "Probes", "Last error"),
            (
                (
                    one.destination,
                    one.opened_at,
                    _state(one, found.at, longest),
                    one.retry_at,
                    one.probes,
                    one.last_error,
                )
                for one in found.circuits
            ),
        )


def _oldest(one: Oldest | None) -> tuple[object, ...]:
    return ("cannot be read", None) if one is None else (one.message_key, one.at)


def _state(one: OpenCircuit, now: datetime, longest: timedelta) -> str:
    return "half-open" if one.is_half_open(now, longest) else "open"


def _as_json(found: Status, longest: timedelta) -> dict[str, object]:
    return {
        "at": moment(found.at).replace(" ", "T"),
        "releases": [
            {
                "manufacturer": release.firmware.manufacturer,
                "model": release.firmware.model,
                "version": release.firmware.version,
                "status": release.status,
                "cpl_status": release.cpl_status,
                "answers": dict(release.answers),
                "regions": {
                    region.region: {
                        "general_open": region.general_open,
                        "halted": region.halted,
                        "hubs": region.hubs,
                        "on_version": region.on_version,
                        "attempts": {str(state): count for state, count in region.states.items()},
                    }
                    for region in release.regions
                },
            }
            for release in found.releases
        ],
        "lists": {
            one.region: {"cut": one.cut, "hubs": one.hubs, "acknowledged": one.acknowledged} for one in found.lists
        },
        "firmware_requests": [
            {
                "request_id": one.request_id,
                "organisation": one.organisation,
                "version": one.version,
                "accepted_at": moment(one.accepted_at).replace(" ", "T"),
                "devices": dict(one.states),
            }
            for one in found.firmware_requests
        ],
        "sla_breaches": [
            {
                "region": one.region,
                "measure": one.measure.value,
                "number": one.number,
                "last_found_at": moment(one.last_found_at).replace(" ", "T"),
            }
            for one in found.breaches
        ],
        "messages": [
            {"kind": kind, "event": event, "state": state, "number": count}
            for (kind, event, state), count in found.messages.items()
        ],
        "unfinished": None
        if (left := found.unfinished) is None
        else {
            "portions": left.portions,
            "oldest": None
            if left.oldest is None
            else {
                "message_key": left.oldest.message_key,
                "answered_at": moment(left.oldest.at).replace(" ", "T"),
            },
        },
        "circuits": [
            {
                "destination": one.destination,
                "state": _state(one, found.at, longest),
                "opened_at": moment(one.opened_at).replace(" ", "T"),
                "retry_at": moment(one.retry_at).replace(" ", "T"),
                "probes": one.probes,
                "last_error": one.last_error,
            }
            for one in found.circuits
        ],
    }
