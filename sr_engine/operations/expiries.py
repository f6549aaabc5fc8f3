"""Until when the certificates are valid on which an instance depends."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from cryptography import x509

from signing import Certificate, KeyUnavailable, Trust
from sr_engine.configuration import Settings

TLS_REVOCATIONS = "tls revocation list"
"""By what the revocation list of TLS goes here; once it is overdue, TLS lets in nobody who shows a certificate."""
_LIST = re.compile(rb"-----BEGIN X509 CRL-----.+?-----END X509 CRL-----", re.DOTALL)


def expiries(settings: Settings, trust: Trust) -> Mapping[str, datetime]:
    """By whose or what for; of an EUI with several in the same role the last to expire.

    Files that cannot be read are left out: whoever uses them says so.
    """
    found: dict[str, datetime] = {}
    with suppress(KeyUnavailable):
        found["signing"] = Certificate.from_file(settings.signing.certificate).not_after
    for use, path in _files(settings).items():
        with suppress(OSError, ValueError):
            found[use] = min(one.not_valid_after_utc for one in x509.load_pem_x509_certificates(path.read_bytes()))
    if (revocations := tls_revocations_until(settings)) is not None:
        found[TLS_REVOCATIONS] = revocations
    for certificate in trust.certificates:
        name = f"{certificate.eui} role {certificate.role}"
        found[name] = max(found.get(name, certificate.not_after), certificate.not_after)
    return found


def tls_revocations_until(settings: Settings) -> datetime | None:
    """When the first of the revocation lists is overdue by which TLS goes; None if it goes by none that can be read."""
    path = None if settings.tls is None else settings.tls.client_crl
    if path is None:
        return None
    with suppress(OSError, ValueError):
        lists = [x509.load_pem_x509_crl(one) for one in _LIST.findall(path.read_bytes())]
        return min((one.next_update_utc for one in lists if one.next_update_utc is not None), default=None)
    return None


def _files(settings: Settings) -> dict[str, Path]:
    """Of TLS, by what for."""
    found = {}
    if (tls := settings.tls) is not None:
        found["tls"] = tls.certificate
        if tls.client_ca is not None:
            found["tls client authorities"] = tls.client_ca
    outgoing = settings.outgoing_tls
    for use, own in (("users", outgoing.users), ("csps", outgoing.csps), ("relay", outgoing.relay)):
        if own is not None and own.certificate is not None:
            found[f"tls to {use}"] = own.certificate
    return found
