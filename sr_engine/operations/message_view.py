"""What can be said of a message that is kept: what it is, and whether it is still what its sender signed."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from signing import DocumentRefused, NotAuthenticated, ProfileRefused, Verifier, parse
from sr_engine.configuration.policy import CertificateRoles
from sr_engine.messages.unsigned import is_signed


class Side(StrEnum):
    """Who has to have signed a message."""

    USER = "user"
    CSP = "csp"
    PROCESSOR = "processor"


class Standing(StrEnum):
    """What verification came to."""

    GOOD = "good"
    UNSIGNED = "unsigned"
    REFUSED = "refused"
    GONE = "gone"
    """The message is not kept any more."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verification says of the bytes that are kept."""

    standing: Standing
    said: str
    """In words, as the Verifier says it where that refuses."""
    at: datetime
    """The time as of which certificates were judged."""
    signer_eui: str | None = None
    signer_role: str | None = None
    serial: int | None = None
    valid_until: datetime | None = None
    """The signer's certificate."""


@dataclass(frozen=True, slots=True)
class MessageView:
    """Verifies messages that are kept, by the certificates and revocation lists that are known now."""

    verifier: Verifier
    roles: CertificateRoles

    def verdict(self, data: bytes, side: Side, at: datetime, *, originator: str | None = None) -> Verdict:
        """What the processor would say of a message if it came at `at`, as a signature goes.

        `originator` is whose key has to have signed it, where that is known.
        """
        if not data:
            return Verdict(Standing.GONE, "what was said is not kept any more: it has been pruned", at)
        try:
            document = parse(data, max_bytes=len(data))
            if not is_signed(document):
                return Verdict(Standing.UNSIGNED, "there is no signature in it", at)
            signer = self.verifier.verify(document, roles=self._roles(side), at=at).signer
        except (DocumentRefused, ProfileRefused) as refused:
            return Verdict(Standing.REFUSED, str(refused), at)
        except NotAuthenticated as refused:
            return Verdict(Standing.REFUSED, refused.reason, at)
        known = (signer.eui, signer.role, signer.serial, signer.not_after)
        if originator is not None and signer.eui != originator:
            said = f"it is signed by {signer.eui}, which is not its originator, {originator}"
            return Verdict(Standing.REFUSED, said, at, *known)
        return Verdict(Standing.GOOD, f"signed by {signer.eui}, and not changed since", at, *known)

    def _roles(self, side: Side) -> Collection[str]:
        match side:
            case Side.USER:
                return self.roles.requests
            case Side.CSP:
                return self.roles.csp
            case Side.PROCESSOR:
                return self.roles.responses
