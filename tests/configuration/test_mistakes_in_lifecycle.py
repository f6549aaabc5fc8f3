"""What is wrong in lifecycle.toml is said with its key."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Edit = Callable[[str, str, str], None]
Problems = Callable[[], tuple[str, ...]]

LIFECYCLE = "lifecycle.toml"
MISTAKES = [
    (
        '[state.Voided]\nkind = "ended"',
        '[state.Voided]\nkind = "open"',
        'state.Voided.kind: must be "ended": the product depends on it',
    ),
    (
        '[state.Listed]\nkind = "csp"\nrefusal = "08"',
        '[state.Listed]\nkind = "csp"',
        "state.Listed.refusal: is missing",
    ),
    (
        '[state.Listed]\nkind = "csp"\nrefusal = "08"',
        '[state.Listed]\nkind = "csp"\nrefusal = "09"',
        "state: refusal must be one number in all of them, not 08 and 09",
    ),
    (
        '[state.Failed]\nkind = "ended"',
        '[state.Failed]\nkind = "ended"\nrefusal = "08"',
        "state.Failed.refusal: must be left out: only what is with the CSP refuses",
    ),
    (
        'from = ["Scheduled"]\nto = "Listed"',
        'from = ["Failed"]\nto = "Listed"',
        "event.listed.from: Failed has ended: the only way on from there is to Activated",
    ),
    (
        'from = ["none"]\nto = "AwaitingApproval"',
        'from = ["none"]\nto = "same"',
        'event.requested.to: cannot be "same" where from holds "none"',
    ),
    (
        'to = "AwaitingApproval"\nmeaning = "An approval',
        'to = "AwaitingApproval"\nunless_alone = true\nmeaning = "An approval',
        "event.disagreed.unless_alone: must be left out where nobody is told anything",
    ),
    ("[event.overdue]", "[event.late]", "event.late: must be one of"),
    ('from = ["Listed"]\nto = "Accepted"', 'from = []\nto = "Accepted"', "event.accepted.from: must be a list of at"),
]


@pytest.mark.parametrize(("old", "new", "message"), MISTAKES, ids=[mistake[2][:50] for mistake in MISTAKES])
def test_a_mistake_is_named_with_its_key(old: str, new: str, message: str, edit: Edit, problems: Problems) -> None:
    edit(LIFECYCLE, old, new)

    assert any(problem.startswith(f"{LIFECYCLE}: {message}") for problem in problems()), problems()


SUPERSEDED = """\
[event.superseded]
from = ["AwaitingApproval", "Scheduled"]
to = "Cancelled"
alert = "hub_cancelled"
meaning = "The hub runs the firmware: an earlier attempt succeeded after all."
"""


def test_an_event_that_is_left_out_is_named(edit: Edit, problems: Problems) -> None:
    edit(LIFECYCLE, SUPERSEDED, "")

    assert problems() == (f"{LIFECYCLE}: event.superseded: is missing; the product needs its table",)
