"""The two clients: `Client` for code that waits, `AsyncClient` for asyncio. They differ in nothing else."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict, Unpack, overload

from signing import Trust
from sr_engine.client.blocking import BlockingTransport
from sr_engine.client.core import Core, Settings
from sr_engine.client.exchange import Answer, Retries, SignedRequest
from sr_engine.client.nonblocking import AsyncTransport
from sr_engine.client.requests import ListRequest, ServiceRequestBody
from sr_engine.client.results import InventoryResult, ListResult, Result, ScheduleResult
from sr_engine.client.signing import Signs
from sr_engine.clock import Clock
from sr_engine.counters import CounterSource
from sr_engine.messages.identifiers import RequestId
from sr_engine.messages.model import ReadCommsHubFirmwareSchedule, ReadInventory
from sr_engine.parsing import Response


class Options(TypedDict, total=False):
    """What may be left out when a client is made."""

    token: str
    """The bearer token of this User, for `fetch_response`."""
    retries: Retries
    """How often, how long, with which waits."""
    schema_version: str
    """Of requests; 5.4 if it is left out."""
    broker: str
    """The EUI that requests are sent to, if it is not the published one."""
    clock: Clock
    """By which counters are drawn and certificates judged; the computer's own if it is left out."""
    uniform: Callable[[float, float], float]
    """Draws a number between two, for the waits."""
    most_devices: int
    """Devices in one request, 50,000 if it is left out; longer lists are split."""


class Sequencing(TypedDict, total=False):
    """How a request stands to others."""

    first_in_sequence: bool
    """Others name this one as the one before them."""
    preceding: RequestId | str
    """The RequestID of the one to be carried out before; until that has ended well, this one is held."""


class Client:
    """Sends Service Requests of one User and returns what they came to; safe to use from several threads.

    `key` signs: a `SoftwareKey`, any object with its methods, or a `SigningServer`. `trust` says whose answers are
    believed, and `counters` where RequestIDs get their counters from; each may be a path. Raises KeyUnavailable or
    CountersUnusable, naming the file.
    """

    def __init__(
        self,
        url: str,
        *,
        key: Signs,
        trust: Trust | Path,
        counters: CounterSource | Path,
        ssl_context: ssl.SSLContext | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._core = Core(Settings(url, key, trust, counters, **options))
        self._transport = BlockingTransport(ssl_context)

    @overload
    def send(self, body: ListRequest, **sequencing: Unpack[Sequencing]) -> ListResult: ...
    @overload
    def send(self, body: ReadInventory, **sequencing: Unpack[Sequencing]) -> InventoryResult: ...
    @overload
    def send(self, body: ReadCommsHubFirmwareSchedule, **sequencing: Unpack[Sequencing]) -> ScheduleResult: ...

    def send(self, body: ServiceRequestBody, **sequencing: Unpack[Sequencing]) -> Result:
        """Sign a request, send it until it is answered, verify the answer, and say what it came to.

        A list of more than 50,000 devices is sent in parts. Raises a ClientError where there is no result:
        `RequestNotSent`, `SigningFailed`, `NotTaken`, `NotAnswered`, `AnswerRefused` or `SenderNotAuthenticated`; what
        parts of a list were answered before is in its `done`.
        """
        return self._transport.run(self._core.send(body, **sequencing))

    def sign(self, body: ServiceRequestBody, **sequencing: Unpack[Sequencing]) -> SignedRequest:
        """Give a request a RequestID and sign it, to be kept before it is submitted; a long list is not split."""
        return self._transport.run(self._core.sign(body, **sequencing))

    def submit(self, request: SignedRequest) -> Answer:
        """Send what was signed before: the first time, or once more after `NotAnswered`. Raises as `send` does."""
        return self._transport.run(self._core.submit(request))

    def read_whole_schedule(self, schedule_id: int) -> ScheduleResult:
        """11.7, page by page to the last; if one is refused or held, that is the result. Raises as `send` does."""
        return self._transport.run(self._core.read_whole_schedule(schedule_id))

    def fetch_response(self, request_id: RequestId | str) -> Response | None:
        """Fetch the Response to a held request, with all its refused devices; None if there is none yet.

        It needs the option `token`. Raises NoResponse if the request was cancelled, another ClientError if it cannot
        be had.
        """
        return self._transport.run(self._core.fetch_response(request_id))

    def close(self) -> None:
        """Close connections and files."""
        self._transport.close()
        self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AsyncClient:
    """The same for asyncio; it belongs to the event loop in which it is first used."""

    def __init__(
        self,
        url: str,
        *,
        key: Signs,
        trust: Trust | Path,
        counters: CounterSource | Path,
        ssl_context: ssl.SSLContext | None = None,
        **options: Unpack[Options],
    ) -> None:
        self._core = Core(Settings(url, key, trust, counters, **options))
        self._transport = AsyncTransport(ssl_context)

    @overload
    async def send(self, body: ListRequest, **sequencing: Unpack[Sequencing]) -> ListResult: ...
    @overload
    async def send(self, body: ReadInventory, **sequencing: Unpack[Sequencing]) -> InventoryResult: ...
    @overload
    async def send(self, body: ReadCommsHubFirmwareSchedule, **sequencing: Unpack[Sequencing]) -> ScheduleResult: ...

    async def send(self, body: ServiceRequestBody, **sequencing: Unpack[Sequencing]) -> Result:
        """As `Client.send`."""
        return await self._transport.run(self._core.send(body, **sequencing))

    async def sign(self, body: ServiceRequestBody, **sequencing: Unpack[Sequencing]) -> SignedRequest:
        """As `Client.sign`."""
        return await self._transport.run(self._core.sign(body, **sequencing))

    async def submit(self, request: SignedRequest) -> Answer:
        """As `Client.submit`."""
        return await self._transport.run(self._core.submit(request))

    async def read_whole_schedule(self, schedule_id: int) -> ScheduleResult:
        """As `Client.read_whole_schedule`."""
        return await self._transport.run(self._core.read_whole_schedule(schedule_id))

    async def fetch_response(self, request_id: RequestId | str) -> Response | None:
        """As `Client.fetch_response`."""
        return await self._transport.run(self._core.fetch_response(request_id))

    async def close(self) -> None:
        """Close connections and files."""
        await self._transport.close()
        self._core.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
