"""The wire reference: every message, element, code and alert, from the schemas and the configuration."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache

from sr_engine import configuration
from sr_engine.configuration import AlertBodyElement, Configuration, ResponseCode, ServiceReferenceVariant
from sr_engine.configuration.advice import Advice, load_advice
from sr_engine.resources import data_directory
from tests.conftest import ROOT
from tests.site import examples
from tests.site.markdown import code, heading, quoted, table
from tests.site.schema import (
    OPEN,
    Part,
    SimpleType,
    as_table,
    member,
    members,
    parts,
    says,
    schema_of,
    simple_types,
)

MESSAGES = ROOT / "fixtures" / "messages"
SIGNED = ROOT / "fixtures" / "attacks" / "good" / "read-inventory.xml"
_INDENTED = "Examples are indented for readers; what is sent has no white space between elements.\n"
_ENVELOPE = """# The envelope

What every message between Suppliers and the processor has. Bodies: [requests](requests.md), [answers](answers.md) and
[alerts](alerts.md).
"""
_SIGNING = """
To sign:

1. Write the document without a Signature and without white space between elements. Its *inclusive* C14N 1.0 is what is
   digested: the SHA-256 of that, in base64, is the `DigestValue`.
2. Write `SignedInfo` around it. The *exclusive* C14N of `SignedInfo` is what is signed, by ECDSA with SHA-256;
   `SignatureValue` is r and s, 32 bytes each and not in DER, in base64.
3. Put the Signature in as the last child of the root, and change no byte any more.

To verify, take the Signature out and do the same; then hold the certificate against its role, dates, issuers and
their revocation lists. EUI-64 and role stand in its subject, as x500UniqueIdentifier and OU.
"""
_REQUESTS = f"""# Service Requests

Those that are carried out here. All others: [catalogue](catalogue.md). {_INDENTED}"""
_ANSWERS = f"""# Answers

What stands in `ResponseMessage`, beside Service Reference and variant, where there is a result. {_INDENTED}
"""
_CODES = """# Response codes

