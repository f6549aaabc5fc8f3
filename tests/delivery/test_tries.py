"""What is recorded of a try that failed."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from sr_engine.delivery.tries import post

SECRET = "a-part-of-the-address-that-nobody-else-knows"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 what is this\r\n\r\n", "ClientResponseError: what came back is no answer of HTTP"),
        (b"HTTP/1.1 200 OK\r\nno header\r\n\r\n", "ClientResponseError: what came back is no answer of HTTP"),
        (b"", "ServerDisconnectedError"),
    ],
)
def test_an_answer_that_is_none_is_recorded_without_the_address(answer: bytes, said: str) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"<alert/>")
        writer.write(answer)
        writer.close()

    async def exchange() -> str:
        async with await asyncio.start_server(talk, "127.0.0.1", 0) as server, aiohttp.ClientSession() as session:
            port = server.sockets[0].getsockname()[1]
            return (await post(session, f"http://127.0.0.1:{port}/{SECRET}", b"<alert/>", "m-1")).error or ""

    error = asyncio.run(exchange())

    assert SECRET not in error
    assert error.startswith(said), error


def test_an_address_that_is_none_is_not_recorded() -> None:
    async def exchange() -> str:
        async with aiohttp.ClientSession() as session:
            return (await post(session, f"http://127.0.0.1:{SECRET}/", b"<alert/>", "m-1")).error or ""

    assert asyncio.run(exchange()) == "InvalidUrlClientError"
