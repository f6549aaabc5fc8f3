"""XML signatures in the fixed profile of DUIS: documents, keys, certificates and trust (domain description, section 3).

The package knows nothing of Service Requests. `parse` turns bytes into a document, a `Verifier` turns a document into
one that may be acted on, a `Signer` writes signed documents.
"""

from __future__ import annotations

from .certificates import Authority, Certificate
from .document import DEFAULT_MAX_BYTES, ParsedDocument, parse
from .errors import DocumentRefused, KeyUnavailable, NotAuthenticated, ProfileRefused, SigningError
from .keys import SigningKey, SoftwareKey
from .names import DistinguishedName
from .pki import Participant, Pki, make_pki
from .revocation import RevocationList
from .sign import Blank, Series, Signer, is_signed_form_of, remove_signatures, take_out_signatures
from .trust import DEFAULT_CRL_GRACE, Trust
from .verify import VerifiedDocument, Verifier, verify_value

__all__ = [
    "DEFAULT_CRL_GRACE",
    "DEFAULT_MAX_BYTES",
    "Authority",
    "Blank",
    "Certificate",
    "DistinguishedName",
    "DocumentRefused",
    "KeyUnavailable",
    "NotAuthenticated",
    "ParsedDocument",
    "Participant",
    "Pki",
    "ProfileRefused",
    "RevocationList",
    "Series",
    "Signer",
    "SigningError",
    "SigningKey",
    "SoftwareKey",
    "Trust",
    "VerifiedDocument",
    "Verifier",
    "is_signed_form_of",
    "make_pki",
    "parse",
    "remove_signatures",
    "take_out_signatures",
    "verify_value",
]