`I`: it succeeded. `W`: it was accepted in part. `E`: it was refused. Each is answered with HTTP 200; why, in words,
stands in the header `DUIS-Response-Detail`. The table is `config/response_codes.toml`; the whole enumeration of the
schema stands under [types](types.md#ResponseCode).

"""
_ALERTS = f"""# DCC Alerts

Numbers and bodies are data, in `config/alerts.toml`: *published* numbers are, *inferred* ones follow from the order
of the schema and from use, *ours* are decisions. Each alert is signed, posted to the receiving URL of the User
concerned, and has the response code I0. {_INDENTED}
"""
_CSP = f"""# The exchange with CSPs

In the namespace `urn:sr-engine:csp`, signed in the one profile. {_INDENTED}"""
_CATALOGUE = """# The catalogue

Every Service Request that is known here, from `config/service_requests.toml`. Those that are not offered are
authenticated, authorised, and then refused with [E100](codes.md#E100), or relayed to an upstream DCC; of their bodies
only the name is checked.

"""
_TYPES = """# Types

What values have to be. The schemas: [duis.xsd](../../xsd/duis.xsd), [csp.xsd](../../xsd/csp.xsd),
[types.xsd](../../xsd/types.xsd), [signature.xsd](../../xsd/signature.xsd).
"""
_SHOWN_ONLY = {
    "NotScheduled": "Nobody has scheduled the hub.",
    "Declined": "The Supplier itself has declined, and nothing compels the upgrade.",
    "Deferred": "The Supplier itself has put its answer off.",
}
"""What 11.7 shows beside the states and overlays of the lifecycle."""


def pages() -> dict[str, str]:
    """The generated pages below `wire/`, by file name."""
    loaded = configuration.load(data_directory("config"))
    advice = load_advice(data_directory("config"), loaded.response_codes)
    return {
        "envelope.md": _envelope(),
        "requests.md": _requests(loaded),
        "answers.md": _answers(),
        "codes.md": _codes(loaded, advice),
        "alerts.md": _alerts(loaded),
        "csp.md": _csp(),
        "catalogue.md": _catalogue(loaded),
        "types.md": _types(loaded),
    }


def _envelope() -> str:
    duis, signature = schema_of("duis.xsd"), schema_of("signature.xsd")
    text = _ENVELOPE
    inside = frozenset({"RequestBody", "ResponseMessage", "DCCAlertMessage"})
    for name, of in (("Request", duis), ("Response", duis), ("Signature", signature)):
        element = of.elements[name]
        text += heading(2, name, name) + says(element) + "\n\n" + as_table(parts(element, inside=inside))
    where = f"{quoted(str(SIGNED.relative_to(ROOT)))}; its certificate is in `fixtures/attacks/pki/trust`"
    text += f"{_SIGNING}\nA signed request as it is sent, from {where}:\n"
    return text + code(SIGNED.read_text(encoding="utf-8"), "xml")


def _requests(loaded: Configuration) -> str:
    found = {element: (path, text) for element, path, text in examples.requests()}
    text = _REQUESTS
    for entry in _offered(loaded):
        element = member(schema_of("duis.xsd"), "RequestBody", entry.body_element)
        path, example = found[entry.body_element]
        text += heading(2, f"{entry.variant} {entry.name}", f"sr-{entry.variant}")
        text += f"{says(element)}\n\n" + _facts(entry)
        text += f"\n{quoted(entry.body_element)} holds:\n\n" + as_table(parts(element))
        text += "\nIt may be answered " + ", ".join(map(_code_link, _codes_of(entry, loaded))) + ".\n"
        text += f"\nAn example, from {quoted(str(path.relative_to(ROOT)))}:\n" + code(example, "xml")
    return text


def _facts(entry: ServiceReferenceVariant) -> str:
    dated = "may name its ExecutionDateTime" if entry.future_dated_by else "is carried out at once"
    source = "published" if entry.source == "published" else "of the uplift"
    roles = ", ".join(sorted(entry.roles))
    variants = ", ".join(map(str, sorted(entry.command_variants)))
    return f"It is {source}, has Command Variant {variants}, may be sent in the User Roles {roles}, and {dated}.\n"


def _codes_of(entry: ServiceReferenceVariant, loaded: Configuration) -> Iterator[str]:
    known = loaded.response_codes.items()
    return (name for name, one in known if not one.reserved and (not one.sr or entry.variant in one.sr))


def _answers() -> str:
    shown = examples.results()
    text = _ANSWERS + as_table(_parts_of_message())
    for name, open_content in members(schema_of("duis.xsd"), "ResponseMessage"):
        if name not in shown or open_content:
            continue
        element = member(schema_of("duis.xsd"), "ResponseMessage", name)
        text += heading(2, name, name) + says(element) + "\n\n" + as_table(parts(element)) + code(shown[name], "xml")
    return text


def _parts_of_message() -> Iterator[Part]:
    response = schema_of("duis.xsd").elements["Response"]
    prefix = "Body/ResponseMessage/"
    for one in parts(response):
        if one.path.startswith(prefix) and "/" not in one.path.removeprefix(prefix):
            yield one


def _codes(loaded: Configuration, advice: Advice) -> str:
    text = _CODES
    rows = ((_code_link(one.code), one.meaning, one.source) for one in loaded.response_codes.values())
    text += table(("Code", "Meaning", "Source"), rows)
    for one in loaded.response_codes.values():
        text += heading(2, one.code, one.code) + f"{one.meaning}\n\n" + _code_facts(one, advice)
    return text


def _code_facts(one: ResponseCode, advice: Advice) -> str:
    services = ", ".join(_request_link(variant) for variant in _in_order(one.sr)) or "any Service Request"
    what = advice.for_code(one.code) or ("" if one.reserved else "Nothing: it is done, or will be.")
    rows = [("When", one.when), ("What to do", what), ("Answers", services), ("Source", one.source)]
    if one.since is not None:
        rows.append(("Since", f"DUIS {one.since}; older versions are answered {one.before}"))
    if one.reserved:
        return table(("", ""), rows) + "\nIts number is kept; it is not answered yet.\n"
    path, title, step = _fixture_with(one.code)
    text = table(("", ""), [row for row in rows if row[1]])
    return text + f"\n{title}, from {quoted(path)}:\n" + code(step, "toml")


@cache
def _fixtures() -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    found = []
    for path in sorted(MESSAGES.rglob("*.toml")):
        head, *steps = path.read_text(encoding="utf-8").split("[[step]]\n")
        if steps and (title := re.search(r'(?m)^title = "(.*)"$', head)):
            found.append((str(path.relative_to(ROOT)), title[1], tuple(steps)))
    return tuple(found)


def _fixture_with(response_code: str) -> tuple[str, str, str]:
    """A step that is answered with a code, the shortest there is, and what its fixture is about."""
    wanted = re.compile(rf'(?m)^(?:answer = "{response_code}"|responses\..*"{response_code}")')
    matches = [
        (path, title, f"[[step]]\n{step}")
        for path, title, steps in _fixtures()
        for step in steps
        if wanted.search(step)
    ]
    return min(matches, key=lambda match: (len(match[2]), match[0]))


def _alerts(loaded: Configuration) -> str:
    duis = schema_of("duis.xsd")
    text = _ALERTS
    rows = (
        (f"[{one.event}](#{one.event})", one.code, one.hub_alert_code or "", one.meaning)
        for one in loaded.alerts.values()
    )
    text += table(("Event", "Number", "AlertCode", "Meaning"), rows)
    prefix = "Body/DCCAlertMessage/"
    response = parts(duis.elements["Response"], inside=frozenset({"DCCAlert"}))
    around = (one for one in response if one.path.startswith(prefix))
    text += "\n`DCCAlertMessage` holds:\n\n" + as_table(around)
    for body in AlertBodyElement:
        element = member(duis, "DCCAlert", body)
        text += heading(2, body, body) + says(element) + "\n\n" + as_table(parts(element))
        for one in (one for one in loaded.alerts.values() if one.body is body):
            since = "" if one.since is None else f" Since DUIS {one.since}; older systems get duis_version_mismatch."
            number = one.code if one.hub_alert_code is None else f"{one.code} with AlertCode {one.hub_alert_code}"
            text += heading(3, one.event, one.event)
            text += f"{one.meaning} Number {number}, {one.source}.{since}\n" + code(examples.alert(one), "xml")
    return text


def _csp() -> str:
    schema = schema_of("csp.xsd")
    text = _CSP
    for name, example in examples.csp_messages().items():
        element = schema.elements[name]
        text += heading(2, name, name) + says(element) + "\n\n" + as_table(parts(element)) + code(example, "xml")
    return text


def _catalogue(loaded: Configuration) -> str:
    duis = schema_of("duis.xsd")
    text = _CATALOGUE
    rows = (
        (
            _request_link(one.variant) if one.offered else one.variant,
            one.name,
            quoted(one.body_element),
            ", ".join(map(str, sorted(one.command_variants))),
            " ".join(sorted(one.roles)),
            "yes" if one.offered else "",
        )
        for one in loaded.catalogue.service_request.values()
    )
    text += table(("Variant", "Name", "Body element", "Command Variants", "User Roles", "Offered"), rows)
    pre_command = loaded.catalogue.signed_pre_command
    variants = ", ".join(map(str, sorted(pre_command.command_variants)))
    text += f"\n{quoted(pre_command.body_element)} is the body of a critical command with Command Variant {variants}.\n"
    for title, type_name in (("results", "ResponseMessage"), ("alerts", "DCCAlert")):
        names = (quoted(name) for name, open_content in members(duis, type_name) if open_content)
        text += heading(2, f"Published {title} that are not sent here", f"other-{title}") + ", ".join(names) + ".\n"
    envelope = parts(duis.elements["Response"], inside=frozenset({"ResponseMessage", "DCCAlertMessage"}))
    rest = ", ".join(quoted(part.path.removeprefix("Body/")) for part in envelope if part.type == OPEN)
    text += f"\nThe body of a Response may also be {rest}.\n"
    return text


def _types(loaded: Configuration) -> str:
    text = _TYPES
    told: set[str] = set()
    for schema in ("duis.xsd", "csp.xsd", "signature.xsd"):
        for one in simple_types(schema_of(schema)):
            if one.name not in told:
                told.add(one.name)
                text += heading(2, one.name, one.name) + f"{one.says}.\n" + _values(one, loaded)
    return text


def _values(one: SimpleType, loaded: Configuration) -> str:
    if not one.values:
        return ""
    match one.name:
        case "CSPRegion":
            rows: Iterable[tuple[str, str]] = ((value, _region(value, loaded)) for value in one.values)
        case "UpgradeStatus":
            meaning = _states(loaded)
            rows = ((value, meaning[value]) for value in one.values)
        case "DCCAlertCode":
            events: dict[str, list[str]] = {}
            for alert in loaded.alerts.values():
                events.setdefault(alert.code, []).append(f"[{alert.event}](alerts.md#{alert.event})")
            rows = ((value, ", ".join(events.get(value, ["not sent here"]))) for value in one.values)
        case "ResponseCode":
            known = loaded.response_codes
            rows = (
                (_code_link(value), known[value].meaning) if value in known else (value, "not answered here")
                for value in one.values
            )
        case _:
            return "\n" + ", ".join(map(quoted, one.values)) + ".\n"
    return "\n" + table(("Value", "Meaning"), rows)


def _region(name: str, loaded: Configuration) -> str:
    if name in loaded.not_upgradable_regions:
        return "Its hubs are not upgraded."
    region = loaded.regions[name]
    return (
        f"Served by {region.csp_name}; as shipped, {region.hubs_per_night} hubs a night "
        f"from {region.open_from:%H:%M} to {region.open_until:%H:%M} local time."
    )


def _states(loaded: Configuration) -> Mapping[str, str]:
    lifecycle = loaded.lifecycle
    found = {str(state): one.meaning for state, one in lifecycle.state.items()}
    return {**found, **{str(overlay): one.meaning for overlay, one in lifecycle.overlay.items()}, **_SHOWN_ONLY}


def _offered(loaded: Configuration) -> Iterator[ServiceReferenceVariant]:
    return (one for one in loaded.catalogue.service_request.values() if one.offered)


def _in_order(variants: Iterable[str]) -> list[str]:
    return sorted(variants, key=lambda variant: [int(number) for number in variant.split(".")])


def _request_link(variant: str) -> str:
    return f"[{variant}](requests.md#sr-{variant})"


def _code_link(response_code: str) -> str:
    return f"[{response_code}](codes.md#{response_code})"
