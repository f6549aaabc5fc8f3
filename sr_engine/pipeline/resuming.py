"""Held requests that wait no more: checked again, carried out or refused, and answered by a Response (section 3)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeVar

from signing import parse
from sr_engine.configuration.policy import Held
from sr_engine.domain.holding import Hold, HoldReason
from sr_engine.messages.build import build_response
from sr_engine.messages.decode import Echo, unverified_echo
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import (
    CommsHubFirmwareResult,
    FirmwareRefusal,
    FirmwareWarning,
    RefusalReason,
    Result,
    ScheduleRead,
)
from sr_engine.pipeline.answer import Answer
from sr_engine.pipeline.process import Admitted, Processor, Turned
from sr_engine.requests.outcome import Outcome
from sr_engine.store import audit, held, outbox
from sr_engine.store.held import HeldRequest
from sr_engine.store.reading import Reading
from sr_engine.store.units_of_work import UnitOfWork

_Reason = TypeVar("_Reason", RefusalReason, FirmwareRefusal)

DUE_AT_ONCE = 100
"""Held requests that one look finds, at most."""


@dataclass(frozen=True, slots=True)
class Resuming:
    """Takes up held requests, each in a transaction of its own."""

    processor: Processor
    draw_id: Callable[[], str]

    def due(self, reading: Reading, now: datetime, put_off: Collection[int] = ()) -> list[int]:
        """Those to be taken up, what was to happen first first; at most DUE_AT_ONCE, without those `put_off`."""
        before = self._answered_before(now)
        return reading(
            lambda connection: held.due(connection, now=now, answered_before=before, limit=DUE_AT_ONCE, put_off=put_off)
        )

    def prepare(self, found: HeldRequest) -> Admitted | Outcome:
        """All checks that need no database once more; it may take as long as when the request was received.

        Who the sender is and may do is judged now, the signature as of when it was received.
        """
        processor = self.processor
        service = processor.configuration.catalogue.service_for(found.command_variant)
        admitted = processor.admit(service or "", found.received, found.received_at)
        match admitted:
            case Turned():
                return Outcome(admitted.answer.code or "E100", admitted.answer.detail)
            case Answer():
                return Outcome("E100", f"no longer taken: {admitted.detail}")
            case Admitted():
                return admitted

    def resume(self, unit_of_work: UnitOfWork, held_id: int, prepared: Admitted | Outcome | None = None) -> bool:
        """Give a held request its final code, or let it wait for the next reason; False if it is not due."""
        connection, now = unit_of_work.connection, unit_of_work.now
        found = held.find_due(connection, held_id, now=now, answered_before=self._answered_before(now))
        if found is None:
            return False
        outcome: Outcome | Hold | None = self._in_vain(found)
        if outcome is None:
            admitted = prepared or self.prepare(found)
            outcome = admitted if isinstance(admitted, Outcome) else self._judge(unit_of_work, found, admitted)
        if isinstance(outcome, Hold):
            held.hold_again(connection, found, outcome)
            detail = f"no longer {found.reason}, now {outcome.reason}"
            audit.record(connection, [audit.Entry(now, "processor", "held on", detail, found.message_key)])
        else:
            self._answer(unit_of_work, found, outcome)
        return True

    def give_up(self, unit_of_work: UnitOfWork, held_id: int, why: str) -> bool:
        """End a held request that cannot be carried out, whatever is tried; False if it has ended."""
        found = held.find(unit_of_work.connection, held_id)
        if found is not None:
            self._answer(unit_of_work, found, Outcome("E100", f"it could not be carried out: {why}"))
        return found is not None

    def _answered_before(self, now: datetime) -> datetime:
        return now - self.processor.configuration.policy.held.answer

    def _in_vain(self, found: HeldRequest) -> Outcome | None:
        """What the request comes to if it has waited in vain."""
        preceding = found.preceding_code or ""
        match found.reason:
            case HoldReason.QUARANTINE if found.released:
                return None
            case HoldReason.QUARANTINE if found.deleted:
                return Outcome("E100", "deleted from quarantine by the operator")
            case HoldReason.QUARANTINE:
                return Outcome("E100", "deleted from quarantine: it was not released in time")
            case HoldReason.SEQUENCE if not preceding:
                return Outcome("E41", "the preceding request has not come and ended in time")
            case HoldReason.SEQUENCE if not preceding.startswith(("I", "W")):
                return Outcome("E40", f"the preceding request ended with {preceding}")
            case _:
                return None

    def _judge(self, unit_of_work: UnitOfWork, found: HeldRequest, admitted: Admitted) -> Outcome | Hold:
        verdict = self.processor.judge(unit_of_work, admitted, passed=found.reason.passed)
        if isinstance(verdict, Answer):
            return Outcome("E100", verdict.detail)
        if isinstance(verdict, Outcome):
            self.processor.carry_out(unit_of_work, admitted, verdict)
        return verdict

    def _answer(self, unit_of_work: UnitOfWork, found: HeldRequest, outcome: Outcome) -> None:
        """End the wait: the whole Response is kept, and what its receiver can take is sent."""
        connection, now = unit_of_work.connection, unit_of_work.now
        # They were taken once, whatever is taken now.
        echo = unverified_echo(parse(found.received, max_bytes=len(found.received)))
        whole = self._response(echo, outcome.code, outcome.result, now)
        shortened = _shortened(outcome.result, self.processor.configuration.policy.held)
        sent = whole if shortened is outcome.result else self._response(echo, outcome.code, shortened, now)
        held.end(connection, found.held_id, now=now, code=outcome.code, detail=outcome.detail, response=whole)
        held.free_followers(connection, found.message_key, now)
        message_id = self.draw_id()
        destination = f"user:{found.sender_eui}"
        outbox.put(connection, [outbox.Outgoing(message_id, outbox.RESPONSE, destination, "response", sent)], now)
        detail = f"{echo.service_reference_variant} {outcome.code}: {outcome.detail}; sent as {message_id}"
        audit.record(connection, [audit.Entry(now, "processor", "response", detail, found.message_key)])

    def _response(self, echo: Echo, code: str, result: Result | None, now: datetime) -> bytes:
        request_id = RequestId.parse(echo.request_id_text)
        root = build_response(
            schema_version=echo.schema_version,
            request_id=echo.request_id_text,
            response_id=f"{request_id.target}:{request_id.originator}:{request_id.counter}",
            code=code,
            at=now,
            service_reference=echo.service_reference,
            service_reference_variant=echo.service_reference_variant,
            result=result,
        )
        return self.processor.signer.sign(root)


def _shortened(result: Result | None, limits: Held) -> Result | None:
    """What of a result its receiver can take: some refused ids, or a shorter page of 11.7.

    How many were refused in all is said where the body has a place for it; that of 11.1 and 11.4 has none.
    """
    match result:
        case ScheduleRead() if len(result.upgrades) > limits.response_page_devices:
            return replace(result, upgrades=result.upgrades[: limits.response_page_devices], more_devices=True)
        case CommsHubFirmwareResult() if (refused := _how_many(result.refused)) > limits.response_max_devices:
            kept = _first(limits.response_max_devices, RefusalReason, result.refused)
            return replace(result, refused=kept, refused_device_count=refused)
        case FirmwareWarning() if _how_many(result.refused) > limits.response_max_devices:
            return replace(result, refused=_first(limits.response_max_devices, FirmwareRefusal, result.refused))
        case _:
            return result


def _how_many(refused: Mapping[_Reason, tuple[str, ...]]) -> int:
    return sum(map(len, refused.values()))


def _first(
    most: int, reasons: Iterable[_Reason], refused: Mapping[_Reason, tuple[str, ...]]
) -> dict[_Reason, tuple[str, ...]]:
    """So many ids at most, in the order in which they stand in the body."""
    kept: dict[_Reason, tuple[str, ...]] = {}
    for reason in reasons:
        if (some := refused.get(reason, ())[:most]) != ():
            kept[reason] = some
            most -= len(some)
    return kept
