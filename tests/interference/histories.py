"""Histories that between them cross every feature by which one Supplier might learn of another."""

from __future__ import annotations

from sr_engine.bootstrap import phases_of
from sr_engine.domain.terms import Obligation
from sr_engine.messages.model import Firmware, ReadCommsHubFirmwareSchedule, ReadInventory, ReportStatus
from sr_engine.operations.phases import halt, open_gate, resume
from sr_engine.operations.releases import close, withdraw
from sr_engine.operations.terms import Wanted, announce
from tests.interference.play import DAY, Play
from tests.interference.variations import NEXT, OTHER, THIS, Cause, Home
from tests.interference.varied import go_back, have_future, have_past, share_of_the_pilot, stand_in_the_way
from tests.world import FIRMWARE, NOW, eui

SPLIT, SWAPPED = Home(THIS, OTHER), Home(OTHER, THIS)
SOLE, THEIRS = Home(THIS, THIS), Home(OTHER, NEXT)
NEWER = Firmware(FIRMWARE.manufacturer, FIRMWARE.model, "9003")


def agreement(play: Play) -> None:
    """Both sides answer in every way and order, change their minds, disagree about windows, and agree."""
    play.add(SPLIT, SWAPPED, SPLIT, SOLE)
    play.release()
    own = play.schedule(THIS, 1, 2, 3, 4, days=(5, 20))
    theirs = play.schedule(OTHER, 1, days=(10, 30))
    play.schedule(OTHER, 2, days=(10, 30))
    play.look()
    play.decline(OTHER, 3)
    play.defer(OTHER, 1, until=2)
    play.look()
    play.wait(2.5)
    play.look()
    play.schedule(OTHER, 1, days=(12, 30), replaces=theirs)
    play.schedule(THIS, 1, 3, days=(3, 8), replaces=own)
    play.look()
    play.approve(OTHER, 3)
    play.schedule(THIS, 1, 2, days=(12, 20))
    play.decline(THIS, 3)
    play.defer(THIS, 4, until=9)


def outcomes(play: Play) -> None:
    """Lists, refusals of the CSP, success, failure, silence; a second attempt; alerts with a RequestID drawn."""
    play.add(SPLIT, SPLIT, SWAPPED, SWAPPED, SPLIT)
    play.release()
    play.schedule(THIS, 1, 2, 3, 4, days=(5, 12))
    play.approve(OTHER, 1, 2)
    play.schedule(OTHER, 3, 4, days=(4, 12))
    play.schedule(OTHER, 5, days=(4, 12))
    play.wait(4.6)
    play.look()
    play.approve(THIS, 1)
    play.decline(THIS, 2)
    play.decline(OTHER, 3)
    play.acknowledge(1, 2, 3)
    play.acknowledge(4, refused="no signal")
    play.look()
    play.wait(6.9)
    play.report(ReportStatus.DELIVERED, 1)
    play.look()
    play.schedule(THIS, 1)
    play.report(ReportStatus.ACTIVATED, 1, 3)
    play.report(ReportStatus.FAILED, 2, reason="image refused")
    play.look()
    # Nobody of THIS Supplier answered for home 5: it is told under a RequestID drawn for it.
    play.wait(12.1)
    play.wait(15)
    play.schedule(OTHER, 2, 5, days=(18, 24))
    play.wait(24.1)
    play.schedule(THIS, 1, 2, days=(28, 34))


def others_homes(play: Play) -> None:
    """THIS Supplier asks about homes and schedules that are not its own, whatever becomes of them."""
    play.add(SPLIT, THEIRS, Home(None, OTHER), Home(None, None), Home(OTHER, OTHER, "South"))
    play.release()
    play.wait(0.1)
    play.release(NEWER)
    theirs = play.schedule(OTHER, 1, days=(4, 9))
    play.schedule(OTHER, 5, days=(4, 9))
    play.decline(OTHER, 3)
    play.approve(THIS, 1)

    def ask() -> None:
        for hub in (2, 3, 4, 5):
            play.schedule(THIS, hub)
            play.approve(THIS, hub)
            play.exclude(THIS, hub)
            play.send(THIS, "8.2", ReadInventory(device_id=play.hub(hub).chf))
        play.schedule(THIS, 1, 2, 3, 4, 5, firmware=NEWER)
        play.decline(THIS, 2, 5)
        play.schedule(THIS, 2, 3)
        play.look()

    ask()
    play.exclude(OTHER, 3)
    play.exclude(OTHER, 5)
    play.wait(4.6)
    ask()
    play.wait(9.5)
    ask()
    for device_id in (eui(0xE0, 505), eui(0xF0, 505), eui(0xC0, 9)):
        play.send(THIS, "11.7", ReadCommsHubFirmwareSchedule(device_id=device_id))
        play.send(THIS, "8.2", ReadInventory(device_id=device_id))
    # Whose a schedule is makes no difference, nor whether there is one.
    for schedule_id in (theirs, 4):
        play.delete(THIS, schedule_id)
        play.delete(THIS, schedule_id, 1)
        play.schedule(THIS, 1, replaces=schedule_id)
        play.send(THIS, "11.7", ReadCommsHubFirmwareSchedule(schedule_id=schedule_id))


