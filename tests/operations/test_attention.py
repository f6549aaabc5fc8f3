"""What needs an operator's attention: named while it does, and not any longer."""

from __future__ import annotations

from datetime import timedelta

import pytest

from signing import Certificate
from sr_engine.bootstrap import phases_of
from sr_engine.configuration.operator_pages import load_operator_rules
from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.domain.sla import Measure
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision
from sr_engine.operations.attention import Attention, Overdue, attention
from sr_engine.operations.certificates import Certificates
from sr_engine.operations.outbox import resend
from sr_engine.operations.phases import halt, resume
from sr_engine.operations.quarantine import decide, set_thresholds
from sr_engine.store import circuits, quarantined, sla, tables
from sr_engine.store.circuits import OpenCircuit
from sr_engine.store.paging import UpTo
from tests.operations.test_releases import central
from tests.world import FIRMWARE, NOW, A, TestHub, World, bound


def look(world: World) -> Attention:
    instance = world.instance
    regions = instance.configuration.regions
    own = Certificate.from_file(instance.settings.signing.certificate)
    rules = load_operator_rules(instance.settings.config_directory).attention
    certificates = Certificates(instance.trust, own, instance.users, regions)
    with instance.reading_engine.connect() as connection:
        return attention(connection, world.clock.now(), regions, certificates, rules)


@pytest.fixture
def listed(world: World) -> World:
    """A world with one hub on a list that its CSP has had for a moment."""
    world.add_hubs([TestHub(1)])
    world.open_release()
    central(world).schedule([TestHub(1)])
    assert central(world).cut() == 1
    central(world).deliver_all()
    world.settle()
    return world


def test_in_a_new_instance_nothing_matters(world: World) -> None:
    found = look(world)

    assert (found.matters, found.pending, found.held) == (0, UpTo(0), UpTo(0))


def test_a_release_that_is_halted_matters_until_it_is_resumed(world: World) -> None:
    world.open_release()
    steps = phases_of(world.instance)
    world.run(lambda uow: halt(uow, steps, FIRMWARE, "North", "smoke"))

    (halted,) = look(world).halted
    assert (halted.region, halted.version, halted.halted_at, halted.reason) == ("North", FIRMWARE.version, NOW, "smoke")
    assert look(world).matters == 1

    world.run(lambda uow: resume(uow, steps, FIRMWARE, "North"))
    assert look(world).matters == 0


def test_a_list_matters_once_its_csp_is_late_and_so_do_hubs_without_a_report(listed: World) -> None:
    region = listed.instance.configuration.regions["Central"]
    assert look(listed).overdue == ()

    listed.clock.advance(region.acknowledgement_sla + timedelta(seconds=1))
    assert look(listed).overdue == (Overdue("Central", UpTo(1), UpTo(0)),)

    listed.clock.set(central(listed).attempt(TestHub(1)).window.end + region.completion_sla)
    assert look(listed).overdue == (Overdue("Central", UpTo(1), UpTo(1)),)


def test_what_is_parked_matters_until_it_is_sent_again(listed: World) -> None:
    listed.run(lambda uow: uow.connection.execute(tables.outbox.update().values(state="Parked")))
    parked = look(listed).parked
    assert parked

    with listed.instance.reading_engine.connect() as connection:
        message_ids = list(connection.scalars(tables.outbox.select().with_only_columns(tables.outbox.c.message_id)))
    for message_id in message_ids:
        listed.run(bound(resend, message_id))

    assert (look(listed).parked, look(listed).pending) == (UpTo(0), parked)


def test_what_is_in_quarantine_matters_until_something_is_decided(world: World) -> None:
    world.add_hubs([TestHub(1)])
    world.open_release()
    world.run(lambda uow: set_thresholds(uow, A.eui, Breach.USER, Thresholds(0, None)))
    body = ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, (TestHub(1).chf,))
    assert world.send(A, body, "11.6").code == "I99"
    assert (look(world).quarantined, look(world).held) == (UpTo(1), UpTo(1))

    with world.instance.reading_engine.connect() as connection:
        (line,) = quarantined.lines(connection, limit=5).rows
    world.run(lambda uow: decide(uow, line.event_ref, release=False))

    assert (look(world).quarantined, look(world).held) == (UpTo(0), UpTo(1))


def test_breaches_found_this_month_and_receivers_that_fail_matter(world: World) -> None:
    world.run(
        lambda uow: sla.add_breaches(
            uow.connection, "North", Measure.ACKNOWLEDGEMENT, 3, found_at=uow.now, up_to=uow.now
        )
    )
    failing = OpenCircuit("user:A", NOW, NOW, 2, "HTTP 503")
    world.run(lambda uow: circuits.keep(uow.connection, failing))

    found = look(world)

    assert [(one.region, one.measure, one.number) for one in found.breaches] == [("North", Measure.ACKNOWLEDGEMENT, 3)]
    assert found.circuits == (failing,)
    assert found.matters == 2
    world.clock.advance(timedelta(days=31))
    assert look(world).breaches == ()


def test_certificates_that_end_soon_matter(world: World) -> None:
    world.clock.advance(timedelta(days=365 * 10 - 20))

    assert {line.validity for line in look(world).certificates} == {"expiring"}
