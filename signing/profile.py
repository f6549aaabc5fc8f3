"""The fixed form of a ds:Signature, checked element by element (section 3 of the domain description; FACTS SG1 to SG5).

XMLDSig allows much that DUIS does not use, and most attacks on it live there. What is not in the form is refused,
never skipped (Trap 2).
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lxml import etree

from .canonical import exclusive
from .document import line_of, path_of
from .errors import ProfileRefused
from .names import DistinguishedName

DS = "http://www.w3.org/2000/09/xmldsig#"
EXCLUSIVE_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
ECDSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
SIGNATURE = f"{{{DS}}}Signature"

DIGEST_BYTES = 32
VALUE_BYTES = 64
XML_WHITE_SPACE = " \t\r\n"

WHITE_BYTES = XML_WHITE_SPACE.encode()
SERIAL = re.compile(r"[0-9]{1,60}")  # 160 bits are 49 digits (RFC 5280 section 4.1.2.2)


@dataclass(frozen=True, slots=True)
class Form:
    """One element of the form: its attributes and either its children or, where `holds_text`, its text."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    children: tuple[Form, ...] = ()
    holds_text: bool = False

    @property
    def tag(self) -> str:
        return f"{{{DS}}}{self.name}"


_SIGNED_INFO = Form(
    "SignedInfo",
    children=(
        Form("CanonicalizationMethod", {"Algorithm": EXCLUSIVE_C14N}),
        Form("SignatureMethod", {"Algorithm": ECDSA_SHA256}),
        Form(
            "Reference",
            {"URI": ""},
            children=(
                Form("Transforms", children=(Form("Transform", {"Algorithm": ENVELOPED}),)),
                Form("DigestMethod", {"Algorithm": SHA256}),
                Form("DigestValue", holds_text=True),
            ),
        ),
    ),
)
_KEY_INFO = Form(
    "KeyInfo",
    children=(
        Form(
            "X509Data",
            children=(
                Form(
                    "X509IssuerSerial",
                    children=(Form("X509IssuerName", holds_text=True), Form("X509SerialNumber", holds_text=True)),
                ),
            ),
        ),
    ),
)
SIGNATURE_FORM = Form("Signature", children=(_SIGNED_INFO, Form("SignatureValue", holds_text=True), _KEY_INFO))


@dataclass(frozen=True, slots=True)
class SignatureForm:
    """What a ds:Signature of the right form says; nothing of it has been verified.

    `signed_info` is the exclusive C14N of ds:SignedInfo.
    """

    element: etree._Element
    signed_info: bytes
    digest: bytes
    value: bytes
    issuer: DistinguishedName
    serial: int


def read_signature(
    root: etree._Element, name: Callable[[str], DistinguishedName], carrier: str | None = None
) -> SignatureForm:
    """Return the one Signature of the document; raises ProfileRefused if it is missing, misplaced or off the form.

    `name` reads an issuer name and raises ValueError for text that is none. What stands in an element `carrier` is
    content, Signatures of others too.
    """
    element = _only_signature(root, carrier)
    texts: dict[str, str] = {}
    _match(element, SIGNATURE_FORM, texts)
    return SignatureForm(
        element=element,
        signed_info=exclusive(element[0]),
        digest=_base64(element, "DigestValue", texts, DIGEST_BYTES),
        value=_base64(element, "SignatureValue", texts, VALUE_BYTES),
        issuer=_issuer(element, texts["X509IssuerName"], name),
        serial=_serial(element, texts["X509SerialNumber"]),
    )


