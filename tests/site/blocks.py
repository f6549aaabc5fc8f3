"""The blocks of code in README.md and the pages of `docs`, and what keeps one from being run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
CHECKED = frozenset({"sh", "python", "toml", "json", "xml"})
"""Languages of blocks that are run or read."""
SHOWN = frozenset({"", "nginx", "text"})
"""Languages of blocks that are for the reader's eyes, or for another program."""
_FENCE = re.compile(r"^```(.*)$")
_NOT_RUN = re.compile(r"^<!-- not run: (.+) -->$")


@dataclass(frozen=True, slots=True)
class Block:
    """A block, and why it is not run; empty: it is."""

    page: Path
    line: int
    language: str
    text: str
    not_run: str

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """The blocks of a page in their order; raises ValueError for a reason that stands before no block."""
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    reason = ""
    while number < len(lines):
        if fence := _FENCE.match(lines[number]):
            end = next(after for after in range(number + 1, len(lines)) if lines[after] == "```")
            yield Block(page, number + 2, fence[1], "\n".join(lines[number + 1 : end]) + "\n", reason)
            number, reason = end, ""
        elif reason:
            raise ValueError(f"{page.relative_to(ROOT)}:{number}: no block stands below the reason why it is not run")
        elif found := _NOT_RUN.match(lines[number]):
            reason = found[1]
        number += 1
