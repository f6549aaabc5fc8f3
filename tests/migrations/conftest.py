"""A database of either kind, and how it stands to programs."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from sr_engine.store.schema import Standing, known_revisions, state_of
from tests.databases import KINDS


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def standing(engine: Engine, known: tuple[str, ...] | None = None) -> Standing:
    """To a program that knows these revisions; to this one, if none are named."""
    with engine.connect() as connection:
        return state_of(connection, known or known_revisions()).standing
