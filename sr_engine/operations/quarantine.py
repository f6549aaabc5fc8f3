"""What the operator says of requests in quarantine, and the thresholds that put them there (section 3)."""

from __future__ import annotations

from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.store import anomalies, audit, held
from sr_engine.store.units_of_work import UnitOfWork

OPERATOR = "operator"


class NotQuarantined(Exception):
    """Nothing that can still be decided waits in quarantine under this reference."""


def decide(unit_of_work: UnitOfWork, event_ref: str, *, release: bool, how: str = "") -> None:
    """Release a quarantined request, or delete it; either is carried out, and answered, right after.

    `how` says in the audit trail by which face, and by whom, it was asked for. Raises NotQuarantined, also where
    something was said of it before.
    """
    connection, now = unit_of_work.connection, unit_of_work.now
    request_id = held.decide(connection, event_ref, now, release=release)
    if request_id is None:
        raise NotQuarantined(
            f"no request waits in quarantine under {event_ref}: it is unknown, has ended, or was decided before"
        )
    detail = audit.said(f"QuarantineEventRef {event_ref}", how)
    action = "released from quarantine" if release else "deleted from quarantine"
    audit.record(connection, [audit.Entry(now, OPERATOR, action, detail, request_id)])


def undecided_of(unit_of_work: UnitOfWork, user_eui: str) -> list[str]:
    """QuarantineEventRefs of a User's requests on which nothing was decided; raises NotQuarantined if it has none."""
    found = held.undecided_of(unit_of_work.connection, user_eui.upper())
    if not found:
        raise NotQuarantined(f"no request of {user_eui} waits in quarantine for a decision")
    return found


def set_thresholds(unit_of_work: UnitOfWork, user_eui: str, set_by: Breach, wanted: Thresholds | None) -> None:
    """Set a User's thresholds, on its own word or the DCC's; None: the policy's again, or none of its own."""
    anomalies.set_thresholds(unit_of_work.connection, user_eui, set_by, wanted)
    detail = "taken away" if wanted is None else f"requests {wanted.requests}, devices {wanted.devices} an hour"
    entry = audit.Entry(unit_of_work.now, OPERATOR, "thresholds set", f"{user_eui}, by the {set_by}: {detail}", None)
    audit.record(unit_of_work.connection, [entry])
