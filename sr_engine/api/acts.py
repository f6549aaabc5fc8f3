"""What a Supplier does by this interface: the same as by Service Requests, by the same rules."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import partial
from http import HTTPStatus

from sr_engine.api.desk import Caller, Desk, device_id_of
from sr_engine.api.models import Done, Refused
from sr_engine.api.problems import Problem
from sr_engine.messages.model import CommsHubFirmwareResult, RefusalReason
from sr_engine.pipeline.acting import Act, ActAnswer, ActBody, Channel, KeyUsedBefore, NotTaken, Prepared
from sr_engine.requests.lists import WORDS
from sr_engine.store.units_of_work import UnitOfWork

_HEAVY_DEVICES = 300
"""From so many hubs on it is done in its turn and apart from small things."""
_UNKNOWN = "Unknown"
_NO_SUCH_HUB = "there is no such hub of yours"
_NOT_ALLOWED = frozenset({"E1", "E2", "E3"})


async def do(desk: Desk, caller: Caller, key: str, body: ActBody, *, dry_run: bool) -> Done:
    """Do it, or say what it would come to; raises Problem for what the rules do not allow."""
    prepared = await _prepared(desk, caller, key, body)
    try:
        if dry_run:
            now = desk.clock.now()
            answer = await desk.look(
                caller, lambda connection: desk.acting.preview(UnitOfWork(connection, now), prepared)
            )
        else:
            heavy = len(body.device_ids) >= _HEAVY_DEVICES or not body.device_ids
            answer = await desk.transactions.run(
                lambda uow: desk.acting.execute(uow, prepared), heavy=heavy, of=prepared.act.user_eui
            )
            desk.after_work()
    except KeyUsedBefore:
        detail = "this Idempotency-Key was used before for something else: use a new one"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail) from None
    return await _done(desk, caller, answer, body.device_ids)


async def is_done(desk: Desk, caller: Caller, key: str, body: ActBody) -> bool:
    """Whether this was done under this key before; raises Problem for what cannot be asked for."""
    prepared = await _prepared(desk, caller, key, body)
    return await desk.read(lambda connection: desk.acting.answered(connection, prepared) is not None)


async def _prepared(desk: Desk, caller: Caller, key: str, body: ActBody) -> Prepared:
    """What is asked for, written out beside the transactions; raises Problem for what cannot be asked for."""
    if caller.user is None:
        raise Problem(HTTPStatus.FORBIDDEN, "your token acts for no User")
    act = Act(Channel.API, f"token:{caller.token.name}", caller.user.eui, key, body)
    try:
        return await desk.prepare(partial(desk.acting.prepare, act))
    except NotTaken as refused:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(refused)) from None


async def _done(desk: Desk, caller: Caller, answer: ActAnswer, device_ids: Collection[str]) -> Done:
    refused = [] if answer.result is None else await _refused(desk, caller, answer.result, device_ids, answer.at)
    accepted = None if answer.result is None else answer.result.accepted_device_count
    detail = answer.detail
    if refused and accepted is not None:
        # The words of a Service Request tell a hub of somebody else's from one that there is not.
        detail = f"{accepted:,} hub(s) accepted, {sum(len(one.device_ids) for one in refused):,} refused"
    if answer.accepted:
        return Done(
            code=answer.code,
            detail=detail,
            request_id=answer.request_id,
            repeated=answer.repeated,
            schedule_id=None if answer.result is None else answer.result.schedule_id,
            accepted=accepted,
            refused=refused,
        )
    raise Problem(
        HTTPStatus.FORBIDDEN if answer.code in _NOT_ALLOWED else HTTPStatus.CONFLICT,
        detail,
        more={"code": answer.code, "refused": [one.model_dump() for one in refused]},
    )


async def _refused(
    desk: Desk, caller: Caller, result: CommsHubFirmwareResult, device_ids: Collection[str], at: datetime | None
) -> list[Refused]:
    """By reason; what is not this Supplier's is unknown to it, whatever it is: now, or when it was answered first."""
    found = []
    hidden = {RefusalReason.INVALID, RefusalReason.NOT_RESPONSIBLE}
    if hidden & result.refused.keys():
        given = {device_id_of(one): one for one in device_ids}
        then = at or desk.clock.now()
        mine = await desk.read(lambda connection: desk.hubs.owned(connection, caller.viewer, given, then))
        unknown = [as_given for device_id, as_given in given.items() if device_id not in mine]
        found.append(Refused(reason=_UNKNOWN, meaning=_NO_SUCH_HUB, device_ids=unknown))
    found += [
        Refused(reason=reason.value.removesuffix("DeviceIDList"), meaning=WORDS[reason], device_ids=list(some))
        for reason, some in result.refused.items()
        if reason not in hidden
    ]
    return [one for one in found if one.device_ids]
