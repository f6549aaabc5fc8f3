"""Plays a fixture step by step and compares what happens with what it says, in words a reader of it knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from signing import Signer
from sr_engine.messages.compose import build_request
from sr_engine.messages.model import CommsHubUpgrade, Period, ReadCommsHubFirmwareSchedule, ScheduleRead
from sr_engine.messages.reading import body_of, expected_body
from sr_engine.messages.template import TemplateRefused
from sr_engine.replay.deeds import Outcome, perform
from sr_engine.replay.fixture import Fixture, FixtureRefused, Step
from sr_engine.replay.reading_alerts import WrongAlert
from sr_engine.replay.requests import ANY, expected_value
from sr_engine.replay.shapes import MOMENT
from sr_engine.replay.stage import NotSigned, Posted, SecretTold, Sent, Stage, check_privacy, ids, schedule, supplier

NOTHING = "nothing"
HTTP_OK = 200
_BODY = "body, "
_LISTS = 5
"""Ids that a list of what differs names, at most."""
Facts = dict[str, Any]
"""What is said, by what it is about."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that is not as the fixture says."""

    about: str
    says: str
    happened: str


@dataclass(frozen=True, slots=True)
class Played:
    """A step as it went."""

    step: Step
    outcome: Outcome
    sent: Sent
    states: dict[str, str]
    versions: dict[str, str]
    changed_states: dict[str, str]
    """Those that are otherwise than after the step before."""
    changed_versions: dict[str, str]
    views: Facts = field(default_factory=dict)


class FixtureFailed(AssertionError):
    """The processor did something else than the fixture says; the text tells the difference."""

    def __init__(self, fixture: Fixture, step: Step, differences: tuple[Difference, ...]) -> None:
        self.fixture, self.step, self.differences = fixture, step, differences
        lines = [title(fixture, step)]
        for one in differences:
            lines += [f"  {one.about}", f"    the fixture says: {one.says}", f"    what happened:    {one.happened}"]
        super().__init__("\n".join(lines))


def play(fixture: Fixture, stage: Stage) -> None:
    """Raises FixtureFailed at the first step that ends otherwise, FixtureRefused for one that cannot be played."""
    __tracebackhide__ = True
    stage.begin()
    states, versions = stage.states(), stage.versions()
    for step in fixture.steps:
        try:
            played = take(fixture, step, stage, states, versions)
            states |= fixture.of_each(step.expected.get("state", {}))
            versions |= fixture.of_each(step.expected.get("runs", {}))
            expected = _expected(stage, played, states, versions)
            happened = _happened(stage, played, states, versions)
        except (FixtureRefused, TemplateRefused) as refused:
            raise FixtureRefused(f"{title(fixture, step)}\n  {refused}") from None
        differences = tuple(_differences(expected, happened))
        if differences:
            raise FixtureFailed(fixture, step, differences)


def take(fixture: Fixture, step: Step, stage: Stage, states: Mapping[str, str], versions: Mapping[str, str]) -> Played:
    """Take one step; `states` and `versions` are those after the step before.

    Raises FixtureFailed if something is sent that is right in no fixture, FixtureRefused for what nobody can do.
    """
    stage.sent = Sent()
    try:
        stage.pass_time(step.at)
        stage.step = step.number
        outcome = perform(stage, step.deed)
        stage.deliver()
        seen = views(fixture, stage, step)
    except (SecretTold, WrongAlert, NotSigned) as wrong:
        raise FixtureFailed(fixture, step, (Difference("what was sent", "what is right", str(wrong)),)) from None
    now_states, now_versions = stage.states(), stage.versions()
    return Played(
        step,
        outcome,
        stage.sent,
        now_states,
        now_versions,
        {name: state for name, state in now_states.items() if states.get(name, "none") != state},
        {name: version for name, version in now_versions.items() if versions.get(name, "unknown") != version},
        seen,
    )


def title(fixture: Fixture, step: Step) -> str:
    """A step as it is named where something is said of it."""
    return f"{fixture.name}, step {step.number}, {step.at.strftime(MOMENT)}: {step.says or fixture.title}"


# --- what the fixture says ---


