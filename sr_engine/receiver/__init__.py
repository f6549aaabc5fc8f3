"""Receiving Responses and Alerts: verified, kept before they are answered, handed on in order, each once.

    receiver = Receiver(Path("inbox.db"), Path("trust"), handler)

is an ASGI application. `uvicorn module:receiver` serves it; `sr-engine receive` does the same with a handler that
writes JSON Lines. With `pull=Pull(url, token)` it also fetches what it has missed.
"""

from __future__ import annotations

from signing import Trust
from sr_engine.parsing import Alert, HubEvent, Message, MessageRefused, Outcome, Response, Unknown, to_json
from sr_engine.receiver.handling import Handler, HandlerRetries
from sr_engine.receiver.inbox import Entry, InboxUnusable
from sr_engine.receiver.lines import JsonLines
from sr_engine.receiver.pull import Pull, PullFailed
from sr_engine.receiver.receiver import MAX_BYTES, Receiver

__all__ = [
    "MAX_BYTES",
    "Alert",
    "Entry",
    "Handler",
    "HandlerRetries",
    "HubEvent",
    "InboxUnusable",
    "JsonLines",
    "Message",
    "MessageRefused",
    "Outcome",
    "Pull",
    "PullFailed",
    "Receiver",
    "Response",
    "Trust",
    "Unknown",
    "to_json",
]
