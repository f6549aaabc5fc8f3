"""The checks between a document and a request that may be executed; each raises Refusal or returns what it found."""

from __future__ import annotations

from decimal import Decimal

from signing import Certificate, ParsedDocument
from sr_engine.configuration import Catalogue, SchemaVersions, ServiceReferenceVariant, UserDirectory
from sr_engine.configuration.catalogue import CatalogueSource
from sr_engine.messages.decode import Echo
from sr_engine.messages.model import Header, ServiceRequest
from sr_engine.messages.official import OfficialSchema
from sr_engine.requests.outcome import Sender


class Refusal(Exception):
    """A business refusal: answered HTTP 200 with `code`, and `detail` in words a person can act on."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail


class NotTaken(Exception):
    """A document that the schema allows and this processor, as configured, does not take: HTTP 400."""

    def __init__(self, reason: str, path: str) -> None:
        super().__init__(reason, path)
        self.reason = reason
        self.path = path


def check_schema_version(echo: Echo, catalogue: Catalogue, versions: SchemaVersions) -> None:
    """schemaVersion, compared as a number (FACTS RQ29): a published one, or the uplift's for our own requests."""
    entry = catalogue.by_variant(echo.service_reference_variant)
    ours = entry is not None and entry.source is CatalogueSource.OURS
    taken = {versions.uplift} if ours else versions.published
    if Decimal(echo.schema_version.strip()) not in taken:
        allowed = ", ".join(str(version) for version in sorted(taken))
        raise NotTaken(
            f"schemaVersion {echo.schema_version} is not taken for Service Request {echo.service_reference_variant}; "
            f"taken: {allowed}",
            "/sr:Request/@schemaVersion",
        )


def check_official_schema(
    document: ParsedDocument, echo: Echo, catalogue: Catalogue, official: OfficialSchema | None
) -> None:
    """What asks for a published Service Request is valid by the official schema too, where there is one (section 4)."""
    entry = catalogue.by_variant(echo.service_reference_variant)
    if official is not None and entry is not None and entry.source is CatalogueSource.PUBLISHED:
        official.check(document)


def check_list_size(request: ServiceRequest, most: int) -> None:
    """A list holds no more devices than the operator allows, each counted once."""
    count = len(getattr(request.body, "device_ids", ()))
    if count > most:
        raise NotTaken(
            f"DeviceIDList holds {count} different ids, at most {most} are taken: send them in several requests",
            f"/sr:Request/sr:Body/sr:{request.header.body_element}/sr:DeviceIDList",
        )


def check_originator(header: Header, signer: Certificate) -> None:
    """The certificate's EUI is the originator of the RequestID (FACTS SG16)."""
    if signer.eui != header.request_id.originator:
        raise Refusal(
            "E100",
            f"the request was signed by {signer.eui}, but its originator is {header.request_id.originator}",
        )


def check_agreement(header: Header, catalogue: Catalogue, broker: str) -> ServiceReferenceVariant:
    """Service Reference, variant and body element belong together; a Non-Device request targets the broker (E100)."""
    entry = catalogue.by_variant(header.service_reference_variant)
    if entry is None:
        raise Refusal("E100", f"ServiceReferenceVariant {header.service_reference_variant} is not in the catalogue")
    if entry.reference != header.service_reference:
        raise Refusal(
            "E100",
            f"ServiceReferenceVariant {entry.variant} belongs to ServiceReference {entry.reference}, "
            f"not {header.service_reference}",
        )
    expected = catalogue.body_element(entry, header.command_variant)
    # With a Command Variant that the Service Request cannot have, its own body is in order: that is E12, not E100.
    allowed = {expected} if header.command_variant in entry.command_variants else {expected, entry.body_element}
    if header.body_element not in allowed:
        raise Refusal("E100", f"Service Request {entry.variant} carries {expected}, not {header.body_element}")
    if entry.non_device and header.request_id.target != broker:
        raise Refusal(
            "E100",
            f"Service Request {entry.variant} is executed by the DCC: its target must be {broker}, "
            f"not {header.request_id.target}",
        )
    return entry


def check_command_variant(header: Header, entry: ServiceReferenceVariant) -> None:
    """The Command Variant is one the Service Request can have (E12)."""
    if header.command_variant not in entry.command_variants:
        allowed = ", ".join(map(str, sorted(entry.command_variants)))
        raise Refusal(
            "E12", f"Command Variant {header.command_variant} is not allowed for {entry.variant}; allowed: {allowed}"
        )


def check_service(header: Header, catalogue: Catalogue, service: str) -> None:
    """The request came to the service that takes its Command Variant (E13)."""
    right = catalogue.service_for(header.command_variant)
    if right != service:
        raise Refusal("E13", f"Command Variant {header.command_variant} is taken by service {right}, not by {service}")


def check_user(header: Header, entry: ServiceReferenceVariant, users: UserDirectory) -> Sender:
    """The originator is a User (E1), in a role that may send this (E2), and not suspended (E3)."""
    user = users.by_eui(header.request_id.originator)
    if user is None:
        raise Refusal("E1", f"{header.request_id.originator} is not a User known here")
    roles = user.roles & entry.roles
    if not roles:
        raise Refusal(
            "E2",
            f"no role of User {user.eui} ({', '.join(sorted(user.roles))}) may send {entry.variant}; "
            f"eligible: {', '.join(sorted(entry.roles)) or 'none'}",
        )
    if not users.is_active(user):
        raise Refusal("E3", f"User {user.eui} is suspended")
    return Sender(header.request_id.text, user.eui, user.organisation_id, frozenset(str(role) for role in roles))
