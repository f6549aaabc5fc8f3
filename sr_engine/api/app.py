"""The application of the interface, and the document that describes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from starlette.routing import Mount

from sr_engine.api import answers, changes, hooks, hubs, registrations
from sr_engine.api.common import check_query
from sr_engine.api.desk import Desk
from sr_engine.api.door import Door
from sr_engine.api.limits import Rates
from sr_engine.api.models import ProblemSeen
from sr_engine.api.problems import handle_errors
from sr_engine.peers import Peers

BELOW = "/api/v2"
"""Where the interface stands."""

_TEXT = """Hubs, releases, approvals, schedules and exclusions of one Supplier, and what has changed, for its systems.

All times are UTC. Whatever is not this Supplier's does not exist here. What is done is done by the same rules as by
Service Requests 11.5, 11.6, 11.8 and 11.9, and recorded as they are; an error is a problem document (RFC 9457)."""

_bearer = HTTPBearer(auto_error=False, description="A token, made with `sr-engine api-token create`")


def application() -> FastAPI:
    """The application, without what it works with."""
    app = FastAPI(
        title="sr_engine for CRM systems",
        version="2.0",
        description=_TEXT,
        servers=[{"url": BELOW}],
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        separate_input_output_schemas=False,
        dependencies=[Depends(_bearer), Depends(check_query)],
        generate_unique_id_function=lambda route: route.name,
    )
    for router in (hubs.router, answers.router, changes.router, hooks.router, registrations.router):
        app.include_router(router)
    handle_errors(app)
    app.openapi = _described(app, app.openapi)  # type: ignore[method-assign]  # as FastAPI's own documentation does it
    return app


def mounted(desk: Desk, monotonic: Callable[[], float], peers: Peers) -> Mount:
    """The application behind its door, at its place; `monotonic` tells the time by which rates are judged.

    `peers` tells which certificate a connection has shown.
    """
    app = application()
    app.state.desk = desk
    limits = desk.policy.limits
    mount = Mount(BELOW, Door(app, desk, Rates(limits.requests_per_minute, limits.burst, monotonic), peers))
    # An address may hold the end of a line, which a dot does not stand for: it would not be seen here.
    mount.path_regex = re.compile(mount.path_regex.pattern, re.DOTALL)
    return mount


def _described(app: FastAPI, describe: Callable[[], dict[str, Any]]) -> Callable[[], dict[str, Any]]:
    """What FastAPI says of it, with what it does not know: problems, and the headers that the door sees to."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        found = describe()
        schemas = found["components"]["schemas"]
        schemas["Problem"] = ProblemSeen.model_json_schema()
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for operations in found["paths"].values():
            for method, operation in operations.items():
                _complete(method, operation)
        return found

    return document


def _complete(method: str, operation: dict[str, Any]) -> None:
    answers_by_status = operation["responses"]
    for status, answer in answers_by_status.items():
        answer.setdefault("headers", {}).update(_rate_headers(status))
    content = answers_by_status.get("200", {}).get("content", {})
    if method == "get" and "application/json" in content and not operation["operationId"].endswith("changes"):
        operation.setdefault("parameters", []).append(
            {
                "name": "If-None-Match",
                "in": "header",
                "required": False,
                "schema": {"type": "string", "maxLength": 400},
                "description": "An ETag that is known already",
            }
        )
        answers_by_status["200"]["headers"]["ETag"] = {"schema": {"type": "string"}}
        answers_by_status["304"] = {"description": "It has not changed"}


def _rate_headers(status: str) -> dict[str, Any]:
    whole: dict[str, Any] = {"schema": {"type": "integer"}}
    known = dict.fromkeys(("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"), whole)
    if status == "401":
        return {"WWW-Authenticate": {"schema": {"type": "string"}}}
    return {**known, "Retry-After": whole} if status in {"429", "503"} else known
