"""Which requests are held, and what becomes of them: sequences, future dates, anomaly thresholds (section 3)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from signing import Signer
from sr_engine.configuration import AlertDefinition, AlertEvent, Policy, ServiceReferenceVariant, UserDirectory
from sr_engine.delivery.expressing import expressed_for
from sr_engine.domain.holding import (
    CANCELLATION,
    Breach,
    Datable,
    Hold,
    HoldReason,
    Thresholds,
    digest_without_date,
)
from sr_engine.messages.build import build_alert
from sr_engine.messages.model import QuarantinedRequest, ServiceRequest
from sr_engine.requests.outcome import Outcome, Sender
from sr_engine.store import anomalies, held, outbox
from sr_engine.store.reading import Connection
from sr_engine.store.units_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Holding:
    """Judges whether an admitted request has to wait."""

    policy: Policy
    users: UserDirectory
    signer: Signer
    alerts: Mapping[AlertEvent, AlertDefinition]
    randbelow: Callable[[int], int]
    draw_id: Callable[[], str]

    def count(self, unit_of_work: UnitOfWork, sender_eui: str, devices: int) -> Breach | None:
        """Count an authenticated request that names so many devices.

        Returns whose threshold it, or an earlier one of this hour, has crossed.
        """
        counted = anomalies.count(unit_of_work.connection, sender_eui, devices, unit_of_work.now)
        return self._crossed(unit_of_work.connection, sender_eui, counted)

    def foresee(self, unit_of_work: UnitOfWork, sender_eui: str, requests: int, devices: int) -> Breach | None:
        """Whose threshold would be crossed by so many more requests, naming so many devices; nothing is counted."""
        connection = unit_of_work.connection
        before = anomalies.counted(connection, sender_eui, unit_of_work.now)
        return self._crossed(connection, sender_eui, (before[0] + requests, before[1] + devices))

    def _crossed(self, connection: Connection, sender_eui: str, counted: tuple[int, int]) -> Breach | None:
        default = Thresholds(self.policy.anomaly.requests_per_hour, self.policy.anomaly.devices_per_hour)
        own = anomalies.thresholds(connection, sender_eui)
        if not own and not default.crossed_by(*counted):
            return None
        thresholds = {Breach.DCC: default, **own}
        crossed = {whose for whose, one in thresholds.items() if one.crossed_by(*counted)}
        return next((whose for whose in Breach if whose in crossed), None)

    def waits(
        self,
        unit_of_work: UnitOfWork,
        entry: ServiceReferenceVariant,
        request: ServiceRequest,
        sender: Sender,
        passed: Collection[HoldReason],
    ) -> Hold | Outcome | None:
        """What a request waits for, beside what it has `passed`; an outcome if it never can, or ends a wait itself."""
        found = None if HoldReason.SEQUENCE in passed else self._in_sequence(unit_of_work, request)
        if found is None and HoldReason.FUTURE_DATED not in passed:
            found = self._dated(unit_of_work, entry, request, sender)
        return found

    def _in_sequence(self, unit_of_work: UnitOfWork, request: ServiceRequest) -> Hold | Outcome | None:
        """A request that names a preceding one waits for it; E42 if that can never end."""
        header = request.header
        preceding = header.preceding_request_id
        if preceding is None:
            return None
        if header.first_in_sequence:
            return Outcome(
                "E42", "the first request of a sequence cannot have a preceding one: leave one of the two out"
            )
        if preceding.originator != header.request_id.originator:
            return Outcome("E42", f"the preceding request {preceding.text} is not one of yours")
        connection, now = unit_of_work.connection, unit_of_work.now
        root, dated = held.chain_of(connection, preceding.key)
        if header.request_id.key in {root, preceding.key}:
            return Outcome("E42", f"the sequence leads from {preceding.text} back to this request")
        # One that waits for its own date is not expected before.
        expires_at = max(now, dated or now) + self.policy.held.preceding
        has_ended = held.final_code(connection, preceding.key) is not None
        return Hold(
            HoldReason.SEQUENCE,
            f"accepted; it is carried out once {preceding.text} has ended well, and answered then",
            ready_at=now if has_ended else expires_at,
            expires_at=expires_at,
            preceding_key=preceding.key,
            root_key=root,
            body_digest=_digest(request),
        )

    def _dated(
        self, unit_of_work: UnitOfWork, entry: ServiceReferenceVariant, request: ServiceRequest, sender: Sender
    ) -> Hold | Outcome | None:
        """A request with an ExecutionDateTime waits until then, or cancels one that does."""
        body = request.body
        if not isinstance(body, Datable) or body.execution_date_time is None:
            return None
        family, at, now = f"{entry.variant.replace('.', '0')}", body.execution_date_time, unit_of_work.now
        digest = digest_without_date(entry.variant, body)
        if at == CANCELLATION:
            found = held.to_be_cancelled(unit_of_work.connection, sender.eui, digest)
            if found is None:
                return Outcome(f"E{family}09", "no request of yours with these values waits to be executed")
            return Outcome("I99", f"{found[1]} is carried out no more", cancels=found)
        if not now < at <= now + self.policy.held.execution:
            days = self.policy.held.execution.days
            return Outcome(
                f"E{family}05", f"ExecutionDateTime must be after now, {_shown(now)}, and at most {days} days ahead"
            )
        return Hold(
            HoldReason.FUTURE_DATED,
            f"accepted; it is checked again and carried out at {_shown(at)}, and answered then",
            ready_at=at,
            body_digest=digest,
        )

    def in_quarantine(self, unit_of_work: UnitOfWork, request: ServiceRequest, breach: Breach) -> Hold:
        """A request that crosses a threshold waits for the operator's word."""
        reference = str(1 + self.randbelow(10**20 - 1))
        hours = self.policy.held.quarantine
        expires_at = unit_of_work.now + hours
        whose = "your own threshold" if breach is Breach.USER else "the DCC's threshold for you"
        return Hold(
            HoldReason.QUARANTINE,
            f"held: {whose} of requests or devices in an hour is crossed; QuarantineEventRef {reference}. "
            f"It is carried out once released, and deleted if it has not been after {hours.total_seconds() / 3600:g} h",
            ready_at=expires_at,
            expires_at=expires_at,
            event_ref=reference,
            breach=breach,
            body_digest=_digest(request),
        )

    def too_many(self, unit_of_work: UnitOfWork, sender_eui: str) -> bool:
        """True if a User has as many requests waiting as it may have."""
        most = self.policy.held.most_waiting
        return held.how_many(unit_of_work.connection, sender_eui, most) >= most

    def tell(self, unit_of_work: UnitOfWork, request: ServiceRequest, sender: Sender, hold: Hold) -> None:
        """Alert the User to its request in quarantine."""
        user = self.users.by_eui(sender.eui)
        if user is None or hold.event_ref is None or hold.breach is None:
            return
        body = QuarantinedRequest(
            request.header.request_id.text, hold.event_ref, by_user_threshold=hold.breach is Breach.USER
        )
        alert, expressed = expressed_for(user, AlertEvent.QUARANTINED_REQUEST, body, self.alerts)
        root = build_alert(
            schema_version=str(user.duis_version), alert_code=alert.code, body=expressed, at=unit_of_work.now
        )
        message = outbox.Outgoing(
            self.draw_id(), outbox.NOTICE, f"user:{user.eui}", alert.event, self.signer.sign(root)
        )
        outbox.put(unit_of_work.connection, [message], unit_of_work.now)


def _digest(request: ServiceRequest) -> str | None:
    body = request.body
    if isinstance(body, Datable) and body.execution_date_time not in {None, CANCELLATION}:
        return digest_without_date(request.header.service_reference_variant, body)
    return None


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
