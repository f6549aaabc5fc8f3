"""From where requests came of late that nobody had signed, and in whose name."""

from __future__ import annotations

from collections.abc import Callable

from sr_engine.rates import Rate

_REMEMBERED_SECONDS = 10
"""For which somebody stays in doubt, at most, who sends nothing more of the kind."""
_LOOK_SECONDS = 1.0


class Doubts:
    """Requests that could not be authenticated, by address and by the User they claim to be of.

    Whoever sends them faster than mistakes happen is believed to be nobody, so that the User named loses nothing by it;
    authority rests on this as little as on the claim. What comes from elsewhere, or in another name, is not doubted.
    """

    def __init__(self, per_second: int, monotonic: Callable[[], float]) -> None:
        """`per_second` is how many are taken for mistakes; `monotonic` tells the time in seconds."""
        self._per_second = per_second
        self._monotonic = monotonic
        self._rates: dict[tuple[str, str], Rate] = {}
        self._forgotten_at = monotonic()

    def count(self, address: str, originator: str) -> None:
        """One more was not authenticated."""
        now = self._monotonic()
        if now - self._forgotten_at >= _LOOK_SECONDS:
            self._forgotten_at = now
            for each in [one for one, rate in self._rates.items() if not rate.level(now)]:
                del self._rates[each]
        rate = self._rates.get((address, originator))
        if rate is None:
            rate = self._rates[address, originator] = Rate(
                self._per_second, now, most=self._per_second * _REMEMBERED_SECONDS
            )
        rate.count(now)

    def of(self, address: str, originator: str) -> bool:
        """Whether what comes from an address in that name is in doubt."""
        rate = self._rates.get((address, originator))
        return rate is not None and rate.used_up(self._monotonic())

    def __len__(self) -> int:
        return len(self._rates)
