"""X.509 names compared by what they say, not by how they are written (FACTS SG6; RFC 4514, RFC 5280 section 7.1)."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from cryptography import x509

_OIDS = {
    "CN": "2.5.4.3",
    "SN": "2.5.4.4",
    "SERIALNUMBER": "2.5.4.5",
    "C": "2.5.4.6",
    "L": "2.5.4.7",
    "ST": "2.5.4.8",
    "S": "2.5.4.8",
    "STREET": "2.5.4.9",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "T": "2.5.4.12",
    "TITLE": "2.5.4.12",
    "GN": "2.5.4.42",
    "X500UNIQUEIDENTIFIER": "2.5.4.45",
    "DNQUALIFIER": "2.5.4.46",
    "DC": "0.9.2342.19200300.100.1.25",
    "UID": "0.9.2342.19200300.100.1.1",
    "EMAILADDRESS": "1.2.840.113549.1.9.1",
}
_OID = re.compile(r"(?:OID\.)?([0-2](?:\.(?:0|[1-9][0-9]*))+)", re.IGNORECASE)
_KEY = re.compile(r"\s*([A-Za-z0-9.-]+)\s*=\s*")
_HEX = re.compile(r"#((?:[0-9A-Fa-f]{2})+)\s*(?=[,;+]|$)")
_PLAIN = re.compile(r'(?:[^\\,;+"<>]|\\[0-9A-Fa-f]{2}|\\[^0-9A-Fa-f])*')
_QUOTED = re.compile(r'"((?:[^\\"]|\\.)*)"\s*(?=[,;+]|$)')
_ESCAPES = re.compile(r"((?:\\[0-9A-Fa-f]{2})+)|\\(.)")
_STRING_TAGS = {0x0C: "utf-8", 0x13: "ascii", 0x16: "ascii", 0x14: "latin-1", 0x1E: "utf-16-be"}
_BIT_STRING = 0x03
MAX_TEXT = 2000


@dataclass(frozen=True, slots=True)
class DistinguishedName:
    """A name as the multiset of what it says; two are equal whatever the order, spaces and case of their texts.

    The order of relative names is left out on purpose: DUIS messages write the last first (RFC 4514), openssl and
    some senders the first. The chain of certificates is checked by their encoded names and is not so lenient.
    """

    attributes: tuple[tuple[str, str], ...]
    text: str = field(compare=False)

    @classmethod
    def parse(cls, text: str) -> DistinguishedName:
        """Return the name that text such as `CN=Z1,OU=07` says; raises ValueError if it says none."""
        if len(text) > MAX_TEXT:
            raise ValueError(f"an issuer name of {len(text)} characters is too long")
        attributes = []
        position, end = 0, len(text)
        while True:
            key = _KEY.match(text, position, end)
            if key is None:
                raise ValueError(f"not an X.509 name (attribute=value, separated by commas): {text!r}")
            value, position = _value(text, key.end(), end)
            attributes.append((_oid(key[1]), value))
            if position == end:
                return cls(tuple(sorted(attributes)), text.strip())
            if text[position] not in ",;+":
                raise ValueError(f"not an X.509 name: {text[position]!r} must be escaped in {text!r}")
            position += 1

    @classmethod
    def of(cls, name: x509.Name) -> DistinguishedName:
        """Return the name as a certificate holds it; its text is that of RFC 4514."""
        attributes = (
            (attribute.oid.dotted_string, _hexadecimal(attribute.value))
            if isinstance(attribute.value, bytes)
            else (attribute.oid.dotted_string, _prepared(attribute.value))
            for attribute in name
        )
        return cls(tuple(sorted(attributes)), name.rfc4514_string())

    def __str__(self) -> str:
        return self.text


def _oid(key: str) -> str:
    dotted = _OID.fullmatch(key)
    if dotted is not None:
        return dotted[1]
    try:
        return _OIDS[key.upper()]
    except KeyError:
        raise ValueError(f"unknown attribute {key!r} in an X.509 name; write it as a dotted number") from None


def _value(text: str, start: int, end: int) -> tuple[str, int]:
    encoded = _HEX.match(text, start, end)
    if encoded is not None:
        return _decoded(bytes.fromhex(encoded[1])), encoded.end()
    quoted = _QUOTED.match(text, start, end)
    if quoted is not None:
        return _prepared(_unescaped(quoted[1])), quoted.end()
    plain = _PLAIN.match(text, start, end)
    if plain is None:  # cannot be: the pattern matches the empty text too
        raise ValueError(f"not an X.509 name: {text!r}")
    return _prepared(_unescaped(plain[0])), plain.end()


def _unescaped(text: str) -> str:
    def replace(found: re.Match[str]) -> str:
        if found[1] is None:
            return found[2]
        return bytes.fromhex(found[1].replace("\\", "")).decode("utf-8")

    return _ESCAPES.sub(replace, text)


def _decoded(der: bytes) -> str:
    """Return what `#` and the hexadecimal DER of a value say (RFC 4514 section 2.4); short definite lengths only."""
    if len(der) < 2 or der[1] != len(der) - 2:
        raise ValueError("a hexadecimal value in an X.509 name is not DER")
    tag, content = der[0], der[2:]
    if tag == _BIT_STRING:
        return _hexadecimal(content)
    encoding = _STRING_TAGS.get(tag)
    if encoding is None:
        raise ValueError("a hexadecimal value in an X.509 name is not a string")
    return _prepared(content.decode(encoding))


def _hexadecimal(value: bytes) -> str:
    return "#" + value.hex()


def _prepared(value: str) -> str:
    """Return the value as names are compared: without case, runs of spaces as one (RFC 5280 section 7.1)."""
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())
