"""The addresses for monitoring: `/metrics`, `/health/live` and `/health/ready`."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from importlib.metadata import version

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sr_engine.clock import Clock
from sr_engine.configuration import Network
from sr_engine.observing.counting import Counting
from sr_engine.observing.standing import Standing
from sr_engine.peers import PEER, Peers, is_in
from sr_engine.store import standing as looks
from sr_engine.store.reading import Reading

log = logging.getLogger(__name__)

READY_WITHIN_SECONDS = 2.0
"""The database has to answer."""
ASK_EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class MetricsDesk:
    """Shows metrics to whoever connects from an address that is allowed; to others there is no such address."""

    counting: Counting
    standing: Standing
    environment: str
    addresses: Sequence[Network]
    peers: Peers

    def routes(self) -> list[Route]:
        """The address."""
        return [Route("/metrics", self._metrics, methods=["GET"])]

    async def _metrics(self, request: Request) -> Response:
        if not self._is_allowed(request):
            return PlainTextResponse("not found\n", HTTPStatus.NOT_FOUND)
        # Rows are counted in a database that may be large.
        return Response(await asyncio.to_thread(self.text), media_type=CONTENT_TYPE_LATEST)

    def _is_allowed(self, request: Request) -> bool:
        direct = "" if request.client is None else request.client.host
        by_proxy = PEER in request.scope or self.peers.is_proxy(direct)
        if "x-forwarded-for" in request.headers and not by_proxy:
            # Of a proxy that is not known, for whom nobody can tell.
            return False
        return is_in(self.peers.of(request.scope).address, self.addresses)

    def text(self) -> bytes:
        """All metrics, in Prometheus' text format."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterable[Metric]:
        """As prometheus_client's collectors have it."""
        info = GaugeMetricFamily("sr_engine_build_info", "Always 1.", labels=("version", "environment"))
        info.add_metric((version("sr-engine"), self.environment), 1)
        return [info, *self.counting.families(), *self.standing.families()]


class Health:
    """Whether requests can be taken: the database answers, and the key that signs has a certificate that is valid."""

    def __init__(
        self,
        reading: Reading,
        clock: Clock,
        signing_until: datetime,
        *,
        live: Callable[[], str] = lambda: "alive",
        monotonic: Callable[[], float] = time.monotonic,
        within: float = READY_WITHIN_SECONDS,
    ) -> None:
        """`live` says that the process is alive, and what else there is to say of it; the database answers `within`."""
        self._reading = reading
        self._clock = clock
        self._signing_until = signing_until
        self._live = live
        self._monotonic = monotonic
        self._within = within
        self._look: asyncio.Future[bool] | None = None
        """Under way, or the last one."""
        self._asked_at: float | None = None
        self._problems: list[str] = []
        self._asking = asyncio.Lock()

    def routes(self) -> list[Route]:
        """The addresses."""
        return [
            Route("/health/live", self._is_live, methods=["GET"]),
            Route("/health/ready", self._is_ready, methods=["GET"]),
        ]

    async def _is_live(self, _request: Request) -> Response:
        return PlainTextResponse(f"{self._live()}\n")

    async def _is_ready(self, _request: Request) -> Response:
        async with self._asking:
            now = self._monotonic()
            if self._asked_at is None or now - self._asked_at >= ASK_EVERY_SECONDS:
                self._problems = [problem async for problem in self._ask()]
                self._asked_at = now
        if self._problems:
            return PlainTextResponse("".join(f"{one}\n" for one in self._problems), HTTPStatus.SERVICE_UNAVAILABLE)
        return PlainTextResponse("ready\n")

    async def _ask(self) -> AsyncIterator[str]:
        try:
            async with asyncio.timeout(self._within):
                await asyncio.shield(self._looking())
        except TimeoutError:
            yield f"the database does not answer within {self._within:g} s"
        except Exception:
            # What the driver says may name hosts and users, and whoever asks may be anybody.
            log.exception("not ready: the database cannot be used")
            yield "the database cannot be used"
        if self._clock.now() > self._signing_until:
            yield "the certificate of the key that signs answers has expired"

    def _looking(self) -> asyncio.Future[bool]:
        """The look that is under way, or else another: one that hangs keeps a thread that requests are worked on in."""
        if self._look is None or self._look.done():
            self._look = asyncio.ensure_future(asyncio.to_thread(self._reading, looks.answers))
            # What it ends with is told to whoever waits still, and nobody may.
            self._look.add_done_callback(lambda done: done.cancelled() or done.exception())
        return self._look


def monitoring_app(metrics: MetricsDesk, health: Health) -> Starlette:
    """What is served at the listener for monitoring alone."""
    return Starlette(routes=[*metrics.routes(), *health.routes()])
