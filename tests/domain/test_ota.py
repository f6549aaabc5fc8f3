"""The header of a firmware image, read from bytes that may be anything."""

from __future__ import annotations

import hashlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sr_engine.domain.ota import NotAnImage, image_hash, read_header
from tests.firmware import ota

_uint16, _uint32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)


@given(
    payload=st.binary(max_size=200),
    manufacturer=_uint16,
    image_type=_uint16,
    file_version=_uint32,
    stack_version=_uint16,
    text=st.binary(min_size=32, max_size=32),
    credential=st.none() | st.integers(0, 255),
    destination=st.none() | st.binary(min_size=8, max_size=8),
    hardware=st.none() | st.tuples(_uint16, _uint16),
    more=st.binary(max_size=10),
)
def test_what_a_header_says_is_read_as_it_was_written(
    *,
    payload: bytes,
    manufacturer: int,
    image_type: int,
    file_version: int,
    stack_version: int,
    text: bytes,
    credential: int | None,
    destination: bytes | None,
    hardware: tuple[int, int] | None,
    more: bytes,
) -> None:
    present = [
        (1, b"" if credential is None else bytes([credential]), credential is not None),
        (2, destination or b"", destination is not None),
        (4, b"" if hardware is None else struct.pack("<HH", *hardware), hardware is not None),
    ]
    image = ota(
        payload,
        control=sum(bit for bit, _, there in present if there),
        manufacturer=manufacturer,
        image_type=image_type,
        file_version=file_version,
        stack_version=stack_version,
        text=text,
        optional=b"".join(field for _, field, _ in present) + more,
    )

    header = read_header(image)

    assert header.length == len(image) - len(payload)
    assert (header.manufacturer_code, header.image_type) == (manufacturer, image_type)
    assert (header.file_version, header.stack_version, header.text) == (file_version, stack_version, text)
    assert (header.security_credential_version, header.destination) == (credential, destination)
    assert header.hardware_versions == hardware
    assert header.total_size == len(image)
    assert int(header.version_name, 16) == file_version
    assert len(header.version_name) == 8
    assert image_hash(image, header) == hashlib.sha256(payload).hexdigest().upper()


@given(st.binary(max_size=120) | st.builds(lambda tail: b"\x1e\xf1\xee\x0b\x00\x01" + tail, st.binary(max_size=120)))
def test_whatever_the_bytes_are_they_are_read_or_refused_with_a_reason(data: bytes) -> None:
    outcome: object
    try:
        header = read_header(data)
        outcome = 56 <= header.length <= len(data) == header.total_size
    except NotAnImage as refused:
        outcome = refused.reason
    assert outcome


@given(st.integers(0, 70))
def test_an_image_that_was_cut_short_is_refused(length: int) -> None:
    with pytest.raises(NotAnImage):
        read_header(ota(b"payload of some bytes")[:length])


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (b"", "the image has 0 bytes; an OTA header alone has 56 or more"),
        (ota(magic=0x0BEEF11F), "begins with 0BEEF11F"),
        (ota(header_version=0x0200), "version 0200; 0100 is known"),
        (ota(length=55), "says it has 55 bytes"),
        (ota(length=56, control=4), "its fields take 60"),
        (ota(b"", length=57), "says it has 57 bytes"),
        (ota(b"1234", total=61), "says the image has 61 bytes; it has 60"),
    ],
)
def test_a_wrong_header_is_refused_with_the_reason(image: bytes, words: str) -> None:
    with pytest.raises(NotAnImage) as caught:
        read_header(image)

    assert words in caught.value.reason


def test_the_image_may_end_with_its_header() -> None:
    image = ota(b"")
    assert image_hash(image, read_header(image)) == hashlib.sha256(b"").hexdigest().upper()
