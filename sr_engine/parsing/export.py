"""Messages as JSON, and the JSON Schema (2020-12) of what is exported; both follow from the fields of the values.

Names are those of the fields; `type` says which value stands where several may. Times are RFC 3339 in UTC, octets are
base64, RequestIDs are their text.
"""

from __future__ import annotations

import types
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Union, get_args, get_origin, get_type_hints

from sr_engine.messages.identifiers import RequestId
from sr_engine.parsing.message import Alert, Message, Response

SCHEMA_ID = "urn:sr-engine:messages:1"

Json = dict[str, Any]
"""A JSON object."""

_NOT_EXPORTED = frozenset({"data"})
"""Fields that repeat the message as a whole; `sha256` says which it is."""
_REQUEST_ID = r"^[0-9A-Fa-f]{2}(-[0-9A-Fa-f]{2}){7}:[0-9A-Fa-f]{2}(-[0-9A-Fa-f]{2}){7}:(0|[1-9][0-9]{0,19})$"


def to_json(message: Message) -> Json:
    """Return a message as what `json.dumps` writes; it validates against `json_schema()`."""
    exported: Json = _value(message)
    if isinstance(message, Response):
        exported["outcome"] = message.outcome.value
    else:
        exported["event"] = None if message.event is None else message.event.name
    return exported


def json_schema() -> Json:
    """Return the JSON Schema (2020-12) of what `to_json` returns."""
    definitions: dict[str, Json] = {}
    for kind in (Response, Alert):
        _reference(kind, definitions)
    for kind, name in ((Response, "outcome"), (Alert, "event")):
        own = definitions[kind.__name__]
        own["properties"][name] = _DERIVED[name]
        own["required"].append(name)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        "title": "A Response or Alert of DUIS",
        "oneOf": [{"$ref": "#/$defs/Response"}, {"$ref": "#/$defs/Alert"}],
        "$defs": dict(sorted(definitions.items())),
    }


_DERIVED: Mapping[str, Json] = {
    "outcome": {
        "description": "What the code says; an I99 given at once may also mean that a Response follows.",
        "enum": ["accepted", "partly accepted", "refused"],
    },
    "event": {
        "description": "What happened to the hub, of a CommsHubAlert of this processor.",
        "type": ["string", "null"],
    },
}


def _value(value: object) -> Any:
    match value:
        case None | bool() | int():
            return value
        case StrEnum():
            return value.value
        case str():
            return value
        case bytes():
            return b64encode(value).decode("ascii")
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case RequestId():
            return value.text
        case tuple():
            return [_value(one) for one in value]
        case Mapping():
            return {_value(key): _value(one) for key, one in value.items()}
    return {"type": type(value).__name__, **{name: _value(getattr(value, name)) for name in _exported(type(value))}}


def _exported(kind: type[Any]) -> tuple[str, ...]:
    return tuple(one.name for one in fields(kind) if one.name not in _NOT_EXPORTED)


def _described(kind: Any, definitions: dict[str, Json]) -> Json:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _one_of([_described(one, definitions) for one in get_args(kind)])
    if origin is tuple:
        return {"type": "array", "items": _described(get_args(kind)[0], definitions)}
    if origin is not None and issubclass(origin, Mapping):
        key, held = get_args(kind)
        names = _described(key, definitions)
        return {"type": "object", "propertyNames": names, "additionalProperties": _described(held, definitions)}
    if kind is RequestId:
        return {"type": "string", "pattern": _REQUEST_ID}
    if kind in _SIMPLE:
        return dict(_SIMPLE[kind])
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {"enum": [one.value for one in kind]}
    if isinstance(kind, type) and is_dataclass(kind):
        return _reference(kind, definitions)
    raise TypeError(f"there is no JSON for {kind!r}")


_SIMPLE: Mapping[Any, Json] = {
    type(None): {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    str: {"type": "string"},
    bytes: {"type": "string", "contentEncoding": "base64"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
}


def _one_of(choices: list[Json]) -> Json:
    return choices[0] if len(choices) == 1 else {"oneOf": choices}


def _reference(kind: type, definitions: dict[str, Json]) -> Json:
    name = kind.__name__
    if name not in definitions:
        definitions[name] = {}
        hints = get_type_hints(kind)
        names = _exported(kind)
        properties: Json = {"type": {"const": name}}
        properties |= {one: _described(hints[one], definitions) for one in names}
        summary = (kind.__doc__ or "").strip().partition("\n")[0]
        definitions[name] = {
            "description": summary,
            "type": "object",
            "properties": properties,
            "required": ["type", *names],
            "additionalProperties": False,
        }
    return {"$ref": f"#/$defs/{name}"}
