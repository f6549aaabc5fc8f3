"""What can go wrong between a request and its answer; what the processor decided is no error, and is in the result."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sr_engine.client.exchange import Answer, SignedRequest
    from sr_engine.client.results import Result


class ClientError(Exception):
    """Anything that keeps the client from giving a result; `done` holds the answers to earlier parts of a list."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.done: tuple[Answer, ...] = ()


class SigningFailed(ClientError):
    """The key or the signing server has not signed the request as it is; it was not sent to the processor."""


class RequestNotSent(ClientError):
    """What the list, the token or the counter does not allow; it was not sent to the processor."""


class NotTaken(ClientError):
    """The processor does not take these bytes, and will not another time: HTTP `status`, 400 above all, and why.

    `may_have_been_taken` is True if an earlier try ended without an answer; then a proxy, say, has turned this one
    away, and `client.submit(error.request)` tells what came of that.
    """

    def __init__(self, request: SignedRequest, status: int, reason: str, *, may_have_been_taken: bool) -> None:
        earlier = "; an earlier try may have been" if may_have_been_taken else ""
        super().__init__(f"{request.request_id.text} was not taken, HTTP {status}: {reason}{earlier}")
        self.may_have_been_taken = may_have_been_taken
        self.request = request
        self.status = status
        self.reason = reason


class NotAnswered(ClientError):
    """No answer came, try after try. `client.submit(error.request)` goes on with the same RequestID and bytes.

    `may_have_been_taken` is False if the processor said each time that nothing was taken; `retry_after` is what it
    asked for last, in seconds.
    """

    def __init__(
        self, request: SignedRequest, reason: str, *, may_have_been_taken: bool, retry_after: float | None
    ) -> None:
        super().__init__(f"{request.request_id.text} was not answered: {reason}")
        self.request = request
        self.reason = reason
        self.may_have_been_taken = may_have_been_taken
        self.retry_after = retry_after


class AnswerRefused(ClientError):
    """What came back is not a genuine answer to this request: do not act on it. The request may have been taken."""

    def __init__(self, request: SignedRequest, reason: str) -> None:
        super().__init__(f"the answer to {request.request_id.text} is refused: {reason}")
        self.request = request
        self.reason = reason


class SenderNotAuthenticated(ClientError):
    """The processor says, unsigned, that it could not authenticate the request: look at key and certificate.

    Its RequestID is not used up. Since nobody signed this, only a connection that is itself trusted makes it certain.
    """

    def __init__(self, request: SignedRequest, code: str, detail: str) -> None:
        super().__init__(f"{request.request_id.text} was not authenticated, {code}: {detail}")
        self.request = request
        self.code = code
        self.detail = detail


class Refusal(Exception):
    """Raised by `raise_for_refusal` alone; `result` is what it was asked of."""

    def __init__(self, result: Result, message: str) -> None:
        super().__init__(message)
        self.result = result


class RequestRefused(Refusal):
    """Nothing was accepted, and nothing was changed."""


class PartlyRefused(Refusal):
    """Some devices were accepted, and count; others were refused."""
