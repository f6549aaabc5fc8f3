"""Groups of rows carried out: as acts of a Supplier that is signed in, or as signed Service Requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sr_engine.client import AnswerRefused, Client, ClientError
from sr_engine.configuration import Spreadsheets
from sr_engine.pipeline.acting import Act, ActAnswer, Channel, KeyUsedBefore, NotTaken
from sr_engine.spreadsheets.groups import Group
from sr_engine.spreadsheets.outcomes import (
    RowOutcome,
    outcomes_of_act,
    outcomes_of_answer,
    outcomes_of_failure,
)
from sr_engine.spreadsheets.sent import SentRequests


@dataclass(frozen=True, slots=True)
class GroupOutcome:
    """What became of one group, as a whole and row by row."""

    group: Group
    code: str | None
    """None if there is no answer."""
    detail: str
    rows: dict[int, RowOutcome]
    repeated: bool = False


def act_of(group: Group, *, account: str, user_eui: str) -> Act:
    """The act that a group is, for whoever is signed in; it is done once, however often it is asked for."""
    return Act(Channel.SHEET, account, user_eui, group.key, group.body)


def taken(group: Group, answer: ActAnswer, spreadsheets: Spreadsheets, *, preview: bool = False) -> GroupOutcome:
    """What an act was answered, or would be, as what became of its group."""
    rows = outcomes_of_act(group, answer, spreadsheets, preview=preview)
    return GroupOutcome(group, answer.code, answer.detail, rows, answer.repeated)


def acted(
    groups: Sequence[Group],
    do: Callable[[Act], ActAnswer],
    spreadsheets: Spreadsheets,
    *,
    account: str,
    user_eui: str,
    preview: bool = False,
) -> Iterator[GroupOutcome]:
    """Carry groups out one after another; `do` executes an act in a transaction of its own, or previews it."""
    for group in groups:
        try:
            answer = do(act_of(group, account=account, user_eui=user_eui))
        except (NotTaken, KeyUsedBefore) as refused:
            yield GroupOutcome(group, None, str(refused), outcomes_of_failure(group, str(refused)))
        else:
            yield taken(group, answer, spreadsheets, preview=preview)


def sent(
    groups: Sequence[Group], client: Client, eui: str, kept: SentRequests, spreadsheets: Spreadsheets
) -> Iterator[GroupOutcome]:
    """Send groups as signed requests of a User, one after another.

    After one that is not answered no further one is sent. Raises OSError if a request cannot be kept.
    """
    stopped: str | None = None
    for group in groups:
        if stopped is not None:
            yield GroupOutcome(group, None, stopped, outcomes_of_failure(group, stopped))
            continue
        try:
            request = kept.find(group, eui)
            repeated = request is not None
            if request is None:
                request = client.sign(group.body)
                kept.keep(group, eui, request)
            answer = client.submit(request)
        except ClientError as error:
            unknown = isinstance(error, AnswerRefused) or getattr(error, "may_have_been_taken", False)
            advice = "Import the same file again to find out what became of it." if unknown else "Nothing was done."
            why = f"{error}. {advice}"
            stopped = f"Not sent, for an earlier request failed: {error}"
            yield GroupOutcome(group, None, str(error), outcomes_of_failure(group, why))
        else:
            rows = outcomes_of_answer(group, answer, spreadsheets, repeated=repeated)
            yield GroupOutcome(group, answer.response.code, answer.detail, rows, repeated)
