"""Who does what, where several processes serve one instance: `lease list`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from sr_engine.cli.opening import instance_option, settings_of
from sr_engine.cli.output import moment, show_table
from sr_engine.configuration import clock_of
from sr_engine.store.database import open_engine, refuse, schema_state
from sr_engine.store.leases import LeaseState, all_leases
from sr_engine.store.schema import Standing, known_revisions


@click.group()
def lease() -> None:
    """Leases: which process does which piece of the work."""


@lease.command("list", short_help="List who holds which lease until when.")
@instance_option
def list_(directory: Path) -> None:
    """List the leases: the triggers of each region, delivery to each address, the requests that wait.

    A process is named by an id that it draws when it starts, and logs: it begins with an r and the newest revision of
    the schema that the process knows, unless it is of the first release. A lease that has run out goes to the first
    process that looks for work. It may be asked for before `sr-engine db upgrade`, too: whether all is stopped. A
    process that only is a gateway holds none.
    """
    settings = settings_of(directory)
    engine = open_engine(settings.database_url, read_only=True)
    try:
        state = schema_state(engine)
        # The table is as it was in the first revision.
        if state.standing not in {Standing.CURRENT, Standing.MIXED, Standing.NEWER, Standing.PENDING}:
            refuse(state, known_revisions())
        with engine.connect() as connection:
            found, now = all_leases(connection), clock_of(settings).now()
    finally:
        engine.dispose()
    show_table(
        f"Leases at {moment(now)}",
        ("Work", "Process", "Token", "Since", "Renewed", "Until"),
        ((one.name, one.holder or "none", one.token, *_times(one, now)) for one in found),
    )


def _times(one: LeaseState, now: datetime) -> tuple[datetime, datetime, str]:
    until = "given back" if one.holder is None else moment(one.expires_at)
    return one.acquired_at, one.renewed_at, f"{until}, run out" if one.holder and now >= one.expires_at else until
