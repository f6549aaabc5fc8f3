"""The real product on a stage: one instance per process, put back to its first state for every example."""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Select, select

from signing import Signer, SoftwareKey, parse
from sr_engine.bootstrap import csp_desk_of, triggers
from sr_engine.gateway.csp import AdmittedCspMessage
from sr_engine.instance import SupplierSeed, folder_name
from sr_engine.messages.compose import build_request
from sr_engine.messages.csp import build_csp_message, decode_csp_message
from sr_engine.messages.decode import DecodedResponse
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    Body,
    CspMessage,
    UpgradeList,
    UpgradeListAcknowledgement,
    UpgradeListWithdrawal,
    UpgradeReport,
)
from sr_engine.store.dialects import SQLITE
from sr_engine.store.tables import attempts, audit, decisions, devices, outbox, schedule_hubs
from tests.databases import server
from tests.machine.facts import REGIONS
from tests.machine.hubs import LEAD, NOTICE
from tests.told import TOLD
from tests.world import BROKER, NOW, World, bound, edit, make_world, reopen

SUPPLIERS = tuple(
    SupplierSeed(f"supplier-{letter}", f"00-00-5E-EF-10-00-00-A{number}", f"http://127.0.0.1:809{number}/duis")
    for number, letter in enumerate("abcd", start=1)
)
CSP_EUI = {"North": "00-00-5E-EF-10-00-00-C1", "Central": "00-00-5E-EF-10-00-00-C2"}
CSP_NAME = {"North": "CSP North", "Central": "CSP Central and South"}
"""Those of the product's own settings: a new instance has keys for them."""
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _regions_file() -> str:
    others = ("South", "4G North", "4G Central", "4G South", "Unknown", "SMETS1")
    text = f"not_upgradable = [{', '.join(f'{name!r}' for name in others)}]\n"
    for region in REGIONS.values():
        text += (
            f"[region.{region.name}]\n"
            f'csp_name = "{CSP_NAME[region.name]}"\ncsp_eui = "{CSP_EUI[region.name]}"\n'
            f'endpoint = "http://127.0.0.1:8090/{region.name.lower()}"\ntime_zone = "Europe/London"\n'
            f"open_from = {region.opens.isoformat()}\nopen_until = {region.closes.isoformat()}\n"
            f"weekdays = [{', '.join(repr(DAY_NAMES[day]) for day in sorted(region.weekdays))}]\n"
            f"blackout_dates = [{', '.join(day.isoformat() for day in sorted(region.blackouts))}]\n"
            f"hubs_per_night = {region.hubs_per_night}\nlist_size = {region.list_size}\n"
            f"lead_time_hours = {region.lead.total_seconds() // 3600:.0f}\nacknowledgement_sla_hours = 24\n"
            f"completion_sla_hours = {region.completion.total_seconds() // 3600:.0f}\n"
            "distribution_sla_hours = 120\nalert_sla_seconds = 900\n"
        )
    return text


