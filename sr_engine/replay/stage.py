"""What a fixture is played on, and what those who take part send there."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from typing import Any, Protocol

from signing import Signer, SigningError, SoftwareKey
from sr_engine.bootstrap import Instance
from sr_engine.configuration import Region
from sr_engine.instance import SupplierSeed, folder_name
from sr_engine.messages.csp import build_csp_message
from sr_engine.messages.decode import DecodedResponse
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import CspMessage
from sr_engine.messages.reading import code_of
from sr_engine.pipeline.answer import XML
from sr_engine.replay.fixture import Fixture, FixtureRefused
from sr_engine.replay.homes import DEVICES

FEED_TOKEN = "token-of-the-registration-feed"  # noqa: S105 - of instances that are thrown away
BROKER_ROLES = frozenset({"89"})
_SIGNED_WITH = re.compile(rb"<(?:\w+:)?(SignatureValue|DigestValue)\b.*?</(?:\w+:)?\1>", re.DOTALL)
"""What of a signature is no words."""


class SecretTold(AssertionError):
    """A Supplier was sent something that names another."""


class NotSigned(AssertionError):
    """An answer bears no signature of the processor that holds."""


@dataclass(frozen=True, slots=True)
class Posted:
    """What came back of a message over HTTP."""

    status: int
    detail: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A request of a step as it was sent, and its answer."""

    request: bytes
    request_id: str
    service: str
    answer: Posted


@dataclass(frozen=True, slots=True)
class Sent:
    """What left the processor since the last step: hubs by receiver and event, and by region and night."""

    told: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    listed: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    listed_again: dict[tuple[str, str], list[str]] = field(default_factory=lambda: defaultdict(list))
    responses: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """The codes of Responses to requests that were held, by receiver."""


class Stage(Protocol):
    """Whatever a fixture can be played on."""

    fixture: Fixture
    exchanged: dict[int, Exchanged]
    """By step."""
    schedules: dict[str, int]
    """Schedule ids by the name a step gives them."""
    sent: Sent
    on_list: dict[str, str]
    """By device, the newest list its CSP was sent it on."""
    step: int

    @property
    def instance(self) -> Instance:
        """The instance, for what no message can do. Raises NotOverHttp where there is none to get hold of."""

    @property
    def observes(self) -> bool:
        """Whether it can be seen what leaves the processor, and how hubs stand."""

    def begin(self) -> None:
        """Get ready for the first step."""

    def now(self) -> datetime: ...

    def pass_time(self, until: datetime) -> None: ...

    def deliver(self) -> None:
        """Let everybody take what waits for them."""

    def post(self, path: str, data: bytes, headers: Mapping[str, str]) -> Posted: ...

    def key(self, folder: str) -> SoftwareKey: ...

    def counter(self) -> int:
        """One that was not used before."""

    def regions(self) -> Mapping[str, Region]: ...

    def broker(self) -> str: ...

    def service_for(self, command_variant: int) -> str: ...

    def decoded(self, body: bytes) -> DecodedResponse: ...

    def states(self) -> dict[str, str]: ...

    def versions(self) -> dict[str, str]: ...


def device_named(fixture: Fixture, name: str) -> str | None:
    """The id of the device that a fixture calls so; None if it calls none so."""
    homes = fixture.given.homes
    if name in homes:
        return homes[name].chf
    home, _, kind = name.rpartition(" ")
    return homes[home].device(kind) if home in homes and kind in DEVICES else None


def check_privacy(fixture: Fixture, receiver: str, body: bytes, *, said: bytes = b"") -> None:
    """Raises SecretTold if what one Supplier is sent names another, whom it has not named itself in what it `said`."""
    # A Supplier called Us is not named by every DeviceStatus, nor by what is drawn by chance into a signature.
    words = _SIGNED_WITH.sub(b" ", body).lower()
    for name, supplier in fixture.given.suppliers.items():
        if name != receiver:
            for secret in (supplier.eui, supplier.name, name):
                word = secret.lower().encode()
                if (
                    re.search(rb"(?<![a-z0-9])" + re.escape(word) + rb"(?![a-z0-9])", words)
                    and word not in said.lower()
                ):
                    raise SecretTold(f"{receiver} was sent the name of {name}")


def check_signed(stage: Stage, answer: Posted) -> None:
    """Raises NotSigned for an answer that had to be signed: every one but that to whom nobody could authenticate."""
    if answer.status != HTTPStatus.OK or is_unsigned_refusal(answer.body):
        return
    try:
        stage.decoded(answer.body)
    except SigningError as error:
        raise NotSigned(f"an answer whose signature does not hold: {error}") from None


def is_unsigned_refusal(body: bytes) -> bool:
    """Whether it is the answer to a request that could not be authenticated."""
    return code_of(body) == "E100" and not _SIGNED_WITH.search(body)


# --- what parties send, on whatever stage ---


def ids(stage: Stage, names: Sequence[str]) -> tuple[str, ...]:
    """The CHF ids of the hubs that some names of the fixture stand for."""
    return tuple(stage.fixture.given.homes[name].chf for name in stage.fixture.hubs_named(names))


def supplier(stage: Stage, name: str) -> SupplierSeed:
    """Raises FixtureRefused for one that is not given."""
    known = stage.fixture.given.suppliers
    if name not in known:
        raise FixtureRefused(f"Supplier {name!r} is not given")
    return known[name]


def schedule(stage: Stage, name: str) -> int:
    """The id of the schedule that a step gave a name."""
    if name not in stage.schedules:
        raise FixtureRefused(f"no schedule was named {name!r} before")
    return stage.schedules[name]


def send_request(
    stage: Stage, name: str, data: bytes, *, service: str, request_id: str = "", media_type: str = XML
) -> Posted:
    """A Supplier posts a request; what it is answered names no other Supplier."""
    answer = stage.post(f"/api/v1/{service}", data, {"Content-Type": media_type})
    check_privacy(stage.fixture, name, answer.body, said=data)
    check_signed(stage, answer)
    stage.exchanged[stage.step] = Exchanged(data, request_id, service, answer)
    return answer


def next_csp_message(stage: Stage, region: str) -> RequestId:
    """The id of the next message of a region's CSP."""
    return RequestId.make(stage.regions()[region].csp_eui, stage.broker(), stage.counter())


def csp_sends(stage: Stage, region: str, message: CspMessage) -> None:
    """A CSP signs and posts a message; it must be taken."""
    key = stage.key(folder_name(stage.regions()[region].csp_name))
    answer = stage.post("/api/v1/csp", Signer(key).sign(build_csp_message(message)), {"Content-Type": XML})
    if answer.status != HTTPStatus.NO_CONTENT:
        raise FixtureRefused(f"a message of the CSP of {region} was answered {answer.status}: {answer.detail}")


def feed(stage: Stage, registrations: Sequence[Mapping[str, Any]]) -> int:
    """The registration service posts a message; returns the status it is answered with."""
    headers = {"Authorization": f"Bearer {FEED_TOKEN}", "Content-Type": "application/json"}
    return stage.post("/registrations", json.dumps(list(registrations)).encode(), headers).status
