"""Where the instances of a simulation are: folders, each with a database of its own; made, copied and removed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sr_engine.configuration import SETTINGS_FILE
from sr_engine.store import spare


@dataclass(frozen=True, slots=True)
class Site:
    """A folder, and a PostgreSQL database beside which others may be made; without one they are SQLite files."""

    directory: Path
    database: str | None = None

    def folder(self, name: str) -> Path:
        """Of an instance."""
        return self.directory / name

    def url(self, name: str) -> str:
        """Of the database of an instance."""
        return "sqlite:///sr-engine.db" if self.database is None else spare.beside(self.database, name)

    def check_free(self, names: Sequence[str]) -> None:
        """Raises DatabaseError if there is anything already where instances are to be, which may be removed later."""
        if self.database is not None:
            spare.check_absent(self.database, [self.url(name) for name in names])

    def prepare(self, name: str) -> None:
        """Make the database of a new instance, if it is not to be in its folder; raises DatabaseError."""
        if self.database is not None:
            spare.create(self.database, self.url(name))

    def copy(self, source: str, name: str) -> None:
        """A new instance that is like another, which nobody has open; raises DatabaseError."""
        shutil.copytree(self.folder(source), self.folder(name))
        if self.database is None:
            return
        spare.create(self.database, self.url(name), like=self.url(source))
        settings = self.folder(name) / SETTINGS_FILE
        text = settings.read_text(encoding="utf-8")
        text = text.replace(json.dumps(self.url(source)), json.dumps(self.url(name)))
        settings.write_text(text, encoding="utf-8")

    def remove(self, name: str) -> None:
        """An instance that nobody has open, with its database; nothing happens if it is not there."""
        shutil.rmtree(self.folder(name), ignore_errors=True)
        if self.database is not None:
            spare.drop(self.database, self.url(name))
