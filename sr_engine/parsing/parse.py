"""Bytes to messages: parsed once, verified once, and only what was verified is decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from signing import (
    DocumentRefused,
    NotAuthenticated,
    ParsedDocument,
    ProfileRefused,
    Trust,
    VerifiedDocument,
    Verifier,
    parse,
)
from sr_engine.messages.elements import DUIS
from sr_engine.messages.received import Received, decode_received
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.messages.unsigned import unverified_refusal
from sr_engine.parsing.message import Alert, Message, Response, Signature, UnsignedRefusal
from sr_engine.resources import data_directory

RESPONSE_ROLES = frozenset({"89"})
"""The remote-party role of certificates that sign Responses and Alerts: DSP XML signing (FACTS SG11)."""

_REASON_CHARACTERS = 500

_SMETS1 = f"{DUIS}SMETS1SignedResponse"
"""Holds what a SMETS1 device has signed, Signature and all."""


class MessageRefused(Exception):
    """The bytes are not a message to act on; `reason` says why, `line` and `path` where, if that is known."""

    def __init__(self, reason: str, *, line: int | None = None, path: str | None = None) -> None:
        # It may repeat what anybody has written: one line, and not a long one, wherever it is logged.
        reason = " ".join(reason.split())
        reason = reason if len(reason) <= _REASON_CHARACTERS else reason[:_REASON_CHARACTERS] + "…"
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.path = path


class MessageMalformed(MessageRefused):
    """It is not XML, not a Response or Alert of DUIS, or not the one that was asked for."""


class MessageNotGenuine(MessageRefused):
    """Its signature is missing, off the profile, wrong, or by nobody who is trusted at that time."""


@dataclass(frozen=True, slots=True)
class Parser:
    """Reads messages that are signed by whoever `trust` believes; safe to use from several threads."""

    verifier: Verifier
    roles: Collection[str] = RESPONSE_ROLES
    """Remote-party roles that may sign."""

    @classmethod
    def trusting(cls, trust: Trust, *, roles: Collection[str] = RESPONSE_ROLES) -> Parser:
        """A parser that believes what `trust` does, also when it is reloaded."""
        return cls(Verifier(trust), roles)

    def message(self, data: bytes, *, at: datetime) -> Message:
        """Return the Response or Alert, its certificate judged as of `at`; raises MessageRefused."""
        document = self._parsed(data)
        return self._decoded(document, _is_valid(document), at)

    def response(self, data: bytes, *, at: datetime) -> Response:
        """Return the Response; raises MessageRefused, also if it is an Alert."""
        return _as_response(self.message(data, at=at))

    def alert(self, data: bytes, *, at: datetime) -> Alert:
        """Return the Alert; raises MessageRefused, also if it is a Response."""
        found = self.message(data, at=at)
        if isinstance(found, Response):
            raise MessageMalformed(f"this is the Response to {found.request_id.text}, not an Alert")
        return found

    def answer(self, data: bytes, *, at: datetime) -> Response | UnsignedRefusal:
        """Return what a request was answered at once: as `response`, or a refusal without Signature and result.

        Whoever asked may take the latter for what it is; in a message that comes of its own it is refused.
        """
        document = self._parsed(data)
        valid = _is_valid(document)
        refusal = unverified_refusal(document) if valid else None
        if refusal is not None:
            return UnsignedRefusal(refusal.code, refusal.request_id, refusal.at)
        return _as_response(self._decoded(document, valid, at))

    def _parsed(self, data: bytes) -> ParsedDocument:
        try:
            return parse(data)
        except DocumentRefused as refused:
            raise MessageMalformed(refused.reason, line=refused.line, path=refused.path) from None

    def _decoded(self, document: ParsedDocument, valid: bool, at: datetime) -> Message:
        try:
            verified = self.verifier.verify(document, roles=self.roles, at=at, carrier=_SMETS1)
        except ProfileRefused as refused:
            raise MessageNotGenuine(refused.reason, line=refused.line, path=refused.path) from None
        except NotAuthenticated as refused:
            raise MessageNotGenuine(refused.reason) from None
        try:
            return _message(decode_received(verified, valid=valid), verified)
        except ValueError as error:
            raise MessageMalformed(str(error)) from None


def parse_response(data: bytes, trust: Trust, *, at: datetime, roles: Collection[str] = RESPONSE_ROLES) -> Response:
    """Return the Response that is signed by whoever `trust` believes at `at`; raises MessageRefused, saying why not."""
    return Parser.trusting(trust, roles=roles).response(data, at=at)


def parse_alert(data: bytes, trust: Trust, *, at: datetime, roles: Collection[str] = RESPONSE_ROLES) -> Alert:
    """Return the Alert that is signed by whoever `trust` believes at `at`; raises MessageRefused, saying why not."""
    return Parser.trusting(trust, roles=roles).alert(data, at=at)


def parse_message(data: bytes, trust: Trust, *, at: datetime, roles: Collection[str] = RESPONSE_ROLES) -> Message:
    """Return the Response or the Alert, whichever it is; raises MessageRefused, saying why not."""
    return Parser.trusting(trust, roles=roles).message(data, at=at)


@cache
def _schema() -> Schema:
    # It never changes, and takes a tenth of a second to read.
    return Schema(data_directory("xsd") / "duis.xsd", roots={"Response"}, signature_apart=True, explained=False)


def _is_valid(document: ParsedDocument) -> bool:
    try:
        _schema().check(document)
    except SchemaRefused:
        # A later version's, perhaps: if it is genuine, as much of it is read as can be.
        return False
    return True


def _as_response(message: Message) -> Response:
    if isinstance(message, Alert):
        raise MessageMalformed(f"this is an Alert, {message.code}, not a Response")
    return message


def _message(received: Received, verified: VerifiedDocument) -> Message:
    sha256 = hashlib.sha256(verified.data).hexdigest()
    signer = verified.signer
    signature = Signature(signer.eui, signer.role, str(signer.serial))
    if received.alert is None:
        if received.request_id is None:
            raise ValueError("the Response has no RequestID, so it answers nothing")
        return Response(
            sha256=sha256,
            schema_version=received.schema_version,
            code=received.code,
            at=received.at,
            request_id=received.request_id,
            response_id=received.response_id,
            service_reference=received.service_reference,
            service_reference_variant=received.service_reference_variant,
            body=received.result,
            signature=signature,
            unknown=received.unknown,
            data=verified.data,
        )
    return Alert(
        sha256=sha256,
        schema_version=received.schema_version,
        code=received.alert_code or received.code,
        at=received.at,
        body=received.alert,
        signature=signature,
        throttled_sequence_id=received.throttled_sequence_id,
        throttled_count=received.throttled_count,
        unknown=received.unknown,
        data=verified.data,
    )
