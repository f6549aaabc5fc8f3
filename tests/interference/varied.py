"""What happens otherwise in other worlds, and must look the same to THIS Supplier."""

from __future__ import annotations

from sr_engine.messages.model import ReportStatus
from sr_engine.store.tables import pilot_shares, release_regions
from tests.interference.play import Play
from tests.interference.variations import NEXT, OTHER, Cause, Ending, Future, Home, Party, Past
from tests.world import A


def stand_in_the_way(play: Play, *hubs: int, days: tuple[float, float], leaving: float) -> None:
    """Nothing may be done to these hubs in a window, for the cause of this world; quiet are the days around one."""
    match play.variation.cause:
        case Cause.EXCLUDED:
            for number in hubs:
                play.exclude(OTHER, number)
        case Cause.EXCLUDED_FOR_A_WHILE:
            for number in hubs:
                play.exclude(OTHER, number, until=days[1] + 1)
        case Cause.QUIET:
            for number in hubs:
                other_leaves(play, number, day=leaving)
        case Cause.PILOT:
            share_of_the_pilot(play, 0)
        case Cause.CAPACITY:
            for number in (one for one, home in play.homes.items() if home == Home(OTHER, OTHER, "North")):
                play.schedule(OTHER, number, days=days, pilot=True)


def share_of_the_pilot(play: Play, hubs: int, region: str = "Central") -> None:
    """THIS Supplier's, as it might have been fixed when the release was opened."""
    where = {"release_id": play.releases[0], "region": region}
    limit = release_regions.update().filter_by(**where).values(pilot_limit=10)
    share = pilot_shares.insert().values(**where, organisation=A.name, hubs=hubs)
    play.world.run(lambda uow: [uow.connection.execute(statement) for statement in (limit, share)])


def go_back(play: Play, number: int, schedule_id: int, *, replacing: int, days: tuple[float, float]) -> Party:
    """OTHER's answer by a schedule is Pending again, as it happens in this world; returns who is to answer now."""
    match play.variation.ending:
        case Ending.DELETED:
            play.delete(OTHER, schedule_id, number)
        case Ending.REPLACED:
            play.schedule(OTHER, replacing, days=days, replaces=schedule_id)
        case Ending.LEFT:
            other_leaves(play, number, day=play.today)
    play.tick()
    return NEXT if play.variation.ending is Ending.LEFT else OTHER


def other_leaves(play: Play, number: int, *, day: float) -> None:
    """OTHER is followed by NEXT."""
    play.move(number, "GS" if play.only_gas(number) else "IS", NEXT, day=day)


def have_past(play: Play, *hubs: int) -> None:
    """What OTHER does with homes that it is about to lose; the twelfth day begins."""
    past, schedule_id = play.variation.past, 0
    match past:
        case Past.APPROVED:
            play.approve(OTHER, *hubs)
        case Past.DECLINED:
            play.decline(OTHER, *hubs)
        case Past.DEFERRED:
            play.defer(OTHER, *hubs, until=50)
        case Past.SCHEDULED | Past.DELETED:
            schedule_id = play.schedule(OTHER, *hubs, days=(30, 40))
        case Past.FAILED | Past.MISSED:
            play.schedule(OTHER, *hubs, days=(5, 8))
    play.wait(4.6)
    if past is Past.DELETED:
        play.delete(OTHER, schedule_id)
    play.wait(7)
    if past is Past.FAILED:
        play.report(ReportStatus.FAILED, *hubs, reason="image refused")
    play.wait(11)


def have_future(play: Play, *hubs: int) -> None:
    """What happens to homes that THIS Supplier has left; a month goes by."""
    match play.variation.future:
        case Future.SCHEDULED | Future.UPGRADED:
            play.schedule(NEXT, *hubs, days=(20, 30))
        case Future.DECLINED:
            play.decline(NEXT, *hubs)
        case Future.EXCLUDED:
            play.exclude(NEXT, *hubs)
        case Future.NOTHING:
            pass
    for number in (one for one in hubs if play.homes[one].gas is OTHER):
        if play.variation.future is Future.UPGRADED:
            play.approve(OTHER, number)
        elif play.variation.future is Future.DECLINED:
            play.decline(OTHER, number)
    play.wait(19)
    if play.variation.future is Future.UPGRADED:
        play.wait(21)
        play.report(ReportStatus.ACTIVATED, *hubs)
    play.wait(40)
