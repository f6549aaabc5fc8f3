"""Plays the traffic of an instance on a copy of it: messages, what the operator did, and the processor's own work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from sr_engine.bootstrap import Instance, csp_desk_of, phases_of, processor_of, triggers
from sr_engine.clock import FixedClock
from sr_engine.domain.phases import PhasePlan
from sr_engine.gateway.csp import AdmittedCspMessage
from sr_engine.messages.model import Firmware
from sr_engine.messages.reading import whole_of
from sr_engine.operations.phases import halt, open_gate, resume
from sr_engine.operations.quarantine import decide
from sr_engine.operations.releases import close, open_release, set_cpl_status, withdraw
from sr_engine.operations.terms import Wanted, announce, cancel
from sr_engine.pipeline.acting import Acting
from sr_engine.pipeline.answer import Answer
from sr_engine.pipeline.process import Admitted, Processor, Turned
from sr_engine.pipeline.resuming import Resuming
from sr_engine.regions.triggers import Housekeeping, RegionTriggers
from sr_engine.store import held, log, observed, releases, terms
from sr_engine.store.reading import Reading

_NOT_COMPARED = ("Header/ResponseDateTime", "StatusDateTime")
"""Times at which the processor did something by itself: they may be other ones by a moment."""
_SHOWN = 8
"""Elements that a difference names, at most."""
_BROUGHT_IN = frozenset(
    {"devices imported", "registrations imported", "registrations received", "CPL entries imported"}
)
"""Acts whose outcome is in the copy from the beginning: what they brought stands in no trail."""
_NOTHING_TO_DO = _BROUGHT_IN | {"resend", "audit pruned"}
"""Acts that are not done again, for they change no answer then; nor are those of which others are the cause."""
Event = log.Kept | log.Act | log.OpenedRelease | None
"""None: the processor looked for due work."""


@dataclass(frozen=True, slots=True)
class Changed:
    """An answer that is another one now."""

    at: datetime
    key: str
    what: str
    before: str
    """Its code."""
    now: str
    elements: tuple[str, ...]
    """What differs in the answer, element by element."""

    def __str__(self) -> str:
        code = f"{self.before} was answered, now {self.now}" if self.before != self.now else f"{self.now}, as before"
        head = f"{self.at:%Y-%m-%d %H:%M:%S}Z {self.what} {self.key}: {code}"
        return "\n".join([head, *(f"  {one}" for one in self.elements)])


@dataclass(slots=True)
class Told:
    """What came of a replay."""

    messages: int = 0
    differences: list[Changed] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What could not be played as it was."""


@dataclass(slots=True)
class Memory:
    """What was drawn by chance when the traffic came, to be drawn again."""

    schedules: dict[str, int]
    lists: dict[tuple[str, datetime], list[str]]
    request: str = ""
    """The RequestID that is worked on."""

    @classmethod
    def of(cls, connection: Connection) -> Memory:
        return cls(log.schedule_ids(connection), log.list_ids(connection))

    def schedule_id(self, draw: Callable[[], int]) -> int:
        known = self.schedules.get(self.request)
        self.request = ""
        return draw() if known is None else known

    def list_drawing(self, region: str, clock: FixedClock, draw: Callable[[], str]) -> Callable[[], str]:
        """Ids for what a region's cutter draws: that of a list, then that of its message, and so on."""
        of_list = True

        def drawn() -> str:
            nonlocal of_list
            nights = [night for (name, night), left in self.lists.items() if name == region and left]
            coming = [night for night in sorted(nights) if night > clock.now()]
            take, of_list = of_list and bool(coming), not of_list
            return self.lists[region, coming[0]].pop(0) if take else draw()

        return drawn


