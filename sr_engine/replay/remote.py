"""A processor that runs elsewhere as a stage: what can be said to it over HTTP is, and what it answers is compared."""

from __future__ import annotations

import hashlib
import http.client
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from signing import SoftwareKey, Trust, Verifier, parse
from sr_engine import configuration
from sr_engine.bootstrap import Instance
from sr_engine.clock import Clock
from sr_engine.configuration import SETTINGS_FILE, Configuration, Region, clock_of
from sr_engine.messages.decode import DecodedResponse, decode_response
from sr_engine.replay.fixture import Fixture, FixtureRefused, verb_of
from sr_engine.replay.given import Given
from sr_engine.replay.stage import BROKER_ROLES, Exchanged, Posted, Sent
from sr_engine.replay.vocabulary import CSP, DCC, SUPPLIER, VERBS

GIVEN_FILE = "given.sha256"
"""In the folder of an instance that was made of what fixtures give: which that was."""
_TIMEOUT_SECONDS = 60


class NotOverHttp(Exception):
    """A fixture needs what cannot be done to a processor over HTTP; the text says what."""


@dataclass(frozen=True, slots=True)
class Target:
    """A processor that runs, and the folder of its instance, with the keys of those who talk to it."""

    url: str
    directory: Path
    configuration: Configuration
    clock: Clock
    verifier: Verifier
    given: str
    """The digest of what it was made of; empty where nobody wrote it down."""
    counters: Iterator[int]

    @classmethod
    def at(cls, url: str, directory: Path) -> Target:
        """Raises ConfigurationError if the folder is no instance."""
        settings = configuration.load_settings(directory / SETTINGS_FILE)
        clock = clock_of(settings)
        file = directory / GIVEN_FILE
        # Numbers that nobody has used: the time in milliseconds, as signing tools count.
        counters = itertools.count(int(clock.now().timestamp() * 1000))
        return cls(
            url.rstrip("/"),
            directory,
            configuration.load(settings.config_directory),
            clock,
            Verifier(Trust.from_directory(settings.trust_directory)),
            file.read_text("utf-8").strip() if file.is_file() else "",
            counters,
        )


def digest_of(given: Given) -> str:
    """By which a given is known again."""
    return hashlib.sha256(given.key.encode()).hexdigest()


@dataclass
class RemoteStage:
    """The stage of one fixture; nobody sees there what leaves the processor, nor how hubs stand."""

    fixture: Fixture
    target: Target
    sent: Sent = field(default_factory=Sent)
    exchanged: dict[int, Exchanged] = field(default_factory=dict)
    schedules: dict[str, int] = field(default_factory=dict)
    on_list: dict[str, str] = field(default_factory=dict)
    step: int = 0
    observes: bool = False
    _began: datetime | None = None

    @property
    def instance(self) -> Instance:
        raise NotOverHttp("the operator's commands cannot be given over HTTP")

    def begin(self) -> None:
        """Raises NotOverHttp for a fixture that needs more than messages of Suppliers, or was given something else."""
        fixture = self.fixture
        if self.target.given and self.target.given != digest_of(fixture.given):
            raise NotOverHttp("something else is given in it than what the instance was made of")
        for step in fixture.steps:
            verb = verb_of(step.deed)
            if verb is None or VERBS[verb].actor == DCC:
                raise NotOverHttp(
                    f"step {step.number}: only messages can be sent over HTTP, not {verb or 'time passed'}"
                )
            if step.at != fixture.steps[0].at:
                raise NotOverHttp(f"step {step.number}: is at another time than the first")
            if VERBS[verb].actor == CSP:
                raise NotOverHttp(f"step {step.number}: nobody sees here what a CSP was sent")
            if VERBS[verb].actor != SUPPLIER:
                raise NotOverHttp(f"step {step.number}: only messages of Suppliers are sent over HTTP, not {verb}")
        self._began = self.target.clock.now().replace(microsecond=0)

    def now(self) -> datetime:
        """When the fixture began: what is so and so far from now is far from that."""
        return self._began or self.target.clock.now()

    def pass_time(self, until: datetime) -> None:
        """Time passes by itself."""

    def deliver(self) -> None:
        """Everybody is sent by the processor itself what is for it."""

    def post(self, path: str, data: bytes, headers: Mapping[str, str]) -> Posted:
        """Raises FixtureRefused if the processor does not answer."""
        parts = urlsplit(self.target.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("POST", parts.path + path, data, dict(headers))
            response = connection.getresponse()
            return Posted(response.status, response.headers.get("DUIS-Response-Detail", ""), response.read())
        except (OSError, http.client.HTTPException) as error:
            raise FixtureRefused(f"{self.target.url} did not answer: {str(error) or type(error).__name__}") from None
        finally:
            connection.close()

    def key(self, folder: str) -> SoftwareKey:
        place = self.target.directory / "pki" / folder
        return SoftwareKey.load(place / "key.pem", place / "certificate.pem")

    def counter(self) -> int:
        return next(self.target.counters)

    def regions(self) -> Mapping[str, Region]:
        return self.target.configuration.regions

    def broker(self) -> str:
        return self.target.configuration.policy.access_control_broker_eui

    def service_for(self, command_variant: int) -> str:
        return self.target.configuration.catalogue.service_for(command_variant) or "serviceD"

    def decoded(self, body: bytes) -> DecodedResponse:
        verified = self.target.verifier.verify(parse(body), roles=BROKER_ROLES, at=self.target.clock.now())
        return decode_response(verified)

    def states(self) -> dict[str, str]:
        return {}

    def versions(self) -> dict[str, str]:
        return {}
