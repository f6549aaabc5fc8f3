"""Opening an instance from its folder: all of it, or only what reading and importing need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from sqlalchemy import Connection, Engine

from sr_engine import configuration
from sr_engine.cli.failures import Failure
from sr_engine.clock import Clock
from sr_engine.configuration import SETTINGS_FILE, Configuration, Settings, clock_of
from sr_engine.store import kept_changes
from sr_engine.store.database import check_tables, open_engine
from sr_engine.store.transactions import Transactions
from sr_engine.store.units_of_work import UnitOfWork

if TYPE_CHECKING:
    from sr_engine.bootstrap import Instance

_F = TypeVar("_F", bound=Callable[..., Any])


def instance_option(command: _F) -> _F:
    """Adds --dir to a command, as the parameter `directory`."""
    return click.option(
        "--dir",
        "directory",
        type=click.Path(path_type=Path),
        envvar="SR_ENGINE_DIR",
        default=Path(),
        metavar="DIR",
        help="Folder of the instance; otherwise SR_ENGINE_DIR, otherwise the current folder.",
    )(command)


@dataclass(frozen=True, slots=True)
class Opened:
    """What commands need that send nothing: no key is read for them."""

    settings: Settings
    configuration: Configuration
    clock: Clock
    engine: Engine

    @property
    def transactions(self) -> Transactions:
        """Where units of work run; only for an instance opened for writing."""
        return Transactions(self.engine, self.clock, keeping=_NotHere())


class _NotHere:
    """What is kept of long lists is carried out by whoever has the key to tell Suppliers of it."""

    def are_left(self, connection: Connection) -> bool:
        return kept_changes.are_left(connection)

    def are_many(self, connection: Connection) -> bool:
        return kept_changes.are_left(connection)

    def carry_out_of(self, unit_of_work: UnitOfWork, device_ids: Collection[str], at_most: int) -> bool:  # noqa: ARG002 - any
        return self.carry_out_next(unit_of_work)

    def carry_out_next(self, _unit_of_work: UnitOfWork) -> bool:
        raise Failure(
            "a long list that was answered is still being carried out: try again soon, while a processor is served"
        )


def settings_of(directory: Path) -> Settings:
    """The settings of an instance; raises Failure, saying what to do, if the folder is none."""
    path = directory / SETTINGS_FILE
    if not path.is_file():
        raise Failure(
            f"{directory.resolve()} is not an instance, it has no {SETTINGS_FILE}: name its folder with --dir or "
            "SR_ENGINE_DIR, or make one with `sr-engine init`"
        )
    return configuration.load_settings(path)


@contextmanager
def opened(directory: Path, *, writing: bool = False) -> Iterator[Opened]:
    """An instance's settings, configuration, clock and database."""
    settings = settings_of(directory)
    loaded = configuration.load(settings.config_directory)
    engine = open_engine(settings.database_url, read_only=not writing)
    try:
        check_tables(engine)
        yield Opened(settings, loaded, clock_of(settings), engine)
    finally:
        engine.dispose()


@contextmanager
def fully_opened(directory: Path) -> Iterator[Instance]:
    """An instance with its keys, certificates and schemas."""
    # All parts of an instance take a second to import; what only reads or imports needs a few of them.
    from sr_engine.bootstrap import open_instance  # noqa: PLC0415 - see above

    settings_of(directory)
    instance = open_instance(directory)
    try:
        yield instance
    finally:
        instance.engine.dispose()
        instance.reading_engine.dispose()
