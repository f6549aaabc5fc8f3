"""What is kept of what somebody wants done."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sr_engine.console.supplier.selecting import Selection
from sr_engine.console.supplier.wishes import Wish


@dataclass(frozen=True, slots=True)
class Content:
    """What is kept of what is wanted; the rows of a sheet stand in the sheet."""

    user_eui: str
    """In whose name it is done, whoever confirms it."""
    wish: Wish | None
    """None: what the rows of a sheet say."""
    selection: Selection
    hub_ids: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """Of the requests of a sheet, by which each is done once."""
    same: tuple[tuple[str, ...], ...] = ()
    """Ids in a sheet that stand for one hub."""

    @staticmethod
    def read(text: str) -> Content:
        """What `write` gave."""
        kept = json.loads(text)
        wish = None if kept["wish"] is None else Wish.from_kept(kept["wish"])
        selection = Selection.of(kept["selection"])
        # The first release did not know them.
        same = tuple(tuple(ids) for ids in kept.get("same", ()))
        return Content(kept["user"], wish, selection, tuple(kept["hubs"]), tuple(kept["keys"]), same)

    def write(self) -> str:
        """As JSON."""
        kept = {
            "user": self.user_eui,
            "wish": None if self.wish is None else self.wish.kept(),
            "selection": self.selection.query(),
            "hubs": self.hub_ids,
            "keys": self.keys,
            "same": self.same,
        }
        return json.dumps(kept)
