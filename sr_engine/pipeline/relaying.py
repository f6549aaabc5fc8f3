"""What is kept of requests that an upstream DCC answers: one transaction before it is asked and one after."""

from __future__ import annotations

from dataclasses import dataclass

from sr_engine.pipeline.answer import Answer
from sr_engine.pipeline.process import DUIS, HTTP_OK, Admitted, Processor
from sr_engine.store import audit, exchanges, held
from sr_engine.store.units_of_work import UnitOfWork

RELAYED = "relayed"
"""Stands where an exchange has its ResponseCode: the code is in the answer, which was not ours to read."""
_DETAIL = "this is the answer of the upstream DCC, as it came"


@dataclass(frozen=True, slots=True)
class Relaying:
    """Keeps the duplicate rule for requests that are not executed here: answered once, and the same for ever."""

    processor: Processor

    def answered_before(self, unit_of_work: UnitOfWork, admitted: Admitted) -> Answer | None:
        """The stored answer, or E100 for other content under a RequestID that was used; None if upstream is to say."""
        return self.processor.answered_before(unit_of_work, admitted)

    def keep(self, unit_of_work: UnitOfWork, admitted: Admitted, body: bytes) -> Answer:
        """Keep what upstream answered; what was kept in the meantime, by another process, stands."""
        before = self.processor.answered_before(unit_of_work, admitted)
        if before is not None:
            return before
        connection, now, header = unit_of_work.connection, unit_of_work.now, admitted.request.header
        key, variant = header.request_id.key, header.service_reference_variant
        exchanges.add(
            connection,
            exchanges.Exchange(
                DUIS,
                key,
                header.command_variant,
                admitted.document.digest,
                admitted.sender.eui,
                variant,
                now,
                RELAYED,
                _DETAIL,
                admitted.document.data,
                body,
            ),
        )
        held.free_followers(connection, key, now)
        summary = f"{variant} {RELAYED}: {_DETAIL}"
        audit.record(connection, [audit.Entry(now, f"user:{admitted.sender.eui}", "request", summary, key)])
        return Answer(HTTP_OK, body, _DETAIL, code=RELAYED)

    def note(self, unit_of_work: UnitOfWork, admitted: Admitted, answer: Answer) -> None:
        """Note in the audit trail that upstream was asked and gave no answer; the RequestID is not used up."""
        header, now = admitted.request.header, unit_of_work.now
        detail = f"{header.service_reference_variant} not {RELAYED}, HTTP {answer.status}: {answer.detail}"
        entry = audit.Entry(now, f"user:{admitted.sender.eui}", "refused", detail, header.request_id.key)
        audit.record(unit_of_work.connection, [entry])
