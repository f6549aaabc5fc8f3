"""The body of a request, if it is one that is taken: its media type and size, the time it takes, room for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from starlette.types import Receive, Scope

from sr_engine.connections import WHOLE
from sr_engine.gateway.fairness import HEAD_BYTES, Visit
from sr_engine.messages.reasons import MAY_HAVE_BEEN_TAKEN
from sr_engine.pipeline.answer import Answer
from sr_engine.pipeline.problem import problem


class Bodies:
    """Reads bodies; of one that there is no room for, or no more, nothing further is read once that is known."""

    def __init__(self, *, max_bytes: int, seconds: float, retry_after: int) -> None:
        """`seconds` is how long a whole body may take; `retry_after` when those are told to come again, in seconds."""
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._retry_after = retry_after

    async def read(
        self, scope: Scope, receive: Receive, wanted: str, visit: Visit, share_of: Callable[[bytes], str]
    ) -> bytes | Answer:
        """The whole body of a request that has the media type `wanted`, or what it is refused with."""
        if (refused := self._refused(scope, wanted)) is not None:
            return refused
        try:
            if WHOLE in scope:
                # By far the most: setting an alarm clock would take longer than reading them.
                data = await self._whole(receive, visit, share_of)
            else:
                async with asyncio.timeout(self._seconds) as limit:
                    visit.on_giving_way = lambda: limit.reschedule(0)
                    data = await self._whole(receive, visit, share_of)
        except TimeoutError:
            if visit.gave_way:
                return self._no_room()
            return problem(
                HTTPStatus.REQUEST_TIMEOUT,
                f"the whole body did not come within {self._seconds:.0f} s; nothing of it was taken",
            )
        if isinstance(data, Answer) or visit.claimed or visit.claim(share_of(data)):
            return data
        return self._no_room()

    def overloaded(self, why: str) -> Answer:
        """What those are told for whom there is no room."""
        return problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"{why}; send it again in {self._retry_after} s",
            retry_after=self._retry_after,
        )

    def not_known(self) -> Answer:
        """What those are told of whose requests it is not known whether they were taken: the database is away."""
        return self.overloaded(f"the database is away; this {MAY_HAVE_BEEN_TAKEN}, and has one answer")

    def _refused(self, scope: Scope, wanted: str) -> Answer | None:
        """What the head of a request says against its body."""
        # Of a header that stands twice, the first counts.
        headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        media_type = headers.get(b"content-type", b"").decode("latin-1")
        if media_type != wanted and (media_type := media_type.partition(";")[0].strip().lower()) != wanted:
            return problem(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body must be {wanted}, not {media_type or 'of no media type'}"
            )
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            return problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "the body must not be compressed")
        announced = headers.get(b"content-length", b"")
        return self._too_large() if announced.isdigit() and int(announced) > self._max_bytes else None

    async def _whole(self, receive: Receive, visit: Visit, share_of: Callable[[bytes], str]) -> bytes | Answer:
        chunks: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                # Nobody reads this answer; what matters is that half a request is none.
                return problem(HTTPStatus.BAD_REQUEST, "the connection was closed before the whole body had come")
            chunk, more = message.get("body", b""), message.get("more_body", False)
            size += len(chunk)
            if size > self._max_bytes:
                return self._too_large()
            chunks.append(chunk)
            if not visit.claimed and size >= HEAD_BYTES and not visit.claim(share_of(b"".join(chunks))):
                return self._no_room()
        return b"".join(chunks)

    def _too_large(self) -> Answer:
        return problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is larger than the {self._max_bytes} bytes taken"
        )

    def _no_room(self) -> Answer:
        return self.overloaded("the processor is busy, and there is no room for more requests of yours")
