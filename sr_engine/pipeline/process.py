"""From bytes to a signed answer, in the check order of section 3, top to bottom.

`admit` is what needs no database; `execute` runs inside one transaction, whose commit precedes the answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from http import HTTPStatus
from typing import Protocol

from signing import (
    DocumentRefused,
    NotAuthenticated,
    ParsedDocument,
    ProfileRefused,
    Signer,
    VerifiedDocument,
    Verifier,
    parse,
)
from sr_engine.configuration import Configuration, ServiceReferenceVariant, UserDirectory
from sr_engine.domain.holding import Breach, Hold, HoldReason
from sr_engine.domain.portions import Portion
from sr_engine.messages.build import build_response, serialise_unsigned
from sr_engine.messages.decode import Echo, decode_request, unverified_echo
from sr_engine.messages.model import (
    ApproveCommsHubFirmware,
    DeleteCommsHubFirmwareSchedule,
    Phase,
    ReadCommsHubFirmwareSchedule,
    ReadInventory,
    Result,
    ScheduleCommsHubFirmware,
    ServiceRequest,
    UpdateCommsHubFirmwareExclusion,
    UpdateFirmware,
    UpdatePPMIDFirmware,
)
from sr_engine.messages.official import OfficialSchema
from sr_engine.messages.schema import Schema, SchemaRefused
from sr_engine.messages.signed import sign_response
from sr_engine.pipeline import checks
from sr_engine.pipeline.answer import Answer, Once
from sr_engine.pipeline.changing import Changing, entries_of
from sr_engine.pipeline.checks import Refusal
from sr_engine.pipeline.holding import Holding
from sr_engine.pipeline.looking_ahead import Decided, LookedUp
from sr_engine.pipeline.problem import problem
from sr_engine.pipeline.stages import Stages, alone
from sr_engine.regions.calendar import due_cuts
from sr_engine.regions.meter_lists import MeterLists
from sr_engine.regions.periods import PeriodFinder
from sr_engine.requests import (
    approve_firmware,
    delete_schedule,
    read_inventory,
    read_schedule,
    schedule_firmware,
    update_exclusion,
    update_firmware,
)
from sr_engine.requests.lists import canonical
from sr_engine.requests.outcome import Outcome, Rules, Sender
from sr_engine.store import audit, exchanges, exclusions, held, inventory, known_hubs, releases, upgrades
from sr_engine.store.facts import StoredFacts
from sr_engine.store.overlays import QuietDays
from sr_engine.store.reading import Connection, Reading
from sr_engine.store.units_of_work import UnitOfWork
from sr_engine.store.upgrades import Past
from sr_engine.value_objects import value_object

DUIS = "DUIS"
SCHEDULE_ID_MAX = 10**12
HTTP_OK = 200
_HOUR = 3_600
_MOMENT = timedelta(microseconds=1)


class Asked(Protocol):
    """What is asked for, by whom; that it is they was made sure of before."""

    @property
    def request(self) -> ServiceRequest:
        """What is to be done; its RequestID names it everywhere."""

    @property
    def entry(self) -> ServiceReferenceVariant:
        """The Service Request, as the catalogue knows it."""

    @property
    def sender(self) -> Sender:
        """The User."""


@value_object
class Admitted:
    """A request that was authenticated and whose sender may send it; now the database decides."""

    document: VerifiedDocument = field(repr=False)
    request: ServiceRequest
    entry: ServiceReferenceVariant
    sender: Sender

    @property
    def concerns_more(self) -> bool:
        """It names a schedule to be replaced or taken back, and so concerns more hubs than it lists."""
        match self.request.body:
            case ScheduleCommsHubFirmware() as body:
                return body.replaces_schedule_id is not None
            case DeleteCommsHubFirmwareSchedule() as body:
                return not body.device_ids
            case _:
                return False

    @property
    def only_concerns(self) -> Sequence[str] | None:
        """The canonical ids of all the hubs that it reads or changes anything of; None: there may be others.

        So there are for the places of a pilot.
        """
        match self.request.body:
            case ApproveCommsHubFirmware() as body:
                return canonical(body.device_ids)
            case ScheduleCommsHubFirmware(phase=Phase.GENERAL, replaces_schedule_id=None) as body:
                return canonical(body.device_ids)
            case _:
                return None


@dataclass(frozen=True, slots=True)
class Turned:
    """A request that was refused without an exchange of its own: up to the duplicate check, or by it."""

    answer: Answer
    sender_eui: str
    """Empty where nobody was authenticated."""
    request_key: str
    devices: int = 0
    """How many it names."""
    variant: str = ""
    """The Service Reference Variant it says it has."""


Checked = Admitted | Turned | Answer
"""What becomes of a request before the database has a say."""

Over = Callable[[str], str | None]
"""What speaks against a message of this signer, named by its EUI, over a connection; None if nothing does."""


def _nothing_against(_signer: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Processor:
    """Answers Service Requests; safe to use from several threads."""

    configuration: Configuration
    users: UserDirectory
    schema: Schema
    verifier: Verifier
    signer: Signer
    changing: Changing
    holding: Holding
    draw_schedule_id: Callable[[], int]
    meter_lists: MeterLists
    official_schema: OfficialSchema | None = None

    def admit(self, service: str, data: bytes, now: datetime, over: Over = _nothing_against) -> Checked:
        """Check all that needs no database: an Answer alone is an HTTP refusal, of which nothing is kept.

        `over` says what speaks against a request of a signer over the connection that it came over.
        """
        return alone(self.admitting(service, data, now, over))

    def admitting(self, service: str, data: bytes, now: datetime, over: Over = _nothing_against) -> Stages[Checked]:
        """The same in stages."""
        policy, catalogue = self.configuration.policy, self.configuration.catalogue
        try:
            document = parse(data, max_bytes=policy.limits.max_body_bytes)
            yield
            self.schema.check(document)
            echo = unverified_echo(document)
            checks.check_schema_version(echo, catalogue, policy.schema_versions)
            checks.check_official_schema(document, echo, catalogue, self.official_schema)
            yield
            verified = self.verifier.verify(document, roles=policy.certificate_roles.requests, at=now)
            yield
            request = decode_request(verified)
            checks.check_list_size(request, policy.limits.list_max_devices)
        except (DocumentRefused, SchemaRefused, ProfileRefused) as refused:
            return problem(HTTPStatus.BAD_REQUEST, refused.reason, line=refused.line, path=refused.path)
        except checks.NotTaken as refused:
            return problem(HTTPStatus.BAD_REQUEST, refused.reason, path=refused.path)
        except NotAuthenticated as refused:
            return _unauthenticated(document, refused.reason, now)
        yield
        header = request.header
        if (objection := over(verified.signer.eui)) is not None:
            return _unauthenticated(document, objection, now)
        try:
            checks.check_originator(header, verified.signer)
        except Refusal as refused:
            return _unauthenticated(document, refused.detail, now)
        try:
            entry = checks.check_agreement(header, catalogue, policy.access_control_broker_eui)
            checks.check_command_variant(header, entry)
            checks.check_service(header, catalogue, service)
            sender = checks.check_user(header, entry, self.users)
        except Refusal as refused:
            answer = self.signed(request, refused.code, refused.detail, None, now)
            key, variant = header.request_id.key, header.service_reference_variant
            return Turned(answer, verified.signer.eui, key, _devices(request), variant)
        return Admitted(verified, request, entry, sender)

    @property
    def quiet_days(self) -> QuietDays:
        """Those around a change of Supplier."""
        quiet = self.configuration.policy.change_of_supplier
        return QuietDays(quiet.quiet_before, quiet.quiet_after)

    def record_turned(self, unit_of_work: UnitOfWork, turned: Turned) -> Answer:
        """Note in the audit trail that a request was refused, and why."""
        actor = f"user:{turned.sender_eui}" if turned.sender_eui else "unauthenticated"
        detail = f"{turned.answer.code}: {turned.answer.detail}"
        key = turned.request_key
        audit.record(unit_of_work.connection, [audit.Entry(unit_of_work.now, actor, "refused", detail, key)])
        if turned.sender_eui:
            self.holding.count(unit_of_work, turned.sender_eui, turned.devices)
        return turned.answer

    def look_ahead(self, reading: Reading, admitted: Admitted, now: datetime) -> LookedUp | None:
        """What `execute` comes to for a long list, as far as it can be known before; None of others."""
        body = admitted.request.body
        if not isinstance(body, ScheduleCommsHubFirmware | ApproveCommsHubFirmware):
            return None

        device_ids = canonical(body.device_ids)

        def look(connection: Connection) -> LookedUp | None:
            # What is younger than the first look is in the trail after this.
            audit_id = audit.newest_id(connection)
            release = releases.by_firmware(connection, body.firmware)
            if release is None:
                return None
            past_of = partial(upgrades.past_of, connection, release=release, now=now, quiet_days=self.quiet_days)
            # What takes longest, in a state of the database that is no older.
            with reading.beside(lambda beside: inventory.suppliers(beside, device_ids, now)) as registered:
                past = past_of(device_ids)
                with_han = bool(release.han_models)
                known = known_hubs.look_up(connection, device_ids, now, with_han=with_han, registered=registered)
            named_by_gpf = set(known.hub_ids.values()).difference(device_ids)
            if named_by_gpf:
                past = past.and_of(past_of(named_by_gpf))
            known = replace(known, quiet=past.quiet)
            if admitted.only_concerns is None or body.execution_date_time is not None or not admitted.entry.offered:
                return LookedUp(known)
            outcome = self._decide(UnitOfWork(connection, now), admitted, LookedUp(known), past)
            portions = self.changing.portions(outcome.changes) if self._is_long(admitted, connection) else None
            return LookedUp(known, Decided(outcome, portions, past, release, audit_id))

        return reading.if_possible(look)

    def _is_long(self, admitted: Admitted, connection: Connection) -> bool:
        hub_ids = admitted.only_concerns
        return hub_ids is not None and self.changing.is_long(len(hub_ids), connection)

    def execute_long(self, unit_of_work: UnitOfWork, admitted: Admitted, looked_up: LookedUp | None) -> Answer:
        """The same as `execute`; what changes for hubs is kept if they are many."""
        return self.execute(unit_of_work, admitted, looked_up, keep=self._is_long(admitted, unit_of_work.connection))

    def execute(
        self, unit_of_work: UnitOfWork, admitted: Admitted, looked_up: LookedUp | None = None, *, keep: bool = False
    ) -> Answer:
        """Decide, write and answer, all in the caller's transaction; `looked_up` is what was found out before it.

        With `keep`, what changes for hubs is kept, to be carried out later.
        """
        connection, now = unit_of_work.connection, unit_of_work.now
        header = admitted.request.header
        key = header.request_id.key
        answered = self.answered_before(unit_of_work, admitted)
        if answered is not None:
            return answered
        breach = self.holding.count(unit_of_work, admitted.sender.eui, _devices(admitted.request))
        verdict = self.judge(unit_of_work, admitted, breach=breach, looked_up=looked_up)
        if isinstance(verdict, Hold) and self.holding.too_many(unit_of_work, admitted.sender.eui):
            verdict = _too_many_wait(self.configuration.policy.held.most_waiting)
        if isinstance(verdict, Answer):
            return verdict
        outcome = Outcome("I99", verdict.detail) if isinstance(verdict, Hold) else verdict
        # Signed once, with the others of its transaction, when it is written.
        document = Once(lambda: self._sign(admitted.request, outcome.code, outcome.result, now))
        answer = Answer(HTTP_OK, document, outcome.detail, code=outcome.code)
        exchange = exchanges.Exchange(
            DUIS,
            key,
            header.command_variant,
            admitted.document.digest,
            admitted.sender.eui,
            header.service_reference_variant,
            now,
            outcome.code,
            outcome.detail,
            admitted.document.data,
            document,
        )
        if not isinstance(verdict, Hold):
            exchanges.put(connection, exchange)
            portions = None
            if keep:
                portions = looked_up.portions_of(outcome) if looked_up is not None else None
                portions = self.changing.portions(outcome.changes) if portions is None else portions
            freed = self.carry_out(unit_of_work, admitted, outcome, portions=portions)
            freed += held.free_followers(connection, key, now)
            return replace(answer, frees=True) if freed else answer
        exchange_id = exchanges.add(connection, exchange)
        self.carry_out(unit_of_work, admitted, outcome)
        held.add(connection, exchange_id, message_key=key, sender_eui=admitted.sender.eui, hold=verdict, now=now)
        self.holding.tell(unit_of_work, admitted.request, admitted.sender, verdict)
        return replace(answer, held=(key, header.command_variant), follows=True)

    def judge(
        self,
        unit_of_work: UnitOfWork,
        admitted: Asked,
        *,
        breach: Breach | None = None,
        passed: Collection[HoldReason] = (),
        looked_up: LookedUp | None = None,
    ) -> Outcome | Hold | Answer:
        """Decide what a request that is no duplicate comes to; nothing is written.

        `breach` says whose anomaly threshold is crossed, if one is; `passed` what the request has waited for already,
        `looked_up` what was found out about it before.
        An Answer alone turns a read away for now.
        """
        request, entry = admitted.request, admitted.entry
        if not entry.offered:
            return Outcome("E100", f"Service Request {entry.variant} is not offered by this processor")
        verdict = self.holding.waits(unit_of_work, entry, request, admitted.sender, passed)
        if verdict is None or (isinstance(verdict, Hold) and verdict.reason is HoldReason.FUTURE_DATED):
            outcome = self._decide(unit_of_work, admitted, looked_up)
            if isinstance(verdict, Hold) and not outcome.code.startswith("E"):
                # Its dates and the registrations known for it are judged as of when it is to be executed, too.
                then = replace(unit_of_work, now=verdict.ready_at)
                at_execution = self._decide(then, admitted, looked_up and looked_up.only_known)
                refused = at_execution.code.startswith("E")
                outcome = replace(at_execution, detail=f"when executed: {at_execution.detail}") if refused else outcome
            # What would be refused does not wait.
            verdict = verdict if verdict is not None and not outcome.code.startswith("E") else outcome
        if isinstance(verdict, Outcome) and verdict.code.startswith("E"):
            return verdict
        if breach is not None and isinstance(request.body, ReadInventory | ReadCommsHubFirmwareSchedule):
            return _read_next_hour(unit_of_work.now)
        if breach is not None:
            return self.holding.in_quarantine(unit_of_work, request, breach)
        return verdict

    def answered_before(self, unit_of_work: UnitOfWork, admitted: Admitted) -> Answer | None:
        """What a request gets whose RequestID was used before; None if it was not."""
        header = admitted.request.header
        before = exchanges.find(unit_of_work.connection, DUIS, header.request_id.key, header.command_variant)
        return None if before is None else self._repeated(unit_of_work, admitted, before)

    def _repeated(self, unit_of_work: UnitOfWork, admitted: Admitted, before: exchanges.Answered) -> Answer:
        """The same content gets the stored answer, byte for byte; other content under the same RequestID gets E100.

        So does the same once its answer has been pruned.
        """
        if before.digest == admitted.document.digest and before.answer:
            follows = before.code == "I99" and held.was_held(
                unit_of_work.connection, admitted.request.header.request_id.key
            )
            return Answer(HTTP_OK, before.answer, before.detail, code=before.code, follows=follows)
        detail = "this RequestID was used before for a request with other content: use a new counter"
        if before.digest == admitted.document.digest:
            detail = f"this request was answered {before.code} so long ago that the answer is not kept any more"
        answer = self.signed(admitted.request, "E100", detail, None, unit_of_work.now)
        self.record_turned(unit_of_work, Turned(answer, admitted.sender.eui, admitted.request.header.request_id.key))
        return answer

    def _decide(
        self, unit_of_work: UnitOfWork, admitted: Asked, looked_up: LookedUp | None, past: Past | None = None
    ) -> Outcome:
        """What a request comes to, in a code that its version has; given the `past` of its hubs, it is not read."""
        body = admitted.request.body
        if looked_up is not None and isinstance(body, ScheduleCommsHubFirmware | ApproveCommsHubFirmware):
            still_so = looked_up.still_so(unit_of_work.connection, body.firmware, unit_of_work.now)
            if still_so is not None and not self._is_overtaken(body, looked_up.known.at, unit_of_work.now):
                decided, hub_ids = still_so
                if not hub_ids:
                    return decided.outcome
                looked_up, past = self._looked_up_again(unit_of_work, looked_up, decided, hub_ids)
        facts = StoredFacts(
            unit_of_work.connection,
            unit_of_work.now,
            self.quiet_days,
            None if looked_up is None else looked_up.known,
            past,
        )
        outcome = self._decided(unit_of_work, admitted, facts)
        version = Decimal(admitted.request.header.schema_version)
        code = self.configuration.expressed(outcome.code, version)
        return outcome if code == outcome.code else replace(outcome, code=code)

    def _looked_up_again(
        self, unit_of_work: UnitOfWork, looked_up: LookedUp, decided: Decided, hub_ids: Collection[str]
    ) -> tuple[LookedUp, Past]:
        """What was found out before, with some of the hubs as they are now."""
        connection, now = unit_of_work.connection, unit_of_work.now
        known = known_hubs.with_anew(connection, looked_up.known, hub_ids, now)
        anew = upgrades.past_of(connection, hub_ids, decided.release, now, self.quiet_days)
        return LookedUp(known), decided.past.without(hub_ids).and_of(anew)

    def _is_overtaken(
        self, body: ScheduleCommsHubFirmware | ApproveCommsHubFirmware, at: datetime, now: datetime
    ) -> bool:
        """Whether what was decided `at` a time may be otherwise `now` by the clock alone.

        The lists of a night have been cut meanwhile, or a deferral would end in the past.
        """
        if isinstance(body, ApproveCommsHubFirmware) and body.defer_until is not None and body.defer_until <= now:
            return True
        regions = self.configuration.regions.values()
        # Of nights that begin later than this the lists were still to be cut.
        return any(next(due_cuts(region, at + region.lead_time - _MOMENT, now), None) for region in regions)

    def _decided(self, unit_of_work: UnitOfWork, admitted: Asked, facts: StoredFacts) -> Outcome:
        header, body = admitted.request.header, admitted.request.body
        rules = self._rules(unit_of_work, header.request_id.key)
        sender = admitted.sender
        match body:
            case ReadInventory():
                return read_inventory.decide(body, sender, facts, rules)
            case UpdateFirmware() | UpdatePPMIDFirmware():
                return update_firmware.decide(body, sender, facts, regions=self.configuration.regions.keys())
            case ScheduleCommsHubFirmware():
                return schedule_firmware.decide(body, sender, facts, rules)
            case ApproveCommsHubFirmware():
                return approve_firmware.decide(body, sender, facts, rules)
            case ReadCommsHubFirmwareSchedule():
                return read_schedule.decide(body, sender, facts, rules)
            case DeleteCommsHubFirmwareSchedule():
                return delete_schedule.decide(body, sender, facts, rules)
            case UpdateCommsHubFirmwareExclusion():
                return update_exclusion.decide(body, sender, facts, rules)
            case _:
                return Outcome("E100", f"Service Request {admitted.entry.variant} is not offered by this processor")

    def _rules(self, unit_of_work: UnitOfWork, request_key: str) -> Rules:
        policy = self.configuration.policy
        periods = PeriodFinder(self.configuration.regions, unit_of_work.now)
        return Rules(
            now=unit_of_work.now,
            horizon_end=unit_of_work.now + policy.horizon.upgrade_window,
            has_period=periods,
            has_free_period=periods.free,
            lifecycle=self.configuration.lifecycle,
            page_devices=policy.limits.page_devices,
            inventory_max_devices=policy.limits.inventory_max_devices,
            cause=hashlib.sha256(request_key.encode()).hexdigest()[:32],
            draw_schedule_id=lambda: self._free_schedule_id(unit_of_work),
        )

    def _free_schedule_id(self, unit_of_work: UnitOfWork) -> int:
        while upgrades.schedule_exists(unit_of_work.connection, schedule_id := self.draw_schedule_id()):
            pass
        return schedule_id

    def carry_out(
        self,
        unit_of_work: UnitOfWork,
        admitted: Asked,
        outcome: Outcome,
        *,
        how: str = "",
        portions: Sequence[Portion] | None = None,
    ) -> int:
        """Write what an outcome changes, and that it did; how many requests wait no more since another is cancelled.

        `how` is said in the audit trail of what did not come as a signed Service Request. What changes for hubs is
        kept in `portions`, to be carried out later, if there are any.
        """
        header, changes = admitted.request.header, outcome.changes
        actor, key = f"user:{admitted.sender.eui}", header.request_id.key
        summary = f"{header.service_reference_variant} {outcome.code}: {outcome.detail}{how and f' ({how})'}"
        entries = [audit.Entry(unit_of_work.now, actor, "request", summary, key)]
        if changes is not None:
            if portions is not None:
                self.changing.keep(unit_of_work, changes, portions, actor=actor, key=key)
            else:
                self.changing.write(unit_of_work, changes)
                entries += entries_of(changes, unit_of_work.now, actor=actor, key=key)
        if outcome.exclusions is not None:
            exclusions.write(unit_of_work.connection, outcome.exclusions, unit_of_work.now)
            entries += exclusions.entries(outcome.exclusions, at=unit_of_work.now, actor=actor, message_key=key)
        if outcome.firmware is not None:
            entries += self.meter_lists.issue(unit_of_work, admitted.sender, outcome.firmware, key)
        freed = 0
        if outcome.cancels is not None:
            held_id, cancelled = outcome.cancels
            why = f"cancelled by {header.request_id.text}"
            held.end(unit_of_work.connection, held_id, now=unit_of_work.now, code=held.CANCELLED, detail=why)
            freed = held.free_followers(unit_of_work.connection, cancelled, unit_of_work.now)
            entries.append(audit.Entry(unit_of_work.now, actor, "held request cancelled", why, cancelled))
        audit.record(unit_of_work.connection, entries)
        return freed

    def signed(self, request: ServiceRequest, code: str, detail: str, result: Result | None, now: datetime) -> Answer:
        """The answer to a request, signed by the Access Control Broker."""
        return Answer(HTTP_OK, self._sign(request, code, result, now), detail, code=code)

    def _sign(self, request: ServiceRequest, code: str, result: Result | None, now: datetime) -> bytes:
        header = request.header
        return sign_response(
            self.signer,
            schema_version=header.schema_version,
            request_id=header.request_id.text,
            code=code,
            at=now,
            service_reference=header.service_reference,
            service_reference_variant=header.service_reference_variant,
            result=result,
        )


def _devices(request: ServiceRequest) -> int:
    return len(getattr(request.body, "device_ids", ()))


def _read_next_hour(now: datetime) -> Answer:
    """Reads are not held: nobody would wait for them."""
    seconds = _HOUR - (now.minute * 60 + now.second)
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"an anomaly threshold is crossed, and requests that read are not held; send it again in {seconds} s",
        retry_after=seconds,
    )


def _too_many_wait(most: int) -> Answer:
    return problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        f"{most:,} of your requests wait to be carried out, and no more are taken before some have been",
        retry_after=_HOUR,
    )


def _unauthenticated(document: ParsedDocument, reason: str, now: datetime) -> Turned:
    """An unsigned E100 that echoes RequestID and Service Reference from the schema-valid header and nothing else."""
    echo: Echo = unverified_echo(document)
    root = build_response(
        schema_version=echo.schema_version,
        request_id=echo.request_id_text,
        code="E100",
        at=now,
        service_reference=echo.service_reference,
        service_reference_variant=echo.service_reference_variant,
        result=None,
    )
    answer = Answer(HTTP_OK, serialise_unsigned(root), reason, code="E100")
    key = echo.request_id_text.strip().upper()
    return Turned(answer, "", key, variant=echo.service_reference_variant.strip())
