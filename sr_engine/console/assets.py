"""Our style sheet and script, under names that change with what they hold, so that browsers keep them."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sr_engine.console.security import HEADERS, PATH

_KINDS = {"console.css": "text/css", "console.js": "text/javascript", "icon.svg": "image/svg+xml"}
_KEPT = "public, max-age=31536000, immutable"


class Assets:
    """The files that pages refer to, held in memory."""

    def __init__(self) -> None:
        folder = files("sr_engine.console").joinpath("static")
        self._files = {name: folder.joinpath(name).read_bytes() for name in _KINDS}
        self._marks = {name: hashlib.sha256(data).hexdigest()[:12] for name, data in self._files.items()}

    def url(self, name: str) -> str:
        """Where a page finds a file."""
        return f"{PATH}/static/{self._marks[name]}/{name}"

    def route(self) -> Route:
        """The address of the files, which need no sign-in."""
        return Route("/static/{mark}/{name}", self._give, methods=["GET"])

    async def _give(self, request: Request) -> Response:
        name = request.path_params["name"]
        if self._marks.get(name) != request.path_params["mark"]:
            raise HTTPException(404)
        headers = {**HEADERS, "Cache-Control": _KEPT}
        return Response(self._files[name], headers=headers, media_type=_KINDS[name])


@cache
def own_assets() -> Assets:
    """Those of all consoles of this process: what is installed does not change under it."""
    return Assets()
