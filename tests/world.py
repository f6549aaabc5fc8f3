"""A complete small world for tests: a real instance in a folder, its hubs, and the parties that talk to it."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
import time
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Executable, Select, Table, select

from signing import Signer, SoftwareKey
from sr_engine.bootstrap import Instance, open_instance, processor_of, resuming_of
from sr_engine.clock import FixedClock
from sr_engine.instance import SAMPLE_SUPPLIERS, SupplierSeed, create_instance, folder_name
from sr_engine.messages.compose import build_request
from sr_engine.messages.decode import DecodedResponse, decode_response
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import Body, Firmware, Period
from sr_engine.operations.releases import open_release
from sr_engine.pipeline.answer import Answer
from sr_engine.pipeline.process import Admitted, Processor, Turned
from sr_engine.replay import homes
from sr_engine.replay.homes import OLD_VERSION, Home, move_in
from sr_engine.store import candidates, firmware_tidings, inventory, kept_changes, tidings
from sr_engine.store.dialects import POSTGRESQL
from sr_engine.store.reading import Reading
from sr_engine.store.tables import counters, devices, metadata, outbox
from sr_engine.store.units_of_work import UnitOfWork
from tests.databases import KIND, give_a_database_of_its_own
from tests.loaded import load_configuration, load_schema
from tests.outbox import messages

S = TypeVar("S")
T = TypeVar("T")
P = ParamSpec("P")

SECONDS = 90
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
eui = homes.eui
BROKER = "90-B3-D5-1F-30-00-00-02"
A, B = SAMPLE_SUPPLIERS
FIRMWARE = Firmware("2B7E", "C1A20001", "9002")
WINDOW = Period(NOW + timedelta(days=5), NOW + timedelta(days=20))


@dataclass(frozen=True, slots=True)
class TestHub(Home):
    """A home of Supplier A, unless told otherwise."""

    __test__ = False

    electricity: str | None = A.name
    gas: str | None = A.name


@dataclass
class World:
    """An instance on a clock that stands still, and keys for everyone who talks to it."""

    directory: Path
    instance: Instance
    clock: FixedClock
    processor: Processor
    counters: dict[str, int] = field(default_factory=dict)

    def close(self) -> None:
        self.instance.engine.dispose()
        self.instance.reading_engine.dispose()

    def key(self, name: str) -> SoftwareKey:
        """The key of a participant by its folder in the PKI."""
        folder = self.directory / "pki" / name
        return SoftwareKey.load(folder / "key.pem", folder / "certificate.pem")

    def csp_key(self, region: str) -> SoftwareKey:
        return self.key(folder_name(self.instance.configuration.regions[region].csp_name))

    def run(self, work: Callable[[UnitOfWork], T]) -> T:
        """One committed transaction."""
        return self.instance.transactions.run_now(work)

    def execute(self, statement: Executable) -> None:
        """One statement in a transaction of its own."""
        self.run(lambda uow: uow.connection.execute(statement))

    def add_hubs(self, hubs: Iterable[TestHub]) -> None:
        known = list(hubs)
        self.run(lambda uow: move_in(uow, known))

    def open_release(
        self, firmware: Firmware = FIRMWARE, *, han_models: Sequence[tuple[str, str]] = (), general_open: bool = True
    ) -> str:
        release, _ = self.run(
            lambda uow: open_release(
                uow,
                configuration=self.instance.configuration,
                alerts=self.instance.alerts,
                draw_id=self.instance.draw_id,
                firmware=firmware,
                image_hash="AB" * 32,
                regions=("North", "Central", "South"),
                reachable_from=(OLD_VERSION,),
                han_models=han_models,
                general_open=general_open,
            )
        )
        return release.release_id

    def request_id(self, supplier: SupplierSeed, target: str = BROKER) -> str:
        counter = self.counters[supplier.eui] = self.counters.get(supplier.eui, 1000) + 1
        return f"{supplier.eui}:{target}:{counter}"

    def signed(
        self,
        supplier: SupplierSeed,
        body: Body,
        variant: str,
        *,
        request_id: str | None = None,
        command_variant: int = 8,
        schema_version: str = "5.4",
        preceding: str | None = None,
        first: bool = False,
    ) -> bytes:
        """A request as its Supplier would send it."""
        root = build_request(
            first_in_sequence=first,
            preceding_request_id=None if preceding is None else RequestId.parse(preceding),
            schema_version=schema_version,
            request_id=request_id or self.request_id(supplier),
            command_variant=command_variant,
            service_reference=variant,
            service_reference_variant=variant,
            body=body,
        )
        return Signer(self.key(supplier.name)).sign(root)

    def post(self, data: bytes, service: str = "serviceD") -> Answer:
        """What the processor answers, by the same steps as the gateway takes."""
        admitted = self.processor.admit(service, data, self.clock.now())
        match admitted:
            case Answer():
                return admitted
            case Turned():
                return self.run(lambda uow: self.processor.record_turned(uow, admitted))
            case Admitted():
                return self.run(lambda uow: self.processor.execute(uow, admitted))

    def send(self, supplier: SupplierSeed, body: Body, variant: str) -> DecodedResponse:
        """Sign, post, verify the answer's signature, decode."""
        return self.decoded(self.post(self.signed(supplier, body, variant)))

    def decoded(self, answer: Answer) -> DecodedResponse:
        from signing import parse

        return decode_response(self.instance.verifier.verify(parse(answer.body), roles={"89"}, at=self.clock.now()))

    def resume(self, at: datetime | None = None) -> int:
        """Carry out the held requests that are due, as a served instance does by itself; how many there were."""
        if at is not None:
            self.clock.set(at)
        resuming, done = resuming_of(self.instance), 0
        reading = Reading(self.instance.reading_engine)
        while due := resuming.due(reading, self.clock.now()):
            for held_id in due:
                done += self.run(bound(resuming.resume, held_id))
        return done

    def sent(self, supplier: SupplierSeed, kind: str) -> list[DecodedResponse]:
        """What was queued for a Supplier: messages of one kind, verified and decoded, oldest first."""
        of_kind = (outbox.c.destination == f"user:{supplier.eui}", outbox.c.kind == kind)
        with self.instance.reading_engine.connect() as connection:
            found = messages(connection, *of_kind)
        return [self.decoded(Answer(200, one.body, "")) for one in found]

    def settle(self) -> None:
        """Wait until everybody has been told everything: a served instance does so after it has answered."""
        for _ in range(SECONDS * 100):
            with self.instance.reading_engine.connect() as connection:
                if not any(one.are_left(connection) for one in (kept_changes, tidings, firmware_tidings)):
                    return
            time.sleep(0.01)
        raise TimeoutError(f"somebody is still to be told something after {SECONDS} seconds")

    def snapshot(self) -> dict[str, list[tuple[object, ...]]]:
        """Every row of every table but the audit trail, leases, counts of what was sent, and when it was pruned.

        Two of them show that nothing has changed.

        How often meters and registrations were written, be it with the same, is left out too, and how far the delivery
        of messages has come, for it goes on by itself.
        """
        self.settle()
        with self.instance.reading_engine.connect() as connection:
            return {
                table.name: sorted((tuple(row) for row in connection.execute(_lasting(table))), key=repr)
                for table in metadata.sorted_tables
                if not table.name.startswith(
                    ("audit", "anomaly_counts", "delivery_circuits", "leases", "retention_marks")
                )
            }


