"""Registrations and changes of Supplier, as the registration feed sends them."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Body, Response

from sr_engine.api.common import DeskOf, Registrar, problems
from sr_engine.api.models import Registration
from sr_engine.api.problems import Problem
from sr_engine.pipeline.answer import Answer

log = logging.getLogger(__name__)

router = APIRouter(tags=["registrations"])

_SHARE = "registrations"


@router.post(
    "/registrations",
    status_code=HTTPStatus.NO_CONTENT,
    responses=problems(),
    summary="Registrations that come, change or are cancelled: all of them, or none",
)
async def register(
    desk: DeskOf,
    _caller: Registrar,
    given: Annotated[list[Registration], Body(min_length=1, max_length=20_000)],
) -> Response:
    """The same again changes nothing."""
    rows = await desk.apart(lambda: desk.registrations.admit(json.dumps([one.model_dump() for one in given]).encode()))
    if isinstance(rows, Answer):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, rows.detail)
    await desk.transactions.run(lambda uow: desk.registrations.execute(uow, rows), heavy=True, of=_SHARE)
    try:
        while await desk.transactions.run(desk.registrations.changes, heavy=True):
            pass
    except Exception:
        # They are taken all the same; what they change is carried out at the next tick.
        log.exception("registrations were taken and could not be carried out yet")
    desk.after_work()
    return Response(status_code=HTTPStatus.NO_CONTENT)
