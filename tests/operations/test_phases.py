"""Gates, halts and resumptions as an operator asks for them: each once, audited, and all concerned are told."""

from __future__ import annotations

from datetime import timedelta

import pytest

from sr_engine.bootstrap import phases_of
from sr_engine.messages.model import Phase, ReportStatus
from sr_engine.operations.phases import halt, open_gate, report, resume, tell
from sr_engine.operations.releases import ReleaseRefused, withdraw
from sr_engine.regions import phases as machinery
from tests.operations.conftest import Operator
from tests.operations.test_releases import central, found, open_, plan, trail
from tests.world import FIRMWARE, NOW, A, B, TestHub, World


def test_halting_twice_is_halting_once(world: World, operator: Operator) -> None:
    night, hub = central(world), TestHub(1, gas=B.name)
    world.add_hubs([hub])
    open_(world, general_open=True)
    night.schedule([hub])
    steps = phases_of(world.instance)

    assert world.run(lambda uow: halt(uow, steps, FIRMWARE, "Central", " smoke in Leeds "))
    before = world.snapshot()
    world.clock.advance(timedelta(minutes=1))
    assert not world.run(lambda uow: halt(uow, steps, FIRMWARE, "Central", "another reason"))

    assert world.snapshot() == before
    assert found(world).halted == {"Central"}
    assert night.told("hub_halted") == [(hub.chf, A.name), (hub.chf, B.name)]
    assert [one for one in trail(world) if one[0] == "halted"] == [("halted", "Central: smoke in Leeds")]


def test_why_names_the_reason_of_the_halt(world: World, operator: Operator) -> None:
    hub = TestHub(1)
    world.add_hubs([hub])
    open_(world, general_open=True)
    central(world).schedule([hub])

    world.run(lambda uow: halt(uow, phases_of(world.instance), FIRMWARE, "Central", "smoke in Leeds"))

    assert operator.why(hub.chf).endswith("but the release is halted in region Central: smoke in Leeds.")


def test_a_halt_needs_a_reason(world: World) -> None:
    open_(world)

    with pytest.raises(ReleaseRefused, match="say why it is halted"):
        world.run(lambda uow: halt(uow, phases_of(world.instance), FIRMWARE, "Central", "  "))


def test_resuming_twice_is_resuming_once_and_a_later_halt_is_news_again(world: World) -> None:
    night, hub = central(world), TestHub(1)
    world.add_hubs([hub])
    open_(world, general_open=True)
    night.schedule([hub])
    steps = phases_of(world.instance)
    assert not world.run(lambda uow: resume(uow, steps, FIRMWARE, "Central"))
    world.run(lambda uow: halt(uow, steps, FIRMWARE, "Central", "smoke"))
    assert night.cut(0) == 0

    assert world.run(lambda uow: resume(uow, steps, FIRMWARE, "Central"))
    before = world.snapshot()
    assert not world.run(lambda uow: resume(uow, steps, FIRMWARE, "Central"))
    assert world.snapshot() == before
    world.clock.advance(timedelta(minutes=1))
    world.run(lambda uow: halt(uow, steps, FIRMWARE, "Central", "smoke again"))

    assert night.told("hub_resumed") == [(hub.chf, A.name)]
    assert night.told("hub_halted") == [(hub.chf, A.name)] * 2
    assert [one[1] for one in trail(world) if one[0] in {"halted", "resumed"}] == [
        "Central: smoke",
        "Central: it was halted: smoke",
        "Central: smoke again",
    ]


def test_of_very_many_hubs_suppliers_are_told_in_pieces(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machinery, "AT_ONCE", 2)
    hubs = [TestHub(number) for number in range(1, 4)]
    world.add_hubs(hubs)
    open_(world, general_open=True)
    central(world).schedule(hubs)
    steps = phases_of(world.instance)
    world.run(lambda uow: halt(uow, steps, FIRMWARE, "Central", "smoke"))
    assert len(central(world).told("hub_halted")) == 2

    assert not world.run(lambda uow: tell(uow, steps, FIRMWARE, "Central"))
    assert not world.run(lambda uow: tell(uow, steps, FIRMWARE, "Central"))

    assert central(world).told("hub_halted") == [(hub.chf, A.name) for hub in hubs]


def test_where_a_release_stands_is_told_region_by_region(world: World) -> None:
    night, pilot, waits = central(world), TestHub(1), TestHub(2)
    world.add_hubs([pilot, waits, TestHub(3, region="South")])
    closes = NOW + timedelta(days=2)
    open_(world, plan(world, pilot_limit=4, pilot_closes=closes, automatic_gate=True, soak=timedelta(days=1)))
    night.schedule([pilot, waits], phase=Phase.PILOT)
    night.cut(0)
    night.report(night.list_ids()[0], night.saw(pilot, ReportStatus.ACTIVATED))
    world.run(lambda uow: open_gate(uow, FIRMWARE, "South"))

    with world.instance.reading_engine.connect() as connection:
        in_central, in_south = report(connection, FIRMWARE, world.clock.now())

    assert (in_central.pilot.waiting, in_central.pilot.ended) == (1, 1)
    assert (in_central.outcomes.activated, in_central.outcomes.failures) == (1, 0)
    assert (in_central.shares, in_south.shares) == (((A.name, 4),), ((A.name, 4),))
    assert (in_central.gate_opens_at, in_south.gate_opens_at) == (None, None)
    assert in_south.phase.general_open


def test_when_a_gate_will_open_by_itself_is_told_as_soon_as_it_is_known(world: World) -> None:
    open_(world, plan(world, pilot_closes=NOW + timedelta(days=2), automatic_gate=True, soak=timedelta(days=1)))

    with world.instance.reading_engine.connect() as connection:
        found_ = report(connection, FIRMWARE, world.clock.now())

    assert {one.gate_opens_at for one in found_} == {NOW + timedelta(days=3)}


def test_what_is_not_released_in_a_region_or_withdrawn_has_no_phases_there(world: World) -> None:
    open_(world)
    steps = phases_of(world.instance)

    with pytest.raises(ReleaseRefused, match="is not released in region North but in Central, South"):
        world.run(lambda uow: open_gate(uow, FIRMWARE, "North"))
    world.run(lambda uow: withdraw(uow, steps, FIRMWARE))
    with pytest.raises(ReleaseRefused, match="is withdrawn: nothing more of it is listed"):
        world.run(lambda uow: halt(uow, steps, FIRMWARE, "Central", "smoke"))


def test_the_trail_says_how_and_by_whom_it_was_asked_for(world: World) -> None:
    open_(world, general_open=False)
    steps, how = phases_of(world.instance), "console, account:jane"

    assert world.run(lambda uow: open_gate(uow, FIRMWARE, "Central", how=how))
    assert world.run(lambda uow: halt(uow, steps, FIRMWARE, "Central", "smoke", how=how))
    assert world.run(lambda uow: resume(uow, steps, FIRMWARE, "Central", how=how))

    assert trail(world)[1:] == [
        ("gate opened", f"Central: General phase ({how})"),
        ("halted", f"Central: smoke ({how})"),
        ("resumed", f"Central: it was halted: smoke ({how})"),
    ]