def documents(play: Play) -> None:
    """What is not taken at all, is not authenticated, or comes twice."""
    play.add(SPLIT)
    play.release()
    body = ReadInventory(device_id=play.hub(1).chf)
    good = play.world.signed(play.seed(THIS), body, "8.2")
    for data in (
        b"<sr:Request",
        good.replace(b"ReadInventory", b"ReadInventori"),
        good.replace(b"<sr:DeviceID>", b"<sr:DeviceID> "),
        good,
        good,
        play.world.signed(play.seed(THIS), body, "8.2", schema_version="4.9"),
        play.world.signed(play.seed(THIS), body, "8.2", command_variant=4),
        play.world.signed(play.seed(THIS), ReadInventory(device_id=eui(0xC0, 9)), "8.2"),
    ):
        play.post(data)


def in_the_way(play: Play) -> None:
    """Hubs cannot be had, for reasons of the other side or of limits that are shared."""
    play.add(SPLIT, SWAPPED, SPLIT)
    play.release()
    play.approve(OTHER, 1)
    stand_in_the_way(play, 1, 2, days=(5, 9), leaving=7)
    play.look()
    play.schedule(THIS, 1, days=(5, 9), pilot=True)
    play.schedule(THIS, 2, 1, days=(5, 9), pilot=True)
    play.approve(THIS, 2)
    play.look()


def kept_off_the_list(play: Play) -> None:
    """A hub is agreed, something gets into its way, and its nights pass without it."""
    play.add(Home(THIS, OTHER, "North"), *[Home(OTHER, OTHER, "North")] * 3)
    play.release()
    play.schedule(THIS, 1, days=(6, 9))
    play.schedule(OTHER, 1, days=(6, 9))
    play.look()
    stand_in_the_way(play, 1, days=(6, 9), leaving=9.3)
    play.look()
    for day in (3.7, 4.7, 5.7):
        play.wait(day)
    play.look()
    play.wait(8.95)
    play.look()
    play.wait(9.05)


def gone_back(play: Play) -> None:
    """The other side's answer is Pending again; whoever has to answer now does so, and the hub is upgraded."""
    play.add(SPLIT, SWAPPED, THEIRS, THEIRS)
    play.release()
    alone = play.schedule(OTHER, 1, days=(25, 30))
    both = play.schedule(OTHER, 2, days=(25, 30))
    play.approve(THIS, 1)
    play.schedule(THIS, 2, days=(24, 32))
    play.look()
    play.wait(1)
    go_back(play, 1, alone, replacing=3, days=(25, 30))
    play.look()
    successor = go_back(play, 2, both, replacing=4, days=(25, 30))
    play.look()
    play.schedule(THIS, 1, days=(40, 45))
    play.approve(successor, 1)
    play.decline(successor, 2)
    play.look()
    play.schedule(successor, 2, days=(26, 31))
    play.look()
    play.wait(25.6)
    play.look()


def closed_after_going_back(play: Play) -> None:
    """Nothing remains of an upgrade of which the other side alone had once made up its mind."""
    play.add(SPLIT, SWAPPED, THEIRS, THEIRS)
    play.release()
    one = play.schedule(OTHER, 1, days=(25, 30))
    two = play.schedule(OTHER, 2, days=(25, 30))
    play.wait(1)
    go_back(play, 1, one, replacing=3, days=(25, 30))
    go_back(play, 2, two, replacing=4, days=(25, 30))
    play.look()
    play.operate(lambda uow, instance: close(uow, FIRMWARE))
    play.look()


def exclusions(play: Play) -> None:
    """Both sides keep a hub out, one after the other and together; only one's own exclusion is seen."""
    play.add(SPLIT, SWAPPED, SOLE)
    play.release()
    play.schedule(THIS, 1, 2, 3, days=(5, 20))
    play.approve(OTHER, 1)
    play.approve(OTHER, 2)
    play.exclude(OTHER, 1, until=8)
    play.look()
    play.exclude(THIS, 1, 3, until=6)
    play.look()
    play.include(THIS, 1)
    play.include(THIS, 2)
    play.look()
    play.wait(4.6)
    play.look()
    play.include(OTHER, 1)
    play.wait(8.6)


