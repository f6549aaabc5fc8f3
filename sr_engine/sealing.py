"""Text that only this instance can read and nobody can make: cursors that are given out, secrets that are stored.

AES-256-GCM with a random nonce; what it is for, and for whom, is authenticated with it, so that what was sealed for one
thing or one Supplier opens for no other.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import stat
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_KEY_BYTES = 32
_NONCE_BYTES = 12


class SealingKeyUnusable(Exception):
    """The key file cannot be used; the text says why and what to do."""


class NotSealed(Exception):
    """It was not sealed here for this, or has been changed."""


class Sealer:
    """Seals and opens with one key."""

    def __init__(self, key: bytes, random: Callable[[int], bytes] = os.urandom) -> None:
        """`key` has 32 bytes; `random` gives so many random bytes."""
        self._aead = AESGCM(key)
        self._mark_key = hashlib.sha256(b"mark" + key).digest()
        self._random = random

    def seal(self, data: bytes, purpose: str, *, always_alike: bool = False) -> str:
        """Text of letters, digits, - and _; never the same twice, unless it is to be `always_alike`."""
        drawn = hmac.new(self._mark_key, purpose.encode() + b"\0" + data, hashlib.sha256).digest()[:_NONCE_BYTES]
        nonce = drawn if always_alike else self._random(_NONCE_BYTES)
        sealed = nonce + self._aead.encrypt(nonce, data, purpose.encode())
        return base64.urlsafe_b64encode(sealed).decode().rstrip("=")

    def open(self, text: str, purpose: str) -> bytes:
        """What was sealed for this purpose; raises NotSealed."""
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            return self._aead.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose.encode())
        except (ValueError, InvalidTag):
            raise NotSealed from None

    def mark(self, text: str) -> str:
        """32 hexadecimal digits that are always the same for this text, and from which nothing can be told of it."""
        return hmac.new(self._mark_key, text.encode(), hashlib.sha256).hexdigest()[:32]


def new_key() -> str:
    """What a key file holds: 64 hexadecimal digits, drawn at random."""
    return os.urandom(_KEY_BYTES).hex() + "\n"


def load_sealer(path: Path) -> Sealer:
    """The sealer of a key file, which is for its owner only; raises SealingKeyUnusable."""
    make = (
        "bring back the one that there was, for what it has sealed is good with no other; if there never was one, "
        f"make it with: openssl rand -hex {_KEY_BYTES} > {path} && chmod 600 {path}"
    )
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="ascii").strip()
        key = bytes.fromhex(text)
    except OSError as error:
        raise SealingKeyUnusable(f"{path}: {error.strerror}; {make}") from None
    except ValueError:
        raise SealingKeyUnusable(f"{path}: is no key of 64 hexadecimal digits; {make}") from None
    if len(key) != _KEY_BYTES:
        raise SealingKeyUnusable(f"{path}: is no key of 64 hexadecimal digits; {make}")
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SealingKeyUnusable(f"{path}: others than its owner may read it; chmod 600 {path}")
    return Sealer(key)
