"""Deferrals that run out: the answer is Pending again, and the other Supplier hears of it once."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from sr_engine.bootstrap import phases_of
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision
from sr_engine.operations.releases import withdraw
from sr_engine.regions.deferrals import DeferralsRunOut
from sr_engine.store.tables import decisions
from tests.regions.conftest import Nights
from tests.requests.conftest import Suppliers
from tests.world import FIRMWARE, NOW, A, B, TestHub

HUB = TestHub(1, electricity=A.name, gas=B.name)
UNTIL = NOW + timedelta(days=2)


def deferred(nights: Nights) -> None:
    """A has scheduled the hub, and B has put its answer off."""
    nights.world.add_hubs([HUB])
    nights.schedule([HUB])
    body = ApproveCommsHubFirmware(FIRMWARE, Decision.DEFER, (HUB.chf,), UNTIL)
    assert nights.world.send(B, body, "11.6").code == "I99"
    nights.world.settle()


def look(nights: Nights, at: datetime) -> None:
    nights.world.clock.set(at)
    instance = nights.world.instance
    assert not nights.world.run(DeferralsRunOut(instance.alerts, instance.configuration.lifecycle))
    nights.world.settle()


def answer_of_b(nights: Nights) -> tuple[str, datetime | None]:
    """As it is stored, whatever the time."""
    with nights.world.instance.reading_engine.connect() as connection:
        row = connection.execute(select(decisions).where(decisions.c.organisation == B.name)).one()
    return row.approval, row.defer_until


def test_nothing_happens_before_the_deferral_has_run_out(central: Nights) -> None:
    deferred(central)
    before = central.world.snapshot()

    look(central, UNTIL - timedelta(seconds=1))

    assert central.world.snapshot() == before
    assert answer_of_b(central) == ("Deferred", UNTIL)


def test_a_deferral_that_runs_out_makes_the_answer_pending_and_tells_the_other_supplier_once(central: Nights) -> None:
    deferred(central)
    suppliers = Suppliers(central.world)
    of_a, of_b = suppliers.alerts(A), suppliers.alerts(B)

    look(central, UNTIL)
    once = central.world.snapshot()
    look(central, UNTIL)
    look(central, UNTIL + timedelta(days=1))

    assert central.world.snapshot() == once
    assert answer_of_b(central) == ("Pending", None)
    assert suppliers.view(A, HUB.chf).other_approval == "Pending"
    assert suppliers.alerts(A) == [*of_a, ("other_supplier_answer_changed", HUB.chf)]
    assert suppliers.alerts(B) == of_b


def test_of_a_withdrawn_release_nobody_is_told_that_a_deferral_has_run_out(central: Nights) -> None:
    deferred(central)
    world = central.world
    world.run(lambda uow: withdraw(uow, phases_of(world.instance), FIRMWARE))
    before = world.snapshot()["outbox"]

    look(central, UNTIL)

    assert answer_of_b(central) == ("Pending", None)
    assert world.snapshot()["outbox"] == before
