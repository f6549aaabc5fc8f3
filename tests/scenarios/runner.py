"""Plays a story step by step and compares what happens with what the story says, in words a reader of it knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sr_engine.messages.model import CommsHubUpgrade, Period, ReadCommsHubFirmwareSchedule, ScheduleRead
from tests.scenarios.actions import Outcome, perform
from tests.scenarios.stage import Sent, Stage, Theatre
from tests.scenarios.story import MOMENT, Step, Story, StoryRefused

NOTHING = "nothing"
Facts = dict[str, Any]
"""What is said, by what it is about."""


class StoryFailed(AssertionError):
    """The product did something else than the story says; the text tells the difference."""


def play(story: Story, theatre: Theatre) -> None:
    """Raises StoryFailed at the first step that ends otherwise, StoryRefused for one that cannot be played."""
    __tracebackhide__ = True
    with theatre.stage(story) as stage:
        states = dict.fromkeys(story.hubs, "none")
        versions = stage.versions()
        for step in story.steps:
            stage.sent = Sent()
            stage.pass_time(step.at)
            try:
                outcome = perform(stage, step.deed)
                stage.deliver()
                states |= story.of_each(step.expected.get("state", {}))
                versions |= story.of_each(step.expected.get("runs", {}))
                expected = _expected(story, step, states, versions)
                happened = _happened(stage, step, outcome)
            except StoryRefused as refused:
                raise StoryRefused(f"{_title(story, step)}\n  {refused}") from None
            _compare(story, step, expected, happened)


def _expected(story: Story, step: Step, states: Mapping[str, str], versions: Mapping[str, str]) -> Facts:
    said = step.expected
    hubs = {f"refused as {reason}": names for reason, names in said.get("refused", {}).items()}
    for supplier, events in said.get("told", {}).items():
        hubs |= {_told(supplier, event): names for event, names in events.items()}
    for region, nights in said.get("listed", {}).items():
        hubs |= {_listed(region, night): names for night, names in nights.items()}
    for region, nights in said.get("listed_again", {}).items():
        hubs |= {_listed(region, night, again=True): names for night, names in nights.items()}
    views: Facts = {}
    for supplier, of_hub in said.get("shows", {}).items():
        for hub, view in of_hub.items():
            views |= _shown(supplier, hub, view)
    return {
        **{name: said.get(name) for name in ("answer", "refusal", "devices")},
        **{f"{regime}, compared": counts for regime, counts in said.get("compared", {}).items()},
        **{about: story.in_words(story.hubs_named(names)) for about, names in hubs.items()},
        **{f"state of {hub}": state for hub, state in states.items()},
        **{f"firmware of {hub}": version for hub, version in versions.items()},
        **views,
    }


def _happened(stage: Stage, step: Step, outcome: Outcome) -> Facts:
    sent = stage.sent
    hubs = {
        **{f"refused as {reason}": keys for reason, keys in outcome.refused.items()},
        **{_told(supplier, event): keys for (supplier, event), keys in sent.told.items()},
        **{_listed(region, night): keys for (region, night), keys in sent.listed.items()},
        **{_listed(region, night, again=True): keys for (region, night), keys in sent.listed_again.items()},
    }
    return {
        "answer": outcome.answer,
        "refusal": _named_words(step.expected.get("refusal"), outcome.refusal),
        "devices": outcome.devices,
        **{f"{regime}, compared": counts for regime, counts in outcome.compared.items()},
        **{about: stage.story.in_words(keys) for about, keys in hubs.items()},
        **{f"state of {hub}": state for hub, state in stage.states().items()},
        **{f"firmware of {hub}": version for hub, version in stage.versions().items()},
        **_views(stage, step),
    }


def _views(stage: Stage, step: Step) -> Facts:
    """What 11.7 shows, of what the story speaks of; status and both answers belong to each."""
    facts: Facts = {}
    for supplier, hubs in step.expected.get("shows", {}).items():
        for hub, view in hubs.items():
            plan = None if isinstance(view, str) else view.get("in_plan")
            seen = _shown(supplier, hub, _view(stage, supplier, hub, plan))
            wanted = _shown(supplier, hub, view).keys() | {
                _about(supplier, hub, name) for name in ("", "status", "own", "other")
            }
            facts |= {about: value for about, value in seen.items() if about in wanted}
    return facts


def _told(supplier: str, event: str) -> str:
    return f"told {supplier}, {event}"


def _listed(region: str, night: str, *, again: bool = False) -> str:
    return f"list {'sent again to' if again else 'of'} {region}, {night}"


def _named_words(wanted: str | None, refusal: str | None) -> str | None:
    """The words a story looks for, if the refusal holds them, else the whole refusal."""
    return wanted if wanted is not None and refusal is not None and wanted in refusal else refusal


def _about(supplier: str, hub: str, name: str) -> str:
    return f"11.7 shows {supplier} of {hub}{f', {name}' if name else ''}"


def _shown(supplier: str, hub: str, view: Mapping[str, Any] | str) -> Facts:
    if isinstance(view, str):
        return {_about(supplier, hub, ""): view}
    return {_about(supplier, hub, name): value for name, value in view.items()}


def _view(stage: Stage, supplier: str, hub: str, plan: str | None) -> dict[str, Any] | str:
    """What 11.7 answers: the code where it is a refusal, else the newest release, or how the hub stands in a plan."""
    (hub_id,) = stage.ids([hub])
    body = ReadCommsHubFirmwareSchedule(device_id=hub_id)
    if plan is not None:
        body = ReadCommsHubFirmwareSchedule(schedule_id=stage.schedule(plan))
    world = stage.world
    answer = world.post(world.signed(stage.supplier(supplier), body, "11.7"))
    stage.check_privacy(supplier, answer.body)
    decoded = world.decoded(answer)
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


def _title(story: Story, step: Step) -> str:
    return f"{story.name}, step {step.number}, {step.at.strftime(MOMENT)}: {step.says}"


def _compare(story: Story, step: Step, expected: Facts, happened: Facts) -> None:
    __tracebackhide__ = True
    differences = [
        f"  {about}\n    the story says: {_or_nothing(expected.get(about))}\n"
        f"    what happened:  {_or_nothing(happened.get(about))}"
        for about in {**expected, **happened}
        if expected.get(about) != happened.get(about)
    ]
    if differences:
        raise StoryFailed("\n".join([_title(story, step), *differences]))


def _or_nothing(value: Any) -> str:
    return NOTHING if value is None else str(value)
