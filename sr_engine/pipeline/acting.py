"""What a User does without a signed message, signed in to another face of the processor instead.

The same happens as if it had sent a Service Request: the same document is written, checked and kept, the same checks
and rules decide, the same is changed, told and recorded. Only the channel differs, and that nothing waits: what a
signed request would be held for is refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from http import HTTPStatus

from signing import ParsedDocument, parse
from sr_engine.configuration import ServiceReferenceVariant
from sr_engine.domain.holding import Hold
from sr_engine.messages.build import serialise_unsigned
from sr_engine.messages.compose import build_request
from sr_engine.messages.decode import decode_own_request, decode_own_response
from sr_engine.messages.identifiers import RequestId, canonical_eui
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    CommsHubFirmwareResult,
    DeleteCommsHubFirmwareSchedule,
    ScheduleCommsHubFirmware,
    ServiceRequest,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.messages.schema import SchemaRefused
from sr_engine.pipeline import checks
from sr_engine.pipeline.answer import Answer
from sr_engine.pipeline.process import Processor, Turned
from sr_engine.requests.outcome import Outcome, Sender
from sr_engine.store import exchanges
from sr_engine.store.reading import Connection
from sr_engine.store.units_of_work import UnitOfWork

KEY_MAX = 64
"""Characters of the key under which something is done once."""

ActBody = (
    ScheduleCommsHubFirmware
    | ApproveCommsHubFirmware
    | DeleteCommsHubFirmwareSchedule
    | UpdateCommsHubFirmwareExclusion
)


class Channel(StrEnum):
    """By which face something was asked for; the name is what the inbox keeps it under."""

    API = "api"
    CONSOLE = "console"
    SHEET = "sheet"

    @property
    def interface(self) -> str:
        """How the inbox calls it."""
        return self.value.upper()


INTERFACES = frozenset(channel.interface for channel in Channel)


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody who is signed in for a User asks for."""

    channel: Channel
    account: str
    """Who within the organisation, for the audit trail: `account:<login>` or `token:<name>`."""
    user_eui: str
    """The User in whose name it is done."""
    key: str
    """Done once under the same key, by channel and User; at most KEY_MAX characters."""
    body: ActBody


@dataclass(frozen=True, slots=True)
class ActAnswer:
    """What a signed request would have been answered; `request_id` is the one under which it is known from now on."""

    code: str
    detail: str
    result: CommsHubFirmwareResult | None
    request_id: str
    repeated: bool = False
    """It had been done before, under the same key; nothing was done now."""
    at: datetime | None = None
    """When that was."""

    @property
    def accepted(self) -> bool:
        """Whether it is in force, for the hubs that were not refused."""
        return not self.code.startswith("E")


class KeyUsedBefore(Exception):
    """The key was used before for something else."""

    def __init__(self) -> None:
        super().__init__("this key was used before for something else: use a new one")


class NotTaken(Exception):
    """What is asked for cannot be said in a Service Request; `str()` says why in words a person can act on."""


@dataclass(frozen=True, slots=True)
class _Asked:
    document: ParsedDocument
    digest: bytes
    request: ServiceRequest
    entry: ServiceReferenceVariant
    sender: Sender

    @property
    def key(self) -> str:
        return self.request.header.request_id.key

    @property
    def command_variant(self) -> int:
        return self.request.header.command_variant

    @property
    def devices(self) -> int:
        return len(getattr(self.request.body, "device_ids", ()))


@dataclass(frozen=True, slots=True)
class Prepared:
    """An act with all that could be said of it without a database: its document, or why its User may not send it."""

    act: Act
    asked: _Asked | Turned = field(repr=False)


@dataclass(slots=True)
class Tally:
    """What some previews together would add to the counts that anomaly thresholds go by; of one User."""

    requests: int = 0
    devices: int = 0


