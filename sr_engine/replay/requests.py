"""Service Requests of a fixture: composed from what a step says, or filled in from a template, and signed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

from signing import Signer
from sr_engine.messages.compose import build_request
from sr_engine.messages.model import Body
from sr_engine.messages.template import OPEN, TemplateRefused, filled_request
from sr_engine.messages.times import utc_from_xsd, xsd_from_utc
from sr_engine.pipeline.answer import XML
from sr_engine.replay.fixture import Fixture, FixtureRefused, Table
from sr_engine.replay.stage import Posted, Stage, device_named, schedule, send_request, supplier

ANY = "{any}"
"""In what is expected: whatever stands there."""
_TIME = re.compile(r"(?P<sign>[+-])(?:(?P<days>\d+)d)?(?:(?P<hours>\d+)h)?(?:(?P<minutes>\d+)m)?")


def composed(stage: Stage, name: str, body: Body, variant: str) -> Posted:
    """A request as its Supplier would send it."""
    seed = supplier(stage, name)
    request_id = f"{seed.eui}:{stage.broker()}:{stage.counter()}"
    root = build_request(
        schema_version="5.4",
        request_id=request_id,
        command_variant=8,
        service_reference=variant,
        service_reference_variant=variant,
        body=body,
    )
    return send_request(
        stage, name, Signer(stage.key(seed.name)).sign(root), request_id=request_id, service=stage.service_for(8)
    )


def sent_template(stage: Stage, deed: Table) -> Posted:
    """A request from a file beside the fixture, or from the fixture itself; raises FixtureRefused."""
    name, text = deed["supplier"], str(deed["request"])
    seed = supplier(stage, name)
    media_type = str(deed.get("media_type", XML))
    written = template_of(stage.fixture, text)
    if not deed.get("signed", True):
        service = str(deed.get("service", "serviceD"))
        return send_request(stage, name, written, service=service, media_type=media_type)
    try:
        template = written.decode()
    except UnicodeDecodeError:
        raise FixtureRefused(f"request: {text}: is not UTF-8") from None
    given = deed.get("with", {})
    own = {"originator": seed.eui, "broker": stage.broker(), "target": stage.broker(), "counter": str(stage.counter())}

    def value_of(word: str) -> str | None:
        if word in given:
            return rendered(stage, given[word])
        return own.get(word) or referred(stage, word)

    try:
        filled = filled_request(template, value_of)
    except TemplateRefused as refused:
        raise FixtureRefused(f"request: {text.splitlines()[0]}: {refused}") from None
    signs = supplier(stage, deed.get("signed_by", name))
    data = Signer(stage.key(signs.name)).sign(filled.root)
    if "altered" in deed:
        before, after = deed["altered"]
        if data.count(before.encode()) != 1:
            raise FixtureRefused(f"altered: {before!r} stands there {data.count(before.encode())} times, not once")
        data = data.replace(before.encode(), after.encode())
    service = str(deed.get("service", stage.service_for(filled.command_variant)))
    return send_request(stage, name, data, request_id=filled.request_id, service=service, media_type=media_type)


def template_of(fixture: Fixture, text: str) -> bytes:
    """A request that stands in the fixture, or in a file beside it, byte for byte; raises FixtureRefused."""
    if text.lstrip().startswith("<"):
        return text.encode()
    try:
        return (fixture.path.parent / text).read_bytes()
    except OSError as error:
        raise FixtureRefused(f"request: {text}: {error.strerror}") from None


def repeated(stage: Stage, deed: Table) -> Posted:
    """The very bytes of an earlier step once more."""
    before = stage.exchanged.get(deed["again"])
    if before is None:
        raise FixtureRefused(f"again: step {deed['again']} sent no request")
    service, media_type = str(deed.get("service", before.service)), str(deed.get("media_type", XML))
    return send_request(
        stage,
        deed["supplier"],
        before.request,
        request_id=before.request_id,
        service=service,
        media_type=media_type,
    )


def rendered(stage: Stage, value: Any) -> str:
    """A value of `with` as it stands in a message: names of devices in lists are ids there."""
    if isinstance(value, list):
        return ",".join(device_named(stage.fixture, str(one)) or rendered(stage, one) for one in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | Decimal):
        return str(value)
    return OPEN.sub(lambda found: _referred_or_refused(stage, found[1]), str(value))


def referred(stage: Stage, word: str) -> str | None:
    """What a word in braces stands for, wherever it stands: a device, a time, what a step was answered."""
    device_id = device_named(stage.fixture, word)
    if device_id is not None:
        return device_id
    if word == "now":
        return xsd_from_utc(stage.now())
    found = _TIME.fullmatch(word)
    if found is not None and len(word) > 1:
        parts = {unit: int(found[unit] or 0) for unit in ("days", "hours", "minutes")}
        length = timedelta(**parts)
        return xsd_from_utc(stage.now() + (length if found["sign"] == "+" else -length))
    kind, _, of = word.partition(" ")
    if kind == "schedule" and of:
        return str(schedule(stage, of))
    if kind == "request" and of.isdecimal() and int(of) in stage.exchanged:
        return stage.exchanged[int(of)].request_id
    return None


def expected_value(stage: Stage, word: str) -> str | None:
    """The same in what is expected, where some things are not known beforehand."""
    if word == "any":
        return ANY
    if word == "now" and not stage.observes:
        # The clock is another's there.
        return ANY
    return referred(stage, word)


def _referred_or_refused(stage: Stage, word: str) -> str:
    found = referred(stage, word)
    if found is None:
        raise TemplateRefused(f"there is no value for {{{word}}}")
    return found


def as_written(stage: Stage, names: Mapping[str, str], text: str) -> str:
    """The text of an answer as `expected_value` reads it: devices by their names, times as far from now as they are."""
    parts = text.split(",")
    if text and all(part in names for part in parts):
        return ",".join(f"{{{names[part]}}}" for part in parts)
    for name, schedule_id in stage.schedules.items():
        if text == str(schedule_id):
            return f"{{schedule {name}}}"
    return _relative(stage, text)


def _relative(stage: Stage, text: str) -> str:
    now = stage.now()
    if text == xsd_from_utc(now):
        return "{now}"
    for word in _words_for(stage, text):
        if referred(stage, word) == text:
            return f"{{{word}}}"
    return text


def _words_for(stage: Stage, text: str) -> list[str]:
    if "T" not in text or not text.endswith("Z"):
        return []
    try:
        apart = utc_from_xsd(text) - stage.now()
    except ValueError:
        return []
    sign, length = ("-", -apart) if apart < timedelta(0) else ("+", apart)
    hours, rest = divmod(length.seconds, 3600)
    parts = [f"{length.days}d" if length.days else "", f"{hours}h" if hours else "", f"{rest // 60}m" if rest else ""]
    return [sign + "".join(parts)]
