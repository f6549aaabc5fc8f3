"""What is logged, written to stderr: one line each, for people or as JSON."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import TextIO

from sr_engine.configuration import LogFormat
from sr_engine.observing.exchanges import FIELDS

_Failed = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class _Brief(logging.Formatter):
    """Of a database that is away it is written what it said; where that was found out may be anywhere."""

    def formatException(self, ei: _Failed) -> str:  # noqa: N802 - the name is the library's
        away = None if ei[1] is None else _of_a_database_that_is_away(ei[1])
        return super().formatException(ei) if away is None else away


def _of_a_database_that_is_away(error: BaseException) -> str | None:
    if "sqlalchemy" not in sys.modules:
        return None
    # Programs that have no database log, too, and start sooner without it.
    from sr_engine.store.database import may_pass  # noqa: PLC0415 - see above

    if not may_pass(error):
        return None
    cause = getattr(error, "orig", error)
    return f"{type(cause).__name__}: {' '.join(str(cause).split())}"


class _OneLine(_Brief):
    """One line per record, whatever a message quotes; times in UTC."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s", "%Y-%m-%dT%H:%M:%S")
        self._second = 0, ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - as below
        """Write a second out once: that takes longer than the rest of a line."""
        second, text = self._second
        if second != int(record.created):
            second, text = self._second = int(record.created), super().formatTime(record, datefmt)
        return text

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is the library's
        message = record.message
        if not message.isprintable():
            message = "".join(one if one.isprintable() else " " for one in message)
        return f"{record.asctime}Z {record.levelname} {record.name}: {message}"


class _Json(_Brief):
    """One object per line; what an exchange is known by stands beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        said.update(getattr(record, FIELDS, {}))
        if record.exc_info:
            said["traceback"] = self.formatException(record.exc_info)
        return json.dumps(said)


class _Gathered(logging.StreamHandler[TextIO]):
    """Writes what is said in one turn of an event loop in one piece, in the next turn; warnings, and all else, at once.

    Answers are sent after that, all but very long ones: the line of an answer that has gone out does not get lost.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []
        self._writes: asyncio.AbstractEventLoop | None = None
        """What is going to write them."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._lines.append(self.format(record) + self.terminator)
            loop = None if record.levelno > logging.INFO else _loop()
            if loop is None:
                self.flush()
            elif loop is not self._writes:
                self._writes = loop
                loop.call_soon(self.flush)
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        self.acquire()
        try:
            lines, self._lines, self._writes = self._lines, [], None
            if lines:
                self.stream.write("".join(lines))
            super().flush()
        finally:
            self.release()


def _loop() -> asyncio.AbstractEventLoop | None:
    """The one that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def log_to_stderr(style: LogFormat = LogFormat.HUMAN) -> None:
    """Have what is logged written to stderr, one line each."""
    handler = _Gathered(sys.stderr)
    if style is LogFormat.JSON:
        handler.setFormatter(_Json())
    else:
        handler.setFormatter(_OneLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("sr_engine").setLevel(logging.INFO)
