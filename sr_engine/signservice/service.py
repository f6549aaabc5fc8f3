"""What `/sign` and `/verify` do, without HTTP (section 3 of the domain description, Signature profile)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from signing import NotAuthenticated, ParsedDocument, ProfileRefused, VerifiedDocument, Verifier, parse
from sr_engine.clock import Clock
from sr_engine.counters import CounterSource
from sr_engine.messages.elements import local_name
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.messages.unsigned import is_bare_refusal, is_signed
from sr_engine.signservice.documents import (
    REQUEST,
    RESPONSE,
    RequestIdElement,
    as_digested,
    drop_white_space,
    parse_unsigned,
)
from sr_engine.signservice.keys import KeyRing
from sr_engine.signservice.permissions import Permission


@dataclass(frozen=True, slots=True)
class AcceptedRoles:
    """Remote-party roles whose signature `/verify` accepts, by the kind of message."""

    requests: Collection[str]
    responses: Collection[str]


@dataclass(frozen=True, slots=True)
class MessageJudge:
    """Decides whether a Request or Response passes as what its sender wrote."""

    verifier: Verifier
    roles: AcceptedRoles
    accept_unsigned: bool = False
    """Whether every unsigned Response passes that is valid, not only bare refusals."""

    def verified(self, document: ParsedDocument, at: datetime) -> VerifiedDocument | None:
        """Return a schema-valid message as it was verified, None if it is unsigned and may be.

        A Request must be signed by its originator. Raises SchemaRefused, ProfileRefused or NotAuthenticated.
        """
        if document.root.tag == RESPONSE:
            if not is_signed(document):
                self._require_bare_refusal(document)
                return None
            return self.verifier.verify(document, roles=self.roles.responses, at=at)
        if document.root.tag != REQUEST:
            raise SchemaRefused(
                f"the document is a {local_name(document.root)}; a Request or a Response is expected here", line=1
            )
        verified = self.verifier.verify(document, roles=self.roles.requests, at=at)
        request_id = RequestIdElement.of(verified.root)
        if request_id is None or request_id.originator != verified.signer.eui:
            raise NotAuthenticated(
                f"the Request is signed by {verified.signer.eui}, which is not the originator in its RequestID"
            )
        return verified

    def _require_bare_refusal(self, document: ParsedDocument) -> None:
        if not self.accept_unsigned and not is_bare_refusal(document.root):
            raise ProfileRefused(
                "the Response is not signed; without a ds:Signature only an acknowledgement passes whose ResponseCode "
                "begins with E and which holds no result"
            )


class SignService:
    """Signs Requests with the keys of a folder and verifies messages; safe to use from several threads."""

    def __init__(
        self,
        *,
        schema: Schema,
        verifier: Verifier,
        keys: KeyRing,
        counters: CounterSource,
        clock: Clock,
        roles: AcceptedRoles,
        accept_unsigned: bool = False,
    ) -> None:
        """`accept_unsigned` is as in MessageJudge."""
        self._schema = schema
        self._keys = keys
        self._counters = counters
        self._clock = clock
        self._judge = MessageJudge(verifier, roles, accept_unsigned)

    def sign(self, message: bytes, permission: Permission, *, preserve_counter: bool = False) -> bytes:
        """Return a Request signed by its originator, without white space between elements and with a new counter.

        An existing ds:Signature is removed, whatever is in it. Raises DocumentRefused, SchemaRefused, KeyUnavailable,
        NotPermitted, or OSError if the counter cannot be kept.
        """
        document = parse_unsigned(message)
        root = document.root
        if root.tag != REQUEST:
            raise SchemaRefused(f"the document is a {local_name(root)}; only a Request is signed here", line=1)
        drop_white_space(document)
        request_id = RequestIdElement.required(document, self._schema.check)
        permission.require(request_id.originator)
        now = self._clock.now()
        signer = self._keys.signer_of(request_id.originator, now)
        if not preserve_counter:
            request_id.renew_counter(self._counters, now)
        self._schema.check(document)
        return signer.sign(root)

    def verify(self, message: bytes) -> bytes:
        """Return a verified message without its ds:Signature, byte for byte what was digested.

        A Request must be signed by its originator. An unsigned Response is returned as it came if it is a bare
        refusal. Raises DocumentRefused, SchemaRefused, ProfileRefused or NotAuthenticated.
        """
        document = parse(message)
        self._schema.check(document)
        verified = self._judge.verified(document, self._clock.now())
        return document.data if verified is None else as_digested(verified.root)
