"""So many at a time: places, of which one taker may have no more than some."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager


class Places:
    """The places of a process."""

    def __init__(self, most: int, of_one: int) -> None:
        """So many in all, and so many of one taker."""
        self._most = most
        self._of_one = of_one
        self._held: Counter[Hashable] = Counter()

    @contextmanager
    def take(self, taker: Hashable, refusal: Callable[[bool], Exception]) -> Iterator[None]:
        """A place until the end of the block.

        Raises what `refusal` returns if there is none; that is told whether this taker has as many as it may.
        """
        has_its_own = self._held[taker] >= self._of_one
        if has_its_own or self._held.total() >= self._most:
            raise refusal(has_its_own)
        self._held[taker] += 1
        try:
            yield
        finally:
            self._held[taker] -= 1
            if not self._held[taker]:
                del self._held[taker]
