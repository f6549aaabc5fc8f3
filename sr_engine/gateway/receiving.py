"""What the upstream DCC sends to Users of its own accord, passed on byte for byte (section 4)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus

from signing import Certificate, DocumentRefused, NotAuthenticated, ProfileRefused, VerifiedDocument, Verifier, parse
from sr_engine.configuration import Policy, UserDirectory
from sr_engine.gateway.tokens import bears
from sr_engine.messages.decode import ResponseHeader, decode_response_header
from sr_engine.messages.elements import DUIS as NAMESPACE
from sr_engine.messages.identifiers import RequestId, canonical_eui
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.pipeline.answer import Answer
from sr_engine.pipeline.problem import problem
from sr_engine.pipeline.process import DUIS
from sr_engine.store import audit, exchanges, outbox
from sr_engine.store.units_of_work import UnitOfWork

RELAYED = "relayed"
UPSTREAM = "upstream"
"""The actor in the audit trail."""

_SMETS1 = f"{NAMESPACE}SMETS1SignedResponse"
"""What the provider of a SMETS1 device has signed stands in a Response with its Signature."""
_NOBODY = problem(HTTPStatus.NOT_FOUND, "the address names no User that is known here")


@dataclass(frozen=True, slots=True)
class Received:
    """A message that upstream signed, and the EUI of the address it was sent to."""

    document: VerifiedDocument = field(repr=False)
    header: ResponseHeader
    eui: str

    @property
    def message_id(self) -> str:
        """The same for the same content to the same User, so that a repeat is known by it, signed anew or not."""
        digest = self.document.digest.hex()
        return hashlib.sha256(f"{self.eui}:{digest}".encode()).hexdigest()[:32]

    @property
    def key(self) -> str:
        """What the audit trail names it by."""
        request_id = self.header.request_id
        return self.message_id if request_id is None else request_id.key


@dataclass(frozen=True, slots=True)
class ReceivingDesk:
    """Takes what upstream sends: 204 once it is in the outbox, and for a repeat; otherwise a problem document."""

    schema: Schema
    verifier: Verifier
    own_certificate: Certificate
    users: UserDirectory
    policy: Policy
    token_sha256: str | None
    """Of the bearer token that upstream sends; None: its signature is all that is asked for."""

    def lets_in(self, authorization: str | None) -> bool:
        """True if the header holds the token, or none is asked for."""
        return self.token_sha256 is None or bears(authorization, self.token_sha256)

    def admit(self, eui: str, data: bytes, now: datetime) -> Received | Answer:
        """Check all that needs no database."""
        try:
            document = parse(data, max_bytes=self.policy.limits.max_body_bytes)
            self.schema.check(document)
            roles = self.policy.certificate_roles.responses
            verified = self.verifier.verify(document, roles=roles, at=now, carrier=_SMETS1)
        except (DocumentRefused, SchemaRefused, ProfileRefused) as refused:
            return problem(HTTPStatus.BAD_REQUEST, refused.reason, line=refused.line, path=refused.path)
        except NotAuthenticated as refused:
            return problem(HTTPStatus.FORBIDDEN, refused.reason)
        if verified.signer == self.own_certificate:
            return problem(HTTPStatus.FORBIDDEN, "the message was signed by this processor, not by the upstream DCC")
        # Not before: who is a User here is nobody's business that upstream has signed nothing for.
        try:
            to = canonical_eui(eui)
        except ValueError:
            return _NOBODY
        return Received(verified, decode_response_header(verified), to)

    def execute(self, unit_of_work: UnitOfWork, received: Received) -> Answer:
        """Queue the message for its User, in the caller's transaction."""
        connection, now, eui = unit_of_work.connection, unit_of_work.now, received.eui
        request_id = received.header.request_id
        if request_id is not None and request_id.originator != eui:
            detail = f"the message answers a request that User {eui} has not sent"
            audit.record(connection, [audit.Entry(now, UPSTREAM, "refused", detail, received.key)])
            return problem(HTTPStatus.FORBIDDEN, detail)
        if self.users.by_eui(eui) is None:
            return _NOBODY
        if outbox.is_known(connection, received.message_id):
            return Answer(HTTPStatus.NO_CONTENT, b"", "taken before")
        message = outbox.Outgoing(received.message_id, outbox.RESPONSE, f"user:{eui}", RELAYED, received.document.data)
        outbox.put(connection, [message], now, not_before=self._not_before(unit_of_work, request_id))
        detail = f"{received.header.code}, passed on to User {eui} as message {received.message_id}"
        audit.record(connection, [audit.Entry(now, UPSTREAM, RELAYED, detail, received.key)])
        return Answer(HTTPStatus.NO_CONTENT, b"", "taken, and passed on as it came")

    def _not_before(self, unit_of_work: UnitOfWork, request_id: RequestId | None) -> datetime | None:
        """A Response does not overtake the answer to its request, which may still be on its way (FACTS HT8)."""
        if request_id is None:
            return None
        answered_at = exchanges.answered_at(unit_of_work.connection, DUIS, request_id.key)
        # Of a request that has no answer yet, nobody waits for one longer.
        return (answered_at or unit_of_work.now) + self.policy.held.answer