def _only_signature(root: etree._Element, carrier: str | None) -> etree._Element:
    signatures = list(root.iter(SIGNATURE))
    if carrier is not None:
        signatures = [one for one in signatures if next(one.iterancestors(carrier), None) is None]
    if not signatures:
        raise ProfileRefused("the document is not signed: there is no ds:Signature", path=path_of(root))
    if len(signatures) > 1:
        raise _refused(signatures[1], f"the document holds {len(signatures)} ds:Signature elements; one is accepted")
    signature = signatures[0]
    if signature.getparent() is not root:
        raise _refused(signature, "the ds:Signature is not a child of the root element")
    if signature.getnext() is not None:
        raise _refused(signature, "the ds:Signature is not the last element of the document")
    if not _is_white(signature.tail):
        raise _refused(signature, "there is text after the ds:Signature")
    return signature


def _match(element: etree._Element, form: Form, texts: dict[str, str]) -> None:
    """Compare an element with the form; collects the texts by the names of their elements."""
    if element.tag != form.tag:
        raise _refused(element, f"ds:{form.name} was expected here and {_shown(element)} was found")
    if dict(element.attrib) != form.attributes:
        raise _refused(element, _attributes_refused(element, form))
    if form.holds_text:
        if len(element):
            raise _refused(element[0], f"ds:{form.name} must hold text only")
        texts[form.name] = element.text or ""
        return
    if not _is_white(element.text):
        raise _refused(element, f"ds:{form.name} must not hold text")
    for position, expected in enumerate(form.children):
        if position >= len(element):
            raise _refused(element, f"ds:{form.name} lacks ds:{expected.name}")
        child = element[position]
        _match(child, expected, texts)
        if not _is_white(child.tail):
            raise _refused(element, f"ds:{form.name} must not hold text")
    if len(element) > len(form.children):
        extra = element[len(form.children)]
        raise _refused(extra, f"{_shown(extra)} is not accepted in ds:{form.name}")


def _attributes_refused(element: etree._Element, form: Form) -> str:
    for name, value in element.attrib.items():
        if name not in form.attributes:
            return f"the attribute {name} is not accepted on ds:{form.name}"
        if value != form.attributes[name]:
            return f'{name} of ds:{form.name} is "{value[:200]}"; only "{form.attributes[name]}" is accepted'
    missing = next(name for name in form.attributes if name not in element.attrib)
    return f"ds:{form.name} lacks the attribute {missing}"


def _base64(signature: etree._Element, name: str, texts: Mapping[str, str], length: int) -> bytes:
    try:
        text = texts[name].encode("ascii").translate(None, WHITE_BYTES)
        value = binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise _refused(_named(signature, name), f"ds:{name} is not base64") from None
    # The decoder passes over unused bits that are set and padding that is too much: other texts for the same bytes.
    if binascii.b2a_base64(value, newline=False) != text:
        raise _refused(_named(signature, name), f"ds:{name} is not base64 in its canonical form")
    if len(value) != length:
        raise _refused(_named(signature, name), f"ds:{name} holds {len(value)} bytes; {length} were expected")
    return value


def _issuer(signature: etree._Element, text: str, name: Callable[[str], DistinguishedName]) -> DistinguishedName:
    try:
        return name(text)
    except ValueError as error:
        raise _refused(_named(signature, "X509IssuerName"), str(error)) from None


def _serial(signature: etree._Element, text: str) -> int:
    if SERIAL.fullmatch(text.strip(XML_WHITE_SPACE)) is None:
        reason = "ds:X509SerialNumber is not a decimal number of at most 60 digits"
        raise _refused(_named(signature, "X509SerialNumber"), reason)
    return int(text)


def _named(signature: etree._Element, name: str) -> etree._Element:
    return next(signature.iter(f"{{{DS}}}{name}"))


def _is_white(text: str | None) -> bool:
    return not text or not text.strip(XML_WHITE_SPACE)


def _shown(element: etree._Element) -> str:
    name = etree.QName(element)
    return f"ds:{name.localname}" if name.namespace == DS else f"{{{name.namespace or ''}}}{name.localname}"


def _refused(element: etree._Element, reason: str) -> ProfileRefused:
    return ProfileRefused(reason, line=line_of(element), path=path_of(element))
