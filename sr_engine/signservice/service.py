"""What `/sign` and `/verify` do, without HTTP (section 3 of the domain description, Signature profile)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from signing import NotAuthenticated, ParsedDocument, ProfileRefused, Verifier, parse
from sr_engine.clock import Clock
from sr_engine.messages.elements import local_name
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.signservice.counters import Counters
from sr_engine.signservice.documents import (
    REQUEST,
    RESPONSE,
    RequestIdElement,
    as_digested,
    drop_white_space,
    is_bare_refusal,
    is_signed,
    parse_unsigned,
)
from sr_engine.signservice.keys import KeyRing
from sr_engine.signservice.permissions import Permission


@dataclass(frozen=True, slots=True)
class AcceptedRoles:
    """Remote-party roles whose signature `/verify` accepts, by the kind of message."""

    requests: Collection[str]
    responses: Collection[str]


class SignService:
    """Signs Requests with the keys of a folder and verifies messages; safe to use from several threads."""

    def __init__(
        self,
        *,
        schema: Schema,
        verifier: Verifier,
        keys: KeyRing,
        counters: Counters,
        clock: Clock,
        roles: AcceptedRoles,
        accept_unsigned: bool = False,
    ) -> None:
        """`accept_unsigned` lets every unsigned Response pass that is valid, not only bare refusals."""
        self._schema = schema
        self._verifier = verifier
        self._keys = keys
        self._counters = counters
        self._clock = clock
        self._roles = roles
        self._accept_unsigned = accept_unsigned

    def sign(self, message: bytes, permission: Permission, *, preserve_counter: bool = False) -> bytes:
        """Return a Request signed by its originator, without white space between elements and with a new counter.

        An existing ds:Signature is removed, whatever is in it. Raises DocumentRefused, SchemaRefused, KeyUnavailable,
        NotPermitted, or OSError if the counter cannot be kept.
        """
        document = parse_unsigned(message)
        root = document.root
        if root.tag != REQUEST:
            raise SchemaRefused(f"the document is a {local_name(root)}; only a Request is signed here", line=1)
        drop_white_space(root)
        request_id = RequestIdElement.of(root)
        if request_id is None:
            self._schema.check(document)
            raise SchemaRefused("the document has no RequestID of the form originator:target:counter", line=1)
        permission.require(request_id.originator)
        now = self._clock.now()
        signer = self._keys.signer_of(request_id.originator, now)
        if not preserve_counter:
            request_id.set_counter(self._counters.draw(request_id.originator, int(now.timestamp() * 1000)))
        self._schema.check(document)
        return signer.sign(root)

    def verify(self, message: bytes) -> bytes:
        """Return a verified message without its ds:Signature, byte for byte what was digested.

        A Request must be signed by its originator. An unsigned Response is returned as it came if it is a bare
        refusal. Raises DocumentRefused, SchemaRefused, ProfileRefused or NotAuthenticated.
        """
        document = parse(message)
        self._schema.check(document)
        if document.root.tag == RESPONSE:
            if not is_signed(document):
                return self._unsigned(document)
            verified = self._verifier.verify(document, roles=self._roles.responses, at=self._clock.now())
        elif document.root.tag == REQUEST:
            verified = self._verifier.verify(document, roles=self._roles.requests, at=self._clock.now())
            request_id = RequestIdElement.of(verified.root)
            if request_id is None or request_id.originator != verified.signer.eui:
                raise NotAuthenticated(
                    f"the Request is signed by {verified.signer.eui}, which is not the originator in its RequestID"
                )
        else:
            raise SchemaRefused(
                f"the document is a {local_name(document.root)}; a Request or a Response is expected here", line=1
            )
        return as_digested(verified.root)

    def _unsigned(self, document: ParsedDocument) -> bytes:
        if self._accept_unsigned or is_bare_refusal(document.root):
            return document.data
        raise ProfileRefused(
            "the Response is not signed; without a ds:Signature only an acknowledgement passes whose ResponseCode "
            "begins with E and which holds no result"
        )
