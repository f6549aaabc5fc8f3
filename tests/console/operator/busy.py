"""A world in which there is something to see on every page of an operator."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import select

from sr_engine.bootstrap import phases_of
from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.domain.sla import Measure
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, ReportStatus
from sr_engine.operations.phases import halt
from sr_engine.operations.quarantine import set_thresholds
from sr_engine.store import circuits, sla, tables
from sr_engine.store.circuits import OpenCircuit
from tests.console.operator.office import OperatorFront
from tests.world import FIRMWARE, A, B, TestHub

HUBS = [TestHub(number) for number in range(1, 7)]
SPLIT = TestHub(7, gas=B.name)
LOST = HUBS[1]
"""The hub of whose failure its Supplier was not told: the alert is parked."""


@dataclass(frozen=True, slots=True)
class Busy:
    """What there is, by its ids."""

    release_id: str
    list_id: str
    lost_message_id: str
    event_ref: str
    request_id: str


def make_busy(front: OperatorFront) -> Busy:
    """A release with a list that was reported on, an alert that got lost, a halt, a quarantine, a CSP that is late."""
    world, night = front.world, front.central
    world.add_hubs([*HUBS, SPLIT, TestHub(8, region="North")])
    release_id = world.open_release()
    night.schedule(HUBS[:4])
    decline = ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, (HUBS[5].chf,))
    request_id = world.send(A, decline, "11.6").request_id
    assert request_id is not None
    night.cut()
    (list_id,) = night.list_ids()
    world.settle()
    night.deliver_all()
    world.clock.advance(timedelta(hours=5))
    activated, failed = night.saw(HUBS[0], ReportStatus.ACTIVATED), night.saw(LOST, ReportStatus.FAILED, "no image")
    night.report(list_id, activated, failed)
    night.schedule(HUBS[4:5])
    world.settle()
    with world.instance.reading_engine.connect() as connection:
        lost = connection.execute(
            select(tables.outbox.c.message_id).where(
                tables.outbox.c.event == "hub_failed", tables.outbox.c.destination == f"user:{A.eui}"
            )
        ).scalar_one()
    change = tables.outbox.update().where(tables.outbox.c.message_id == lost)
    error = "HTTP 503 Service Unavailable"
    world.run(lambda uow: uow.connection.execute(change.values(state="Parked", tries=30, last_error=error)))
    now = world.clock.now()
    failing = OpenCircuit(f"user:{B.eui}", now, now + timedelta(minutes=5), 3, "connection refused")
    world.run(lambda uow: circuits.keep(uow.connection, failing))
    steps = phases_of(world.instance)
    world.run(lambda uow: halt(uow, steps, FIRMWARE, "North", "smoke in Leeds"))
    world.run(lambda uow: sla.add_breaches(uow.connection, "Central", Measure.COMPLETION, 2, found_at=now, up_to=now))
    world.run(lambda uow: set_thresholds(uow, A.eui, Breach.USER, Thresholds(0, None)))
    assert world.send(A, decline, "11.6").code == "I99"
    with world.instance.reading_engine.connect() as connection:
        event_ref = connection.scalar(select(tables.held_requests.c.event_ref))
    assert event_ref is not None
    world.settle()
    return Busy(release_id, list_id, lost, event_ref, request_id.text)


def pages(busy: Busy) -> list[str]:
    """Every page of an operator with something on it."""
    return [
        "/operator/overview",
        "/operator/releases",
        f"/operator/releases/{busy.release_id}",
        f"/operator/releases/{busy.release_id}/count",
        f"/operator/releases/{busy.release_id}/Central/halt",
        f"/operator/releases/{busy.release_id}/Central/halt?reason=smoke",
        f"/operator/releases/{busy.release_id}/North/resume",
        "/operator/plan?region=Central",
        "/operator/csp",
        "/operator/csp?region=Central&state=open",
        f"/operator/csp/lists/{busy.list_id}",
        "/operator/levels",
        "/operator/deliveries",
        f"/operator/deliveries?to=user:{A.eui}",
        "/operator/deliveries?state=Delivered",
        f"/operator/deliveries/resend?message={busy.lost_message_id}",
        f"/operator/deliveries/resend?to=user:{A.eui}",
        "/operator/quarantine",
        f"/operator/quarantine/{busy.event_ref}",
        f"/operator/quarantine/{busy.event_ref}/release",
        f"/operator/quarantine/{busy.event_ref}/delete",
        "/operator/messages",
        f"/operator/messages?q={LOST.chf}",
        f"/operator/messages?q={busy.request_id}",
        f"/operator/messages/sent/{busy.lost_message_id}",
        "/operator/audit",
        f"/operator/audit?hub={LOST.chf}",
        "/operator/audit/1",
        "/operator/audit/chain",
        "/operator/users",
        "/operator/certificates",
    ]


SHEETS = ("deliveries", "quarantine", "messages", "audit", "csp", "users", "certificates", "plan", "levels")
