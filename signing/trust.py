"""Which certificates are believed, and why not: found, in role, valid, chained, fit to sign, not revoked.

The rules are those of section 3 of the domain description; the order of the checks never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from .certificates import Authority, Certificate
from .errors import KeyUnavailable, NotAuthenticated
from .names import DistinguishedName
from .revocation import RevocationList

_T = TypeVar("_T")

DEFAULT_CRL_GRACE = timedelta(hours=24)
"""How long after its nextUpdate a revocation list is still believed."""

_CERTIFICATE_SUFFIXES = frozenset({".pem", ".der", ".crt", ".cer"})
_CRL_SUFFIXES = frozenset({".pem", ".der", ".crl"})


@dataclass(frozen=True, slots=True)
class _Known:
    """One consistent set of what is configured; a reload puts another in its place."""

    issuing: tuple[Authority, ...]
    by_serial: Mapping[int, tuple[Certificate, ...]]
    pinned: frozenset[Certificate]
    crls: Mapping[Authority, RevocationList]
    chains: dict[Certificate, tuple[Authority, ...]] = field(default_factory=dict)
    """Chains already verified: the signatures in a chain do not change, validity and revocation do."""


class Trust:
    """The certificates that are known, the authorities that vouch for them, and what these have revoked.

    Safe to use from several threads; a message is judged by one consistent set even while `reload` runs.
    """

    def __init__(
        self,
        *,
        issuing: Iterable[Authority] = (),
        certificates: Iterable[Certificate] = (),
        pinned: Iterable[Certificate] = (),
        crls: Iterable[RevocationList] = (),
        crl_grace: timedelta = DEFAULT_CRL_GRACE,
    ) -> None:
        """Raises KeyUnavailable if two certificates share issuer and serial, or a list is not by a known authority."""
        self._directory: Path | None = None
        self._crl_grace = crl_grace
        self._known = _known(tuple(issuing), tuple(certificates), tuple(pinned), tuple(crls))

    @classmethod
    def from_directory(cls, directory: Path, *, crl_grace: timedelta = DEFAULT_CRL_GRACE) -> Trust:
        """Read `issuing/`, `certificates/`, `pinned/` and `crls/` below the directory, each of which may be absent.

        Raises KeyUnavailable, naming the file, if the directory is missing or a file cannot be used. Files with other
        suffixes than .pem, .der, .crt, .cer (.crl for lists) are left alone.
        """
        trust = cls(crl_grace=crl_grace)
        trust._directory = directory
        trust.reload()
        return trust

    def reload(self) -> None:
        """Read the directory again; what cannot be used raises KeyUnavailable and leaves all as it was."""
        if self._directory is not None:
            self._known = _read(self._directory)

    @property
    def certificates(self) -> tuple[Certificate, ...]:
        """Every end-entity certificate known, pinned ones included."""
        return tuple(certificate for same in self._known.by_serial.values() for certificate in same)

    @property
    def authorities(self) -> tuple[Authority, ...]:
        """Every issuing authority configured."""
        return self._known.issuing

    @property
    def revocation_lists(self) -> tuple[RevocationList, ...]:
        """The newest revocation list of each authority that has one."""
        return tuple(self._known.crls.values())

    def find(self, serial: int, issuer: DistinguishedName) -> Certificate | None:
        """Return the certificate with this serial and issuer, believed or not."""
        return _find(self._known, serial, issuer)

    def accept(self, serial: int, issuer: DistinguishedName, *, roles: Collection[str], at: datetime) -> Certificate:
        """Return the certificate if it may sign in one of `roles` at `at`; raises NotAuthenticated saying why not."""
        known = self._known
        certificate = _find(known, serial, issuer)
        if certificate is None:
            raise NotAuthenticated(f"no certificate with serial {serial} of issuer {issuer} is known here")
        if certificate.role not in roles and certificate.role.upper() not in {role.upper() for role in roles}:
            accepted = ", ".join(sorted(roles))
            raise NotAuthenticated(f"{certificate} has role {certificate.role}; accepted here: {accepted}")
        _require_valid(certificate, at)
        chain = _chain(known, certificate)
        for authority in chain:
            _require_valid(authority, at)
        if not certificate.may_sign:
            raise NotAuthenticated(f"{certificate} is not for digital signatures (keyUsage)")
        self._require_unrevoked(known, certificate, chain, at)
        return certificate

    def overdue(self, at: datetime) -> tuple[RevocationList, ...]:
        """Return the revocation lists past their nextUpdate, of which an operator is to be warned."""
        return tuple(crl for crl in self._known.crls.values() if at > crl.next_update)

    def _require_unrevoked(
        self, known: _Known, certificate: Certificate, chain: tuple[Authority, ...], at: datetime
    ) -> None:
        """The certificate against its issuer's list, and each authority of the chain against the next one's."""
        if not known.crls:
            return
        # A pinned certificate has no chain; whoever issued it, if configured, may have revoked it all the same.
        issuers = chain[:1] or tuple(a for a in known.issuing if a.decoded.subject == certificate.decoded.issuer)
        pairs: list[tuple[Certificate | Authority, Authority]] = [(certificate, issuer) for issuer in issuers]
        for below, issuer in (*pairs, *pairwise(chain)):
            crl = known.crls.get(issuer)
            if crl is None:
                continue
            if below.serial in crl.serials:
                raise NotAuthenticated(f"{below} is revoked")
            if at > crl.next_update + self._crl_grace:
                raise NotAuthenticated(
                    f"{below} cannot be checked: the revocation list of {crl.issuer} was due to be renewed at "
                    f"{crl.next_update:%Y-%m-%dT%H:%M:%SZ}"
                )


def _find(known: _Known, serial: int, issuer: DistinguishedName) -> Certificate | None:
    return next((found for found in known.by_serial.get(serial, ()) if found.issuer == issuer), None)


def _require_valid(certificate: Certificate | Authority, at: datetime) -> None:
    if at < certificate.not_before:
        raise NotAuthenticated(f"{certificate} is not valid before {certificate.not_before:%Y-%m-%dT%H:%M:%SZ}")
    if at > certificate.not_after:
        raise NotAuthenticated(f"{certificate} expired at {certificate.not_after:%Y-%m-%dT%H:%M:%SZ}")


def _chain(known: _Known, certificate: Certificate) -> tuple[Authority, ...]:
    """Return the authorities from the issuer up; empty for a pinned certificate, which needs none."""
    if certificate in known.pinned:
        return ()
    chain = known.chains.get(certificate)
    if chain is None:
        issuer = next((authority for authority in known.issuing if authority.issued(certificate.decoded)), None)
        if issuer is None:
            raise NotAuthenticated(
                f"{certificate} is not issued by any authority configured here ({certificate.issuer})"
            )
        chain = known.chains[certificate] = _upwards(known.issuing, issuer)
    return chain


def _upwards(issuing: tuple[Authority, ...], start: Authority) -> tuple[Authority, ...]:
    """Return the authority and those above it that are configured; each is trusted by being configured."""
    chain = [start]
    while not chain[-1].self_signed:
        above = next((a for a in issuing if a not in chain and a.may_stand_above(len(chain), chain[-1])), None)
        if above is None:
            break
        chain.append(above)
    return tuple(chain)


def _known(
    issuing: tuple[Authority, ...],
    certificates: tuple[Certificate, ...],
    pinned: tuple[Certificate, ...],
    crls: tuple[RevocationList, ...],
) -> _Known:
    by_serial: dict[int, tuple[Certificate, ...]] = {}
    for certificate in dict.fromkeys((*certificates, *pinned)):
        same = by_serial.get(certificate.serial, ())
        if any(other.issuer == certificate.issuer for other in same):
            raise KeyUnavailable(
                f"two different certificates have serial {certificate.serial} of issuer {certificate.issuer}"
            )
        by_serial[certificate.serial] = (*same, certificate)
    newest: dict[Authority, RevocationList] = {}
    for crl in crls:
        signer = next((authority for authority in issuing if crl.signed_by(authority)), None)
        if signer is None:
            raise KeyUnavailable(
                f"the revocation list of {crl.issuer} is not signed by an issuing authority known here"
            )
        if signer not in newest or crl.this_update > newest[signer].this_update:
            newest[signer] = crl
    return _Known(tuple(dict.fromkeys(issuing)), by_serial, frozenset(pinned), newest)


def _read(directory: Path) -> _Known:
    if not directory.is_dir():
        raise KeyUnavailable(f"there is no trust directory {directory}")
    return _known(
        _load(directory / "issuing", _CERTIFICATE_SUFFIXES, Authority.from_bytes),
        _load(directory / "certificates", _CERTIFICATE_SUFFIXES, Certificate.from_bytes),
        _load(directory / "pinned", _CERTIFICATE_SUFFIXES, Certificate.from_bytes),
        _load(directory / "crls", _CRL_SUFFIXES, RevocationList.from_bytes),
    )


def _load(directory: Path, suffixes: frozenset[str], read: Callable[[bytes], _T]) -> tuple[_T, ...]:
    """Read every file of a folder, in the order of their names."""
    if not directory.is_dir():
        return ()
    loaded = []
    for path in sorted(directory.iterdir()):
        if path.suffix.lower() not in suffixes:
            continue
        try:
            loaded.append(read(path.read_bytes()))
        except OSError as error:
            raise KeyUnavailable(f"{path} cannot be read: {error.strerror}") from None
        except KeyUnavailable as error:
            raise KeyUnavailable(f"{path}: {error}") from None
    return tuple(loaded)
