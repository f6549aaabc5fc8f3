"""A schema that stands in for the official one: of the same form as files, and stricter than ours about 8.2."""

from __future__ import annotations

from pathlib import Path

from tests.world import edit

MAIN = """<?xml version="1.0" encoding="UTF-8"?>
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:ds="http://www.w3.org/2000/09/xmldsig#"
    xmlns:sr="http://www.dccinterface.co.uk/ServiceUserGateway"
    targetNamespace="http://www.dccinterface.co.uk/ServiceUserGateway" elementFormDefault="qualified">
  <xs:import namespace="http://www.w3.org/2000/09/xmldsig#" schemaLocation="dsig core.xsd"/>
  <xs:include schemaLocation="https://schemas.example/duis/Common Types V9.7.xsd"/>
  <!--
    Schema of a test
    XML Schema Version - Request    - 9.7
  -->
  <xs:element name="Request">
    <xs:complexType>
      <xs:sequence>
        <xs:element name="Header" type="sr:Anything"/>
        <xs:element name="Body">
          <xs:complexType>
            <xs:sequence>
              <xs:element name="ReadInventory">
                <xs:complexType>
                  <xs:sequence><xs:element name="DeviceID" type="xs:string"/></xs:sequence>
                </xs:complexType>
              </xs:element>
            </xs:sequence>
          </xs:complexType>
        </xs:element>
        <xs:element ref="ds:Signature" minOccurs="0"/>
      </xs:sequence>
      <xs:attribute name="schemaVersion" type="xs:decimal"/>
    </xs:complexType>
  </xs:element>
</xs:schema>
"""

COMMON = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"
    targetNamespace="http://www.dccinterface.co.uk/ServiceUserGateway" elementFormDefault="qualified">
  <xs:complexType name="Anything">
    <xs:sequence><xs:any maxOccurs="unbounded" processContents="skip"/></xs:sequence>
  </xs:complexType>
</xs:schema>
"""

SIGNATURE = """<!DOCTYPE schema PUBLIC "-//W3C//DTD XMLSchema 200102//EN" "http://127.0.0.1:9/XMLSchema.dtd" [
  <!ENTITY dsig 'http://www.w3.org/2000/09/xmldsig#'>
]>
<schema xmlns="http://www.w3.org/2001/XMLSchema" targetNamespace="&dsig;" elementFormDefault="qualified">
  <element name="Signature"/>
</schema>
"""


def write_official(
    folder: Path, *, main: str = MAIN, common: str = "common_types-v9.7.XSD", signature: str = "dsig-core.xsd"
) -> Path:
    """Write the three files into a folder, the imported ones under these names; return the path of the first."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / common).write_text(COMMON, encoding="utf-8")
    (folder / signature).write_text(SIGNATURE, encoding="utf-8")
    path = folder / "The Schema V9.6.xsd"
    path.write_text(main, encoding="utf-8")
    return path


def with_official(directory: Path) -> None:
    """The settings name a schema in a folder beside them."""
    write_official(directory / "official")
    edit(
        directory / "sr-engine.toml",
        'users_file = "users.toml"\n',
        'users_file = "users.toml"\nofficial_schema = "official/The Schema V9.6.xsd"\n',
    )
