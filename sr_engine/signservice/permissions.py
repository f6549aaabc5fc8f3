"""Who may use the service, and which originators each may sign for."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from sr_engine.messages.identifiers import canonical_eui
from sr_engine.peers import certified_eui

_BEARER = re.compile(rb"[Bb]earer +(\S+) *")
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{16,256}")


class NotPermitted(Exception):
    """The caller is known and may not sign for that originator."""


@dataclass(frozen=True, slots=True)
class Permission:
    """The originators a caller may sign for, as canonical EUIs; None means all of them. Anyone let in may verify."""

    originators: frozenset[str] | None

    def require(self, originator: str) -> None:
        """Raises NotPermitted unless the caller may sign for `originator`, a canonical EUI."""
        if self.originators is not None and originator not in self.originators:
            raise NotPermitted(f"you may not sign for {originator}")


EVERYTHING = Permission(None)
"""What callers on the same machine may do if no tokens are asked for."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What is known of whoever sent a request: its Authorization header and its TLS client certificate in DER."""

    authorization: bytes | None
    certificate: bytes | None


class Access(Protocol):
    """Decides who is let in."""

    def permission(self, caller: Caller) -> Permission | None:
        """Return what the caller may do, None if it is not let in."""
        ...


class OpenAccess:
    """Lets everyone in who can reach the service; for the loopback address."""

    def permission(self, caller: Caller) -> Permission | None:  # noqa: ARG002 - nothing of the caller matters here
        """Everything."""
        return EVERYTHING


class TokensUnusable(Exception):
    """The file of tokens is missing or has a line that cannot be read; no token is quoted."""


class Tokens:
    """Lets in whoever sends a bearer token of a file, each line of which is `TOKEN EUI[,EUI...]`.

    Empty lines and lines that begin with # are left out. Only hashes of the tokens are kept.
    """

    def __init__(self, path: Path) -> None:
        """Raises TokensUnusable."""
        self._path = path
        self._known: Mapping[bytes, Permission] = {}
        self.reload()

    def reload(self) -> None:
        """Read the file again; what cannot be used raises TokensUnusable and leaves all as it was."""
        try:
            text = self._path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise TokensUnusable(f"{self._path} cannot be read as a file of tokens") from None
        known: dict[bytes, Permission] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip() and not line.startswith("#"):
                token, permission = self._line(number, line)
                if token in known:
                    raise TokensUnusable(f"{self._path}:{number}: this token stands in an earlier line too")
                known[token] = permission
        if not known:
            raise TokensUnusable(f"{self._path} holds no token; each line is TOKEN EUI[,EUI...]")
        self._known = known

    def permission(self, caller: Caller) -> Permission | None:
        """What the line of the caller's token says; the time it takes tells nothing about the tokens known."""
        sent = None if caller.authorization is None else _BEARER.fullmatch(caller.authorization)
        if sent is None:
            return None
        digest = hashlib.sha256(sent[1]).digest()
        found = None
        for known, permission in self._known.items():
            if hmac.compare_digest(known, digest):
                found = permission
        return found

    def _line(self, number: int, line: str) -> tuple[bytes, Permission]:
        parts = line.split()
        if len(parts) != 2 or _TOKEN.fullmatch(parts[0]) is None:
            raise TokensUnusable(
                f"{self._path}:{number}: expected a token of 16 or more letters, digits or ._~+/=- and then the EUIs "
                "it may sign for, with commas and no blanks between them"
            )
        try:
            originators = frozenset(canonical_eui(eui) for eui in parts[1].split(","))
        except ValueError as error:
            raise TokensUnusable(f"{self._path}:{number}: {error}") from None
        return hashlib.sha256(parts[0].encode()).digest(), Permission(originators)


class ClientCertificates:
    """Lets in whoever the TLS handshake let in, to sign for the EUI-64 that its certificate names.

    That is its x500UniqueIdentifier, as in SMKI, otherwise a common name that is an EUI-64, with hyphens or without.
    Other certificates are not let in.
    """

    def __init__(self) -> None:
        # A connection brings one certificate and many requests.
        self._eui = lru_cache(maxsize=256)(certified_eui)

    def permission(self, caller: Caller) -> Permission | None:
        """For the one originator, or None."""
        eui = None if caller.certificate is None else self._eui(caller.certificate)
        return None if eui is None else Permission(frozenset({eui}))
