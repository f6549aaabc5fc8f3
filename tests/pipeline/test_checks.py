"""The refusals of the check order as exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sr_engine.pipeline.checks import NotTaken, Refusal


@contextmanager
def passing_through() -> Iterator[None]:
    """As most context managers do, hands an exception on; contextlib sets its traceback on the way."""
    yield


@pytest.mark.parametrize("refusal", [Refusal("E1", "no User"), NotTaken("too new", "/sr:Request/@schemaVersion")])
def test_a_refusal_passes_through_a_context_manager_as_itself(refusal: Exception) -> None:
    with pytest.raises(type(refusal)) as caught, passing_through():
        raise refusal

    assert caught.value is refusal
    assert caught.value.__traceback__ is not None


def test_a_refusal_tells_its_code_and_reason() -> None:
    refusal, not_taken = Refusal("E1", "no User"), NotTaken("too new", "/sr:Request")

    assert (refusal.code, refusal.detail, not_taken.reason, not_taken.path) == (
        *("E1", "no User", "too new", "/sr:Request"),
    )
    assert "E1" in str(refusal)
    assert "too new" in str(not_taken)
