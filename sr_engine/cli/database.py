"""The schema of the database: how it stands, and bringing it forward."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from sqlalchemy import Engine

from sr_engine.cli.failures import SCHEMA_PENDING, SCHEMA_UNKNOWN, Failure
from sr_engine.cli.opening import instance_option, settings_of
from sr_engine.configuration import clock_of
from sr_engine.store.database import open_engine, refuse, schema_state
from sr_engine.store.schema import SchemaState, Standing, known_revisions

_WAIT_MS = 3_600_000
"""How long bringing it forward waits for somebody else who does, or writes."""


@click.group(short_help="The schema of the database: check it, bring it forward.")
def db() -> None:
    """The schema of the database, which every version of sr-engine may add revisions to."""


@db.command("check", short_help="Say whether this version can work on the database.")
@instance_option
def check(directory: Path) -> None:
    """Say how the schema of the database stands to this version of sr-engine.

    Ends with 0 if it is current, or mixed, so that processes of a version before can work on it too, or newer and this
    version can still work on it; with 4 if revisions are pending, which `sr-engine db upgrade` applies; with 5 if it is
    newer and this version cannot work on it.
    """
    with _engine(directory) as engine:
        state = schema_state(engine)
    known = known_revisions()
    match state.standing:
        case Standing.CURRENT:
            click.echo(f"current: revision {state.revision}")
        case Standing.MIXED:
            click.echo(f"mixed: {_waits(state)}")
        case Standing.NEWER:
            click.echo(
                f"newer: revision {state.revision}; this version knows {known[-1]} and can still work on it: it is "
                "time to replace it"
            )
        case Standing.PENDING:
            waiting = ", ".join(state.pending)
            raise Failure(
                f"pending: revision {state.revision}, to be brought forward by {waiting}: `sr-engine db upgrade`",
                SCHEMA_PENDING,
            )
        case Standing.UNKNOWN:
            raise Failure(
                f"unknown-newer: revision {state.revision}, and this version knows {known[-1]}: use the version that "
                "brought it forward, or a newer one",
                SCHEMA_UNKNOWN,
            )
        case _:
            refuse(state, known)


@db.command("upgrade", short_help="Bring the database forward to this version.")
@instance_option
@click.option("--all-replaced", is_flag=True, help="All processes are of this version: apply what waits for that.")
@click.option("--all-stopped", is_flag=True, help="No process serves the database: apply everything.")
def upgrade(directory: Path, all_replaced: bool, all_stopped: bool) -> None:
    """Apply the revisions that the database lacks, each in a transaction of its own.

    Processes of the version before go on serving meanwhile and afterwards; restart them with this version, one after
    another. Revisions that they could not work beside are left out until you say, by --all-replaced, that none of them
    is left. Of two upgrades at once one waits. Take a backup before: after --all-replaced there is no other way back.

    Where even the processes of the version before could not go on it is refused, and done with --all-stopped. Neither
    is believed while a process that should be gone holds a lease (`sr-engine lease list`), as one that was killed does
    for 20 seconds as shipped. Gateways hold none: of those nobody but you knows.
    """
    if all_replaced and all_stopped:
        raise click.UsageError("--all-replaced and --all-stopped exclude each other: either they serve or they do not")

    # Only whoever makes or changes a schema needs Alembic, which takes a while to load.
    from sr_engine.store import migrating  # noqa: PLC0415 - see above

    titles = {one.revision: one.doc for one in migrating.scripts_in()}
    with _engine(directory) as engine:
        before = schema_state(engine)
        if before.standing is Standing.EMPTY:
            refuse(before, known_revisions())
        state = migrating.upgrade(
            engine,
            stopped=all_stopped,
            replaced=all_replaced,
            now=clock_of(settings_of(directory)).now(),
            after_each=lambda one: click.echo(f"applied {one}: {titles[one]}"),
        )
        after = schema_state(engine)
    if after.standing is Standing.MIXED:
        click.echo(_waits(after))
    elif after.revision == state.revision:
        click.echo(f"nothing to do: the schema is of revision {state.revision}")
    else:
        click.echo(f"current: revision {after.revision}")


def _waits(state: SchemaState) -> str:
    """What is still to be done about a database on which processes of a version before may work."""
    return (
        f"revision {state.revision}; {', '.join(state.pending)} waits until no process of a version before is left: "
        "restart all with this version, one after another, then `sr-engine db upgrade --all-replaced`"
    )


@contextmanager
def _engine(directory: Path) -> Iterator[Engine]:
    engine = open_engine(settings_of(directory).database_url, wait_ms=_WAIT_MS)
    try:
        yield engine
    finally:
        engine.dispose()
