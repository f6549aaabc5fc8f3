"""What the addresses of the interface have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Header, Path, Query, Request

from sr_engine.api.desk import Caller, Desk, Needs, desk_of, stopping_of
from sr_engine.api.door import etag_of
from sr_engine.api.models import ProblemSeen, Shown
from sr_engine.api.problems import PROBLEM_JSON, Problem
from sr_engine.store.api_tokens import Scope

_LONGEST_NAME = 64

DeskOf = Annotated[Desk, Depends(desk_of)]
Stopping = Annotated[Callable[[], bool], Depends(stopping_of)]
Reader = Annotated[Caller, Depends(Needs(Scope.READ))]
Actor = Annotated[Caller, Depends(Needs(Scope.ACT))]
Hooker = Annotated[Caller, Depends(Needs(Scope.WEBHOOKS))]
Registrar = Annotated[Caller, Depends(Needs(Scope.REGISTRATIONS))]

Limit = Annotated[
    int | None, Query(ge=1, le=10_000, description="Rows of a page; more than the most there are is less")
]
After = Annotated[str | None, Query(max_length=400, description="`next` of the page before")]
IdPath = Annotated[str, Path(max_length=64)]
Key = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[!-~]{1,64}$",
        description="Of your choice, a new one for each new thing: the same again is done once and answered alike",
    ),
]
IfMatch = Annotated[str | None, Header(max_length=400, description="Only if the ETag is still this")]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What an address may answer beside what was asked for."""
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    always = (400, 401, 403, 408, 413, 415, 422, 429, 500, 503)
    return {
        status: {"description": _DESCRIPTIONS[status], "content": content} for status in sorted({*always, *statuses})
    }


_DESCRIPTIONS = {
    400: "What was asked for makes no sense",
    401: "No token, or none that is good",
    403: "The token, or its User, is not for this",
    404: "There is no such thing of yours",
    405: "Not that method",
    408: "The body was too slow",
    409: "The rules do not allow it; the response code says why",
    410: "What came after that place is not kept any more",
    412: "It has changed meanwhile",
    413: "The body is too large",
    415: "The body is not JSON",
    422: "The request is not valid",
    429: "Too many requests",
    500: "Something went wrong here",
    503: "Too busy",
}


def check_query(request: Request) -> None:
    """Raise Problem for a parameter that there is not: a filter that is misspelt must not let everything through."""
    known = set(_query_names(request.scope["route"].dependant))
    unknown = sorted(set(request.query_params) - known)
    if unknown:
        detail = f"there is no parameter {unknown[0][:_LONGEST_NAME]}; there are {', '.join(sorted(known)) or 'none'}"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"the request is not valid: {detail}")


def _query_names(dependant: Any) -> Iterator[str]:
    yield from (parameter.alias for parameter in dependant.query_params)
    for one in dependant.dependencies:
        yield from _query_names(one)


def page_size(desk: Desk, limit: int | None) -> int:
    """Rows of a page."""
    limits = desk.policy.limits
    return min(limit or limits.page_devices, limits.page_max_devices)


def etag_of_model(model: Shown) -> str:
    """What stands for what a client is shown."""
    return etag_of(model.model_dump_json().encode())


__all__ = [
    "Actor",
    "After",
    "DeskOf",
    "Hooker",
    "IdPath",
    "IfMatch",
    "Key",
    "Limit",
    "ProblemSeen",
    "Reader",
    "Registrar",
    "Stopping",
    "check_query",
    "etag_of_model",
    "page_size",
    "problems",
]
