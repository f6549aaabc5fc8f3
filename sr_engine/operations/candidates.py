"""Looks all hubs through for those of each Supplier, where a program from before that was kept has written some."""

from __future__ import annotations

from dataclasses import dataclass

from sr_engine.store import candidates
from sr_engine.store.units_of_work import UnitOfWork

_AT_ONCE = 10_000
"""Hubs looked at in one transaction."""


@dataclass(slots=True)
class LookingThrough:
    """The chore that does so, in portions; a process that ends within leaves it to the next, which begins anew."""

    _after: str | None = None
    """None: not begun."""
    _unfollowed: int = 0

    def __call__(self, unit_of_work: UnitOfWork) -> bool:
        """Look at the next hubs, if there is need; true while there are more."""
        connection = unit_of_work.connection
        unfollowed = candidates.not_followed(connection) if self._after is None else self._unfollowed
        if not unfollowed:
            return False
        after = candidates.look_through(connection, self._after or "", _AT_ONCE)
        if after is None:
            candidates.followed(connection, unfollowed)
        unit_of_work.once_committed.append(lambda: self._come_to(after, unfollowed))
        return after is not None

    def _come_to(self, after: str | None, unfollowed: int) -> None:
        self._after, self._unfollowed = after, unfollowed
