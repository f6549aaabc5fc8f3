"""Issuer names are compared by what they say."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from signing import DistinguishedName

Z1 = DistinguishedName.parse("CN=Z1,OU=07")


@pytest.mark.parametrize(
    "text",
    [
        "CN=Z1, OU=07",
        "OU = 07, CN = Z1",
        "OU=07,CN=Z1",
        " cn=z1 , ou=07 ",
        "OU=07;CN=Z1",
        "OU=07+CN=Z1",
        '"CN"=Z1,OU=07'.replace('"', ""),
        'CN="Z1",OU="07"',
        "2.5.4.3=Z1,OID.2.5.4.11=07",
        r"CN=\5A1,OU=\30\37",
        "CN=#0C025A31,OU=#0c023037",
    ],
)
def test_the_same_name_is_recognised_however_it_is_written(text: str) -> None:
    assert DistinguishedName.parse(text) == Z1


@pytest.mark.parametrize("text", ["CN=Z2,OU=07", "CN=Z1", "CN=Z1,OU=07,OU=07", "CN=07,OU=Z1", r"CN=Z1\,OU=07"])
def test_another_name_is_told_apart(text: str) -> None:
    assert DistinguishedName.parse(text) != Z1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Z1",
        "CN=Z1,",
        "CN=Z1,OU",
        "XX=1",
        "CN=a<b",
        'CN="Z1',
        "CN=#0C05",
        "CN=#0403AABB",
        "CN=\\",
        "CN=\\ff",
        "C" * 3000,
    ],
)
def test_text_that_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        DistinguishedName.parse(text)


_VALUES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12).filter(
    str.strip
)


@given(
    st.lists(
        st.tuples(st.sampled_from([NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME]), _VALUES), min_size=1, max_size=4
    )
)
def test_the_text_of_a_certificate_name_is_read_as_that_name(
    attributes: list[tuple[x509.ObjectIdentifier, str]],
) -> None:
    name = x509.Name([x509.NameAttribute(oid, value) for oid, value in attributes])

    written = DistinguishedName.of(name)

    assert DistinguishedName.parse(written.text) == written
    assert str(written) == name.rfc4514_string()


@given(st.text(max_size=40))
def test_arbitrary_text_is_read_or_refused_as_a_value_error(text: str) -> None:
    try:
        name = DistinguishedName.parse(text)
    except ValueError:
        return
    assert name.attributes
