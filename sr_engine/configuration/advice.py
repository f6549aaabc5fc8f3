"""What somebody is told who was refused something, in console or sheet (`advice.toml`): complete, or not used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sr_engine.configuration import values
from sr_engine.configuration.reader import ConfigurationError, Key, Named, Place, Table, read_file
from sr_engine.configuration.response_codes import ResponseCode
from sr_engine.configuration.shipped import own_or_shipped
from sr_engine.messages.model import RefusalReason

ADVICE_FILE = "advice.toml"
ANSWERED_HERE = frozenset({"11.5", "11.6", "11.8", "11.9"})
"""ServiceReferenceVariants of what is done in the console."""


@dataclass(frozen=True, slots=True)
class RefusalAdvice:
    """Why a hub was not accepted, in a few words, and what to do about it."""

    reason: str
    title: str
    """Why, in a few words."""
    text: str
    """What it means, and what to do about it."""


@dataclass(frozen=True, slots=True)
class CodeAdvice:
    """What to do about an answer with a code."""

    code: str
    text: str
    """What to do about it."""


@dataclass(frozen=True, slots=True)
class Advice:
    """A text for everything that can be refused."""

    refusal: Mapping[str, RefusalAdvice]
    response_code: Mapping[str, CodeAdvice]

    def for_reason(self, reason: RefusalReason) -> RefusalAdvice:
        """What to do about a hub that was not accepted."""
        return self.refusal[reason.value]

    def for_code(self, code: str) -> str:
        """What to do about an answer; empty for one that refuses nothing."""
        found = self.response_code.get(code)
        return "" if found is None else found.text


def load_advice(directory: Path, codes: Mapping[str, ResponseCode]) -> Advice:
    """Read the advice of a folder of configuration; that which is shipped, if it has none.

    Raises ConfigurationError naming every problem, and every reason and code that has no text.
    """
    problems: list[str] = []
    content = read_refusals(directory, problems)
    if content is not None:
        _check_codes(content, codes, Place(ADVICE_FILE, problems).inside("response_code"))
    if content is None or problems:
        raise ConfigurationError(tuple(problems))
    return content


def read_refusals(directory: Path, problems: list[str]) -> Advice | None:
    """The same, with a text for every reason, and whatever codes it has; None if there are problems, which it adds."""
    content = read_file(own_or_shipped(directory, ADVICE_FILE), ADVICE, problems)
    if content is not None:
        _check_reasons(content, Place(ADVICE_FILE, problems).inside("refusal"))
    return content


def _check_reasons(advice: Advice, reasons: Place) -> None:
    for reason in RefusalReason:
        if reason.value not in advice.refusal:
            reasons.inside(reason.value).report("is missing: say what it means and what to do about it")
    for unknown in sorted(advice.refusal.keys() - {reason.value for reason in RefusalReason}):
        reasons.inside(unknown).report("is no reason for which a hub is refused; take it out")


def _check_codes(advice: Advice, codes: Mapping[str, ResponseCode], texts: Place) -> None:
    wanted = {
        one.code
        for one in codes.values()
        if not one.reserved and one.code[0] != "I" and (not one.sr or one.sr & ANSWERED_HERE)
    }
    for code in sorted(wanted - advice.response_code.keys()):
        texts.inside(code).report("is missing: say what to do about it")
    for code in sorted(advice.response_code.keys() - codes.keys()):
        texts.inside(code).report("is not in response_codes.toml; take it out")


ADVICE = Table(
    Advice,
    Key(
        "refusal",
        Named(
            Table(RefusalAdvice, Key("title", values.text()), Key("text", values.text())),
            "reason",
            values.text(),
        ),
    ),
    Key(
        "response_code",
        Named(Table(CodeAdvice, Key("text", values.text())), "code", values.text()),
    ),
)