def gained(play: Play) -> None:
    """Homes come to THIS Supplier, which knows nothing of what was before."""
    play.add(Home(OTHER, None), Home(OTHER, NEXT), SOLE)
    play.release()
    play.approve(NEXT, 2)
    have_past(play, 1, 2)
    play.schedule(NEXT, 2, days=(28, 45))
    for number in (1, 2):
        play.move(number, "IS", THIS, day=12)
    play.look()
    play.wait(12)
    play.look()
    play.wait(16)
    play.look()
    play.schedule(THIS, 1, 2, days=(30, 40))
    play.look()
    play.wait(33)
    play.look()
    play.wait(35)
    play.report(ReportStatus.ACTIVATED, 1)
    play.report(ReportStatus.FAILED, 2)


def lost(play: Play) -> None:
    """Homes leave THIS Supplier, at every stage; it reads its schedule until long after, and tries to change it."""
    play.add(SPLIT, Home(THIS, None), Home(THIS, None), SPLIT, SOLE, SPLIT)
    play.release()
    own = play.schedule(THIS, 1, 2, 3, 5, 6, days=(5, 12))
    play.approve(OTHER, 1)
    play.schedule(OTHER, 6, days=(4, 40))
    play.approve(THIS, 4)
    play.wait(2)
    for number in (1, 2, 4):
        play.move(number, "IS", NEXT, day=3)
    play.look()
    play.wait(3)
    play.look()
    play.wait(4.6)
    play.move(3, "IS", NEXT, day=5)
    play.move(6, "IS", NEXT, day=5)
    play.wait(5)
    play.look()
    play.acknowledge(6, refused="no signal")
    play.wait(5.1)
    play.look()
    play.wait(7)
    play.report(ReportStatus.ACTIVATED, 3, 5)
    play.look()
    have_future(play, 1, 2, 4, 6)
    play.schedule(THIS, 1, 3, days=(45, 50), replaces=own)
    play.approve(THIS, 6)
    play.exclude(THIS, 2)
    play.delete(THIS, own)
    play.delete(THIS, own, 1, 6)


def phases(play: Play) -> None:
    """A pilot, its gate, a halt and its end, and a release that is withdrawn."""
    play.add(SPLIT, SWAPPED, SPLIT, SOLE)
    play.release(general_open=False)
    share_of_the_pilot(play, 1)
    play.schedule(THIS, 1, 3, days=(5, 30), pilot=True)
    play.schedule(THIS, 3, 4, days=(5, 30))
    play.approve(OTHER, 1)
    play.schedule(OTHER, 2, days=(5, 30), pilot=True)
    play.approve(THIS, 2)
    play.approve(OTHER, 3)
    play.wait(4.6)
    play.look()
    play.operate(lambda uow, instance: halt(uow, phases_of(instance), FIRMWARE, "Central", "bad image"))
    play.look()
    play.operate(lambda uow, instance: resume(uow, phases_of(instance), FIRMWARE, "Central"))
    play.operate(lambda uow, instance: open_gate(uow, FIRMWARE, "Central"))
    play.wait(5.6)
    play.look()
    play.report(ReportStatus.ACTIVATED, 1)
    play.schedule(OTHER, 3, days=(45, 50))
    play.operate(lambda uow, instance: withdraw(uow, phases_of(instance), FIRMWARE))
    play.schedule(THIS, 4)


def compulsion(play: Play) -> None:
    """An upgrade becomes mandatory, and those whose Suppliers have not agreed are planned all the same."""
    play.add(SPLIT, SWAPPED, SPLIT, SOLE)
    play.release()
    play.operate(
        lambda uow, instance: announce(
            uow,
            firmware=FIRMWARE,
            wanted=Wanted(Obligation.MANDATORY, None, NOW + 130 * DAY, None, "C1", NOW.date() - 10 * DAY),
            policy=instance.configuration.policy.compulsion,
            alerts=instance.alerts,
        )
    )
    play.wait(91)
    play.look()
    play.schedule(THIS, 1, days=(100, 110))
    play.decline(OTHER, 1)
    play.decline(OTHER, 3)
    play.schedule(OTHER, 2, days=(110, 120))
    play.look()
    play.wait(102.5)
    play.look()
    play.decline(THIS, 2)
    play.exclude(OTHER, 3)
    play.exclude(THIS, 4)


def crowded(play: Play) -> None:
    """A hub is listed, and upgraded; in some worlds others take the first nights of its window."""
    play.add(Home(THIS, OTHER, "North"), *[Home(OTHER, OTHER, "North")] * 3)
    play.release()
    play.schedule(THIS, 1, days=(6, 20))
    play.approve(OTHER, 1)
    if play.variation.cause is Cause.CAPACITY:
        stand_in_the_way(play, 1, days=(6, 9), leaving=0)
    for day in range(3, 16, 2):
        play.wait(day + 0.7)
    play.report(ReportStatus.ACTIVATED, 1)


HISTORIES = {
    one.__name__: one for one in (agreement, outcomes, others_homes, documents, exclusions, phases, compulsion)
}
"""Those that are the same in all worlds but for who the others are and what else they do."""
