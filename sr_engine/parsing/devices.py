"""What became of each device that a request named: accepted, refused and why, held, or not to be told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sr_engine.messages.identifiers import canonical_eui
from sr_engine.messages.model import CommsHubFirmwareResult, FirmwareRefusal, FirmwareWarning, RefusalReason

if TYPE_CHECKING:
    from sr_engine.parsing.message import Response

_MAY_BE_CUT_SHORT = 1_000
"""Refused ids from which on a Response that was sent may not hold them all (it has room for some 4,000)."""

Reason = RefusalReason | FirmwareRefusal
"""Why one device was refused: of a hub, and of a meter or PPMID; the value names the list it stood in."""


class Outcome(StrEnum):
    """What a request came to as a whole. A partly accepted one is neither accepted nor refused."""

    ACCEPTED = "accepted"
    PARTLY_ACCEPTED = "partly accepted"
    """Some devices were accepted, others were refused or are held: look at each."""
    REFUSED = "refused"
    """Nothing was accepted, and nothing was changed."""
    HELD = "held"
    """It waits for its date, another request or its release; a Response follows, and only that says what came of it."""


class Verdict(StrEnum):
    """What became of one device."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    HELD = "held"
    UNCLEAR = "unclear"
    """The answer does not say: the list named a hub by CHF and by GPF, or a Response that was sent was cut short."""


@dataclass(frozen=True, slots=True)
class DeviceOutcome:
    """What became of one device; `reason` is set if the device itself was refused, `code` is the request's."""

    verdict: Verdict
    code: str
    reason: Reason | None = None


def device_outcomes(
    device_ids: Iterable[str], response: Response, *, held: bool = False
) -> Mapping[str, DeviceOutcome]:
    """Return what became of each id that was sent, by its canonical form, in the order sent.

    Behind them stand those that were refused and not sent: an 11.8 may name a schedule alone. `held` says of an I99
    that a Response follows. Raises ValueError for what is no EUI.
    """
    sent = dict.fromkeys(canonical_eui(device_id) for device_id in device_ids)
    code = response.code
    if held and code == "I99":
        return dict.fromkeys(sent, DeviceOutcome(Verdict.HELD, code))
    refused = {canonical_eui(device_id): reason for device_id, reason in response.refused.items()}
    others = DeviceOutcome(_of_the_others(response, len(sent), len(refused)), code)
    return {
        device_id: DeviceOutcome(Verdict.REFUSED, code, refused[device_id]) if device_id in refused else others
        for device_id in (*sent, *(one for one in refused if one not in sent))
    }


def _of_the_others(response: Response, sent: int, refused: int) -> Verdict:
    """What became of the devices that stand in no list."""
    match response.outcome:
        case Outcome.REFUSED:
            return Verdict.REFUSED
        case Outcome.ACCEPTED:
            return Verdict.ACCEPTED
        case _:
            accepted = response.accepted_count
            if accepted is None:
                # 11.1 and 11.4 say only who was refused, and not whether that is all; each id is a device of its own.
                # What is not known here may be another list of refused ones.
                whole = response.response_id is None or refused < _MAY_BE_CUT_SHORT
                told = isinstance(response.body, FirmwareWarning) and whole and not response.unknown
                return Verdict.ACCEPTED if told else Verdict.UNCLEAR
            return Verdict.ACCEPTED if accepted == sent - refused else Verdict.UNCLEAR


def refused_of(body: object) -> Mapping[str, Reason]:
    """The refused ids of a result body, as they stand there, and why."""
    if not isinstance(body, CommsHubFirmwareResult | FirmwareWarning):
        return {}
    lists: Mapping[RefusalReason, tuple[str, ...]] | Mapping[FirmwareRefusal, tuple[str, ...]] = body.refused
    return {device_id: reason for reason, device_ids in lists.items() for device_id in device_ids}
