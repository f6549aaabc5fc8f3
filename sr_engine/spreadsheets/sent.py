"""Signed requests kept by the key of their rows, so that a file that is imported again asks the same question again.

The processor gives the same request the same answer and does nothing anew. A request is on disk before it is sent.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path

from sr_engine.client import RequestId, SignedRequest
from sr_engine.client.requests import VARIANTS
from sr_engine.spreadsheets.groups import Group
from sr_engine.spreadsheets.refusals import SheetRefused


@dataclass(frozen=True, slots=True)
class SentRequests:
    """A folder of them; several processes may share it."""

    folder: Path

    def find(self, group: Group, eui: str) -> SignedRequest | None:
        """What was kept for these rows and this User; raises SheetRefused for a file that is damaged."""
        path = self._path(group, eui)
        try:
            kept = json.loads(path.read_bytes())
            request_id, data = RequestId.parse(kept["request_id"]), b64decode(kept["request"], validate=True)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            raise SheetRefused(
                f"{path} is damaged: it should hold the request that was sent for these rows. Look up what became of "
                "them, then remove it"
            ) from None
        return SignedRequest(request_id, VARIANTS[type(group.body)], group.hub_ids, False, data)

    def keep(self, group: Group, eui: str, request: SignedRequest) -> None:
        """Keep it, whatever happens to this process or computer afterwards; raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._path(group, eui)
        kept = {"request_id": request.request_id.text, "request": b64encode(request.data).decode("ascii")}
        new = path.with_suffix(f".{os.getpid()}")
        with new.open("w", encoding="ascii") as file:
            json.dump(kept, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _path(self, group: Group, eui: str) -> Path:
        return self.folder / f"{eui}-{group.key}.json"
