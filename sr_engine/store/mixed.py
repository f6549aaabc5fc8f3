"""Whether processes of a version before may be at work on the same database, beside those of this one.

They would not understand all that this version leaves for others: alerts of a common form, alerts that say themselves
what they tell, portions of long lists. So nothing of that is left before the operator has said that all of them have
been replaced (`sr-engine db upgrade --all-replaced`).
"""

from __future__ import annotations

from sqlalchemy import Connection

from sr_engine.store.schema import is_mixed


class Mixed:
    """Asks the database until the answer is no, for then it stays so."""

    def __init__(self) -> None:
        self._may_be = True

    def __call__(self, connection: Connection) -> bool:
        """True if there may be such processes."""
        if self._may_be:
            self._may_be = is_mixed(connection)
        return self._may_be
