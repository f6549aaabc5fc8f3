"""Webhooks: where a Supplier has changes sent to."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Response
from sqlalchemy import Connection

from sr_engine.api.addresses import Reachable
from sr_engine.api.changes import NOW, place_of
from sr_engine.api.common import DeskOf, Hooker, IdPath, IfMatch, Key, etag_of_model, problems
from sr_engine.api.desk import Caller, Desk
from sr_engine.api.door import matches
from sr_engine.api.models import Hook, HookMade, Hooks, HookSeen
from sr_engine.api.problems import Problem, unknown
from sr_engine.operations import webhooks as operations
from sr_engine.operations.changes import ChangeKind
from sr_engine.store import webhooks
from sr_engine.store.units_of_work import UnitOfWork
from sr_engine.store.webhooks import Webhook

router = APIRouter(tags=["webhooks"])


@router.get("/webhooks", responses=problems(), summary="Your webhooks")
async def list_webhooks(desk: DeskOf, caller: Hooker) -> Hooks:
    found = await desk.look(caller, lambda connection: webhooks.of_user(connection, caller.name))
    return Hooks(webhooks=[_seen(one) for one in found])


@router.post(
    "/webhooks",
    status_code=HTTPStatus.CREATED,
    responses=problems(409),
    summary="Have changes sent to an address, each message signed",
)
async def make_webhook(desk: DeskOf, caller: Hooker, key: Key, given: Hook, response: Response) -> HookMade:
    """The same again, under the same key, makes no other and shows the same secret."""
    if caller.user is None:
        raise Problem(HTTPStatus.FORBIDDEN, "your token acts for no User")
    eui = caller.user.eui
    _check_address(desk, given.url)
    place = place_of(desk, caller.name, NOW if given.after is None else given.after)
    # Drawn by the key: a request that comes twice makes one.
    webhook_id = desk.sealer.mark(f"webhook {eui} {key}")
    kinds = None if given.kinds is None else tuple(sorted({one.value for one in given.kinds}))

    def work(uow: UnitOfWork) -> Webhook:
        return operations.make(
            uow,
            operations.Wanted(webhook_id, eui, given.url, kinds, f"token:{caller.token.name}"),
            place(uow.connection),
            desk.sealer,
            most=desk.policy.webhooks.most_of_a_supplier,
        )

    try:
        made = await desk.transactions.run(work)
    except operations.WebhookRefused as refused:
        raise Problem(HTTPStatus.CONFLICT, str(refused)) from None
    except operations.KeyUsedBefore:
        detail = "this Idempotency-Key was used before for something else: use a new one"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail) from None
    response.headers["Location"] = f"webhooks/{made.webhook_id}"
    return HookMade(**_seen(made).model_dump(), secret=operations.secret_of(made, desk.sealer))


@router.get("/webhooks/{webhook_id}", responses=problems(404), summary="One webhook")
async def one_webhook(desk: DeskOf, caller: Hooker, webhook_id: IdPath, response: Response) -> HookSeen:
    seen = _seen(await _find(desk, caller, webhook_id))
    response.headers["ETag"] = etag_of_model(seen)
    return seen


@router.delete(
    "/webhooks/{webhook_id}",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(404, 412),
    summary="Have nothing sent there any more",
)
async def remove_webhook(desk: DeskOf, caller: Hooker, webhook_id: IdPath, if_match: IfMatch = None) -> Response:
    found = await _find(desk, caller, webhook_id)
    if if_match is not None and not matches(if_match, etag_of_model(_seen(found))):
        raise Problem(HTTPStatus.PRECONDITION_FAILED, "the webhook has changed meanwhile: read it again")
    await desk.transactions.run(lambda uow: operations.remove(uow, found, f"token:{caller.token.name}"))
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _check_address(desk: Desk, url: str) -> None:
    """Raises Problem for an address to which nothing may be sent."""
    objection = Reachable(desk.policy.webhooks).objection(url)
    if objection is not None:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, objection)


async def _find(desk: Desk, caller: Caller, webhook_id: str) -> Webhook:
    def look(connection: Connection) -> Webhook | None:
        return webhooks.find(connection, webhook_id)

    found = await desk.look(caller, look)
    if found is None or found.user_eui != caller.name:
        raise unknown("webhook")
    return found


def _seen(one: Webhook) -> HookSeen:
    return HookSeen(
        webhook_id=one.webhook_id,
        url=one.url,
        kinds=None if one.kinds is None else [ChangeKind(kind) for kind in one.kinds],
        created_at=one.created_at,
        state="Parked" if one.parked_at is not None else "Failing" if one.tries else "Active",
        failures=one.tries,
        last_error=one.last_error,
        delivered_at=one.delivered_at,
    )
