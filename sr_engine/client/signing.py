"""Turning the body of a request into a signed request: by a key, or by a signing server that has it."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from signing import Signer, SigningKey, is_signed_form_of
from sr_engine.bearer import bearer
from sr_engine.client.errors import SigningFailed
from sr_engine.client.exchange import Call, Reply, SignedRequest, Steps
from sr_engine.client.requests import CANCELLATION, VARIANTS, ListRequest, ServiceRequestBody
from sr_engine.messages.build import serialise_unsigned
from sr_engine.messages.compose import build_request
from sr_engine.messages.identifiers import RequestId, canonical_eui

_COMMAND_VARIANT = 8
"""Of Non-Device requests, which all of these are."""


@dataclass(frozen=True, slots=True)
class SigningServer:
    """A server with the API of `sr-engine sign-server`, which holds the key of `eui`."""

    url: str
    """Without /sign."""
    eui: str
    token: str | None = field(default=None, repr=False)
    timeout: float = 30.0

    def __post_init__(self) -> None:
        """Raises ValueError if `eui` is none, or `token` can be no token."""
        if self.token is not None:
            bearer(self.token)
        object.__setattr__(self, "eui", canonical_eui(self.eui))
        object.__setattr__(self, "url", self.url.rstrip("/"))


Signs = SigningKey | SigningServer
"""Who signs: a SoftwareKey, any object with its `sign` (a token, say), or a server."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A request that has its RequestID and wants a Signature."""

    request_id: RequestId
    body: ServiceRequestBody
    schema_version: str
    first_in_sequence: bool = False
    preceding: RequestId | None = None

    @property
    def variant(self) -> str:
        """Its Service Reference Variant."""
        return VARIANTS[type(self.body)]


def signed(draft: Draft, by: Signs) -> Steps[SignedRequest]:
    """Sign a request as it is; raises SigningFailed if that is not done."""
    root = build_request(
        schema_version=draft.schema_version,
        request_id=draft.request_id.text,
        command_variant=_COMMAND_VARIANT,
        service_reference=draft.variant,
        service_reference_variant=draft.variant,
        body=draft.body,
        first_in_sequence=draft.first_in_sequence,
        preceding_request_id=draft.preceding,
    )
    if isinstance(by, SigningServer):
        data = yield from _signed_by_server(by, serialise_unsigned(root))
        if not is_signed_form_of(data, root):
            raise SigningFailed(f"{by.url} has signed something else than it was given")
    else:
        try:
            data = Signer(by).sign(root)
        except Exception as error:
            # A key in a device fails in ways of its own, perhaps between two parts of a list.
            raise SigningFailed(f"the key of {by.eui} has not signed: {str(error) or type(error).__name__}") from error
    device_ids = draft.body.device_ids if isinstance(draft.body, ListRequest) else ()
    return SignedRequest(draft.request_id, draft.variant, device_ids, _waits(draft), data)


def _waits(draft: Draft) -> bool:
    at = getattr(draft.body, "execution_date_time", None)
    return draft.preceding is not None or (at is not None and at != CANCELLATION)


def _signed_by_server(server: SigningServer, unsigned: bytes) -> Steps[bytes]:
    headers: Mapping[str, str] = {"Content-Type": "application/json"}
    if server.token is not None:
        headers = {**headers, "Authorization": bearer(server.token)}
    # The counter is this client's, from its own source: a retry must be able to send the same bytes.
    body = json.dumps({"message": b64encode(unsigned).decode("ascii"), "preserveCounter": True}).encode()
    reply = yield Call("POST", f"{server.url}/sign", headers, body, server.timeout)
    if not isinstance(reply, Reply):
        raise SigningFailed(f"{server.url} did not answer: {reply.reason}")
    try:
        content: dict[str, str] = dict(json.loads(reply.body))
        if reply.status != HTTPStatus.OK:
            raise SigningFailed(f"{server.url} has not signed: HTTP {reply.status}: {content.get('error', '')}")
        return b64decode(content["message"], validate=True)
    except (ValueError, KeyError, TypeError):
        raise SigningFailed(f"{server.url} answered HTTP {reply.status}, and not in the form of its API") from None
