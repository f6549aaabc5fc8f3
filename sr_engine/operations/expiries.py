"""Until when the certificates are valid on which an instance depends."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from cryptography import x509

from signing import Certificate, KeyUnavailable, Trust
from sr_engine.configuration import Settings


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
    for certificate in trust.certificates:
        name = f"{certificate.eui} role {certificate.role}"
        found[name] = max(found.get(name, certificate.not_after), certificate.not_after)
    return found


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
