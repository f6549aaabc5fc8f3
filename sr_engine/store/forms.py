"""What messages share but for a few texts, kept once for all of them: alerts of many hubs differ in some 150 bytes."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Integer, LargeBinary, bindparam, case, column, func, select
from sqlalchemy.dialects.postgresql import ARRAY

from sr_engine.store.bulk import execute_many
from sr_engine.store.dialects import POSTGRESQL
from sr_engine.store.prepared import Prepared
from sr_engine.store.sets import is_one_of, members
from sr_engine.store.tables import outbox, outbox_forms

log = logging.getLogger(__name__)

_GAP = b"\0"
"""In no text of an XML document."""

WITH_FORMS = outbox.outerjoin(outbox_forms, outbox_forms.c.form_id == outbox.c.form_id)
"""Where bodies are to be read: of each message the columns BODY, for `whole`."""
BODY = (outbox.c.body, outbox.c.form_id, outbox_forms.c.form)

DIGESTED = (outbox.c.sha256, case((outbox.c.sha256 == "", outbox.c.body)).label("body"), *BODY[1:])
"""The columns for `sha256`, to be read in the same way: no bytes of a message whose digest is kept."""

_INSERT = Prepared(
    outbox_forms.insert().values(form=bindparam("form"), uses=bindparam("uses")).returning(outbox_forms.c.form_id)
)


def _insert_all() -> Prepared:
    """Of PostgreSQL, in one trip; which row is which is told by the form."""
    all_forms = bindparam("forms", type_=ARRAY(LargeBinary)), bindparam("all_uses", type_=ARRAY(Integer))
    columns = column("form", LargeBinary), column("uses", Integer)
    given = func.unnest(*all_forms).table_valued(*columns).render_derived("given")
    inserted = outbox_forms.insert().from_select(["form", "uses"], select(given.c.form, given.c.uses))
    return Prepared(inserted.returning(outbox_forms.c.form, outbox_forms.c.form_id))


_INSERT_ALL = _insert_all()
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


def if_there(body: bytes, form_id: int | None, form: bytes | None) -> bytes:
    """The same to be shown to somebody: nothing of a message whose form is missing, as of one that was pruned."""
    try:
        return whole(body, form_id, form)
    except FormMissing as error:
        log.error("a message cannot be shown: %s", error)  # noqa: TRY400 - it says all
        return b""


def sha256(kept: str, body: bytes, form_id: int | None, form: bytes | None) -> str:
    """The digest of a message, of its columns DIGESTED; raises FormMissing.

    Of a message without a form it is kept, for its bytes may go before its row does; of one with a form, which stays as
    it is, it is worked out by those who ask.
    """
    return kept or hashlib.sha256(whole(body, form_id, form)).hexdigest()


def put(connection: Connection, forms: Sequence[Form | None]) -> list[int | None]:
    """Keep the forms of some messages, one of each message; returns their ids."""
    written = {form: _GAP.join(form.parts) for form in set(forms) if form is not None}
    uses = Counter(written[form] for form in forms if form is not None)
    if connection.dialect.name == POSTGRESQL and len(uses) > 1:
        rows = _INSERT_ALL.all(connection, {"forms": list(uses.keys()), "all_uses": list(uses.values())})
        ids = {row.form: row.form_id for row in rows}
    else:
        ids = {one: _INSERT.scalar(connection, {"form": one, "uses": number}) for one, number in uses.items()}
    return [None if form is None else ids[written[form]] for form in forms]


def let_go(connection: Connection, outbox_ids: Sequence[int]) -> None:
    """Some messages are about to be removed: so are the forms that no other message has."""
    used: Mapping[int, int] = {
        row.form_id: row.uses for row in connection.execute(_USED_BY, {"keys": members(outbox_ids)})
    }
    if used:
        execute_many(connection, _USE_LESS, [{"key": form_id, "less": uses} for form_id, uses in used.items()])
        connection.execute(_REMOVE_UNUSED, {"form_ids": members(used)})
