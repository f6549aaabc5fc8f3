"""Numbers that several processes of one parent count, each in a row of its own, and that any of them can add up.

They stand in memory that a parent shares with those it forks. A process that is started again in the place of one that
died goes on in its row, so no count ever falls.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence

_BYTES = 8


class Cells:
    """So many numbers in so many rows, all 0 at first."""

    def __init__(self, columns: int, rows: int) -> None:
        self._columns = columns
        self._rows = rows
        self._values = memoryview(mmap.mmap(-1, columns * rows * _BYTES)).cast("d")

    def row(self, number: int) -> memoryview[float]:
        """The row of one process, which alone may write there."""
        return self._values[number * self._columns : (number + 1) * self._columns]

    def totals(self) -> Sequence[float]:
        """Each number, over all processes."""
        rows = [self.row(number).tolist() for number in range(self._rows)]
        return rows[0] if len(rows) == 1 else [sum(column) for column in zip(*rows, strict=True)]
