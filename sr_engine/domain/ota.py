"""The header of a firmware image: ZigBee Over-the-Air Upgrade, little-endian (FACTS FW12)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

_MAGIC = 0x0BEEF11E
_VERSION = 0x0100
_FIXED = struct.Struct("<IHHHHHIH32sI")
_SECURITY_CREDENTIAL, _DESTINATION, _HARDWARE = 0x0001, 0x0002, 0x0004
_OPTIONAL = ((_SECURITY_CREDENTIAL, 1), (_DESTINATION, 8), (_HARDWARE, 4))
"""Bit of the field control, and the bytes its fields take, in the order in which they follow the fixed ones."""


class NotAnImage(Exception):
    """The bytes are no image with an OTA header; `reason` says why in words a person can act on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class OtaHeader:
    """What the header says; lengths are in bytes."""

    length: int
    manufacturer_code: int
    image_type: int
    file_version: int
    stack_version: int
    text: bytes
    total_size: int
    security_credential_version: int | None
    destination: bytes | None
    """The EUI-64 of the one device it is for, as it stands there; None: it is for many."""
    hardware_versions: tuple[int, int] | None
    """The least and the most."""

    @property
    def version_name(self) -> str:
        """The file version as FirmwareVersion names it: eight hexadecimal digits (FACTS FW15)."""
        return f"{self.file_version:08X}"

    @property
    def manufacturer_name(self) -> str:
        """The manufacturer as DeviceManufacturer names it: four hexadecimal digits."""
        return f"{self.manufacturer_code:04X}"


def read_header(image: bytes) -> OtaHeader:
    """Return the header that `image` begins with, if the image is as long as it says. Raises NotAnImage.

    A header may be longer than its known fields: what more there is belongs to it and is passed over.
    """
    if len(image) < _FIXED.size:
        raise NotAnImage(f"the image has {len(image)} bytes; an OTA header alone has {_FIXED.size} or more")
    magic, version, length, control, manufacturer, kind, file, stack, text, total = _FIXED.unpack_from(image)
    if magic != _MAGIC:
        raise NotAnImage(f"the image begins with {magic:08X}, not with the OTA file identifier {_MAGIC:08X}")
    if version != _VERSION:
        raise NotAnImage(f"the OTA header has version {version:04X}; {_VERSION:04X} is known")
    least = _FIXED.size + sum(size for bit, size in _OPTIONAL if control & bit)
    if not least <= length <= len(image):
        raise NotAnImage(
            f"the OTA header says it has {length} bytes; its fields take {least} and the image has {len(image)}"
        )
    if total != len(image):
        raise NotAnImage(f"the OTA header says the image has {total} bytes; it has {len(image)}")
    starts, at = {}, _FIXED.size
    for bit, size in _OPTIONAL:
        if control & bit:
            starts[bit], at = at, at + size
    credential, destination, hardware = (starts.get(bit) for bit, _ in _OPTIONAL)
    return OtaHeader(
        length=length,
        manufacturer_code=manufacturer,
        image_type=kind,
        file_version=file,
        stack_version=stack,
        text=text,
        total_size=total,
        security_credential_version=None if credential is None else image[credential],
        destination=None if destination is None else bytes(image[destination : destination + 8]),
        hardware_versions=None if hardware is None else struct.unpack_from("<HH", image, hardware),
    )


def image_hash(image: bytes, header: OtaHeader) -> str:
    """SHA-256 of what follows the header, in upper-case hexadecimal: ManufacturerImageHash (FACTS FW9)."""
    return hashlib.sha256(memoryview(image)[header.length :]).hexdigest().upper()