def _expected(stage: Stage, played: Played, states: Mapping[str, str], versions: Mapping[str, str]) -> Facts:
    fixture, step = stage.fixture, played.step
    said = step.expected
    own: Facts = {name: said.get(name) for name in ("answer", "refusal", "devices", "detail")}
    own["HTTP status"] = said.get("status", HTTP_OK if "supplier" in step.deed else None)
    own |= {f"{regime}, compared": counts for regime, counts in said.get("compared", {}).items()}
    own |= {f"refused as {one}": _named(fixture, names) for one, names in said.get("refused", {}).items()}
    if "as_before" in said:
        own["the same bytes as before"] = said["as_before"]
    if "body" in said:
        try:
            body = expected_body(_text_of(fixture, said["body"]), lambda word: expected_value(stage, word))
        except TemplateRefused as refused:
            raise FixtureRefused(f"body: {refused}") from None
        own |= {f"{_BODY}{path}": text for path, text in body.items()}
    for name, of_hub in said.get("shows", {}).items():
        for hub, view in of_hub.items():
            own |= _shown(name, hub, view)
    if not stage.observes:
        return own
    for name, events in said.get("told", {}).items():
        own |= {_told(name, event): _named(fixture, names) for event, names in events.items()}
    for name, codes in said.get("responses", {}).items():
        own[_responses(name)] = ", ".join(codes)
    for key, again in (("listed", False), ("listed_again", True)):
        for region, nights in said.get(key, {}).items():
            own |= {_listed(region, night, again=again): _named(fixture, names) for night, names in nights.items()}
    return own | _of_hubs(states, played.states, "state of") | _of_hubs(versions, played.versions, "firmware of")


def _of_hubs(these: Mapping[str, str], those: Mapping[str, str], what: str) -> Facts:
    """What is said of hubs of which something else was said."""
    return {f"{what} {hub}": said for hub, said in these.items() if those.get(hub) != said}


def _named(fixture: Fixture, names: list[str]) -> str:
    """Hubs by their names; other devices, and what else an alert may be about, as they stand there."""
    homes, groups = fixture.given.homes, fixture.given.groups
    found = [one for name in names for one in (groups.get(name) or (name,))]
    if unknown := [one for one in found if one not in homes and " " not in one and "-" not in one]:
        raise FixtureRefused(f"hub {unknown[0]!r} is not given")
    return fixture.in_words(found)


