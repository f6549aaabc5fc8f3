"""The keys the service signs with, found by the originator's EUI (FACTS SG11, SG16)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from signing import Certificate, KeyUnavailable, Signer, SoftwareKey

_KEY = "key.pem"
_CERTIFICATE = "certificate.pem"


@dataclass(frozen=True, slots=True)
class _Own:
    certificate: Certificate
    signer: Signer


class KeyRing:
    """Signs for every EUI of a folder; one EUI may have several certificates, as during a rotation.

    Every folder at any depth with a `key.pem` and a `certificate.pem` holds one key. Keys of other remote-party roles
    than those accepted for Requests are not even read.
    """

    def __init__(self, directory: Path, *, roles: Collection[str], password: bytes | None = None) -> None:
        """Raises KeyUnavailable, naming the file, if one cannot be used or there is no key in one of `roles`."""
        self._directory = directory
        self._roles = frozenset(roles)
        self._password = password
        self._own: Mapping[str, tuple[_Own, ...]] = {}
        self.reload()

    def reload(self) -> None:
        """Read the folder again; what cannot be used raises KeyUnavailable and leaves all as it was."""
        if not self._directory.is_dir():
            raise KeyUnavailable(f"there is no folder of keys {self._directory}")
        own: dict[str, list[_Own]] = {}
        for path in sorted(self._directory.rglob(_CERTIFICATE)):
            key_path = path.with_name(_KEY)
            if key_path.is_file() and Certificate.from_file(path).role in self._roles:
                key = SoftwareKey.load(key_path, path, self._password)
                own.setdefault(key.eui, []).append(_Own(key.certificate, Signer(key)))
        if not own:
            roles = " or ".join(sorted(self._roles))
            raise KeyUnavailable(
                f"{self._directory} holds no key to sign Requests with: a folder in it needs a {_KEY} and a "
                f"{_CERTIFICATE} of role {roles}"
            )
        self._own = {
            eui: tuple(sorted(keys, key=lambda one: one.certificate.not_before, reverse=True))
            for eui, keys in own.items()
        }

    def signer_of(self, eui: str, at: datetime) -> Signer:
        """Return what signs for a canonical EUI: by the certificate valid at `at` that became valid last.

        Raises KeyUnavailable if there is no key for the EUI or no certificate of it is valid.
        """
        own = self._own.get(eui)
        if own is None:
            raise KeyUnavailable(f"there is no key here to sign for {eui}, the originator in RequestID")
        for one in own:
            if one.certificate.is_valid(at):
                return one.signer
        newest = own[0].certificate
        raise KeyUnavailable(
            f"no certificate of {eui}, the originator in RequestID, is valid now: the newest of {len(own)} runs from "
            f"{newest.not_before:%Y-%m-%dT%H:%M:%SZ} to {newest.not_after:%Y-%m-%dT%H:%M:%SZ}"
        )