def _lasting(table: Table) -> Select[Any]:
    passing = {"state", "tries", "next_try_at", "delivered_at", "last_error"} if table.name == "outbox" else set()
    lasting = select(*(column for column in table.columns if column.name not in passing))
    written = counters.c.name.in_((candidates.RESPONSIBILITIES, candidates.FOLLOWED))
    return lasting.where(~written) if table is counters else lasting


def make_world(
    directory: Path,
    now: datetime = NOW,
    *,
    suppliers: Sequence[SupplierSeed] = SAMPLE_SUPPLIERS,
    prepare: Callable[[Path], None] = lambda directory: None,
    randbelow: Callable[[int], int] = secrets.randbelow,
    database_url: str | None = None,
    durable: bool = False,
) -> World:
    """A new instance in an empty folder; `prepare` may change its files before it is opened.

    With SQLite, processes that are killed lose nothing: only the power of the computer could, unless it is `durable`.
    Whether PostgreSQL waits for the disk is for its server to say.
    """
    if database_url is None:
        _prepared(now, tuple(suppliers)).write(directory)
        give_a_database_of_its_own(directory)
    else:
        create_instance(directory, now=now, suppliers=suppliers, database_url=database_url)
    prepare(directory)
    clock = FixedClock(now)
    on_a_server = (database_url or KIND).startswith(POSTGRESQL)
    instance = _open(directory, clock, randbelow, durable=durable or on_a_server)
    return _kept(World(directory, instance, clock, processor_of(instance)))


