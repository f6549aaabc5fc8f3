"""Approvals, schedules and exclusions of a Supplier: read, and made."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy import Connection

from sr_engine.api.acts import do, is_done
from sr_engine.api.common import (
    Actor,
    After,
    DeskOf,
    IfMatch,
    Key,
    Limit,
    Reader,
    etag_of_model,
    page_size,
    problems,
)
from sr_engine.api.desk import Caller, Desk, device_id_of
from sr_engine.api.door import matches
from sr_engine.api.models import (
    Answered,
    Approvals,
    Approve,
    Done,
    Exclude,
    Excluded,
    Exclusions,
    FirmwareName,
    NewSchedule,
    ReleaseId,
    Schedule,
    ScheduleHub,
    ScheduleHubs,
    ScheduleInForce,
    Schedules,
    TakeBack,
    Upgrade,
    Window,
)
from sr_engine.api.problems import Problem, unknown
from sr_engine.messages.model import (
    Approval,
    ApproveCommsHubFirmware,
    DeleteCommsHubFirmwareSchedule,
    Firmware,
    Period,
    ScheduleCommsHubFirmware,
    UpdateCommsHubFirmwareExclusion,
)
from sr_engine.operations.supplier_answers import UnknownSchedule
from sr_engine.operations.supplier_hubs import UnknownRelease
from sr_engine.store.supplier_answers import OwnSchedule
from sr_engine.store.supplier_hubs import Sought

router = APIRouter()

DryRun = Annotated[bool, Query(description="Only say what it would come to")]
ScheduleId = Annotated[int, Path(ge=1, le=10**12)]


def _firmware(name: FirmwareName) -> Firmware:
    return Firmware(name.manufacturer, name.model, name.version)


def _period(window: Window) -> Period:
    return Period(window.start, window.end)


def _ids(device_ids: list[str]) -> tuple[str, ...]:
    return tuple(device_id_of(one) for one in device_ids)


# --- Approvals -------------------------------------------------------------------------------------------------------


@router.get("/approvals", responses=problems(404), summary="Your answers to a release, hub by hub", tags=["approvals"])
async def list_approvals(
    desk: DeskOf,
    caller: Reader,
    *,
    release_id: Annotated[ReleaseId, Query()],
    approval: Annotated[Approval | None, Query(description="Only these")] = None,
    after: After = None,
    limit: Limit = None,
) -> Approvals:
    begin = "" if after is None else desk.unseal(caller, "approvals", after)
    now = desk.clock.now()
    try:
        page = await desk.look(
            caller,
            lambda connection: desk.hubs.page(
                connection,
                caller.viewer,
                now,
                release_id=release_id,
                sought=Sought(own_approval=approval),
                after=begin,
                limit=page_size(desk, limit),
            ),
        )
    except UnknownRelease:
        raise unknown("release") from None
    return Approvals(
        approvals=[
            Answered(
                device_id=hub.hub_id,
                approval=hub.upgrade.own_approval,
                defer_until=hub.upgrade.defer_until,
                schedule_id=hub.upgrade.schedule_id,
            )
            for hub in page.hubs
            if hub.upgrade is not None
        ],
        next=None if page.after is None else desk.seal(caller, "approvals", page.after),
    )


@router.post("/approvals", responses=problems(409), summary="Approve, decline or defer (11.6)", tags=["approvals"])
async def approve(desk: DeskOf, caller: Actor, key: Key, given: Approve, dry_run: DryRun = False) -> Done:
    body = ApproveCommsHubFirmware(
        _firmware(given.firmware), given.decision, _ids(given.device_ids), given.defer_until, given.accept_han_impact
    )
    return await do(desk, caller, key, body, dry_run=dry_run)


# --- Schedules -------------------------------------------------------------------------------------------------------


@router.get("/schedules", responses=problems(), summary="Your schedules, newest first", tags=["schedules"])
async def list_schedules(
    desk: DeskOf,
    caller: Reader,
    *,
    release_id: Annotated[ReleaseId | None, Query()] = None,
    after: After = None,
    limit: Limit = None,
) -> Schedules:
    before = None if after is None else _place(desk.unseal(caller, "schedules", after))
    size = page_size(desk, limit)
    found = await desk.look(
        caller,
        lambda connection: desk.answers.schedules(
            connection, caller.viewer, before=before, release_id=release_id, limit=size
        ),
    )
    last = found[-1] if len(found) == size else None
    following = None if last is None else f"{last.created_at.isoformat()} {last.schedule_id}"
    return Schedules(
        schedules=[Schedule(**Schedule.values(one)) for one in found],
        next=None if following is None else desk.seal(caller, "schedules", following),
    )


def _place(text: str) -> tuple[datetime, int]:
    at, _, schedule_id = text.rpartition(" ")
    return datetime.fromisoformat(at), int(schedule_id)


@router.post("/schedules", responses=problems(409), summary="Schedule hubs (11.5)", tags=["schedules"])
async def schedule(desk: DeskOf, caller: Actor, key: Key, given: NewSchedule, dry_run: DryRun = False) -> Done:
    body = ScheduleCommsHubFirmware(
        _firmware(given.firmware),
        _period(given.window),
        given.phase,
        _ids(given.device_ids),
        given.accept_han_impact,
        given.replaces_schedule_id,
    )
    return await do(desk, caller, key, body, dry_run=dry_run)


@router.get("/schedules/{schedule_id}", responses=problems(404), summary="One schedule", tags=["schedules"])
async def one_schedule(
    desk: DeskOf,
    caller: Reader,
    schedule_id: ScheduleId,
    response: Response,
) -> ScheduleInForce:
    shown = await _schedule(desk, caller, schedule_id)
    response.headers["ETag"] = etag_of_model(shown)
    return shown


async def _schedule(desk: Desk, caller: Caller, schedule_id: int) -> ScheduleInForce:
    def look(connection: Connection) -> tuple[OwnSchedule, int]:
        return desk.answers.schedule(connection, caller.viewer, schedule_id)

    try:
        found, in_force = await desk.look(caller, look)
    except UnknownSchedule:
        raise unknown("schedule") from None
    return ScheduleInForce(**Schedule.values(found), hubs_in_force=in_force)


@router.get(
    "/schedules/{schedule_id}/hubs", responses=problems(404), summary="The hubs of a schedule", tags=["schedules"]
)
async def hubs_of_schedule(
    desk: DeskOf,
    caller: Reader,
    *,
    schedule_id: ScheduleId,
    after: After = None,
    limit: Limit = None,
) -> ScheduleHubs:
    what = f"hubs of schedule {schedule_id}"
    begin = None if after is None else desk.unseal(caller, what, after)
    now, size = desk.clock.now(), page_size(desk, limit)
    schedule_found = await _schedule(desk, caller, schedule_id)
    found = await desk.look(
        caller,
        lambda connection: desk.answers.hubs_of_schedule(
            connection, caller.viewer, schedule_id, now, after=begin, limit=size
        ),
    )
    return ScheduleHubs(
        hubs=[
            ScheduleHub(
                device_id=one.device_id,
                region=one.csp_region,
                upgrade=Upgrade.of(schedule_found.release_id, one),
            )
            for one in found
        ],
        next=desk.seal(caller, what, found[-1].device_id) if len(found) == size else None,
    )


@router.post(
    "/schedules/{schedule_id}/withdrawals",
    responses=problems(404, 409, 412),
    summary="Take a schedule back, for all hubs or for some (11.8)",
    tags=["schedules"],
)
async def take_back(
    desk: DeskOf,
    caller: Actor,
    *,
    key: Key,
    schedule_id: ScheduleId,
    given: TakeBack,
    dry_run: DryRun = False,
    if_match: IfMatch = None,
) -> Done:
    shown = await _schedule(desk, caller, schedule_id)
    body = DeleteCommsHubFirmwareSchedule(schedule_id, _ids(given.device_ids))
    if (
        if_match is not None
        and not matches(if_match, etag_of_model(shown))
        # What was done under this key may be what has changed it: whoever asks again is given the answer.
        and (dry_run or not await is_done(desk, caller, key, body))
    ):
        raise Problem(HTTPStatus.PRECONDITION_FAILED, "the schedule has changed meanwhile: read it again")
    return await do(desk, caller, key, body, dry_run=dry_run)


# --- Exclusions ------------------------------------------------------------------------------------------------------


@router.get("/exclusions", responses=problems(), summary="Hubs that you keep out", tags=["exclusions"])
async def list_exclusions(
    desk: DeskOf,
    caller: Reader,
    after: After = None,
    limit: Limit = None,
) -> Exclusions:
    begin = "" if after is None else desk.unseal(caller, "exclusions", after)
    now, size = desk.clock.now(), page_size(desk, limit)
    found = await desk.look(
        caller,
        lambda connection: desk.answers.exclusions(connection, caller.viewer, now, after=begin, limit=size),
    )
    return Exclusions(
        exclusions=[
            Excluded(
                device_id=one.exclusion.hub_id,
                until=one.exclusion.until,
                set_at=one.exclusion.set_at,
                responsible=one.responsible,
            )
            for one in found
        ],
        next=desk.seal(caller, "exclusions", found[-1].exclusion.hub_id) if len(found) == size else None,
    )


@router.post(
    "/exclusions", responses=problems(409), summary="Keep hubs out, or let them in (11.9)", tags=["exclusions"]
)
async def exclude(desk: DeskOf, caller: Actor, key: Key, given: Exclude, dry_run: DryRun = False) -> Done:
    body = UpdateCommsHubFirmwareExclusion(given.action, _ids(given.device_ids), given.exclude_until)
    return await do(desk, caller, key, body, dry_run=dry_run)
