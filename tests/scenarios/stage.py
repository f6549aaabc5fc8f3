"""Where a story is played: a real instance, time that passes as it does for a served one, and what everybody gets."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import bindparam, select

from signing import Signer, parse
from sr_engine.bootstrap import SETTINGS_FILE, Instance, application, csp_desk_of, open_instance, processor_of, triggers
from sr_engine.clock import FixedClock
from sr_engine.configuration import AlertEvent
from sr_engine.gateway.csp import AdmittedCspMessage, CspDesk
from sr_engine.instance import SupplierSeed, create_instance
from sr_engine.messages.csp import build_csp_message, decode_csp_message
from sr_engine.messages.decode import decode_response
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    CommsHubAlert,
    CommsHubFirmwareActivation,
    DeviceChangeOfSupplier,
    FirmwareDistributionFailure,
    FirmwareUpgradeRequested,
    UpgradeList,
    UpgradeListAcknowledgement,
    UpgradeReport,
)
from sr_engine.regions.calendar import due_cuts
from sr_engine.regions.triggers import Trigger
from sr_engine.store.tables import attempts, devices, outbox
from sr_engine.store.transactions import Transactions, Work
from tests.databases import give_a_database_of_its_own
from tests.scenarios.story import MOMENT, Story, StoryRefused
from tests.world import BROKER, NOW, World

BETWEEN_LOOKS = timedelta(days=1)
"""Between steps the processor looks for due work that often, and whenever the lists of a region are due."""

_WAITING = select(outbox).where(outbox.c.state == "Pending").order_by(outbox.c.outbox_id)
_TAKEN = outbox.update().where(outbox.c.state == "Pending").values(state="Delivered", delivered_at=bindparam("now"))
FEED_TOKEN = "token-of-the-registration-feed"

T = TypeVar("T")


class AtOnce(Transactions):
    """The same transactions, without changing threads for each: a story looks for due work some thousand times."""

    async def run(self, work: Work[T], *, heavy: bool = False, of: str = "") -> T:
        return self.run_now(work)


@dataclass(frozen=True, slots=True)
class Sent:
    """What left the processor since the last step: hubs by receiver and event, and by region and night."""

    told: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    listed: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    listed_again: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))


@dataclass
class Stage:
    """A story's instance and everything its cast has been sent."""

    story: Story
    world: World
    looks: Sequence[Trigger]
    loop: asyncio.Runner
    desk: CspDesk
    keys: Mapping[str, str]
    """The name of each hub by its CHF id."""
    sent: Sent = field(default_factory=Sent)
    schedules: dict[str, int] = field(default_factory=dict)
    """Schedule ids by the name the story gives them."""
    on_list: dict[str, str] = field(default_factory=dict)
    """By hub, the newest upgrade list its CSP was sent it on."""
    received: set[str] = field(default_factory=set)
    csp_counter: int = 0

    # --- time ---

    def pass_time(self, until: datetime) -> None:
        """Let the processor look for due work up to and at `until`, as it does by itself."""
        for at in self._looks(until):
            self.world.clock.set(at)
            self.loop.run(self._look())
            self.deliver()

    def _looks(self, until: datetime) -> list[datetime]:
        now = self.world.clock.now()
        moments = {until}
        at = now.replace(hour=0, minute=0)
        while at < until:
            moments.add(at)
            at += BETWEEN_LOOKS
        regions = self.world.instance.configuration.regions
        for name in {hub.region for hub in self.story.hubs.values()}:
            moments |= {due for due, _ in due_cuts(regions[name], now, until)}
        return [*sorted(one for one in moments if now < one < until), until]

    async def _look(self) -> None:
        for trigger in self.looks:
            await trigger.tick()

    # --- what leaves the processor ---

    def deliver(self) -> None:
        """Every receiver takes what waits for it: signed messages, verified and read as it would."""
        now = self.world.clock.now()
        with self.world.instance.engine.begin() as connection:
            waiting = connection.execute(_WAITING).all()
            for row in waiting:
                if row.kind == "upgrade_list":
                    self._take_list(row.body, row.message_id)
                else:
                    self._take_alert(row.destination.removeprefix("user:"), row.event, row.body)
            if waiting:
                connection.execute(_TAKEN, {"now": now})

    def _take_list(self, body: bytes, message_id: str) -> None:
        instance = self.world.instance
        verified = instance.verifier.verify(parse(body), roles={"89"}, at=self.world.clock.now())
        message = decode_csp_message(verified)
        assert isinstance(message, UpgradeList)
        found = self.sent.listed_again if message_id in self.received else self.sent.listed
        self.received.add(message_id)
        for entry in message.entries:
            night = entry.period.start.strftime(MOMENT)
            found[message.region, night] += [self.keys[hub_id] for hub_id in entry.device_ids]
            self.on_list.update(dict.fromkeys(entry.device_ids, message.list_id))

    def _take_alert(self, eui: str, event: str, body: bytes) -> None:
        name = next(name for name, supplier in self.story.suppliers.items() if supplier.eui == eui)
        self.check_privacy(name, body)
        instance = self.world.instance
        verified = instance.verifier.verify(parse(body), roles={"89"}, at=self.world.clock.now())
        decoded = decode_response(verified)
        definition = instance.configuration.alerts[AlertEvent(event)]
        hub_alert_code = decoded.alert.alert_code if isinstance(decoded.alert, CommsHubAlert) else None
        assert (decoded.alert_code, hub_alert_code) == (definition.code, definition.hub_alert_code)
        match decoded.alert:
            case FirmwareUpgradeRequested(device_ids=ids) | FirmwareDistributionFailure(device_ids=ids):
                hub_ids = ids
            case CommsHubFirmwareActivation(device_id=one) | CommsHubAlert(device_id=one):
                hub_ids = (one,)
            case DeviceChangeOfSupplier(import_mpxn=mpxn):
                hub_ids = (next(hub.chf for hub in self.story.hubs.values() if mpxn in {hub.mpan, hub.mprn}),)
            case other:
                raise AssertionError(f"{name} was sent an alert that no story knows: {other}")
        self.sent.told[name, event] += [self.keys[hub_id] for hub_id in hub_ids]

    def check_privacy(self, receiver: str, body: bytes) -> None:
        """Whatever one Supplier is sent names no other."""
        for name, supplier in self.story.suppliers.items():
            if name != receiver:
                for secret in (supplier.eui, supplier.name, name):
                    assert secret.encode().lower() not in body.lower(), f"{receiver} was sent the name of {name}"

    # --- the cast ---

    def ids(self, names: Sequence[str]) -> tuple[str, ...]:
        """The CHF ids of the hubs that some names of the story stand for."""
        return tuple(self.story.hubs[key].chf for key in self.story.hubs_named(names))

    def supplier(self, name: str) -> SupplierSeed:
        if name not in self.story.suppliers:
            raise StoryRefused(f"Supplier {name!r} is not in the cast")
        return self.story.suppliers[name]

    def schedule(self, name: str) -> int:
        """The id of the schedule that the story gave a name."""
        if name not in self.schedules:
            raise StoryRefused(f"no schedule was named {name!r} before")
        return self.schedules[name]

    # --- CSPs ---

    def csp_message(self, region: str) -> tuple[RequestId, datetime]:
        """The id and time of the next message of a region's CSP."""
        self.csp_counter += 1
        eui = self.world.instance.configuration.regions[region].csp_eui
        return RequestId.make(eui, BROKER, self.csp_counter), self.world.clock.now()

    def csp_sends(self, message: UpgradeListAcknowledgement | UpgradeReport) -> None:
        """A CSP signs and posts a message; it must be taken."""
        data = Signer(self.world.csp_key(message.region)).sign(build_csp_message(message))
        admitted = self.desk.admit(data, self.world.clock.now())
        assert isinstance(admitted, AdmittedCspMessage), admitted
        answer = self.world.run(lambda uow: self.desk.execute(uow, admitted))
        assert answer.status == HTTPStatus.NO_CONTENT, answer

    # --- the registration feed ---

    def feed(self, registrations: Sequence[dict[str, Any]]) -> int:
        """The registration service posts a message over HTTP; returns the status it is answered with."""
        app = application(self.world.instance)
        body = json.dumps(registrations).encode()
        headers = [(b"authorization", f"Bearer {FEED_TOKEN}".encode()), (b"content-type", b"application/json")]
        answered: list[int] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                answered.append(message["status"])

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/registrations",
            "query_string": b"",
            "headers": headers,
            "http_version": "1.1",
        }
        self.loop.run(app(scope, receive, send))
        return answered[0]

    # --- what is so ---

    def states(self) -> dict[str, str]:
        """By hub, the state of its newest attempt."""
        found = dict.fromkeys(self.story.hubs, "none")
        with self.world.instance.reading_engine.connect() as connection:
            rows = connection.execute(select(attempts.c.hub_id, attempts.c.state).order_by(attempts.c.attempt_id))
            found.update({self.keys[hub_id]: state for hub_id, state in rows})
        return found

    def versions(self) -> dict[str, str]:
        """By hub, the firmware that the inventory says CHF and GPF run."""
        found: dict[str, set[str]] = {key: set() for key in self.story.hubs}
        by_id = {one: key for key, hub in self.story.hubs.items() for one in (hub.chf, hub.gpf)}
        with self.world.instance.reading_engine.connect() as connection:
            rows = connection.execute(
                select(devices.c.device_id, devices.c.firmware_version).where(devices.c.device_id.in_(by_id))
            )
            for device_id, version in rows:
                found[by_id[device_id]].add(version)
        return {key: " and ".join(sorted(versions)) or "unknown" for key, versions in found.items()}


