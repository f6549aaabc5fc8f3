"""What is said when something is not done: problem details (RFC 9457), for every error there is."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from sr_engine.messages.reasons import MAY_HAVE_BEEN_TAKEN
from sr_engine.store.database import AWAY_FOR_SECONDS, DatabaseAway

log = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"
_LONGEST = 500
"""Of what is said of one mistake."""

_WORDS = {
    HTTPStatus.NOT_FOUND: "there is no such address; /api/v2/openapi.json says which there are",
    HTTPStatus.METHOD_NOT_ALLOWED: "this address does not take that method",
}


class Problem(Exception):
    """Ends a request with an error; `more` are members beside those of RFC 9457."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    def response(self) -> Response:
        """The same as an answer."""
        members = {
            "type": "about:blank",
            "title": self.status.phrase,
            "status": self.status.value,
            "detail": self.detail,
            **self.more,
        }
        return Response(json.dumps(members).encode(), self.status.value, self.headers, PROBLEM_JSON)


def unknown(what: str) -> Problem:
    """There is no such thing, or it is not this Supplier's: the same is said of both."""
    return Problem(HTTPStatus.NOT_FOUND, f"there is no such {what} of yours")


def failure() -> Problem:
    """Something went wrong here."""
    detail = "the request could not be worked on and changed nothing; it may be sent again as it is"
    return Problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def away(error: DatabaseAway) -> Problem:
    """The database is away."""
    log.warning("a request is answered HTTP 503: %s", error)
    again = f"may be sent again as it is, in {AWAY_FOR_SECONDS} s"
    detail = f"the database is away; the request {MAY_HAVE_BEEN_TAKEN}, and {again}"
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, detail, headers={"Retry-After": str(AWAY_FOR_SECONDS)})


def handle_errors(app: FastAPI) -> None:
    """Have every error of an application answered by a problem."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(DatabaseAway, _away)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _failure)


async def _problem(_request: Request, error: Exception) -> Response:
    return error.response() if isinstance(error, Problem) else failure().response()


async def _away(_request: Request, error: Exception) -> Response:
    return (away(error) if isinstance(error, DatabaseAway) else failure()).response()


async def _invalid(_request: Request, error: Exception) -> Response:
    found: Sequence[Any] = error.errors() if isinstance(error, RequestValidationError) else ()
    errors = [
        {"in": str(one["loc"][0]), "pointer": _pointer(one["loc"][1:]), "detail": str(one["msg"])[:_LONGEST]}
        for one in found[:20]
    ]
    detail = "; ".join(f"{one['in']} {one['pointer']}: {one['detail']}" for one in errors)[:_LONGEST]
    status = HTTPStatus.UNPROCESSABLE_ENTITY
    return Problem(status, f"the request is not valid: {detail}", more={"errors": errors}).response()


def _pointer(location: Sequence[int | str]) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in location)


async def _http(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        return failure().response()
    status = HTTPStatus(error.status_code)
    return Problem(status, _WORDS.get(status, str(error.detail)), headers=error.headers).response()


async def _failure(_request: Request, _error: Exception) -> Response:
    return failure().response()
