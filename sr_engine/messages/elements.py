"""Reading and writing the elements of a message whose schema is known."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import TypeVar

from lxml import etree

from sr_engine.messages.identifiers import RequestId, canonical_eui, split_device_ids
from sr_engine.messages.model import Firmware, Period
from sr_engine.messages.times import utc_from_xsd, xsd_from_utc
from sr_engine.value_objects import value_object

DUIS = "{http://www.dccinterface.co.uk/ServiceUserGateway}"
"""The DUIS namespace as lxml writes it before a name."""

CSP = "{urn:sr-engine:csp}"
"""The namespace of the CSP exchange, the same way."""

WHITE_SPACE = " \t\r\n"

_E = TypeVar("_E", bound=StrEnum)
_T = TypeVar("_T")


def local_name(element: etree._Element) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def text_in(element: etree._Element, name: str) -> str:
    """The text of an element's first child of that name, {namespace}name; raises KeyError if it has none."""
    child = next(element.iterchildren(name), None)
    if child is None:
        raise KeyError(name)
    return child.text or ""


@value_object
class Fields:
    """The children of one element of a schema-valid message, by local name.

    Each method reads a child by its type; one that is missing raises KeyError unless `optional` asked for it. xs:token
    and what is built on it lose the white space around them, xs:string keeps all of it, as XML Schema says.
    """

    element: etree._Element
    _by_name: dict[str, etree._Element]

    @classmethod
    def of(cls, element: etree._Element) -> Fields:
        # What `local_name` says of each: of a request there are some fifteen.
        return cls(element, {str(child.tag).rpartition("}")[2]: child for child in element})

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def child(self, name: str) -> Fields:
        return Fields.of(self._by_name[name])

    def each(self, name: str) -> Iterator[Fields]:
        """The children of that name, which may occur several times, in order."""
        return (Fields.of(child) for child in self.element if local_name(child) == name)

    def string(self, name: str) -> str:
        return self._by_name[name].text or ""

    def token(self, name: str) -> str:
        return self.string(name).strip(WHITE_SPACE)

    def eui(self, name: str) -> str:
        return canonical_eui(self.token(name))

    def device_ids(self, name: str) -> tuple[str, ...]:
        """Canonical ids, each once, in order of first appearance; none if the list is absent."""
        return tuple(dict.fromkeys(self.string(name).upper().split(","))) if name in self else ()

    def device_ids_as_received(self, name: str) -> tuple[str, ...]:
        """The same ids as they were written, which is how an answer repeats them."""
        return split_device_ids(self.string(name)) if name in self else ()

    def request_id(self, name: str) -> RequestId:
        return RequestId.parse(self.token(name))

    def integer(self, name: str) -> int:
        """A whole number that is not negative, with any number of leading zeros."""
        return int(self.token(name).lstrip("+-0") or "0")

    def boolean(self, name: str, *, default: bool = False) -> bool:
        return self.token(name) in ("true", "1") if name in self else default

    def moment(self, name: str) -> datetime:
        return utc_from_xsd(self.string(name))

    def enumerated(self, name: str, of: type[_E]) -> _E:
        return of(self.string(name))

    def octets(self, name: str) -> bytes:
        """What a base64Binary holds; raises ValueError if it is none, for libxml2 passes over foreign characters."""
        text = self.string(name)
        try:
            return a2b_base64(text, strict_mode=True)
        except ValueError:
            # XML's white space counts for nothing, and is hardly ever there.
            return a2b_base64(text.encode("ascii").translate(None, WHITE_SPACE.encode()), strict_mode=True)

    def firmware(self) -> Firmware:
        return Firmware(self.string("DeviceManufacturer"), self.string("DeviceModel"), self.string("FirmwareVersion"))

    def period(self, name: str) -> Period:
        fields = self.child(name)
        return Period(fields.moment("StartDateTime"), fields.moment("EndDateTime"))

    def optional(self, read: Callable[[str], _T], name: str) -> _T | None:
        """What `read` makes of the element, None where there is none."""
        return read(name) if name in self else None


def add(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
    """Append an element, its name in Clark notation, and return it.

    Raises ValueError if `text` holds a character that XML cannot.
    """
    element = etree.SubElement(parent, name)
    if text is not None:
        element.text = text
    return element


def add_ids(parent: etree._Element, name: str, device_ids: Iterable[str]) -> None:
    """Append a comma-separated list of ids."""
    add(parent, name, ",".join(device_ids))


def add_octets(parent: etree._Element, name: str, value: bytes) -> None:
    """Append a base64Binary."""
    add(parent, name, b2a_base64(value, newline=False).decode("ascii"))


def add_boolean(parent: etree._Element, name: str, value: bool) -> None:
    add(parent, name, "true" if value else "false")


def add_moment(parent: etree._Element, name: str, value: datetime) -> None:
    add(parent, name, xsd_from_utc(value))


def add_firmware(parent: etree._Element, namespace: str, firmware: Firmware) -> None:
    add(parent, namespace + "DeviceManufacturer", firmware.manufacturer)
    add(parent, namespace + "DeviceModel", firmware.model)
    add(parent, namespace + "FirmwareVersion", firmware.version)


def add_period(parent: etree._Element, namespace: str, name: str, period: Period) -> None:
    element = add(parent, namespace + name)
    add_moment(element, namespace + "StartDateTime", period.start)
    add_moment(element, namespace + "EndDateTime", period.end)