@dataclass(frozen=True, slots=True)
class Acting:
    """Carries out what Users ask for who are signed in; who that is, its caller has made sure of."""

    processor: Processor

    def prepare(self, act: Act) -> Prepared:
        """Write and check the document: the part that needs no database, a tenth of a second for 50,000 hubs.

        Raises NotTaken.
        """
        return Prepared(act, self._asked(act))

    def preview(self, unit_of_work: UnitOfWork, prepared: Prepared, tally: Tally | None = None) -> ActAnswer:
        """What it would come to now; nothing is written, so that a connection that only reads is enough.

        What is previewed by one `tally` is looked at as if it were done together, within the hour.
        """
        asked = prepared.asked
        if isinstance(asked, Turned):
            return _turned(asked)
        breach = None
        if self.answered(unit_of_work.connection, prepared) is None:
            # What was done before is not counted again.
            tally = tally or Tally()
            tally.requests += 1
            tally.devices += asked.devices
            breach = self.processor.holding.foresee(unit_of_work, asked.sender.eui, tally.requests, tally.devices)
        outcome = self._outcome(lambda: self.processor.judge(unit_of_work, asked, breach=breach))
        return _answer(asked, outcome)

    def answered(self, connection: Connection, prepared: Prepared) -> str | None:
        """The code with which this, and nothing else, was answered before under its key; None: it was not."""
        asked = prepared.asked
        if isinstance(asked, Turned):
            return None
        known = exchanges.find(connection, prepared.act.channel.interface, asked.key, asked.command_variant)
        return known.code if known is not None and known.digest == asked.digest else None

    def execute(self, unit_of_work: UnitOfWork, prepared: Prepared) -> ActAnswer:
        """Decide, write and answer, all in the caller's transaction.

        Raises KeyUsedBefore, of which nothing is kept.
        """
        act, asked = prepared.act, prepared.asked
        connection = unit_of_work.connection
        if isinstance(asked, Turned):
            self.processor.record_turned(unit_of_work, asked)
            return _turned(asked)
        known = exchanges.find(connection, act.channel.interface, asked.key, asked.command_variant)
        if known is not None:
            at = exchanges.answered_at(connection, act.channel.interface, asked.key)
            return replace(_repeated(asked, known), at=at)
        outcome, _ = self._do(unit_of_work, act.channel.interface, asked, f"{act.channel}, {act.account}")
        return _answer(asked, outcome)

    def again(self, unit_of_work: UnitOfWork, interface: str, received: bytes) -> Answer:
        """Do once more, in another world, what was done: `received` is the document that was kept of it."""
        asked = self._admitted(parse(received, max_bytes=len(received)))
        if isinstance(asked, Turned):
            return self.processor.record_turned(unit_of_work, asked)
        return self._do(unit_of_work, interface, asked, "once more")[1]

    def _do(self, unit_of_work: UnitOfWork, interface: str, asked: _Asked, how: str) -> tuple[Outcome, Answer]:
        processor, connection, now = self.processor, unit_of_work.connection, unit_of_work.now
        breach = processor.holding.count(unit_of_work, asked.sender.eui, asked.devices)
        outcome = self._outcome(lambda: processor.judge(unit_of_work, asked, breach=breach))
        answer = processor.signed(asked.request, outcome.code, outcome.detail, outcome.result, now)
        exchanges.add(
            connection,
            exchanges.Exchange(
                interface,
                asked.key,
                asked.command_variant,
                asked.digest,
                asked.sender.eui,
                asked.entry.variant,
                now,
                outcome.code,
                outcome.detail,
                asked.document.data,
                answer.body,
            ),
        )
        processor.carry_out(unit_of_work, asked, outcome, how=how)
        return outcome, answer

    def _outcome(self, judge: Callable[[], Outcome | Hold | Answer]) -> Outcome:
        verdict = judge()
        if isinstance(verdict, Outcome):
            return verdict
        if isinstance(verdict, Hold):
            why = verdict.detail.partition(";")[0].removeprefix("held: ")
            return Outcome("E100", f"not done: {why}. Try again in the next hour, or ask the DCC")
        return Outcome("E100", f"not done: {verdict.detail}")

    def _asked(self, act: Act) -> _Asked | Turned:
        """The request that says the same, schema-valid; or why its User may not send it."""
        policy = self.processor.configuration.policy
        request_id = _request_id(act, policy.access_control_broker_eui)
        if getattr(act.body, "execution_date_time", None) is not None:
            raise NotTaken("what is asked for here is done at once: leave out the date of execution")
        entry = self._entry(type(act.body).__name__)
        try:
            root = build_request(
                schema_version=str(policy.schema_versions.uplift),
                request_id=request_id.text,
                command_variant=min(entry.command_variants),
                service_reference=entry.reference,
                service_reference_variant=entry.variant,
                body=act.body,
            )
        except ValueError as unwritable:
            raise NotTaken(str(unwritable)) from None
        data = serialise_unsigned(root)
        return self._admitted(parse(data, max_bytes=len(data)))

    def _admitted(self, document: ParsedDocument) -> _Asked | Turned:
        try:
            self.processor.schema.check(document)
            request = decode_own_request(document)
            checks.check_list_size(request, self.processor.configuration.policy.limits.list_max_devices)
        except (SchemaRefused, checks.NotTaken) as refused:
            raise NotTaken(refused.reason) from None
        entry = self._entry(request.header.body_element)
        try:
            sender = checks.check_user(request.header, entry, self.processor.users)
        except checks.Refusal as refused:
            answer = Answer(HTTPStatus.OK, b"", refused.detail, code=refused.code)
            request_id = request.header.request_id
            return Turned(answer, request_id.originator, request_id.key)
        return _Asked(document, hashlib.sha256(document.data).digest(), request, entry, sender)

    def _entry(self, element: str) -> ServiceReferenceVariant:
        entries = self.processor.configuration.catalogue.service_request.values()
        return next(one for one in entries if one.body_element == element)


def _request_id(act: Act, broker: str) -> RequestId:
    """One of the upper half of all counters, which no system of a User comes to that counts up, or tells the time."""
    if not 0 < len(act.key) <= KEY_MAX:
        raise NotTaken(f"a key has 1 to {KEY_MAX} characters, not {len(act.key)}")
    try:
        user = canonical_eui(act.user_eui)
    except ValueError as error:
        raise NotTaken(str(error)) from None
    drawn = hashlib.sha256(f"{act.channel} {user} {act.key}".encode()).digest()
    return RequestId.make(user, broker, 1 << 63 | int.from_bytes(drawn[:8], "big") >> 1)


def _answer(asked: _Asked, outcome: Outcome) -> ActAnswer:
    result = outcome.result if isinstance(outcome.result, CommsHubFirmwareResult) else None
    return ActAnswer(outcome.code, outcome.detail, result, asked.request.header.request_id.text)


def _turned(turned: Turned) -> ActAnswer:
    return ActAnswer(turned.answer.code or "", turned.answer.detail, None, turned.request_key)


def _repeated(asked: _Asked, before: exchanges.Answered) -> ActAnswer:
    if before.digest != asked.digest:
        raise KeyUsedBefore
    result = None
    if before.answer:
        decoded = decode_own_response(parse(before.answer, max_bytes=len(before.answer))).result
        result = decoded if isinstance(decoded, CommsHubFirmwareResult) else None
    return ActAnswer(before.code, before.detail, result, asked.request.header.request_id.text, repeated=True)
