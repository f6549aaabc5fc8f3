"""The registration feed: changes of Supplier as JSON over HTTP (section 2 of the domain description)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus

from sr_engine.configuration import UserRole
from sr_engine.gateway.tokens import bears
from sr_engine.operations.registrations import Row, SupplierChanges, effective_from, receive_feed
from sr_engine.pipeline.answer import Answer
from sr_engine.store.units_of_work import UnitOfWork

JSON = "application/json"
PROBLEM_JSON = "application/problem+json"

_FIELDS = ("mpxn", "role", "organisation", "effective_from")
_ALL_FIELDS = (*_FIELDS, "cancelled")


class _BadItem(Exception):
    """An item that is not taken: where it is and what is wrong with it."""

    def __init__(self, number: int, field: str | None, reason: str) -> None:
        super().__init__(f"item {number}{f', {field}' if field else ''}: {reason}")
        self.pointer = f"/{number - 1}" + (f"/{field}" if field else "")


@dataclass(frozen=True, slots=True)
class RegistrationDesk:
    """Takes registrations: 204 once they are durable, otherwise a problem document and nothing is changed."""

    token_sha256: str
    organisations: frozenset[str]
    changes: SupplierChanges

    def lets_in(self, authorization: str | None) -> bool:
        """True if the header holds the token whose SHA-256 is configured."""
        return bears(authorization, self.token_sha256)

    def admit(self, data: bytes) -> Sequence[Row] | Answer:
        """Check all that needs no database."""
        try:
            content = json.loads(data)
        except (ValueError, RecursionError):
            return problem(HTTPStatus.BAD_REQUEST, "the body is not JSON")
        if not isinstance(content, list):
            return problem(HTTPStatus.BAD_REQUEST, "the body is not a JSON array of registrations")
        try:
            rows = [self._row(number, item) for number, item in enumerate(content, 1)]
            _check_no_two_alike(rows)
        except _BadItem as bad:
            return problem(HTTPStatus.BAD_REQUEST, str(bad), pointer=bad.pointer)
        return rows

    def execute(self, unit_of_work: UnitOfWork, rows: Sequence[Row]) -> Answer:
        """Take them in, in the caller's transaction; the same again changes nothing."""
        return Answer(HTTPStatus.NO_CONTENT, b"", receive_feed(unit_of_work, rows))

    def _row(self, number: int, item: object) -> Row:
        if not isinstance(item, dict):
            raise _BadItem(number, None, f"must be an object with {', '.join(_FIELDS)}")
        for name in item:
            if name not in _ALL_FIELDS:
                raise _BadItem(number, name, f"is not a known field; there are {', '.join(_ALL_FIELDS)}")
        for name in _FIELDS:
            if name not in item:
                raise _BadItem(number, name, "is missing")
        readers: dict[str, tuple[Callable[[object], object], str]] = {
            "mpxn": (_mpxn, "an MPAN or MPRN of at most 13 digits, as a string"),
            "role": (lambda value: UserRole(str(value)).value, f"one of {', '.join(UserRole)}"),
            "organisation": (self._organisation, "an id in users.toml, or null for nobody"),
            "effective_from": (
                _effective_from,
                "a date such as 2026-11-22 (00:00 UTC), or a date and time with its zone such as 2026-11-22T00:00:00Z",
            ),
            "cancelled": (_boolean, "true or false"),
        }
        row: dict[str, object] = {"cancelled": False}
        for name, value in item.items():
            read, wants = readers[name]
            try:
                row[name] = read(value)
            except (ValueError, TypeError):
                raise _BadItem(number, name, f"must be {wants}") from None
        return row

    def _organisation(self, value: object) -> str | None:
        if value is not None and value not in self.organisations:
            raise ValueError(value)
        return None if value is None else str(value)


def problem(status: HTTPStatus, detail: str, *, pointer: str | None = None) -> Answer:
    """An answer that says in `detail` what is wrong and in `pointer` where (RFC 9457; RFC 6901)."""
    members = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    if pointer is not None:
        members["pointer"] = pointer
    return Answer(status.value, json.dumps(members).encode(), detail, PROBLEM_JSON)


def _check_no_two_alike(rows: Sequence[Row]) -> None:
    seen: dict[tuple[object, ...], int] = {}
    for number, row in enumerate(rows, 1):
        first = seen.setdefault((row["mpxn"], row["role"], row["effective_from"]), number)
        if first != number:
            raise _BadItem(number, "mpxn", f"the same mpxn, role and effective_from stand in item {first} already")


def _mpxn(value: object) -> str:
    if not isinstance(value, str) or re.fullmatch("[0-9]{1,13}", value) is None:
        raise ValueError(value)
    return value


def _effective_from(value: object) -> datetime:
    if not isinstance(value, str):
        raise TypeError
    return effective_from(value)


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value
