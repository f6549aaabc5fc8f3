"""TLS 1.2 and 1.3 with ECDHE, ECDSA and AES-GCM (FACTS HT12), renewed without a restart."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

SUITES_OF_TLS_1_2 = ("ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256")
SUITES_OF_TLS_1_3 = ("TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256")
_ALLOWED = frozenset({*SUITES_OF_TLS_1_2, *SUITES_OF_TLS_1_3})


class TlsUnusable(Exception):
    """A file that TLS needs cannot be used; names it."""


class Renewable(ssl.SSLContext):
    """A context that stands for another, so that connections made from now on go by new certificates."""

    _make: Callable[[], ssl.SSLContext]
    _current: ssl.SSLContext

    @classmethod
    def of(cls, make: Callable[[], ssl.SSLContext]) -> Renewable:
        """Stand for what `make` returns; raises what it raises."""
        self = cls(ssl.PROTOCOL_TLS_SERVER)
        self._make = make
        self.renew()
        return self

    def renew(self) -> None:
        """Make it anew; if that fails the old one stays in force."""
        self._current = self._make()

    def wrap_bio(self, *arguments: Any, **named: Any) -> ssl.SSLObject:
        """As the one it stands for; the event loops call this for each connection."""
        return self._current.wrap_bio(*arguments, **named)


def server_context(
    certificate: Path,
    key: Path,
    *,
    client_authorities: Path | None,
    revocations: Path | None,
    must_show: bool,
) -> ssl.SSLContext:
    """For a server; with `client_authorities`, clients are asked for a certificate of theirs, and `must_show` one.

    Raises TlsUnusable.
    """
    context = _with_suites(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    # Otherwise a client that prefers ChaCha20 in TLS 1.3 gets it, and Python cannot say which suites of 1.3 there are.
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE | ssl.OP_NO_RENEGOTIATION
    _load_own(context, certificate, key)
    if client_authorities is not None:
        context.verify_mode = ssl.CERT_REQUIRED if must_show else ssl.CERT_OPTIONAL
        _load_trusted(context, client_authorities)
    if revocations is not None:
        _load_trusted(context, revocations)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    return context


def client_context(certificate: Path | None, key: Path | None, trusted: Path | None) -> ssl.SSLContext:
    """For a client: what it shows, if anything, and whom it trusts, otherwise whom the system does.

    Raises TlsUnusable.
    """
    context = ssl.create_default_context() if trusted is None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if trusted is not None:
        # Where the operator knows the authority, it also knows what kind of keys it certifies.
        _with_suites(context)
        _load_trusted(context, trusted)
    if certificate is not None and key is not None:
        _load_own(context, certificate, key)
    return context


def is_allowed(suite: tuple[str, str, int] | None) -> bool:
    """Whether what a handshake has agreed on is AES-GCM after all: the suites of TLS 1.3 cannot be limited before."""
    return suite is not None and suite[0] in _ALLOWED


def _with_suites(context: ssl.SSLContext) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(SUITES_OF_TLS_1_2))
    return context


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        own = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
        # With a password, for an encrypted key would otherwise be asked for at the terminal.
        context.load_cert_chain(certificate, key, password="")
    except OSError as error:
        if isinstance(error, ssl.SSLError):
            raise TlsUnusable(
                f"{certificate} and {key} are not the PEM files of a certificate and its key, not encrypted: "
                f"{error.reason or error}"
            ) from None
        path = certificate if not certificate.is_file() else key
        raise TlsUnusable(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise TlsUnusable(f"{certificate} is not a certificate in PEM: {error}") from None
    if not isinstance(own.public_key(), ec.EllipticCurvePublicKey):
        raise TlsUnusable(f"{certificate} is not for an elliptic-curve key: only ECDHE-ECDSA is offered")


def _load_trusted(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise TlsUnusable(f"{path} holds no certificates or revocation lists in PEM: {error.reason or error}") from None
    except OSError as error:
        raise TlsUnusable(f"{path} cannot be read: {error.strerror or error}") from None