def _text_of(fixture: Fixture, body: str) -> str:
    """A body that stands in the fixture, or in a file beside it."""
    if not body.strip() or body.lstrip().startswith("<"):
        return body
    try:
        return (fixture.path.parent / body).read_text("utf-8")
    except OSError as error:
        raise FixtureRefused(f"body: {body}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise FixtureRefused(f"body: {body}: is not UTF-8") from None


# --- what happened ---


def _happened(stage: Stage, played: Played, states: Mapping[str, str], versions: Mapping[str, str]) -> Facts:
    fixture, said, outcome = stage.fixture, played.step.expected, played.outcome
    posted = outcome.posted
    own: Facts = {"answer": outcome.answer, "devices": outcome.devices}
    own["refusal"] = _words(said.get("refusal"), outcome.refusal)
    own["detail"] = None if "detail" not in said or posted is None else _words(said["detail"], posted.detail)
    own["HTTP status"] = None if posted is None else _status(posted, wanted=said.get("status", HTTP_OK))
    own |= {f"{regime}, compared": counts for regime, counts in outcome.compared.items()}
    own |= {f"refused as {reason}": fixture.in_words(names) for reason, names in outcome.refused.items()}
    if "as_before" in said and posted is not None:
        before = stage.exchanged.get(played.step.deed.get("again", 0))
        own["the same bytes as before"] = before is not None and before.answer.body == posted.body
    if "body" in said and posted is not None and posted.status == HTTP_OK:
        own |= {f"{_BODY}{path}": text for path, text in body_of(posted.body).items()}
    own |= played.views
    if not stage.observes:
        return own
    sent = played.sent
    own |= {_told(name, event): fixture.in_words(hubs) for (name, event), hubs in sent.told.items()}
    own |= {_responses(name): ", ".join(codes) for name, codes in sent.responses.items()}
    own |= {_listed(region, night): fixture.in_words(hubs) for (region, night), hubs in sent.listed.items()}
    again = sent.listed_again.items()
    own |= {_listed(region, night, again=True): fixture.in_words(hubs) for (region, night), hubs in again}
    return own | _of_hubs(played.states, states, "state of") | _of_hubs(played.versions, versions, "firmware of")


def views(fixture: Fixture, stage: Stage, step: Step) -> Facts:
    """What 11.7 shows, of what the step speaks of; status and both answers belong to each."""
    facts: Facts = {}
    for name, hubs in step.expected.get("shows", {}).items():
        for hub, view in hubs.items():
            plan = None if isinstance(view, str) else view.get("in_plan")
            seen = _shown(name, hub, _view(fixture, stage, name, hub, plan))
            wanted = _shown(name, hub, view).keys() | {_about(name, hub, one) for one in ("", "status", "own", "other")}
            facts |= {about: value for about, value in seen.items() if about in wanted}
    return facts


def _view(fixture: Fixture, stage: Stage, name: str, hub: str, plan: str | None) -> dict[str, Any] | str:
    """What 11.7 answers: the code where it is a refusal, else the newest release, or how the hub stands in a plan."""
    (hub_id,) = ids(stage, [hub])
    seed = supplier(stage, name)
    body = ReadCommsHubFirmwareSchedule(device_id=hub_id)
    if plan is not None:
        body = ReadCommsHubFirmwareSchedule(schedule_id=schedule(stage, plan))
    root = build_request(
        schema_version="5.4",
        request_id=f"{seed.eui}:{stage.broker()}:{stage.counter()}",
        command_variant=8,
        service_reference="11.7",
        service_reference_variant="11.7",
        body=body,
    )
    data = Signer(stage.key(seed.name)).sign(root)
    answer = stage.post(f"/api/v1/{stage.service_for(8)}", data, {"Content-Type": "application/xml"})
    check_privacy(fixture, name, answer.body)
    decoded = stage.decoded(answer.body)
    if not isinstance(decoded.result, ScheduleRead):
        return decoded.code
    shown = [_in_words(upgrade) for upgrade in decoded.result.upgrades if upgrade.device_id == hub_id]
    return {**shown[0], "in_plan": plan} if shown else NOTHING


def _in_words(shown: CommsHubUpgrade) -> dict[str, Any]:
    return {
        "status": shown.status.value,
        "own": shown.own_approval.value,
        "other": shown.other_approval.value,
        "window": _period(shown.window),
        "night": _period(shown.period),
        "reason": shown.status_reason or NOTHING,
        "attempt": shown.attempt or 0,
        "version": shown.firmware.version,
    }


def _period(period: Period | None) -> list[str] | str:
    return NOTHING if period is None else [period.start.strftime(MOMENT), period.end.strftime(MOMENT)]


def _told(name: str, event: str) -> str:
    return f"told {name}, {event}"


def _responses(name: str) -> str:
    return f"Responses sent to {name}"


def _listed(region: str, night: str, *, again: bool = False) -> str:
    return f"list {'sent again to' if again else 'of'} {region}, {night}"


def _status(posted: Posted, *, wanted: int) -> int | str:
    """The HTTP status, and the reason for one that nobody wanted."""
    return f"{posted.status}: {posted.detail}" if posted.status != wanted and posted.detail else posted.status


def _words(wanted: str | None, said: str | None) -> str | None:
    """The words a fixture looks for, if what was said holds them, else all that was said."""
    return wanted if wanted is not None and said is not None and wanted in said else said


def _about(name: str, hub: str, what: str) -> str:
    return f"11.7 shows {name} of {hub}{f', {what}' if what else ''}"


def _shown(name: str, hub: str, view: Mapping[str, Any] | str) -> Facts:
    if isinstance(view, str):
        return {_about(name, hub, ""): view}
    return {_about(name, hub, what): value for what, value in view.items()}


# --- comparing ---


def _differences(expected: Facts, happened: Facts) -> list[Difference]:
    found = []
    for about in {**expected, **happened}:
        says, was = expected.get(about), happened.get(about)
        drawn = says == ANY and was is not None and about.startswith(_BODY)
        if says != was and not drawn:
            found.append(Difference(about, *_told_apart(says, was)))
    return found


def _told_apart(says: Any, was: Any) -> tuple[str, str]:
    """Both sides; of long lists what one has and the other has not."""
    if not (isinstance(says, str) and isinstance(was, str) and min(says.count(","), was.count(",")) > _LISTS):
        return _or_nothing(says), _or_nothing(was)
    left, right = ([one.strip() for one in text.split(",")] for text in (says, was))
    return _only_in(left, right), _only_in(right, left)


def _only_in(these: list[str], those: list[str]) -> str:
    others = frozenset(those)
    own = [one for one in these if one not in others]
    shown = ", ".join(own[:_LISTS]) + (f" and {len(own) - _LISTS} more" if len(own) > _LISTS else "")
    return f"{len(these)} of them" + (f", among them {shown}" if own else "")


def _or_nothing(value: Any) -> str:
    return NOTHING if value is None else str(value)
