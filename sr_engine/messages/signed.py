"""Signed answers; most are a code and nothing more, and then six texts in a document that is known otherwise."""

from __future__ import annotations

from datetime import UTC, datetime

from signing import Blank, Signer
from sr_engine.messages.build import build_response
from sr_engine.messages.model import Result
from sr_engine.messages.times import milliseconds_from_utc

_NO_TIME = datetime.min.replace(tzinfo=UTC)
_VERSION, _REQUEST_ID, _CODE, _REFERENCE, _VARIANT = map(chr, range(0xE001, 0xE006))
"""Characters that stand for texts until these are known; no message has a use for them."""

_BARE = Blank(
    build_response(
        schema_version=_VERSION,
        request_id=_REQUEST_ID,
        code=_CODE,
        at=_NO_TIME,
        service_reference=_REFERENCE,
        service_reference_variant=_VARIANT,
        result=None,
    ),
    (_VERSION, _REQUEST_ID, _CODE, milliseconds_from_utc(_NO_TIME), _REFERENCE, _VARIANT),
)


def sign_response(
    signer: Signer,
    *,
    schema_version: str,
    request_id: str,
    code: str,
    at: datetime,
    service_reference: str,
    service_reference_variant: str,
    result: Result | None,
) -> bytes:
    """Return the signed answer to a Service Request, byte for byte what signing `build_response` gives.

    Raises ValueError as `build_response` does.
    """
    if result is None:
        time = milliseconds_from_utc(at)
        texts = (schema_version, request_id, code, time, service_reference, service_reference_variant)
        signed = signer.sign_filled(_BARE, texts)
        if signed is not None:
            return signed
    return signer.sign(
        build_response(
            schema_version=schema_version,
            request_id=request_id,
            code=code,
            at=at,
            service_reference=service_reference,
            service_reference_variant=service_reference_variant,
            result=result,
        )
    )
