"""How the outbox is written."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Engine

from sr_engine.store import outbox

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def test_every_time_of_a_message_is_written_in_the_same_form(engine: Engine) -> None:
    message = outbox.Outgoing(
        message_id="m1", destination="user:A", hub_id=None, body=b"<m/>", kind="alert", event="release_opened"
    )
    taken = outbox.Attempted(
        outbox_id=1,
        message_id="m1",
        state=outbox.DELIVERED,
        tries=1,
        next_try_at=NOW,
        delivered_at=NOW,
        last_error=None,
    )

    with engine.begin() as connection:
        outbox.put(connection, [message], NOW)
        outbox.settle(connection, [taken])
        (row,) = connection.exec_driver_sql("SELECT created_at, next_try_at, delivered_at FROM outbox").all()

    as_stored = NOW if engine.dialect.name == "postgresql" else "2026-11-23 09:00:00.000000"
    assert tuple(row) == (as_stored,) * 3
