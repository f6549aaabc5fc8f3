"""What is logged, written to stderr: one line each, for people or as JSON."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime

from sr_engine.configuration import LogFormat
from sr_engine.observing.exchanges import FIELDS


class _OneLine(logging.Formatter):
    """One line per record, whatever a message quotes; times in UTC."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)sZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
        self._second = 0, ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - as below
        """Write a second out once: that takes longer than the rest of a line."""
        second, text = self._second
        if second != int(record.created):
            second, text = self._second = int(record.created), super().formatTime(record, datefmt)
        return text

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name is the library's
        if not record.message.isprintable():
            record.message = "".join(one if one.isprintable() else " " for one in record.message)
        return super().formatMessage(record)


class _Json(logging.Formatter):
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


def log_to_stderr(style: LogFormat = LogFormat.HUMAN) -> None:
    """Have what is logged written to stderr, one line each."""
    handler = logging.StreamHandler(sys.stderr)
    if style is LogFormat.JSON:
        handler.setFormatter(_Json())
    else:
        handler.setFormatter(_OneLine())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("sr_engine").setLevel(logging.INFO)
