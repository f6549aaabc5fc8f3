"""The watch over service levels: whatever breaches one is put on record, and said to the operator, once."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sr_engine.configuration import AlertEvent, Region
from sr_engine.domain.sla import Measure
from sr_engine.domain.states import AttemptEvent, Lifecycle
from sr_engine.store import audit, sla
from sr_engine.store.units_of_work import UnitOfWork

log = logging.getLogger(__name__)

BREACH = "sla breach"
LOOK_EVERY = timedelta(minutes=5)
LOOK_BACK = timedelta(days=7)
"""How far back reports are judged that another process, now gone, may have judged without finding anything."""


def outcome_alerts(lifecycle: Lifecycle) -> tuple[str, str]:
    """The alert events by which Suppliers are told of success and failure."""
    activated = lifecycle.event[AttemptEvent.ACTIVATED].alert or AlertEvent.HUB_ACTIVATED
    failed = lifecycle.event[AttemptEvent.FAILED].alert or AlertEvent.HUB_FAILED
    return activated.value, failed.value


@dataclass(slots=True)
class SlaWatch:
    """The chore that looks for breaches in one region; each list and hub is judged once, when nothing can mend it.

    It begins after the last breach that is on record. What it remembers saves it from judging the same hubs anew.
    """

    region: Region
    lifecycle: Lifecycle
    _alerts_judged: datetime | None = None
    _completions_judged: datetime | None = None
    _next_look: datetime | None = None

    def __call__(self, unit_of_work: UnitOfWork) -> bool:
        """Look, if it is time to; there is never more to do at once."""
        now = unit_of_work.now
        # If the next is later than that, the clock has gone back.
        if self._next_look is None or not now < self._next_look <= now + LOOK_EVERY:
            self._acknowledgements(unit_of_work, now - self.region.acknowledgement_sla)
            # What is reported at this very moment may not be there yet.
            self._completions(unit_of_work, now - timedelta.resolution)
            self._alerts(unit_of_work, now - self.region.alert_sla)
            unit_of_work.once_committed.append(lambda: self._looked(now))
        return False

    def _looked(self, now: datetime) -> None:
        self._alerts_judged, self._completions_judged = now - self.region.alert_sla, now - timedelta.resolution
        self._next_look = now + LOOK_EVERY

    def _acknowledgements(self, unit_of_work: UnitOfWork, up_to: datetime) -> None:
        limit = self.region.acknowledgement_sla
        after = self._after(unit_of_work, Measure.ACKNOWLEDGEMENT)
        late = [
            one.list_id
            for one in sla.lists_to_judge(unit_of_work.connection, self.region.name, after, up_to)
            if one.acknowledged_at is None or one.acknowledged_at > one.delivered_at + limit
        ]
        said = f"upgrade list(s) not acknowledged within {limit}: {', '.join(late)}"
        self._note(unit_of_work, Measure.ACKNOWLEDGEMENT, len(late), said, up_to)

    def _completions(self, unit_of_work: UnitOfWork, up_to: datetime) -> None:
        after = min(self._completions_judged or self._after(unit_of_work, Measure.COMPLETION), up_to)
        limit = self.region.completion_sla
        number = sla.late_completions(
            unit_of_work.connection,
            self.region.name,
            after,
            up_to,
            limit=limit,
            reported_after=unit_of_work.now - LOOK_BACK,
        )
        said = f"hub(s) without a reported outcome within {limit} of the end of their window"
        self._note(unit_of_work, Measure.COMPLETION, number, said, up_to)

    def _alerts(self, unit_of_work: UnitOfWork, up_to: datetime) -> None:
        after = self._alerts_judged or self._after(unit_of_work, Measure.ALERT)
        after = max(min(after, up_to), unit_of_work.now - LOOK_BACK)
        limit = self.region.alert_sla
        number = sla.late_alerts(
            unit_of_work.connection,
            self.region.name,
            after,
            up_to,
            limit=limit,
            events=outcome_alerts(self.lifecycle),
        )
        said = f"hub(s) whose Suppliers' alerts were not queued within {limit} of the CSP's report"
        self._note(unit_of_work, Measure.ALERT, number, said, up_to)

    def _after(self, unit_of_work: UnitOfWork, measure: Measure) -> datetime:
        return sla.judged_up_to(unit_of_work.connection, self.region.name, measure, unit_of_work.now)

    def _note(self, unit_of_work: UnitOfWork, measure: Measure, number: int, said: str, up_to: datetime) -> None:
        if number:
            connection, now, name = unit_of_work.connection, unit_of_work.now, self.region.name
            sla.add_breaches(connection, name, measure, number, found_at=now, up_to=up_to)
            audit.record(connection, [audit.Entry(now, "processor", BREACH, f"{name}, {measure}: {number} {said}")])
            unit_of_work.once_committed.append(
                lambda: log.warning("region %s, SLA breach, %s: %d %s", name, measure.value, number, said)
            )
