"""Databases beside one that is there, on its PostgreSQL server: made, copied and thrown away by simulations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from sr_engine.store.database import CONNECT_TIMEOUT_SECONDS, IN_UTF8, DatabaseError, address_of
from sr_engine.store.dialects import POSTGRESQL

_NAMES = text("SELECT datname FROM pg_database")


def beside(url: str, name: str) -> str:
    """The URL of the database that is called like that of `url`, an underscore, and `name` in lower case.

    Raises DatabaseError for a URL that does not name a PostgreSQL database.
    """
    address = _address(url)
    found = address.set(database=f"{address.database}_{name.lower()}")
    return found.render_as_string(hide_password=False)


def check_absent(server: str, urls: Sequence[str]) -> None:
    """Raises DatabaseError if one of some databases is there already: whoever makes it may throw it away later."""
    wanted = {_address(url).database or "" for url in urls}

    def run(connection: Connection) -> None:
        there = sorted(wanted & set(connection.scalars(_NAMES)))
        if there:
            raise DatabaseError(f"{', '.join(there)}: there is such a database already: drop it, or name another")

    _on_server(server, "the databases of the server cannot be read", run)


def create(server: str, url: str, *, like: str | None = None) -> None:
    """Create the database of `url` by way of that of `server`, empty or as a copy of `like`, which nobody has open.

    Raises DatabaseError if there is one already, or it may not be created.
    """
    new = _address(url).database or ""
    source = "template0" if like is None else _address(like).database or ""

    def run(connection: Connection) -> None:
        quote = connection.dialect.identifier_preparer.quote_identifier
        # Text is ordered by its bytes, as everywhere; copying files is quicker than logging every page.
        order = "LOCALE 'C' ENCODING 'UTF8' " if like is None else "STRATEGY FILE_COPY "
        connection.exec_driver_sql(f"CREATE DATABASE {quote(new)} TEMPLATE {quote(source)} {order}")

    _on_server(server, f"the database {new} cannot be created", run)


def drop(server: str, url: str) -> None:
    """Throw a database away, if it is there."""
    name = _address(url).database or ""

    def run(connection: Connection) -> None:
        quote = connection.dialect.identifier_preparer.quote_identifier
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {quote(name)} WITH (FORCE)")

    _on_server(server, f"the database {name} cannot be dropped", run)


def _on_server(server: str, failed: str, run: Callable[[Connection], None]) -> None:
    """Outside any transaction, as PostgreSQL demands of such statements."""
    engine = create_engine(
        _address(server).set(drivername="postgresql+psycopg"),
        isolation_level="AUTOCOMMIT",
        hide_parameters=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_SECONDS, "application_name": "sr-engine", **IN_UTF8},
    )
    try:
        with engine.connect() as connection:
            run(connection)
    except DBAPIError as error:
        raise DatabaseError(f"{failed}: {' '.join(str(error.orig).split())}") from None
    finally:
        engine.dispose()


def _address(url: str) -> URL:
    address = address_of(url)
    if address.get_backend_name() != POSTGRESQL or not address.database:
        raise DatabaseError("database: name a PostgreSQL database, postgresql://USER@HOST/NAME")
    return address
