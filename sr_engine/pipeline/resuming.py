"""Held requests that wait no more: checked again, carried out or refused, and answered by a Response (section 3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from signing import parse
from sr_engine.domain.holding import Hold, HoldReason
from sr_engine.messages.build import build_response
from sr_engine.messages.decode import Echo, unverified_echo
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import CommsHubFirmwareResult, Result
from sr_engine.pipeline.answer import Answer
from sr_engine.pipeline.process import Admitted, Processor, Turned
from sr_engine.requests.outcome import Outcome
from sr_engine.store import audit, held, outbox
from sr_engine.store.held import HeldRequest
from sr_engine.store.transactions import UnitOfWork

DUE_AT_ONCE = 100
"""Held requests that one look finds, at most."""


@dataclass(frozen=True, slots=True)
class Resuming:
    """Takes up held requests, each in a transaction of its own."""

    processor: Processor
    draw_id: Callable[[], str]

    def due(self, unit_of_work: UnitOfWork) -> list[int]:
        """Those that wait no more, the first held first; at most DUE_AT_ONCE."""
        now = unit_of_work.now
        return held.due(unit_of_work.connection, now=now, answered_before=self._answered_before(now), limit=DUE_AT_ONCE)

    def resume(self, unit_of_work: UnitOfWork, held_id: int) -> bool:
        """Give a held request its final code, or let it wait for the next reason; False if it is not due."""
        connection, now = unit_of_work.connection, unit_of_work.now
        found = held.find_due(connection, held_id, now=now, answered_before=self._answered_before(now))
        if found is None:
            return False
        outcome: Outcome | Hold | None = self._in_vain(found, now)
        if outcome is None:
            admitted = self._admit_again(found)
            if isinstance(admitted, Outcome):
                outcome = admitted
            else:
                verdict = self.processor.judge(unit_of_work, admitted, passed=found.reason.passed)
                outcome = Outcome("E100", verdict.detail) if isinstance(verdict, Answer) else verdict
                if isinstance(outcome, Outcome):
                    self.processor.carry_out(unit_of_work, admitted, outcome)
        if isinstance(outcome, Hold):
            held.hold_again(connection, held_id, outcome)
        else:
            self._answer(unit_of_work, found, outcome)
        return True

    def _answered_before(self, now: datetime) -> datetime:
        return now - self.processor.configuration.policy.held.answer

    def _in_vain(self, found: HeldRequest, now: datetime) -> Outcome | None:
        """What the request comes to if it has waited in vain."""
        expired = found.expires_at is not None and found.expires_at <= now
        match found.reason:
            case HoldReason.QUARANTINE if found.deleted:
                return Outcome("E100", "deleted from quarantine by the operator")
            case HoldReason.QUARANTINE if expired and not found.released:
                return Outcome("E100", "deleted from quarantine: it was not released in time")
            case HoldReason.SEQUENCE if found.preceding_code is not None:
                if found.preceding_code[0] in "IW":
                    return None
                return Outcome("E40", f"the preceding request ended with {found.preceding_code}")
            case HoldReason.SEQUENCE:
                return Outcome("E41", "the preceding request has not come and ended in time")
            case _:
                return None

    def _admit_again(self, found: HeldRequest) -> Admitted | Outcome:
        """All checks once more: who the sender is and may do now, and the signature as of when it was received."""
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

    def _answer(self, unit_of_work: UnitOfWork, found: HeldRequest, outcome: Outcome) -> None:
        """End the wait: the whole Response is kept, and what its receiver can take is sent."""
        connection, now = unit_of_work.connection, unit_of_work.now
        policy = self.processor.configuration.policy
        echo = unverified_echo(parse(found.received, max_bytes=policy.limits.max_body_bytes))
        whole = self._response(echo, outcome.code, outcome.result, now)
        shortened = _shortened(outcome.result, policy.held.response_max_devices)
        sent = whole if shortened is outcome.result else self._response(echo, outcome.code, shortened, now)
        held.end(connection, found.held_id, now=now, code=outcome.code, detail=outcome.detail, response=whole)
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


def _shortened(result: Result | None, most: int) -> Result | None:
    """The result with at most so many refused ids over all its lists, and how many there are in all."""
    if not isinstance(result, CommsHubFirmwareResult):
        return result
    refused = sum(map(len, result.refused.values()))
    if refused <= most:
        return result
    kept, left = {}, most
    for reason, device_ids in result.refused.items():
        kept[reason] = device_ids[:left]
        left -= len(kept[reason])
    return replace(result, refused=kept, refused_device_count=refused)