def _open(directory: Path, clock: FixedClock, randbelow: Callable[[int], int], *, durable: bool) -> Instance:
    """What worlds can share they do: half of the time of opening one is loading schemas and configuration."""
    return open_instance(
        directory,
        clock=clock,
        randbelow=randbelow,
        durable=durable,
        load_configuration=load_configuration,
        load_schema=load_schema,
    )


def _kept(world: World) -> World:
    """The same; whoever forgets to close it leaves no connection behind."""
    for engine in (world.instance.engine, world.instance.reading_engine):
        weakref.finalize(world, engine.dispose)
    return world


@dataclass(frozen=True, slots=True)
class _Files:
    """All there is in a folder: the folders in it, each before what is in it, and the files with their permissions."""

    folders: Sequence[str]
    files: Sequence[tuple[str, int, bytes]]

    @classmethod
    def of(cls, folder: Path) -> _Files:
        paths = sorted(folder.rglob("*"))
        return cls(
            [str(path.relative_to(folder)) for path in paths if path.is_dir()],
            [
                (str(path.relative_to(folder)), stat.S_IMODE(path.stat().st_mode), path.read_bytes())
                for path in paths
                if path.is_file()
            ],
        )

    def write(self, folder: Path) -> None:
        """Write them into a folder in which there is none of them."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in self.folders:
            (folder / name).mkdir()
        for name, mode, data in self.files:
            with open(folder / name, "xb", opener=partial(os.open, mode=mode)) as file:
                file.write(data)


@cache
def _prepared(now: datetime, suppliers: tuple[SupplierSeed, ...]) -> _Files:
    """An instance to be copied, which takes a tenth of the time that making one does."""
    with tempfile.TemporaryDirectory(prefix="sr-engine-world-") as folder:
        create_instance(Path(folder) / "instance", now=now, suppliers=suppliers)
        return _Files.of(Path(folder) / "instance")


def bound(work: Callable[Concatenate[S, P], T], *rest: P.args, **named: P.kwargs) -> Callable[[S], T]:
    """Work that is given all but its first argument now: in a loop, for a lambda would see what later rounds have."""
    return lambda first: work(first, *rest, **named)


def on_connection(
    work: Callable[Concatenate[Connection, P], T], *rest: P.args, **named: P.kwargs
) -> Callable[[UnitOfWork], T]:
    """The same for work that takes no more of a unit of work than its connection."""
    return lambda uow: work(uow.connection, *rest, **named)


def change_record(connection: Connection, hub_id: str, /, **values: object) -> None:
    """The inventory says something else of a hub from now on, as an import has it."""
    row = connection.execute(select(devices).where(devices.c.device_id == hub_id)).mappings().one()
    inventory.put_devices(connection, [{**row, **values}])


def reopen(world: World) -> World:
    """The same folder after a stop and a new start; the first world is closed."""
    world.close()
    durable = world.instance.engine.dialect.name == POSTGRESQL
    instance = _open(world.directory, world.clock, world.instance.randbelow, durable=durable)
    return _kept(World(world.directory, instance, world.clock, processor_of(instance), world.counters))


def edit(path: Path, old: str, new: str) -> None:
    """Change one place of a settings file; the text to change must be there once."""
    text = path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise ValueError(f"{path.name} holds {old!r} {text.count(old)} times")
    path.write_text(text.replace(old, new), encoding="utf-8")


def short_leases(directory: Path) -> None:
    """Let the work of a process that was killed rest for a second only."""
    policy = directory / "config" / "policy.toml"
    edit(policy, "\nlength_seconds = 20", "\nlength_seconds = 1")
    edit(policy, "heartbeat_seconds = 5", "heartbeat_seconds = 0.25")