class Theatre:
    """Instances for stories: one prepared for each cast, a copy for each story."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._prepared: dict[tuple[SupplierSeed, ...], Path] = {}
        self._copies = 0

    @contextmanager
    def stage(self, story: Story) -> Iterator[Stage]:
        """A stage for one story, gone at the end of the block."""
        cast = tuple(story.suppliers.values())
        if cast not in self._prepared:
            prepared = self._directory / f"cast-{len(self._prepared)}"
            create_instance(prepared, now=NOW, suppliers=cast)
            with (prepared / SETTINGS_FILE).open("a", encoding="utf-8") as settings:
                digest = hashlib.sha256(FEED_TOKEN.encode()).hexdigest()
                settings.write(f'\n[registration_feed]\ntoken_sha256 = "{digest}"\n')
            self._prepared[cast] = prepared
        self._copies += 1
        directory = self._directory / f"copy-{self._copies}"
        shutil.copytree(self._prepared[cast], directory)
        give_a_database_of_its_own(directory)
        clock = FixedClock(story.steps[0].at)
        opened = open_instance(directory, clock=clock)
        instance = replace(opened, transactions=AtOnce(opened.engine, clock, follow_up=opened.telling))
        world = World(directory, instance, clock, processor_of(instance))
        try:
            with asyncio.Runner() as loop:
                keys = {hub.chf: key for key, hub in story.hubs.items()}
                stage = Stage(story, world, _looks(instance, story), loop, csp_desk_of(instance), keys)
                if not story.spreadsheets:
                    world.add_hubs(story.hubs.values())
                yield stage
        finally:
            world.close()
            shutil.rmtree(directory)


def _looks(instance: Instance, story: Story) -> list[Trigger]:
    """What looks for due work: whatever the region, and in the regions of the story."""
    elsewhere = instance.configuration.regions.keys() - {hub.region for hub in story.hubs.values()}
    return [one for one in triggers(instance, lambda: None) if one.name not in elsewhere]
