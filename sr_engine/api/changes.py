"""The feed of changes: read from a cursor on, waited for, or streamed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import ExitStack
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response
from sqlalchemy import Connection
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from sr_engine.api.common import DeskOf, Limit, Reader, Stopping, page_size, problems
from sr_engine.api.desk import Caller, Desk
from sr_engine.api.models import ChangeSeen, ChangesSeen
from sr_engine.api.problems import Problem
from sr_engine.operations import api_tokens
from sr_engine.operations.changes import Change, ChangeKind, Position, Pruned, SupplierChanges
from sr_engine.sealing import NotSealed
from sr_engine.store import changes as stored

router = APIRouter(tags=["changes"])

BEGINNING, NOW = "beginning", "now"
STREAM = "text/event-stream"
_ALIVE_SECONDS = 15.0
_STREAMED_TOGETHER = 200

Cursor = Annotated[
    str,
    Query(
        max_length=200,
        description=f"`next` of the answer before; `{BEGINNING}` for all that is kept, `{NOW}` for what is to come",
    ),
]
Kinds = Annotated[list[ChangeKind] | None, Query(description="Only these")]


def sealed(desk: Desk, name: str, position: Position) -> str:
    """A cursor, from which nothing can be told, not even whether anything has happened."""
    return desk.sealer.seal(f"{position.audit_id} {position.offset}".encode(), f"changes {name}")


def marked(desk: Desk, name: str, change: Change) -> str:
    """By which a change is known to its Supplier, whenever it is read."""
    return desk.sealer.mark(f"{name} {change.position.audit_id} {change.position.offset}")


def place_of(desk: Desk, name: str, cursor: str) -> Callable[[Connection], Position]:
    """Where to read on; raises Problem for a cursor that was not given to this caller."""
    if cursor == BEGINNING:
        return stored.beginning
    if cursor == NOW:
        return stored.end
    try:
        audit_id, _, offset = desk.sealer.open(cursor, f"changes {name}").decode().partition(" ")
    except NotSealed:
        raise Problem(HTTPStatus.BAD_REQUEST, "the cursor is none that you were given for this") from None
    position = Position(int(audit_id), int(offset))
    return lambda _connection: position


@router.get(
    "/changes",
    responses=problems(410),
    summary="Changes in the order of their commits; waits for the first, if asked to",
)
async def read_changes(
    desk: DeskOf,
    caller: Reader,
    response: Response,
    stopping: Stopping,
    *,
    after: Cursor = BEGINNING,
    kinds: Kinds = None,
    wait: Annotated[int, Query(ge=0, le=600, description="Seconds to wait if there is nothing yet")] = 0,
    limit: Limit = None,
) -> ChangesSeen:
    response.headers["Cache-Control"] = "no-store"
    size = page_size(desk, limit)
    place = place_of(desk, caller.name, after)
    longest = min(wait, round(desk.policy.changes.longest_wait.total_seconds()))
    until = asyncio.get_running_loop().time() + longest
    with ExitStack() as places:
        if longest:
            places.enter_context(desk.waiting.place(caller.name))
        while True:
            found = await _read(desk, caller, place, size, kinds)
            left = until - asyncio.get_running_loop().time()
            if found.changes or found.more or left <= 0 or stopping():
                return _shown(desk, caller, found)
            place = _from(found.position)
            await asyncio.sleep(min(left, desk.policy.changes.look.total_seconds()))


@router.get(
    "/changes/stream",
    response_class=StreamingResponse,
    responses={200: {"content": {STREAM: {"schema": {"type": "string"}}}, "description": "Events"}, **problems(410)},
    summary="The same as server-sent events; `id` is the cursor, which a client sends as Last-Event-ID",
)
async def stream_changes(
    desk: DeskOf,
    caller: Reader,
    stopping: Stopping,
    *,
    after: Cursor = NOW,
    kinds: Kinds = None,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", max_length=200)] = None,
) -> StreamingResponse:
    place = place_of(desk, caller.name, last_event_id or after)
    places = ExitStack()
    places.enter_context(desk.waiting.place(caller.name))
    try:
        # What cannot be read is said before anything is streamed.
        first = await _read(desk, caller, place, _STREAMED_TOGETHER, kinds)
    except BaseException:
        places.close()
        raise
    events = _events(desk, caller, stopping, first=first, kinds=kinds)
    return _Stream(events, places)


class _Stream(StreamingResponse):
    """Gives its place back however it ends, also where nothing was sent."""

    def __init__(self, events: AsyncIterator[str], places: ExitStack) -> None:
        super().__init__(events, media_type=STREAM, headers={"Cache-Control": "no-store"})
        self._places = places

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._places:
            await super().__call__(scope, receive, send)


async def _events(
    desk: Desk,
    caller: Caller,
    stopping: Callable[[], bool],
    *,
    first: SupplierChanges,
    kinds: Collection[ChangeKind] | None,
) -> AsyncIterator[str]:
    """Until the time is up, the token is good no more, or the client goes; it begins anew where it was."""
    loop = asyncio.get_running_loop()
    until = loop.time() + desk.policy.changes.stream.total_seconds()
    look, said, found = desk.policy.changes.look.total_seconds(), loop.time(), first
    yield f"retry: {round(look * 1000)}\nid: {sealed(desk, caller.name, found.position)}\n\n"
    while loop.time() < until and not stopping():
        for change in found.changes:
            seen = ChangeSeen.of(change, marked(desk, caller.name, change))
            cursor = sealed(desk, caller.name, change.position)
            yield f"id: {cursor}\nevent: {change.kind.value}\ndata: {seen.model_dump_json()}\n\n"
            said = loop.time()
        if not found.more:
            await asyncio.sleep(look)
        if loop.time() - said > _ALIVE_SECONDS:
            if not await _is_good(desk, caller):
                return
            yield ": nothing new\n\n"
            said = loop.time()
        try:
            found = await _read(desk, caller, _from(found.position), _STREAMED_TOGETHER, kinds)
        except Problem:
            # Too much is read just now, or what comes next has been pruned: the client learns when it asks again.
            return


async def _is_good(desk: Desk, caller: Caller) -> bool:
    now = desk.clock.now()
    return await desk.read(lambda connection: api_tokens.is_still_good(connection, caller.token, now))


async def _read(
    desk: Desk,
    caller: Caller,
    place: Callable[[Connection], Position],
    limit: int,
    kinds: Collection[ChangeKind] | None,
) -> SupplierChanges:
    try:
        return await desk.look(
            caller, lambda connection: desk.changes.read(connection, caller.viewer, place(connection), limit, kinds)
        )
    except Pruned:
        raise Problem(
            HTTPStatus.GONE,
            f"what came after that place is not all kept any more: read everything anew, and on from `{NOW}`",
        ) from None


def _from(position: Position) -> Callable[[Connection], Position]:
    return lambda _connection: position


def _shown(desk: Desk, caller: Caller, found: SupplierChanges) -> ChangesSeen:
    return ChangesSeen(
        changes=[ChangeSeen.of(one, marked(desk, caller.name, one)) for one in found.changes],
        next=sealed(desk, caller.name, found.position),
        more=found.more,
    )
