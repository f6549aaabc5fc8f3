"""Carrying out steps by aiohttp, for asyncio."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import aiohttp

from sr_engine.client.blocking import MOST_BYTES
from sr_engine.client.exchange import Call, NoReply, Pause, Reply, Steps

_CHUNK = 256 * 1024
_T = TypeVar("_T")


class AsyncTransport:
    """Keeps connections open between calls, within one event loop."""

    def __init__(
        self, ssl_context: ssl.SSLContext | None = None, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        """As `BlockingTransport`."""
        self._ssl_context = ssl_context
        self._sleep = sleep
        self._session: aiohttp.ClientSession | None = None

    async def run(self, steps: Steps[_T]) -> _T:
        """Carry out steps and return what they come to; what they compute between calls is done in a thread."""
        outcome: Reply | NoReply | None = None
        while True:
            step = await asyncio.to_thread(_advance, steps, outcome)
            if isinstance(step, _Done):
                return step.value
            if isinstance(step, Call):
                outcome = await self.call(step)
            else:
                await self._sleep(step.seconds)
                outcome = None

    async def call(self, call: Call) -> Reply | NoReply:
        """Make one HTTP request; raises ValueError if its address is none."""
        timeout = aiohttp.ClientTimeout(total=call.timeout)
        # Nothing packed: what it would unpack to is not bounded.
        data, headers = call.body or None, {"Accept-Encoding": "identity", **call.headers}
        try:
            async with self._opened().request(
                call.method, call.url, data=data, headers=headers, timeout=timeout, allow_redirects=False
            ) as response:
                chunks: list[bytes] = []
                size = 0
                async for chunk in response.content.iter_chunked(_CHUNK):
                    size += len(chunk)
                    if size > MOST_BYTES:
                        return NoReply(f"the answer is larger than {MOST_BYTES} bytes")
                    chunks.append(chunk)
                lower = {name.lower(): value for name, value in response.headers.items()}
                return Reply(response.status, lower, b"".join(chunks))
        except aiohttp.InvalidURL:
            raise ValueError(f"{call.url!r} is not an http or https address") from None
        except aiohttp.ClientConnectorError as error:
            # A name that is not known, or a certificate, has numbers of its own.
            known = (error.errno or 0) > 0 and not isinstance(error, aiohttp.ClientSSLError)
            return NoReply(os.strerror(error.errno or 0) if known else error.strerror or str(error), sent=False)
        except TimeoutError:
            return NoReply(f"no answer within {call.timeout:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return NoReply(str(error) or type(error).__name__)

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(ssl=True if self._ssl_context is None else self._ssl_context)
            self._session = aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
            )
        return self._session


@dataclass(frozen=True, slots=True)
class _Done(Generic[_T]):
    """What steps came to: a StopIteration cannot be raised through a future."""

    value: _T


def _advance(steps: Steps[_T], outcome: Reply | NoReply | None) -> Call | Pause | _Done[_T]:
    try:
        return next(steps) if outcome is None else steps.send(outcome)
    except StopIteration as done:
        return _Done(done.value)
