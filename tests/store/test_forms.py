"""What messages share is kept once, and each is as it was queued."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from sr_engine.messages.model import CommsHubAlert, Decision
from sr_engine.pipeline.answer import Answer
from sr_engine.store import forms, mailbox, outbox, summaries
from sr_engine.store.forms import Form
from sr_engine.store.mailbox import UnknownMessage
from sr_engine.store.outbox import ALERT, Outgoing
from sr_engine.store.tables import outbox as messages_table
from sr_engine.store.tables import outbox_forms
from tests.outbox import messages
from tests.regions.conftest import Nights
from tests.world import A, B, TestHub, make_world

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TO = "user:A"
TEXTS = st.binary().filter(lambda text: b"\0" not in text)


def filled(form: Form, texts: Sequence[bytes]) -> bytes:
    return b"".join(itertools.chain(*zip(form.parts, texts, strict=False), form.parts[-1:]))


def of_form(number: int, form: Form, *texts: bytes) -> Outgoing:
    return Outgoing(f"{number:032x}", ALERT, TO, "hub_listed", forms.kept(texts), f"hub {number}", form)


def sent_of(message: Outgoing) -> bytes:
    """What its receiver gets."""
    return message.body if message.form is None else filled(message.form, message.body.split(b"\0"))


def put(engine: Engine, *some: Outgoing) -> None:
    with engine.begin() as connection:
        outbox.put(connection, some, NOW)


def number_of_forms(engine: Engine) -> int:
    with engine.connect() as connection:
        return len(connection.execute(select(outbox_forms)).all())


@given(parts=st.lists(TEXTS, min_size=2, max_size=5), data=st.data())
def test_a_message_of_a_form_is_its_parts_with_its_texts_between_them(parts: list[bytes], data: st.DataObject) -> None:
    texts = data.draw(st.lists(TEXTS, min_size=len(parts) - 1, max_size=len(parts) - 1))

    assert forms.whole(forms.kept(texts), 1, b"\0".join(parts)) == filled(Form(tuple(parts)), texts)


def test_everybody_reads_what_was_queued_and_the_form_is_kept_once(engine: Engine) -> None:
    one, other = Form((b"<a>", b"|", b"</a>")), Form((b"<b>", b"</b>"))
    sent = [of_form(number, one, b"%d" % number, b"x" * number) for number in range(1, 4)]
    sent += [
        of_form(4, other, b"4"),
        of_form(5, Form(other.parts), b"5"),
        Outgoing("f" * 32, outbox.NOTICE, TO, "notice", b"<notice/>"),
    ]
    put(engine, *sent)

    expected = [sent_of(one) for one in sent]
    digests = [hashlib.sha256(one).hexdigest() for one in expected]
    with engine.connect() as connection:
        letters = mailbox.messages(connection, TO, after=None, limit=9)
        ids = [one.message_id for one in letters]
        assert ids == [one.message_id for one in sent]
        assert [one.sha256 for one in letters] == digests
        assert [one.body for one in outbox.sendable(connection, TO, NOW, 9)] == expected
        assert [mailbox.message(connection, TO, one) for one in ids] == [(body, False) for body in expected]
        assert [mailbox.one_of(connection, [TO], one)[1] for one in ids] == expected
        assert [summaries.message_body(connection, one) for one in ids] == expected
        details = [summaries.message_details(connection, one) for one in ids]
        assert [one.size for one in details if one is not None] == list(map(len, expected))
        assert [one.sha256 for one in details if one is not None] == digests
    assert number_of_forms(engine) == 2


def test_a_form_goes_with_the_last_of_its_messages(engine: Engine) -> None:
    form, other = Form((b"<a>", b"</a>")), Form((b"<b>", b"</b>"))
    put(engine, *(of_form(number, form, b"%d" % number) for number in range(3)), of_form(9, other, b"9"))
    with engine.connect() as connection:
        ids = connection.scalars(select(messages_table.c.outbox_id).order_by(messages_table.c.outbox_id)).all()

    left = []
    for some in (ids[:1], ids[1:3]):
        with engine.begin() as connection:
            forms.let_go(connection, some)
            connection.execute(messages_table.delete().where(messages_table.c.outbox_id.in_(some)))
        left.append(number_of_forms(engine))

    assert left == [2, 1]
    with engine.connect() as connection:
        assert [one.body for one in messages(connection)] == [b"<b>9</b>"]


def test_a_message_whose_form_is_gone_is_known_to_be_damaged_and_everybody_reads_all_else(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    other = Outgoing("f" * 32, outbox.NOTICE, TO, "notice", b"<notice/>")
    damaged = of_form(1, Form((b"<a>", b"</a>")), b"1").message_id
    put(engine, of_form(1, Form((b"<a>", b"</a>")), b"1"), other)
    with engine.begin() as connection:
        connection.execute(outbox_forms.delete())

    with engine.connect() as connection:
        found = outbox.sendable(connection, TO, NOW, 9)
        assert [(one.body, one.damage) for one in found] == [
            (b"", "form 1 of a message in the outbox is not there"),
            (b"<notice/>", None),
        ]
        assert [one.message_id for one in mailbox.messages(connection, TO, after=None, limit=9)] == [other.message_id]
        with pytest.raises(UnknownMessage):
            mailbox.message(connection, TO, damaged)
        assert mailbox.one_of(connection, [TO], damaged)[1] == b""
        assert summaries.message_body(connection, damaged) == b""
        details = summaries.message_details(connection, damaged)
    assert details is not None
    assert (details.size, details.sha256) == (0, "")
    assert "is not shown to it: form 1 of a message" in caplog.text
    assert "a message cannot be shown: form 1 of a message" in caplog.text


def test_who_fetches_page_by_page_gets_past_messages_whose_form_is_gone(engine: Engine) -> None:
    form, other = Form((b"<a>", b"</a>")), Outgoing("f" * 32, outbox.NOTICE, TO, "notice", b"<notice/>")
    put(engine, other._replace(message_id="e" * 32), *(of_form(number, form, b"%d" % number) for number in range(5)))
    put(engine, other)
    with engine.begin() as connection:
        connection.execute(outbox_forms.delete())

    with engine.connect() as connection:
        (first,) = mailbox.messages(connection, TO, after=None, limit=1)
        (second,) = mailbox.messages(connection, TO, after=first.message_id, limit=2)
        assert [first.message_id, second.message_id] == ["e" * 32, "f" * 32]
        assert not mailbox.messages(connection, TO, after=second.message_id, limit=2)


def test_alerts_of_many_hubs_share_a_form_and_are_signed_each(tmp_path: Path) -> None:
    hubs = [TestHub(number, A.name, B.name) for number in range(1, 8)]
    world = make_world(tmp_path / "instance")
    nights = Nights(world, world.instance.configuration.regions["Central"])
    world.add_hubs(hubs)
    world.open_release()
    nights.schedule(hubs)
    nights.decide(hubs, B, Decision.APPROVE)
    nights.cut()
    world.settle()

    with world.instance.reading_engine.connect() as connection:
        listed = messages(connection, messages_table.c.event == "hub_listed")
        kept = connection.scalars(select(messages_table.c.body).where(messages_table.c.event == "hub_listed")).all()
        form_ids = set(connection.scalars(select(messages_table.c.form_id).where(messages_table.c.hub_id.is_not(None))))
    alerts = [world.decoded(Answer(200, one.body, "")).alert for one in listed]
    told = [one.device_id for one in alerts if isinstance(one, CommsHubAlert)]
    world.close()

    assert len(listed) == 2 * len(hubs)
    assert sorted(told) == sorted(2 * [hub.chf for hub in hubs])
    assert None not in form_ids
    assert len(form_ids) < len(hubs)
    assert max(map(len, kept)) < 200 < min(len(one.body) for one in listed)
