"""Hubs and releases, as a Supplier reads them."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy import Connection

from sr_engine.api.common import After, DeskOf, IdPath, Limit, Reader, page_size, problems
from sr_engine.api.desk import device_id_of
from sr_engine.api.door import JSON
from sr_engine.api.models import Hub, Hubs, HubWithHistory, LookedUp, LookUp, Release, ReleaseId, Releases
from sr_engine.api.problems import Problem, unknown
from sr_engine.configuration.duis import CSP_REGIONS
from sr_engine.messages.model import Approval, UpgradeStatus
from sr_engine.operations.supplier_hubs import ReleaseAtSupplier, UnknownHub, UnknownRelease
from sr_engine.store.supplier_hubs import Sought

router = APIRouter(tags=["hubs"])

_CURSOR = "hubs"
_PREFIX = re.compile("[0-9A-F]{0,16}")


@router.get("/hubs", responses=problems(404), summary="Hubs, by filter, page by page")
async def list_hubs(
    desk: DeskOf,
    caller: Reader,
    *,
    release_id: Annotated[ReleaseId | None, Query(description="Of its model only, and as of this release")] = None,
    status: Annotated[UpgradeStatus | None, Query(description="At the release, which has to be named")] = None,
    own_approval: Annotated[Approval | None, Query(description="At the release, which has to be named")] = None,
    waiting: Annotated[bool, Query(description="Only those that wait for an answer of yours to the release")] = False,
    region: Annotated[str | None, Query(max_length=16, json_schema_extra={"enum": list(CSP_REGIONS)})] = None,
    prefix: Annotated[str, Query(max_length=23, description="How the id begins")] = "",
    after: After = None,
    limit: Limit = None,
) -> Hubs:
    if release_id is None and (status or own_approval or waiting):
        raise Problem(HTTPStatus.BAD_REQUEST, "a status is one at a release: name it by release_id")
    if region is not None and region not in CSP_REGIONS:
        raise Problem(HTTPStatus.BAD_REQUEST, f"region must be one of {', '.join(CSP_REGIONS)}")
    sought = Sought(region, _prefix(prefix), status, own_approval, waiting)
    begin = "" if after is None else desk.unseal(caller, _CURSOR, after)
    now = desk.clock.now()
    try:
        page = await desk.look(
            caller,
            lambda connection: desk.hubs.page(
                connection,
                caller.viewer,
                now,
                release_id=release_id,
                sought=sought,
                after=begin,
                limit=page_size(desk, limit),
            ),
        )
    except UnknownRelease:
        raise unknown("release") from None
    following = None if page.after is None else desk.seal(caller, _CURSOR, page.after)
    return Hubs(hubs=[Hub.of(one) for one in page.hubs], next=following)


def _prefix(text: str) -> str:
    digits = re.sub("[-:]", "", text).upper()
    if _PREFIX.fullmatch(digits) is None:
        raise Problem(HTTPStatus.BAD_REQUEST, "prefix must be the first hexadecimal digits of an id")
    return "-".join(digits[start : start + 2] for start in range(0, len(digits), 2))


@router.post("/hubs/lookup", response_model=LookedUp, responses=problems(404), summary="Up to 50,000 hubs by their ids")
async def look_up(desk: DeskOf, caller: Reader, wanted: LookUp) -> Response:
    most = desk.policy.limits.bulk_max_devices
    if len(wanted.device_ids) > most:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"no more than {most} ids can be looked up at once")
    now = desk.clock.now()

    def look(connection: Connection) -> bytes:
        """The whole answer: so much of it is not made in the event loop, where Service Requests would wait for it."""
        ids = {device_id_of(one): one for one in wanted.device_ids}
        found = desk.hubs.look_up(connection, caller.viewer, ids, now, release_id=wanted.release_id)
        shown = {one.hub_id: one for one in found.values()}
        looked_up = LookedUp(
            hubs=[Hub.of(shown[hub_id]) for hub_id in sorted(shown)],
            unknown=[given for device_id, given in ids.items() if device_id not in found],
        )
        return looked_up.model_dump_json().encode()

    try:
        return Response(await desk.look(caller, look), media_type=JSON)
    except UnknownRelease:
        raise unknown("release") from None


@router.get("/hubs/{device_id}", responses=problems(404), summary="One hub, with its history and why")
async def one_hub(
    desk: DeskOf,
    caller: Reader,
    device_id: IdPath,
) -> HubWithHistory:
    now = desk.clock.now()
    try:
        details = await desk.look(
            caller,
            lambda connection: desk.hubs.details(connection, caller.viewer, device_id_of(device_id), now),
        )
    except UnknownHub:
        raise unknown("hub") from None
    return HubWithHistory.of(details)


@router.get("/releases", responses=problems(), summary="Releases, and how many hubs wait", tags=["releases"])
async def list_releases(
    desk: DeskOf,
    caller: Reader,
    only_open: Annotated[bool, Query()] = False,
) -> Releases:
    now = desk.clock.now()
    found = await desk.look(
        caller, lambda connection: desk.hubs.releases(connection, caller.viewer, now, only_open=only_open)
    )
    return Releases(releases=[Release.of(one) for one in found])


@router.get("/releases/{release_id}", responses=problems(404), summary="One release", tags=["releases"])
async def one_release(
    desk: DeskOf,
    caller: Reader,
    release_id: IdPath,
) -> Release:
    now = desk.clock.now()
    try:
        found = await desk.look(
            caller,
            lambda connection: ReleaseAtSupplier(
                desk.hubs.release(connection, caller.viewer, release_id, now),
                tuple(desk.hubs.counts(connection, caller.viewer, release_id, now)),
            ),
        )
    except UnknownRelease:
        raise unknown("release") from None
    return Release.of(found)