@dataclass
class Player:
    """Plays events on the copy; `source` is where they were."""

    source: Connection
    instance: Instance
    clock: FixedClock
    memory: Memory
    told: Told

    def __post_init__(self) -> None:
        processor = processor_of(self.instance)
        draw = processor.draw_schedule_id
        self.processor: Processor = replace(processor, draw_schedule_id=lambda: self.memory.schedule_id(draw))
        self.resuming = Resuming(self.processor, self.instance.draw_id)
        self.desk = csp_desk_of(self.instance)
        self.looks = [self._remembering(one) for one in triggers(self.instance, lambda: None)]

    def _remembering(self, trigger: Housekeeping | RegionTriggers) -> Housekeeping | RegionTriggers:
        if isinstance(trigger, Housekeeping):
            return trigger
        draw = self.memory.list_drawing(trigger.name, self.clock, self.instance.draw_id)
        return replace(trigger, cutter=replace(trigger.cutter, draw_id=draw))

    def play(self, loop: asyncio.Runner, events: list[tuple[datetime, Event]]) -> None:
        for at, event in events:
            self.clock.set(at)
            match event:
                case log.Kept():
                    self._message(event)
                case log.OpenedRelease():
                    self._open(event)
                case log.Act():
                    self._act(event)
                case None:
                    self._resume()
                    for trigger in self.looks:
                        loop.run(trigger.tick())
            # Whatever was sent was taken at once.
            self.instance.transactions.run_now(lambda work: observed.take_all(work.connection, work.now))

    # --- messages ---

    def _message(self, kept: log.Kept) -> None:
        self.told.messages += 1
        match kept.interface:
            case "DUIS":
                answer = self._duis(kept)
            case "CSP":
                answer = self._csp(kept)
            case interface:
                run, acting = self.instance.transactions.run_now, Acting(self.processor)
                answer = run(lambda work: acting.again(work, interface, kept.received))
        code = answer.code or str(answer.status)
        elements = differences(kept.answer, answer.body)
        if code != kept.code or elements:
            if code != kept.code:
                elements = (f"it says now: {answer.detail}", *elements)
            self.told.differences.append(Changed(kept.at, kept.key, kept.what, kept.code, code, elements))

    def _duis(self, kept: log.Kept) -> Answer:
        service = self.processor.configuration.catalogue.service_for(kept.command_variant) or ""
        admitted = self.processor.admit(service, kept.received, kept.at)
        match admitted:
            case Answer():
                return admitted
            case Turned():
                return self.instance.transactions.run_now(lambda work: self.processor.record_turned(work, admitted))
            case Admitted():
                self.memory.request = kept.key
                answer = self.instance.transactions.run_now(lambda work: self.processor.execute(work, admitted))
        if answer.held is not None:
            key, variant = answer.held
            self.instance.transactions.run_now(lambda work: held.answer_left(work.connection, key, variant, work.now))
        return answer

    def _csp(self, kept: log.Kept) -> Answer:
        admitted = self.desk.admit(kept.received, kept.at)
        if not isinstance(admitted, AdmittedCspMessage):
            return admitted
        return self.instance.transactions.run_now(lambda work: self.desk.execute(work, admitted))

    def _resume(self) -> None:
        reading = Reading(self.instance.reading_engine)
        while due := self.resuming.due(reading, self.clock.now()):
            for held_id in due:
                found = reading(lambda connection, held_id=held_id: held.find(connection, held_id))  # type: ignore[misc]
                self.memory.request = "" if found is None else found.message_key
                self.instance.transactions.run_now(
                    lambda work, held_id=held_id: self.resuming.resume(work, held_id)  # type: ignore[misc]
                )

    # --- what else was done ---

    def _open(self, opened: log.OpenedRelease) -> None:
        plan = PhasePlan(
            pilot_limit=opened.pilot_limit,
            pilot_closes=opened.pilot_closes,
            soak=timedelta(seconds=opened.soak_seconds),
            automatic_gate=opened.automatic_gate,
            failure_percent=opened.failure_percent,
            minimum_sample=opened.minimum_sample,
        )
        self.instance.transactions.run_now(
            lambda work: open_release(
                work,
                configuration=self.instance.configuration,
                alerts=self.instance.alerts,
                draw_id=lambda: opened.release_id,
                firmware=Firmware(*opened.firmware),
                image_hash=opened.image_hash,
                regions=opened.regions,
                reachable_from=opened.reachable_from,
                han_models=opened.han_models,
                general_open=opened.general_open,
                phase_plan=plan,
            )
        )

    def _act(self, act: log.Act) -> None:
        """Do again what the operator did; what cannot be told from the trail is noted."""
        run = self.instance.transactions.run_now
        phases, (region, _, rest) = phases_of(self.instance), act.detail.partition(": ")
        match act.action:
            case "release closed":
                run(lambda work: close(work, self._firmware(act)))
            case "release withdrawn":
                run(lambda work: withdraw(work, phases, self._firmware(act)))
            case "CPL status changed" if act.to_state is not None:
                status = act.to_state
                run(lambda work: set_cpl_status(work, self._firmware(act), status))
            case "gate opened":
                run(lambda work: open_gate(work, self._firmware(act), region))
            case "halted":
                run(lambda work: halt(work, phases, self._firmware(act), region, rest or act.detail))
            case "resumed":
                run(lambda work: resume(work, phases, self._firmware(act), region))
            case "released from quarantine" | "deleted from quarantine" if act.message_key is not None:
                self._decide(act.message_key, release=act.action.startswith("released"))
            case "terms announced":
                self._announce(act)
            case "terms cancelled":
                run(lambda work: cancel(work, firmware=self._firmware(act), alerts=self.instance.alerts))
            case one if one in _BROUGHT_IN and self.told.messages:
                self.told.notes.append(f"{act.at:%Y-%m-%d %H:%M}Z {one}: known from the beginning here: {act.detail}")
            case one if one in _NOTHING_TO_DO or one.startswith("attempt "):
                pass
            case _:
                self.told.notes.append(f"{act.at:%Y-%m-%d %H:%M}Z {act.action}: not done again: {act.detail}")

    def _announce(self, act: log.Act) -> None:
        """A change of terms, as it stands in the instance."""
        known = terms.of_release(self.source, act.release_id or "")
        for one in (one for one in known if one.announced_at == act.at):
            wanted = Wanted(
                one.terms.obligation,
                one.terms.management,
                one.terms.comply_by,
                one.effective_at,
                one.consultation_reference,
                one.consultation_date,
            )
            policy, alerts = self.instance.configuration.policy.compulsion, self.instance.alerts
            firmware = self._firmware(act)
            self.instance.transactions.run_now(
                lambda work: announce(work, firmware=firmware, wanted=wanted, policy=policy, alerts=alerts)  # noqa: B023 - run at once
            )

    def _firmware(self, act: log.Act) -> Firmware:
        with self.instance.reading_engine.connect() as connection:
            return releases.by_id(connection, act.release_id or "").firmware

    def _decide(self, message_key: str, *, release: bool) -> None:
        with self.instance.reading_engine.connect() as connection:
            event_ref = log.event_ref_of(connection, message_key)
        if event_ref is None:
            self.told.notes.append(f"{message_key} is not in quarantine now, where the operator decided about it")
            return
        self.instance.transactions.run_now(lambda work: decide(work, event_ref, release=release))


def differences(before: bytes, now: bytes) -> tuple[str, ...]:
    """What differs between two answers, element by element, Signatures and some times apart."""
    if not before.startswith(b"<") or not now.startswith(b"<"):
        return () if before == now else (f"{len(before)} bytes were answered, now {len(now)}",)
    then, again = whole_of(before), whole_of(now)
    told = [
        f"{path}: {then.get(path, 'nothing')} was answered, now {again.get(path, 'nothing')}"
        for path in {**then, **again}
        if then.get(path) != again.get(path) and not path.endswith(_NOT_COMPARED)
    ]
    return (*told[:_SHOWN], f"and {len(told) - _SHOWN} more") if len(told) > _SHOWN else tuple(told)
