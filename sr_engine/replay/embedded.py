"""A processor in this process as a stage: a real instance on a clock that stands still, and all that leaves it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from signing import SoftwareKey, parse
from sr_engine.application import application
from sr_engine.bootstrap import Instance, resuming_of, triggers
from sr_engine.clock import FixedClock
from sr_engine.configuration import Region
from sr_engine.messages.csp import decode_csp_message
from sr_engine.messages.decode import DecodedResponse, decode_response
from sr_engine.messages.model import MeterFirmwareList, UpgradeList
from sr_engine.messages.template import OPEN
from sr_engine.regions.calendar import due_cuts
from sr_engine.regions.triggers import Trigger
from sr_engine.replay.fixture import Fixture, verb_of
from sr_engine.replay.homes import DEVICES, OLD_VERSION
from sr_engine.replay.reading_alerts import concerned, number_of
from sr_engine.replay.requests import template_of
from sr_engine.replay.shapes import MOMENT
from sr_engine.replay.stage import BROKER_ROLES, Exchanged, Posted, Sent, check_privacy
from sr_engine.replay.vocabulary import OF_EVERY_HOME, SUPPLIER, VERBS
from sr_engine.store import observed
from sr_engine.store.reading import Reading

BETWEEN_LOOKS = timedelta(days=1)
"""Between steps the processor looks for due work that often, and whenever the lists of a region are due."""
_FIRST_COUNTER = 1_000
_PARTS = ("CHF", "GPF")
_EUI = re.compile(r"[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){7}")
"""Of a hub, each with its own record."""


@dataclass
class EmbeddedStage:
    """An instance in this process, which is given everything over the interface that HTTP servers call."""

    fixture: Fixture
    instance: Instance
    clock: FixedClock
    trust_directory: Path
    loop: asyncio.Runner
    sent: Sent = field(default_factory=Sent)
    exchanged: dict[int, Exchanged] = field(default_factory=dict)
    schedules: dict[str, int] = field(default_factory=dict)
    on_list: dict[str, str] = field(default_factory=dict)
    step: int = 0
    observes: bool = True
    _received: set[str] = field(default_factory=set)
    _counter: int = _FIRST_COUNTER

    @property
    def names(self) -> Mapping[str, str]:
        """What a fixture calls each device, by its id."""
        return self.fixture.given.names

    @cached_property
    def _app(self) -> Starlette:
        return application(self.instance)

    @cached_property
    def _concerned(self) -> set[str]:
        return regions_concerned(self.fixture)

    @cached_property
    def _looks(self) -> Sequence[Trigger]:
        """What looks for due work: whatever the region, and in the regions where something may happen."""
        elsewhere = self.regions().keys() - self._concerned
        return [one for one in triggers(self.instance, lambda: None) if one.name not in elsewhere]

    # --- time ---

    def begin(self) -> None:
        """A fixture begins at its first step, with everything as it is given."""
        first = self.fixture.steps[0].at
        if first > self.clock.now():
            self.clock.set(first)
            self._look()

    def now(self) -> datetime:
        return self.clock.now()

    def pass_time(self, until: datetime) -> None:
        """Let the processor look for due work up to and at `until`, as it does by itself."""
        if until == self.clock.now() and not self._left_to_do():
            return
        for at in self._moments(until):
            self.clock.set(at)
            self._look()
            self.deliver()

    def _left_to_do(self) -> bool:
        """Whether the step before has left something for the next look, as what Suppliers send does not."""
        before = self.fixture.steps[self.step - 1].deed if self.step else {}
        verb = verb_of(before)
        return verb is not None and VERBS[verb].actor != SUPPLIER

    def _moments(self, until: datetime) -> list[datetime]:
        now = self.clock.now()
        moments = {until}
        at = now.replace(hour=0, minute=0)
        while at < until:
            moments.add(at)
            at += BETWEEN_LOOKS
        for name in self._concerned & self.regions().keys():
            moments |= {due for due, _ in due_cuts(self.regions()[name], now, until)}
        return [*sorted(one for one in moments if now < one < until), until]

    def _look(self) -> None:
        for trigger in self._looks:
            self.loop.run(trigger.tick())

    # --- what leaves the processor ---

    def deliver(self) -> None:
        """Carry out held requests that are due, then let every receiver take, verify and read what waits for it."""
        resuming, reading = resuming_of(self.instance), Reading(self.instance.reading_engine)
        while due := resuming.due(reading, self.clock.now()):
            for held_id in due:
                self.instance.transactions.run_now(lambda work, held_id=held_id: resuming.resume(work, held_id))  # type: ignore[misc]
        for message in self.instance.transactions.run_now(lambda work: observed.take_all(work.connection, work.now)):
            match message.kind:
                case "upgrade_list" | "meter_list" | "withdrawal":
                    self._take_list(message.body, message.message_id)
                case "response":
                    name = self._receiver(message.destination)
                    self.sent.responses[name].append(self._readable(name, message.body).code)
                case _:
                    self._take_alert(message.destination, message.event, message.body)

    def _take_list(self, body: bytes, message_id: str) -> None:
        verified = self.instance.verifier.verify(parse(body), roles=BROKER_ROLES, at=self.clock.now())
        message = decode_csp_message(verified)
        if isinstance(message, MeterFirmwareList):
            self.on_list.update({one: message.list_id for behind in message.hubs.values() for one in behind})
        if not isinstance(message, UpgradeList):
            return
        found = self.sent.listed_again if message_id in self._received else self.sent.listed
        self._received.add(message_id)
        for entry in message.entries:
            night = entry.period.start.strftime(MOMENT)
            found[message.region, night] += [self.names.get(hub_id, hub_id) for hub_id in entry.device_ids]
            self.on_list.update(dict.fromkeys(entry.device_ids, message.list_id))

    def _take_alert(self, destination: str, event: str, body: bytes) -> None:
        name = self._receiver(destination)
        decoded = self._readable(name, body)
        number_of(decoded, event, self.instance.configuration)
        self.sent.told[name, event] += [self.names.get(one, one) for one in concerned(decoded, self.fixture.given)]

    def _receiver(self, destination: str) -> str:
        eui = destination.removeprefix("user:")
        return next(name for name, supplier in self.fixture.given.suppliers.items() if supplier.eui == eui)

    def _readable(self, receiver: str, body: bytes) -> DecodedResponse:
        check_privacy(self.fixture, receiver, body)
        return self.decoded(body)

    def decoded(self, body: bytes) -> DecodedResponse:
        """A message of the processor, its signature verified."""
        return decode_response(self.instance.verifier.verify(parse(body), roles=BROKER_ROLES, at=self.clock.now()))

    # --- what is sent to it ---

    def post(self, path: str, data: bytes, headers: Mapping[str, str]) -> Posted:
        """An HTTP request, as a server hands it to the application."""
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "query_string": b"",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "http_version": "1.1",
        }
        came: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": data, "more_body": False}

        async def send(message: Any) -> None:
            came.append(message)

        self.loop.run(self._app(scope, receive, send))
        start = came[0]
        detail = dict(start["headers"]).get(b"duis-response-detail", b"").decode()
        return Posted(start["status"], detail, b"".join(one.get("body", b"") for one in came[1:]))

    def key(self, folder: str) -> SoftwareKey:
        """The key of a participant by its folder in the PKI."""
        place = self.trust_directory.parent / folder
        return SoftwareKey.load(place / "key.pem", place / "certificate.pem")

    def counter(self) -> int:
        self._counter += 1
        return self._counter

    def regions(self) -> Mapping[str, Region]:
        return self.instance.configuration.regions

    def broker(self) -> str:
        return self.instance.configuration.policy.access_control_broker_eui

    def service_for(self, command_variant: int) -> str:
        """The service that takes a Command Variant; that of the DCC itself for one that none takes."""
        return self.instance.configuration.catalogue.service_for(command_variant) or "serviceD"

    # --- what is so ---

    def states(self) -> dict[str, str]:
        """By hub, the state of its newest attempt."""
        found = dict.fromkeys(self.fixture.given.homes, "none")
        with self.instance.reading_engine.connect() as connection:
            for hub_id, state in observed.newest_states(connection).items():
                found[self.names.get(hub_id, hub_id)] = state
        return found

    def versions(self) -> dict[str, str]:
        """By hub, the firmware that the inventory says CHF and GPF run."""
        given = self.fixture.given
        # Nearly all run what they ran at first: only the others are looked at.
        others: dict[str, list[str]] = {}
        with self.instance.reading_engine.connect() as connection:
            for device_id, version in observed.hubs_not_on(connection, OLD_VERSION):
                name = given.names.get(device_id, "").removesuffix(" GPF")
                others.setdefault(name, []).append(version or "unknown")
            known = not given.spreadsheets or observed.has_hubs(connection)
        found = dict.fromkeys(given.homes, OLD_VERSION if known else "unknown")
        for name in others.keys() & found.keys():
            both = {*others[name], *([] if len(others[name]) == len(_PARTS) else [OLD_VERSION])}
            found[name] = " and ".join(sorted(both))
        return found


def regions_concerned(fixture: Fixture) -> set[str]:
    """The regions in which something may happen: those of the homes that are spoken of, or of all."""
    homes, groups = fixture.given.homes, fixture.given.groups
    managed = any(release.dcc_managed for release in fixture.given.releases)
    if managed or any(verb_of(step.deed) in OF_EVERY_HOME for step in fixture.steps):
        return {home.region for home in homes.values()}
    said = {word for step in fixture.steps for word in _words([step.deed, _request_of(fixture, step.deed)])}
    said |= {fixture.given.names[one].partition(" GPF")[0] for one in said & fixture.given.names.keys()}
    named = {one for name in said & groups.keys() for one in groups[name]} | said & homes.keys()
    return {homes[name].region for name in named}


def _request_of(fixture: Fixture, deed: Mapping[str, Any]) -> str:
    """The text of the request that a step sends, in which homes may be named too."""
    return template_of(fixture, deed["request"]).decode(errors="replace") if "request" in deed else ""


def _words(value: Any) -> Iterator[str]:
    """Every text in what is done that may be a name, as it stands and without what kind of device it is."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _words(key)
            yield from _words(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _words(inner)
    elif isinstance(value, str):
        yield from (found[0].upper() for found in _EUI.finditer(value))
        for word in (value, *(part for found in OPEN.finditer(value) for part in found[1].split("="))):
            yield word
            home, _, kind = word.rpartition(" ")
            if kind in DEVICES:
                yield home
