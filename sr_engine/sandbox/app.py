"""The sandbox as an ASGI application: the processor, the CSPs of all regions, and a receiver for each Supplier."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import aiohttp
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from signing import SigningError, VerifiedDocument
from sr_engine.application import application
from sr_engine.bootstrap import Instance
from sr_engine.configuration.duis import CSP_REGIONS
from sr_engine.instance import folder_name
from sr_engine.sandbox.making import CSP_PATH, SUPPLIER_PATH, Sandbox, path_of_region
from sr_engine.simulator.behaviour import Behaviour
from sr_engine.simulator.csp import SimulatedCsp
from sr_engine.simulator.party import Handle, Party, stats_of

RECEIVED = "received"
"""The folder of a sandbox with what Suppliers were sent, a folder each."""
Endpoint = Callable[[Request], Awaitable[Response]]
_TIMEOUT = aiohttp.ClientTimeout(total=30)


def sandbox_app(sandbox: Sandbox, instance: Instance) -> Starlette:
    """Everything on one port; what the processor itself serves is where it always is."""
    first_counter = int(instance.clock.now().timestamp() * 1000)
    csps: list[tuple[Party, SimulatedCsp]] = []
    routes: list[Route | Mount] = []
    for number, region in enumerate(instance.configuration.regions.values()):
        party = Party.load(sandbox.directory, folder_name(region.csp_name), sandbox.url)
        # Regions may share one CSP and its EUI, and it may have been here before: no number is used twice.
        party.step = len(CSP_REGIONS)
        party.counter = first_counter * party.step + number
        csp = SimulatedCsp(
            party, instance.configuration.policy.access_control_broker_eui, region.name, Behaviour(late_by=timedelta(0))
        )
        csps.append((party, csp))
        routes.append(Route(path_of_region(region), _receiving(party, csp.handle, csp.again), methods=["POST"]))
    suppliers = []
    for organisation in instance.users.organisations():
        party = Party.load(sandbox.directory, organisation.id, sandbox.url)
        suppliers.append(party)
        folder = sandbox.directory / RECEIVED / organisation.id
        path = f"{SUPPLIER_PATH}/{organisation.id}"
        routes.append(Route(path, _receiving(party, _keeping(folder)), methods=["POST"]))
        routes.append(Route(path, _telling(folder), methods=["GET"]))

    async def stats(_request: Request) -> Response:
        counted = {party.name: dict(party.stats) for party in suppliers}
        return JSONResponse({"csps": stats_of(party for party, _ in csps), "suppliers": counted})

    routes.append(Route(CSP_PATH, stats, methods=["GET"]))
    processor = application(instance)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with processor.router.lifespan_context(processor), aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            working = asyncio.gather(*(csp.act(session) for _, csp in csps))
            try:
                yield
            finally:
                working.cancel()
                with suppress(asyncio.CancelledError):
                    await working

    return Starlette(routes=[*routes, Mount("/", processor)], lifespan=lifespan)


def _receiving(party: Party, handle: Handle, again: Handle | None = None) -> Endpoint:
    """An address that takes messages: 204 once handled, 400 if the signature is not good."""

    async def receive(request: Request) -> Response:
        try:
            await party.take(await request.body(), handle, again)
        except SigningError as refused:
            return Response(str(refused), HTTPStatus.BAD_REQUEST)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return receive


def _keeping(folder: Path) -> Handle:
    """Keeps every message as a file, numbered in the order in which they came."""

    async def keep(document: VerifiedDocument) -> None:
        await asyncio.to_thread(_write, folder, document.data)

    return keep


def _write(folder: Path, data: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.iterdir())) + 1
    (folder / f"{number:06d}.xml").write_bytes(data)


def _files_in(folder: Path) -> list[str]:
    return sorted(str(one) for one in folder.iterdir()) if folder.is_dir() else []


def _telling(folder: Path) -> Endpoint:
    async def tell(_request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(_files_in, folder))

    return tell
