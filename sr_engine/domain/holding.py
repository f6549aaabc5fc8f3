"""Requests that are answered now and carried out later: why they are held, and what a User may send in an hour.

Section 3 of the domain description: Future dating, Sequencing, Anomaly thresholds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from sr_engine.messages.identifiers import canonical_eui
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.value_objects import value_object

CANCELLATION = datetime(3000, 12, 31, tzinfo=UTC)
"""The ExecutionDateTime that cancels (FACTS RQ18)."""

Datable = ScheduleCommsHubFirmware | ApproveCommsHubFirmware | UpdateCommsHubFirmwareExclusion
"""Bodies that may say when they are to be executed."""


class HoldReason(StrEnum):
    """Why a request waits; one that waits for several reasons does so in this order."""

    QUARANTINE = "Quarantine"
    SEQUENCE = "Sequence"
    FUTURE_DATED = "FutureDated"

    @property
    def passed(self) -> frozenset[HoldReason]:
        """What a request that has waited for this reason waits for no more."""
        reasons = list(HoldReason)
        return frozenset(reasons[: reasons.index(self) + 1])


class Breach(StrEnum):
    """Whose threshold was crossed."""

    USER = "User"
    DCC = "DCC"


@value_object
class Thresholds:
    """How many requests and how many devices named in them a User may send in an hour; None: any number."""

    requests: int | None
    devices: int | None

    def crossed_by(self, requests: int, devices: int) -> bool:
        """True if so many are more than that."""
        return (self.requests is not None and requests > self.requests) or (
            self.devices is not None and devices > self.devices
        )


@dataclass(frozen=True, slots=True)
class Hold:
    """A request is to be held: answered I99 for the reason given in words, and carried out later."""

    reason: HoldReason
    detail: str
    ready_at: datetime
    """From when it is taken up, unless what it waits for happens before."""
    expires_at: datetime | None = None
    """When it has waited in vain."""
    preceding_key: str | None = None
    root_key: str | None = None
    """What the whole chain of requests before it waits for."""
    event_ref: str | None = None
    breach: Breach | None = None
    body_digest: str | None = None
    """Names what it asks for, if it says when that is to be executed."""


def digest_without_date(service_reference_variant: str, body: Datable) -> str:
    """Name what a request asks for apart from when: equal values have equal digests, ids being a set.

    64 hexadecimal digits.
    """
    ids = sorted({canonical_eui(device_id) for device_id in body.device_ids})
    values = repr((service_reference_variant, replace(body, execution_date_time=None, device_ids=()), ids))
    return hashlib.sha256(values.encode()).hexdigest()
