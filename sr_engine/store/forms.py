"""What messages share but for a few texts, kept once for all of them: alerts of many hubs differ in some 150 bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, func, select

from sr_engine.store.bulk import execute_many
from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import outbox, outbox_forms

_GAP = b"\0"
"""In no text of an XML document."""

WITH_FORMS = outbox.outerjoin(outbox_forms, outbox_forms.c.form_id == outbox.c.form_id)
"""Where bodies are to be read: of each message the columns BODY, for `whole`."""
BODY = (outbox.c.body, outbox.c.form_id, outbox_forms.c.form)

_INSERT = Prepared(
    outbox_forms.insert().values(form=bindparam("form"), uses=bindparam("uses")).returning(outbox_forms.c.form_id)
)
_USED_BY = (
    select(outbox.c.form_id, func.count().label("uses"))
    .where(is_one_of(outbox.c.outbox_id, "keys"), outbox.c.form_id.is_not(None))
    .group_by(outbox.c.form_id)
)
_USE_LESS = Prepared(
    outbox_forms.update()
    .where(outbox_forms.c.form_id == bindparam("key"))
    .values(uses=outbox_forms.c.uses - bindparam("less"))
)
_REMOVE_UNUSED = outbox_forms.delete().where(is_one_of(outbox_forms.c.form_id, "form_ids"), outbox_forms.c.uses == 0)


class FormMissing(Exception):
    """A message is of a form that there is not: the database is damaged."""


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """The parts between which the texts of each message stand; itself and no other."""

    parts: tuple[bytes, ...]


def kept(texts: Iterable[bytes]) -> bytes:
    """What is kept as the body of a message of a form."""
    return _GAP.join(texts)


def whole(body: bytes, form_id: int | None, form: bytes | None) -> bytes:
    """The bytes of a message, of its columns BODY; raises FormMissing."""
    if form_id is None:
        return body
    if form is None:
        raise FormMissing(f"form {form_id} of a message in the outbox is not there")
    *parts, last = form.split(_GAP)
    return b"".join(piece for pair in zip(parts, body.split(_GAP), strict=True) for piece in pair) + last


def put(connection: Connection, forms: Sequence[Form | None]) -> list[int | None]:
    """Keep the forms of some messages, one of each message; returns their ids."""
    uses: dict[Form, int] = {}
    for form in forms:
        if form is not None:
            uses[form] = uses.get(form, 0) + 1
    ids: dict[Form | None, int | None] = {None: None}
    for form, number in uses.items():
        ids[form] = _INSERT.scalar(connection, {"form": _GAP.join(form.parts), "uses": number})
    return [ids[form] for form in forms]


def let_go(connection: Connection, outbox_ids: Sequence[int]) -> None:
    """Some messages are about to be removed: so are the forms that no other message has."""
    used: Mapping[int, int] = {
        row.form_id: row.uses for row in connection.execute(_USED_BY, {"keys": members(outbox_ids)})
    }
    if used:
        execute_many(connection, _USE_LESS, [{"key": form_id, "less": uses} for form_id, uses in used.items()])
        connection.execute(_REMOVE_UNUSED, {"form_ids": members(used)})
