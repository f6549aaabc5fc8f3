"""What the upstream DCC sends to Users of its own accord, passed on byte for byte (section 4)."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus

from signing import Certificate, DocumentRefused, NotAuthenticated, ProfileRefused, VerifiedDocument, Verifier, parse
from sr_engine.configuration import Policy, User, UserDirectory
from sr_engine.messages.decode import ResponseHeader, decode_response_header
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.pipeline.answer import Answer
from sr_engine.pipeline.problem import problem
from sr_engine.pipeline.process import DUIS
from sr_engine.store import audit, exchanges, outbox
from sr_engine.store.transactions import UnitOfWork

RELAYED = "relayed"
UPSTREAM = "upstream"
"""The actor in the audit trail."""

_BEARER = re.compile(r"[Bb]earer +(\S+) *")


@dataclass(frozen=True, slots=True)
class Received:
    """A message that upstream signed, and the User it is for."""

    document: VerifiedDocument = field(repr=False)
    header: ResponseHeader
    user: User

    @property
    def message_id(self) -> str:
        """The same for the same bytes to the same User, so that a repeat is known by it."""
        digest = hashlib.sha256(self.document.data).hexdigest()
        return hashlib.sha256(f"{self.user.eui}:{digest}".encode()).hexdigest()[:32]

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
        if self.token_sha256 is None:
            return True
        bearer = _BEARER.fullmatch(authorization or "")
        given = hashlib.sha256((bearer[1] if bearer else "").encode()).hexdigest()
        return bearer is not None and hmac.compare_digest(given, self.token_sha256)

    def admit(self, eui: str, data: bytes, now: datetime) -> Received | Answer:
        """Check all that needs no database."""
        user = self.users.by_eui(eui)
        if user is None:
            return problem(HTTPStatus.NOT_FOUND, "the address names no User that is known here")
        try:
            document = parse(data, max_bytes=self.policy.limits.max_body_bytes)
            self.schema.check(document)
            verified = self.verifier.verify(document, roles=self.policy.certificate_roles.responses, at=now)
        except (DocumentRefused, SchemaRefused, ProfileRefused) as refused:
            return problem(HTTPStatus.BAD_REQUEST, refused.reason, line=refused.line, path=refused.path)
        except NotAuthenticated as refused:
            return problem(HTTPStatus.FORBIDDEN, refused.reason)
        if verified.signer == self.own_certificate:
            return problem(HTTPStatus.FORBIDDEN, "the message was signed by this processor, not by the upstream DCC")
        return Received(verified, decode_response_header(verified), user)

    def execute(self, unit_of_work: UnitOfWork, received: Received) -> Answer:
        """Queue the message for its User, in the caller's transaction."""
        connection, now, user = unit_of_work.connection, unit_of_work.now, received.user
        request_id = received.header.request_id
        if request_id is not None and request_id.originator != user.eui:
            detail = f"the message answers a request that User {user.eui} has not sent"
            audit.record(connection, [audit.Entry(now, UPSTREAM, "refused", detail, received.key)])
            return problem(HTTPStatus.FORBIDDEN, detail)
        if outbox.is_known(connection, received.message_id):
            return Answer(HTTPStatus.NO_CONTENT, b"", "taken before")
        message = outbox.Outgoing(
            received.message_id, outbox.RESPONSE, f"user:{user.eui}", RELAYED, received.document.data
        )
        outbox.put(connection, [message], now, not_before=self._not_before(unit_of_work, request_id))
        detail = f"{received.header.code}, passed on to User {user.eui} as message {received.message_id}"
        audit.record(connection, [audit.Entry(now, UPSTREAM, RELAYED, detail, received.key)])
        return Answer(HTTPStatus.NO_CONTENT, b"", "taken, and passed on as it came")

    def _not_before(self, unit_of_work: UnitOfWork, request_id: RequestId | None) -> datetime | None:
        """A Response does not overtake the answer to its request, which may still be on its way (FACTS HT8)."""
        if request_id is None:
            return None
        answered_at = exchanges.answered_at(unit_of_work.connection, DUIS, request_id.key)
        # Of a request that has no answer yet, nobody waits for one longer.
        return (answered_at or unit_of_work.now) + self.policy.held.answer
