"""What signing and verification cost, as multiples of the bare cryptography they contain."""

from __future__ import annotations

import tempfile
from pathlib import Path

import xmlsec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, DigestAlgorithm, SignatureMethod
from signxml.verifier import SignatureConfiguration, XMLVerifier

from signing import Signer, parse
from sr_engine.messages.build import serialise_unsigned
from sr_engine.messages.compose import build_request
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision, Phase, ScheduleCommsHubFirmware
from sr_engine.resources import data_directory
from tests.bench.measure import Row, cpu_seconds
from tests.world import FIRMWARE, NOW, WINDOW, A, TestHub, World, eui, make_world

BIG_LIST = 50_000
_SIGNXML = SignatureConfiguration(
    require_x509=True,
    expect_references=1,
    signature_methods=frozenset({SignatureMethod.ECDSA_SHA256}),
    digest_algorithms=frozenset({DigestAlgorithm.SHA256}),
    # The profile names no canonicalisation for the document: the default of XML signatures is the inclusive one.
    default_reference_c14n_method=CanonicalizationMethod.CANONICAL_XML_1_0,
)


def rows() -> list[Row]:
    """Measure them."""
    with tempfile.TemporaryDirectory() as folder:
        world = make_world(Path(folder) / "instance", durable=True)
        try:
            return [*_cryptography(world), *_exchange(world)]
        finally:
            world.close()


def _cryptography(world: World) -> list[Row]:
    instance = world.instance
    key = ec.generate_private_key(ec.SECP256R1())
    algorithm = ec.ECDSA(hashes.SHA256())
    data = b"x" * 700
    signature, public = key.sign(data, algorithm), key.public_key()
    body = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, tuple(TestHub(n).chf for n in range(1, 11)))
    small = world.signed(A, body, "11.6")
    many = tuple(eui(0xC0, number) for number in range(BIG_LIST))
    big = world.signed(A, ScheduleCommsHubFirmware(FIRMWARE, WINDOW, Phase.GENERAL, many), "11.5")
    signer = Signer(world.key(A.name))
    unsigned = _unsigned(body)

    def verify(message: bytes) -> object:
        document = parse(message)
        instance.duis_schema.check(document)
        return instance.verifier.verify(document, roles={"87"}, at=NOW)

    schema = etree.XMLSchema(file=str(data_directory("xsd") / "duis.xsd"))
    certificate = world.key(A.name).certificate.pem

    def by_xmlsec() -> None:
        root = etree.fromstring(small)
        schema.assertValid(root)
        context = xmlsec.SignatureContext()
        context.key = xmlsec.Key.from_memory(certificate, xmlsec.constants.KeyDataFormatCertPem)
        signature = xmlsec.tree.find_node(root, "Signature")
        assert signature is not None
        context.verify(signature)

    def by_signxml() -> object:
        root = etree.fromstring(small)
        schema.assertValid(root)
        return XMLVerifier().verify(root, x509_cert=certificate.decode(), expect_config=_SIGNXML)

    cost = cpu_seconds(
        {
            "raw verify": lambda: public.verify(signature, data, algorithm),
            "raw sign": lambda: key.sign(data, algorithm),
            "verify": lambda: verify(small),
            "sign": lambda: signer.sign(parse(unsigned).root),
            "verify big": lambda: verify(big),
            "xmlsec": by_xmlsec,
            "signxml": by_signxml,
        }
    )
    size = f"{len(small) / 1000:.1f} KB"
    return [
        Row("raw P-256 verification", cost["raw verify"] * 1e6, "µs CPU"),
        Row("raw P-256 signature", cost["raw sign"] * 1e6, "µs CPU"),
        Row(f"parse + schema + verify, {size}", cost["verify"] / cost["raw verify"], "x raw verification", 2.6),
        Row(f"parse + sign + serialise, {size}", cost["sign"] / cost["raw sign"], "x raw signature", 2.5),
        Row("python-xmlsec, the same", cost["xmlsec"] / cost["verify"], "x our time", 1.5, at_least=True),
        Row("signxml, the same", cost["signxml"] / cost["verify"], "x our time", 2.5, at_least=True),
        Row(f"verify {len(big) / 1e6:.1f} MB, 50,000 ids", cost["verify big"] * 1e3, "ms CPU", 60),
    ]


def _unsigned(body: ApproveCommsHubFirmware) -> bytes:
    root = build_request(
        schema_version="5.4",
        request_id=f"{A.eui}:90-B3-D5-1F-30-00-00-02:1",
        command_variant=8,
        service_reference="11.6",
        service_reference_variant="11.6",
        body=body,
    )
    return serialise_unsigned(root)


def _exchange(world: World) -> list[Row]:
    """One 11.6 for one hub, from bytes to a signed answer that is on disk, without HTTP."""
    hubs = [TestHub(number) for number in range(1, 2001)]
    world.add_hubs(hubs)
    world.open_release()
    bodies = [ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (hub.chf,)) for hub in hubs]
    requests = iter([world.signed(A, body, "11.6") for body in bodies])
    data = b"x" * 700
    key = ec.generate_private_key(ec.SECP256R1())
    algorithm = ec.ECDSA(hashes.SHA256())
    signature = key.sign(data, algorithm)
    public = key.public_key()
    cost = cpu_seconds(
        {
            "raw": lambda: (public.verify(signature, data, algorithm), key.sign(data, algorithm)),
            "exchange": lambda: world.post(next(requests)),
        },
        rounds=15,
        seconds=0.05,
    )
    return [Row("11.6 for one hub, without HTTP, own commit", cost["exchange"] / cost["raw"], "x raw verify + sign")]
