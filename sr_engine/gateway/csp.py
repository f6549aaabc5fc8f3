"""Messages from CSPs: acknowledgements of upgrade lists and reports of outcomes, signed (section 5, CSP messages)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus

from signing import DocumentRefused, NotAuthenticated, ProfileRefused, VerifiedDocument, Verifier, parse
from sr_engine.configuration import Policy, Region
from sr_engine.messages.csp import decode_csp_message
from sr_engine.messages.model import (
    MeterFirmwareAcknowledgement,
    MeterFirmwareReport,
    UpgradeListAcknowledgement,
    UpgradeReport,
)
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.pipeline.answer import Answer
from sr_engine.pipeline.problem import problem
from sr_engine.regions.meter_outcomes import MeterOutcomes, UnknownMeterList
from sr_engine.regions.outcomes import Outcomes, UnknownList
from sr_engine.store import audit, exchanges
from sr_engine.store.reading import Reading
from sr_engine.store.suppliers import Responsibility, foresee
from sr_engine.store.units_of_work import UnitOfWork

CSP = "CSP"
LOOKED_UP_BEFORE = 250
"""Hubs of a report from which on who is responsible for them is looked up while others write."""

OfCsp = UpgradeListAcknowledgement | UpgradeReport | MeterFirmwareAcknowledgement | MeterFirmwareReport
MESSAGES_OF_CSPS = frozenset(
    {"UpgradeListAcknowledgement", "UpgradeReport", "MeterFirmwareAcknowledgement", "MeterFirmwareReport"}
)
"""Their document elements; all other messages of the exchange are the processor's."""


@dataclass(frozen=True, slots=True)
class AdmittedCspMessage:
    document: VerifiedDocument = field(repr=False)
    message: OfCsp
    foreseen: Responsibility | None = None
    """Who is responsible for the hubs of a large report, looked up before its transaction."""
    objection: str | None = None
    """What speaks against its having come over the connection that it came over."""


@dataclass(frozen=True, slots=True)
class CspDesk:
    """Takes what CSPs send: 204 once it is durable, otherwise a problem document; the same message again is 204."""

    schema: Schema
    verifier: Verifier
    regions: Mapping[str, Region]
    policy: Policy
    outcomes: Outcomes
    meter_outcomes: MeterOutcomes
    reading: Reading

    def admit(
        self, data: bytes, now: datetime, over: Callable[[str], str | None] = lambda _: None
    ) -> AdmittedCspMessage | Answer:
        """Check all that needs no database, and look up beside the transactions what will be needed of it.

        `over` says what speaks against a message of a signer over the connection that it came over.
        """
        try:
            document = parse(data, max_bytes=self.policy.limits.max_body_bytes)
            self.schema.check(document)
            verified = self.verifier.verify(document, roles=self.policy.certificate_roles.csp, at=now)
        except (DocumentRefused, SchemaRefused, ProfileRefused) as refused:
            return problem(HTTPStatus.BAD_REQUEST, refused.reason, line=refused.line, path=refused.path)
        except NotAuthenticated as refused:
            return problem(HTTPStatus.FORBIDDEN, refused.reason)
        message = decode_csp_message(verified)
        if not isinstance(message, OfCsp):
            return problem(
                HTTPStatus.BAD_REQUEST, f"{type(message).__name__} is a message the processor sends, not one it takes"
            )
        region = self.regions.get(message.region)
        if region is None:
            return problem(HTTPStatus.BAD_REQUEST, f"region {message.region} is not one that is upgraded here")
        signer = verified.signer.eui
        if signer != message.message_id.originator or signer != region.csp_eui:
            return problem(
                HTTPStatus.FORBIDDEN,
                f"the message is signed by {signer}; for region {region.name} it must be signed by its CSP, "
                "which must also be the originator of its MessageID",
            )
        if (objection := over(signer)) is not None:
            return AdmittedCspMessage(verified, message, objection=objection)
        return AdmittedCspMessage(verified, message, self._foreseen(message, now))

    def _foreseen(self, message: OfCsp, now: datetime) -> Responsibility | None:
        if not isinstance(message, UpgradeReport) or len(message.entries) < LOOKED_UP_BEFORE:
            return None
        return foresee(self.reading, {entry.device_id.upper() for entry in message.entries}, now)

    def execute(self, unit_of_work: UnitOfWork, admitted: AdmittedCspMessage) -> Answer:
        """Take the message in, in the caller's transaction."""
        connection, now, message = unit_of_work.connection, unit_of_work.now, admitted.message
        key = message.message_id.key
        if admitted.objection is not None:
            return _refused(unit_of_work, message, HTTPStatus.FORBIDDEN, admitted.objection)
        before = exchanges.find(connection, CSP, key, 0)
        if before is not None:
            if before.digest == admitted.document.digest:
                return Answer(HTTPStatus.NO_CONTENT, b"", before.detail)
            detail = "this MessageID was used before for a message with other content"
            return _refused(unit_of_work, message, HTTPStatus.CONFLICT, detail)
        try:
            detail = self._take(unit_of_work, admitted)
        except (UnknownList, UnknownMeterList) as unknown:
            return _refused(unit_of_work, message, HTTPStatus.NOT_FOUND, str(unknown))
        name = type(message).__name__
        exchanges.add(
            connection,
            exchanges.Exchange(
                CSP,
                key,
                0,
                admitted.document.digest,
                admitted.document.signer.eui,
                name[:16],
                now,
                str(HTTPStatus.NO_CONTENT.value),
                detail,
                admitted.document.data,
                b"",
            ),
        )
        audit.record(connection, [audit.Entry(now, f"csp:{message.region}", name, detail, key)])
        return Answer(HTTPStatus.NO_CONTENT, b"", detail)

    def _take(self, unit_of_work: UnitOfWork, admitted: AdmittedCspMessage) -> str:
        match message := admitted.message:
            case UpgradeReport():
                return self.outcomes.report(unit_of_work, message, admitted.foreseen)
            case UpgradeListAcknowledgement():
                return self.outcomes.acknowledge(unit_of_work, message)
            case MeterFirmwareReport():
                return self.meter_outcomes.report(unit_of_work, message)
            case MeterFirmwareAcknowledgement():
                return self.meter_outcomes.acknowledge(unit_of_work, message)


def _refused(unit_of_work: UnitOfWork, message: OfCsp, status: HTTPStatus, detail: str) -> Answer:
    """Turn a message of an authenticated CSP down, and note it in the audit trail."""
    actor, key = f"csp:{message.region}", message.message_id.key
    audit.record(unit_of_work.connection, [audit.Entry(unit_of_work.now, actor, "refused", detail, key)])
    return problem(status, detail)
