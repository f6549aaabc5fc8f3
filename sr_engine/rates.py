"""How much of a number per second has been used up of late."""

from __future__ import annotations

_ROUNDING = 1e-6


class Rate:
    """A bucket that leaks: what has come is forgotten at so much per second."""

    __slots__ = ("_at", "_at_once", "_level", "_most", "_per_second")

    def __init__(self, per_second: int, now: float, *, at_once: int | None = None, most: int | None = None) -> None:
        """`now`, here and below, is a time in seconds that only goes forward.

        `at_once` may come together, without it as many as in a second; `most` are remembered, without it as many.
        """
        self._per_second = per_second
        self._at_once = per_second if at_once is None else at_once
        self._most = self._at_once if most is None else most
        self._level = 0.0
        self._at = now

    def level(self, now: float) -> float:
        """What is not forgotten yet."""
        return max(0.0, self._level - (now - self._at) * self._per_second)

    def used_up(self, now: float) -> bool:
        """Whether one more would be too many."""
        return self.level(now) > self._at_once - 1 + _ROUNDING

    def count(self, now: float) -> None:
        """One more."""
        self._level = min(self.level(now) + 1, self._most)
        self._at = now