@dataclass
class Stage:
    """The product, its clock, and all that is said to it and read from it."""

    world: World
    put_back: Callable[[World], None]
    """Has its database hold what it held at first."""
    chance: Random
    """What is drawn by chance is drawn from here, so that the same history has the same outcome."""
    keys: dict[str, SoftwareKey] = field(default_factory=dict)
    counter: int = 0
    seen: int = 0
    """The row of the outbox up to which upgrade lists have been read."""

    def reset(self, now: datetime) -> None:
        """As it was when the instance was made."""
        self.put_back(self.world)
        self.world.clock.set(now)
        self.chance.seed(1)
        self.counter = 0
        self.seen = 0

    def restart(self) -> None:
        self.world = reopen(self.world)

    def key(self, name: str) -> SoftwareKey:
        return self.keys.setdefault(name, self.world.key(name))

    # --- what is said to it ---

    def send(self, supplier: SupplierSeed, variant: str, body: Body) -> DecodedResponse:
        """A signed Service Request, and its verified answer."""
        self.counter += 1
        root = build_request(
            schema_version="5.4",
            request_id=f"{supplier.eui}:{BROKER}:{self.counter}",
            command_variant=8,
            service_reference=variant,
            service_reference_variant=variant,
            body=body,
        )
        return self.world.decoded(self.world.post(Signer(self.key(supplier.name)).sign(root)))

    def csp_id(self, region: str) -> RequestId:
        self.counter += 1
        return RequestId.make(CSP_EUI[region], BROKER, self.counter)

    def csp(self, message: UpgradeListAcknowledgement | UpgradeReport, *, times: int = 1) -> int:
        """A signed message of a CSP, sent as often as said; returns the last HTTP status."""
        instance = self.world.instance
        desk = csp_desk_of(instance)
        data = Signer(self.key(folder_name(CSP_NAME[message.region]))).sign(build_csp_message(message))
        status = 0
        for _ in range(times):
            admitted = desk.admit(data, self.world.clock.now())
            assert isinstance(admitted, AdmittedCspMessage), admitted
            status = self.world.run(bound(desk.execute, admitted)).status
        return status

    def look(self) -> None:
        """Every trigger looks for what is due; upgrade lists reach their CSPs at once."""

        async def tick() -> None:
            for trigger in triggers(self.world.instance, lambda: None):
                await trigger.tick()
            await self.world.instance.transactions.close()

        asyncio.run(tick())
        self.hand_over_lists()

    def hand_over_lists(self) -> None:
        """Their CSPs have taken all upgrade lists that wait for them."""
        new = (outbox.c.kind == "upgrade_list") & (outbox.c.state == "Pending") & outbox.c.delivered_at.is_(None)
        delivered = outbox.update().where(new).values(state="Delivered", delivered_at=self.world.clock.now())
        self.world.run(lambda uow: uow.connection.execute(delivered))

    def deliver_all(self) -> None:
        """Every receiver has taken what waits for it."""
        delivered = outbox.update().where(outbox.c.state == "Pending")
        now = self.world.clock.now()
        self.world.run(lambda uow: uow.connection.execute(delivered.values(state="Delivered", delivered_at=now)))

    # --- what is read from it ---

    def rows(self, statement: Select[Any]) -> Sequence[Any]:
        with self.world.instance.reading_engine.connect() as connection:
            return connection.execute(statement).all()

    def new_lists(self) -> list[UpgradeList]:
        """The upgrade lists that were put in the outbox since the last call, as their CSP will read them."""
        return [one for one in self._to_csps() if isinstance(one, UpgradeList)]

    def new_withdrawals(self) -> list[UpgradeListWithdrawal]:
        """The withdrawals since the last call; no list is cut in between."""
        return [one for one in self._to_csps() if isinstance(one, UpgradeListWithdrawal)]

    def _to_csps(self) -> list[CspMessage]:
        found = self.rows(
            select(outbox.c.outbox_id, outbox.c.body)
            .where(outbox.c.kind == "upgrade_list", outbox.c.outbox_id > self.seen)
            .order_by(outbox.c.outbox_id)
        )
        messages = []
        for outbox_id, body in found:
            self.seen = outbox_id
            verified = self.world.instance.verifier.verify(parse(body), roles={"89"}, at=self.world.clock.now())
            messages.append(decode_csp_message(verified))
        return messages

    def attempts(self) -> Sequence[Any]:
        return self.rows(select(attempts).order_by(attempts.c.hub_id, attempts.c.release_id, attempts.c.number))

    def answers(self) -> Sequence[Any]:
        in_force = schedule_hubs.c.in_force & (schedule_hubs.c.hub_id == decisions.c.hub_id)
        return self.rows(
            select(decisions, schedule_hubs.c.schedule_id.label("in_force")).outerjoin(
                schedule_hubs, (schedule_hubs.c.schedule_id == decisions.c.schedule_id) & in_force
            )
        )

    def told(self) -> Counter[tuple[str, str, str]]:
        """Event, hub and Supplier of every stored alert, each of which stands in the outbox for that Supplier."""
        user = {f"user:{supplier.eui}": supplier.name for supplier in SUPPLIERS}
        found = self.rows(
            select(TOLD.c.event, TOLD.c.hub_id, TOLD.c.organisation, outbox.c.destination)
            .select_from(TOLD)
            .outerjoin(outbox, outbox.c.message_id == TOLD.c.message_id)
        )
        assert all(user.get(row.destination) == row.organisation for row in found), "[alerts] sent to somebody else"
        return Counter((row.event, row.hub_id, row.organisation) for row in found)

    def versions(self) -> dict[str, set[str]]:
        """By hub, the firmware versions of its CHF and GPF."""
        found: dict[str, set[str]] = {}
        for row in self.rows(
            select(devices.c.hub_id, devices.c.firmware_version).where(devices.c.device_type.in_(["CHF", "GPF"]))
        ):
            found.setdefault(row.hub_id, set()).add(row.firmware_version)
        return found

    def replayed(self) -> dict[tuple[str, str], Counter[str]]:
        """By hub and release, the states its attempts are in if one believes the audit trail alone."""
        found: dict[tuple[str, str], Counter[str]] = {}
        for row in self.rows(select(audit).where(audit.c.action.like("attempt %")).order_by(audit.c.audit_id)):
            for hub in row.hubs.split(","):
                states = found.setdefault((hub, row.release_id), Counter())
                if row.from_state is not None:
                    states[row.from_state] -= 1
                states[row.to_state] += 1
        return {key: +states for key, states in found.items()}


def _kept(world: World) -> Callable[[World], None]:
    """Keep what a database holds; returns what has it hold that again, and nothing else."""
    if world.instance.engine.dialect.name == SQLITE:
        pristine = sqlite3.connect(":memory:", check_same_thread=False)
        with _sqlite(world) as driver:
            driver.backup(pristine)

        def copy_back(world: World) -> None:
            with _sqlite(world) as driver:
                pristine.backup(driver)

        return copy_back

    url = world.instance.settings.database_url
    world.close()
    kept = server().new_database(template=url.rpartition("/")[2]).rpartition("/")[2]

    def make_anew(world: World) -> None:
        world.close()
        server().make_anew(url, template=kept)

    return make_anew


@contextmanager
def _sqlite(world: World) -> Iterator[sqlite3.Connection]:
    with world.instance.engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        yield driver


@cache
def the_stage() -> Stage:
    """The one instance of this process; its folder goes when the process does."""
    folder = tempfile.TemporaryDirectory(prefix="sr-engine-machine-", ignore_cleanup_errors=True)

    def prepare(directory: Path) -> None:
        (directory / "config" / "regions.toml").write_text(_regions_file(), encoding="utf-8")
        edit(directory / "config" / "policy.toml", "notice_days = 90", f"notice_days = {NOTICE.days}")
        edit(directory / "config" / "policy.toml", "lead_days = 28", f"lead_days = {LEAD.days}")

    chance = Random(1)  # not for secrets, but to be repeated
    world = make_world(
        Path(folder.name) / "instance", NOW, suppliers=SUPPLIERS, prepare=prepare, randbelow=chance.randrange
    )
    stage = Stage(world, _kept(world), chance)
    for name in (*(supplier.name for supplier in SUPPLIERS), *map(folder_name, CSP_NAME.values())):
        stage.key(name)
    stage.folder = folder  # type: ignore[attr-defined]  # kept alive with the stage
    return stage


def hubs_of(lists: Iterable[UpgradeList]) -> list[str]:
    return [hub for one in lists for entry in one.entries for hub in entry.device_ids]
