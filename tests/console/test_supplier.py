"""What people of a Supplier see and do in the console, without JavaScript."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from sr_engine.configuration.console import ConsoleRole
from sr_engine.domain.holding import Breach, Thresholds
from sr_engine.messages.model import ApproveCommsHubFirmware, Decision
from sr_engine.operations.quarantine import set_thresholds
from sr_engine.store import audit
from sr_engine.store.proposals import ProposalState
from sr_engine.store.tables import console_accounts, console_proposals, decisions, exchanges, exclusions, schedules
from tests.console.desk import Front, Somebody
from tests.world import FIRMWARE, NOW, A, B, TestHub, edit, reopen

HOMES = (
    TestHub(1),
    TestHub(2),
    TestHub(3, region="North"),
    TestHub(4, electricity=A.name, gas=B.name),
    TestHub(5, electricity=B.name, gas=B.name),
    TestHub(6, status="Pending"),
)
WINDOW = {"window_start": "2026-11-28T00:00", "window_end": "2026-12-13T00:00"}


def opened(front: Front) -> Front:
    """A console of two Suppliers with some hubs and a release for them."""
    front.world.add_hubs(HOMES)
    front.release_id = front.world.open_release()
    front.world.settle()
    front.add()
    return front


@pytest.fixture
def front(fronts: Callable[..., Front]) -> Front:
    return opened(fronts())


def count(front: Front, table) -> int:  # type: ignore[no-untyped-def]
    with front.world.instance.reading_engine.connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(table)) or 0)


def trail(front: Front) -> list[audit.Entry]:
    with front.world.instance.reading_engine.connect() as connection:
        return list(reversed(audit.newest(connection, 100)))


def compose(browser: Somebody, query: str, **values: Any) -> None:
    browser.open(f"/act?{query}")
    browser.send("Show what will happen", **values)


def test_a_release_that_waits_is_the_first_thing_seen_and_is_approved_in_four_steps(front: Front) -> None:
    browser = front.signed_in()
    assert browser.heading == "Releases"
    assert "4 of your 5 hubs wait for your answer" in browser.text
    browser.follow("Answer for them")
    browser.send("Show what will happen", deed="approve")
    assert "4 would be accepted" in browser.text
    assert count(front, decisions) == 0, "nothing is done before it is confirmed"
    browser.send("Do it for 4 hubs")
    assert "Done" in browser.text
    assert "4 accepted" in browser.text
    assert count(front, decisions) == 4
    answers = [one for one in trail(front) if one.action == "answer"]
    assert [len(one.hubs) for one in answers] == [4]
    browser.open("/releases")
    assert "Nothing waits for you" in browser.text


def test_what_is_confirmed_twice_is_done_once(front: Front) -> None:
    browser = front.signed_in()
    compose(browser, f"release={front.release_id}&waiting=yes", deed="approve")
    page = browser.page
    browser.send("Do it for 4 hubs")
    before = count(front, exchanges)
    browser.page = page
    browser.send("Do it for 4 hubs")
    assert "4 accepted" in browser.text
    assert count(front, exchanges) == before
    assert len([one for one in trail(front) if one.action == "answer"]) == 1


def test_a_schedule_shows_what_is_refused_and_what_to_do_about_it(front: Front) -> None:
    browser = front.signed_in()
    compose(browser, f"release={front.release_id}", deed="schedule", **WINDOW)
    assert "4 would be accepted" in browser.text
    assert "1 would be refused" in browser.text
    assert "Not in use" in browser.text
    assert "come back to it once it is commissioned" in browser.text
    browser.send("Do it for 4 hubs")
    assert count(front, schedules) == 1
    browser.follow("Show schedule")


def test_what_would_cross_an_anomaly_threshold_is_said_before_it_is_confirmed(front: Front) -> None:
    front.world.run(lambda uow: set_thresholds(uow, A.eui, Breach.DCC, Thresholds(None, 0)))
    ann = front.signed_in()

    compose(ann, f"release={front.release_id}&waiting=yes", deed="approve")

    assert "threshold" in ann.main
    assert "ask the DCC to raise the limit" in ann.main


def test_a_form_that_lacks_something_says_what(front: Front) -> None:
    browser = front.signed_in()
    compose(browser, f"release={front.release_id}", deed="schedule", window_start="", window_end="")
    assert browser.page.status_code == 422
    assert "Choose a date and time" in browser.text
    compose(browser, f"release={front.release_id}", deed="schedule", window_start="2026-10-25T01:30", window_end="")
    assert "comes twice" in browser.text
    compose(browser, f"release={front.release_id}", deed="defer", until="2027-03-28T01:30")
    assert "the clocks go forward then" in browser.text
    compose(browser, f"release={front.release_id}", deed="defer", until="9999-12-31T23:59-05:00")
    assert "the year 9999 cannot be meant" in browser.text
    compose(browser, f"release={front.release_id}", deed="defer", until="0001-01-01T00:00+05:00")
    assert browser.page.status_code == 422
    assert count(front, console_proposals) == 0


def test_a_selection_that_has_changed_is_looked_at_again_before_anything_is_done(front: Front) -> None:
    browser = front.signed_in()
    compose(browser, f"release={front.release_id}&waiting=yes", deed="decline")
    body = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (HOMES[0].chf,))
    front.world.send(A, body, "11.6")
    browser.send("Do it for 4 hubs")
    assert "Other hubs are selected by now" in browser.text
    assert "When you looked there were 4, now there are 3" in browser.text
    assert count(front, decisions) == 1
    browser.send("Do it for 3 hubs")
    assert "3 accepted" in browser.text
    assert count(front, decisions) == 4


def test_a_second_press_of_the_button_confirms_nothing_that_was_not_looked_at(front: Front) -> None:
    browser = front.signed_in()
    compose(browser, f"release={front.release_id}&waiting=yes", deed="decline")
    looked_at = browser.page
    body = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (HOMES[0].chf,))
    front.world.send(A, body, "11.6")
    for _ in range(2):
        browser.page = looked_at
        browser.send("Do it for 4 hubs")
        assert count(front, decisions) == 1
    assert "It has changed since you looked" in browser.text
    browser.send("Do it for 3 hubs")
    assert count(front, decisions) == 4


def test_one_hub_is_excluded_and_included_again(front: Front) -> None:
    browser = front.signed_in()
    browser.open(f"/hubs/{HOMES[0].chf}")
    browser.follow("Do something for it")
    browser.send("Show what will happen", deed="exclude", exclude_until="2027-01-31T00:00")
    browser.send("Do it for 1 hub")
    assert count(front, exclusions) == 1
    browser.open(f"/hubs/{HOMES[0].chf}")
    assert "Excluded" in browser.text
    assert "You keep it out of upgrades" in browser.text
    compose(browser, f"hubs={HOMES[0].chf}", deed="include")
    browser.send("Do it for 1 hub")
    assert count(front, exclusions) == 0


def test_whoever_is_suspended_sees_what_was_sent_to_them_and_nothing_else(fronts: Callable[..., Front]) -> None:
    front = opened(fronts())
    front.add("bert", B.name)
    users = front.world.directory / "users.toml"
    edit(users, f'id = "{A.name}"\nstatus = "Active"', f'id = "{A.name}"\nstatus = "Suspended"')
    front.world = reopen(front.world)
    front.__post_init__()
    ann = front.somebody()
    ann.sign_in()
    for path in ("/releases", "/hubs", "/calendar", "/schedules", "/export/hubs", f"/hubs/{HOMES[0].chf}"):
        assert ann.open(path).status_code == (200 if path == "/calendar" else 403), path
        assert HOMES[0].chf not in ann.page.text.replace(path, "")
    ann.open("/releases")
    assert "Your organisation is suspended" in ann.text
    ann.follow("Alerts")
    assert "Release opened" in ann.text
    assert ann.open(f"/act?hubs={HOMES[0].chf}&release={front.release_id}").status_code == 403
    compose(ann, f"hubs={HOMES[0].chf}", deed="exclude")
    assert "is suspended" in ann.text
    assert front.signed_in("bert").open("/releases").status_code == 200


def test_a_page_that_is_asked_for_in_another_way_says_in_which_it_can_be(front: Front) -> None:
    answer = front.signed_in().client.post("/console/hubs", data={})
    assert (answer.status_code, set(answer.headers["allow"].split(", "))) == (405, {"GET", "HEAD"})


def test_hubs_of_others_are_as_if_they_were_not_there(front: Front) -> None:
    browser = front.signed_in()
    foreign, unknown = HOMES[4].chf, "00-00-5E-EF-C0-FF-FF-FF"
    for hub_id in (foreign, unknown):
        assert browser.open(f"/hubs/{hub_id}").status_code == 404
        compose(browser, f"hubs={hub_id}&release={front.release_id}", deed="approve")
        assert "0 would be accepted" in browser.text
    browser.open("/hubs")
    assert foreign not in browser.text
    assert B.name not in browser.text


def test_of_a_split_home_the_other_side_s_answer_is_shown_and_nothing_more(front: Front) -> None:
    hub_id = HOMES[3].chf
    front.world.send(B, ApproveCommsHubFirmware(FIRMWARE, Decision.DECLINE, (hub_id,)), "11.6")
    browser = front.signed_in()
    browser.open(f"/hubs/{hub_id}")
    assert "Other Supplier's answer Declined" in browser.text
    assert "split home" in browser.text
    assert B.name not in browser.page.text
    assert B.eui not in browser.page.text
    browser.open(f"/hubs/{HOMES[0].chf}")
    assert "Other Supplier" not in browser.text


def test_hubs_are_found_by_filter_and_listed_page_by_page(fronts: Callable[..., Front]) -> None:
    short = lambda place: edit(place / "config" / "console.toml", "rows = 50 ", "rows = 10 ")  # noqa: E731
    front = opened(fronts(short))
    front.world.add_hubs(TestHub(number) for number in range(100, 115))
    browser = front.signed_in()
    found: list[str] = []
    browser.open(f"/hubs?release={front.release_id}&region=Central")
    while True:
        found += [one.text_content() for one in browser.tree.xpath("//tbody//a[contains(@class, 'mono')]")]
        if "Next page" not in browser.text:
            break
        browser.follow("Next page")
    assert len(found) == len(set(found)) == 19
    browser.open("/hubs?id=00005eefc000000")
    assert len(browser.tree.xpath("//tbody/tr")) == 5
    browser.open("/hubs?state=Scheduled")
    assert "Choose a release" in browser.text
    browser.open(f"/hubs?release={front.release_id}&state=Scheduled")
    assert "No hub of yours is like that" in browser.text


def test_whoever_may_only_look_can_do_nothing(front: Front) -> None:
    front.add("vera", roles=())
    browser = front.signed_in("vera")
    assert "Answer for them" not in browser.text
    assert browser.open(f"/act?release={front.release_id}").status_code == 403
    author = front.signed_in()
    compose(author, f"release={front.release_id}&waiting=yes", deed="approve")
    browser.open(author.path.removeprefix("/console"))
    assert "Do it for" not in browser.text
    token = browser.tree.xpath("//input[@name='csrf']")[0].get("value")
    assert browser.client.post(f"{author.path}/confirm", data={"csrf": token}).status_code == 403
    assert count(front, decisions) == 0


def test_another_organisation_sees_none_of_it(front: Front) -> None:
    front.add("bert", B.name)
    author, other = front.signed_in(), front.signed_in("bert")
    compose(author, f"release={front.release_id}&waiting=yes", deed="approve")
    path = author.path.removeprefix("/console")
    assert other.open(path).status_code == 404
    assert other.open(f"{path}/live").status_code == 204
    assert "Nothing has been done here yet" in (other.open("/proposals"), other.text)[1]


def test_a_release_that_does_not_concern_a_supplier_is_as_if_it_were_not_there(front: Front) -> None:
    of_another_model = front.world.open_release(replace(FIRMWARE, model="C1A2FFFF"))
    ann = front.signed_in()

    for path in ("/", "/hubs", "/sheets", f"/releases/{front.release_id}"):
        assert ann.open(path).status_code == 200
        assert "C1A2FFFF" not in ann.page.text, path
    for path in ("/releases/{}", "/hubs?release={}", "/act?release={}&waiting=yes", "/sheets/template?release={}"):
        seen, nothing = (ann.open(path.format(one)).status_code for one in (of_another_model, "0" * 32))
        assert seen == nothing == 404, path


def four_eyes(directory: Path) -> None:
    console = directory / "config" / "console.toml"
    edit(console, "four_eyes = false", "four_eyes = true")
    edit(console, "four_eyes_above = 1000 ", "four_eyes_above = 2 ")


def test_above_a_number_of_hubs_somebody_else_confirms(fronts: Callable[..., Front]) -> None:
    front = opened(fronts(four_eyes))
    front.add("bob", roles=(ConsoleRole.APPROVE,))
    ann, bob = front.signed_in(), front.signed_in("bob")
    compose(ann, f"release={front.release_id}&waiting=yes", deed="approve")
    ann.send("Ask a second person to confirm")
    assert "It waits for a second person" in ann.text
    assert "Confirm it" not in ann.text, "nobody confirms what they want themselves"
    assert count(front, decisions) == 0
    bob.open("/releases")
    assert "1 action waits for a second person" in bob.text
    bob.follow("Look at them")
    bob.follow("Approve: all hubs that wait for your answer")
    bob.send("Confirm it")
    assert "4 accepted" in bob.text
    assert count(front, decisions) == 4
    records = [(one.actor, one.action) for one in trail(front) if one.action.startswith("proposal")]
    assert records == [("account:ann", "proposal waits"), ("account:bob", "proposal confirmed")]
    compose(ann, f"hubs={HOMES[0].chf}&release={front.release_id}", deed="decline")
    ann.send("Do it for 1 hub")
    assert "1 accepted" in ann.text, "few hubs need no second person"


def test_a_second_person_confirms_what_they_have_looked_at_and_nothing_else(fronts: Callable[..., Front]) -> None:
    front = opened(fronts(four_eyes))
    for login in ("bob", "carol"):
        front.add(login, roles=(ConsoleRole.APPROVE,))
    ann, bob, carol = front.signed_in(), front.signed_in("bob"), front.signed_in("carol")
    compose(ann, f"release={front.release_id}&waiting=yes", deed="decline")
    ann.send("Ask a second person to confirm")
    for one in (bob, carol):
        one.open(ann.path.removeprefix("/console"))
    body = ApproveCommsHubFirmware(FIRMWARE, Decision.APPROVE, (HOMES[0].chf,))
    front.world.send(A, body, "11.6")
    bob.send("Confirm it")
    ann.open(ann.path.removeprefix("/console"))
    ann.send("Ask a second person to confirm")
    carol.send("Confirm it")
    assert "It has changed since you looked" in carol.text
    assert count(front, decisions) == 1
    carol.send("Confirm it")
    assert count(front, decisions) == 4


def test_whoever_goes_on_with_what_was_left_half_done_has_not_confirmed_it(fronts: Callable[..., Front]) -> None:
    front = opened(fronts(four_eyes))
    front.add("bob", roles=(ConsoleRole.APPROVE,))
    ann = front.signed_in()
    compose(ann, f"release={front.release_id}&waiting=yes", deed="approve")
    ann.send("Ask a second person to confirm")
    left = {"state": ProposalState.WORKING.value, "decided_by": "bob", "decided_at": NOW}
    front.world.run(lambda uow: uow.connection.execute(console_proposals.update().values(**left)))
    ann.open(ann.path.removeprefix("/console"))
    ann.send("Go on with it")
    assert "4 accepted" in ann.text
    (done,) = (one for one in trail(front) if one.action == "request")
    assert "account:ann, confirmed by bob" in done.detail

    front.add("carol")
    carol = front.signed_in("carol")
    compose(carol, f"hubs={HOMES[0].chf}&release={front.release_id}", deed="decline")
    alone = {**left, "decided_by": "carol"}
    mine = console_proposals.c.author == "carol"
    front.world.run(lambda uow: uow.connection.execute(console_proposals.update().where(mine).values(**alone)))
    ann.open(carol.path.removeprefix("/console"))
    ann.send("Go on with it")
    (done,) = (one for one in trail(front) if one.action == "request" and "account:carol" in one.detail)
    assert "confirmed by" not in done.detail


def test_nobody_acts_for_a_user_that_has_become_another_organisations(front: Front) -> None:
    theirs = console_accounts.update().values(user_eui=B.eui)
    front.world.run(lambda uow: uow.connection.execute(theirs))
    browser = front.signed_in()
    compose(browser, f"hubs={HOMES[4].chf}&release={front.release_id}", deed="approve")
    assert browser.page.status_code == 422
    assert "no User" in browser.text
    assert count(front, console_proposals) == 0


def test_a_second_person_can_turn_it_down_and_it_expires(fronts: Callable[..., Front]) -> None:
    front = opened(fronts(four_eyes))
    front.add("bob", roles=(ConsoleRole.APPROVE,))
    ann, bob = front.signed_in(), front.signed_in("bob")
    for _ in range(2):
        compose(ann, f"release={front.release_id}&waiting=yes", deed="approve")
        ann.send("Ask a second person to confirm")
    bob.open(ann.path.removeprefix("/console"))
    bob.send("Turn it down")
    assert "Turned down by bob" in bob.text
    front.world.clock.advance(timedelta(hours=73))
    bob = front.signed_in("bob")
    bob.open("/proposals")
    assert "Expired" in bob.text
    assert count(front, decisions) == 0
    assert front.world.clock.now() > NOW


def test_a_hub_that_has_gone_to_another_supplier_is_seen_no_more(front: Front) -> None:
    browser = front.signed_in()
    assert browser.open(f"/hubs/{HOMES[0].chf}").status_code == 200
    from sr_engine.bootstrap import supplier_changes_of
    from sr_engine.operations import registrations

    now = front.world.clock.now()
    rows = [
        {"mpxn": mpxn, "role": role, "effective_from": now, "organisation": B.name}
        for mpxn, role in ((HOMES[0].mpan, "IS"), (HOMES[0].mprn, "GS"))
    ]
    front.world.run(lambda uow: registrations.receive(uow, rows))
    chore = supplier_changes_of(front.world.instance)
    while front.world.run(chore):
        pass
    gone = browser.open(f"/hubs/{HOMES[0].chf}")
    unknown = browser.open("/hubs/00-00-5E-EF-C0-FF-FF-FF")
    assert (gone.status_code, gone.text) == (404, unknown.text.replace("00-00-5E-EF-C0-FF-FF-FF", HOMES[0].chf))
    assert HOMES[0].chf not in (browser.open("/hubs"), browser.text)[1]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/alerts?before={10**30}", 404),
        (f"/schedules/{10**30}", 404),
        (f"/schedules?before={10**30}", 404),
        (f"/act?schedule={10**30}", 400),
        ("/export/hubs?release=nothing", 404),
        ("/export/hubs?state=Listed", 400),
        ("/hubs?region=%00", 404),
    ],
)
def test_an_address_that_no_page_gave_is_refused_in_words(front: Front, path: str, status: int) -> None:
    browser = front.signed_in()
    assert browser.open(path).status_code == status
    assert "Something went wrong here" not in browser.text
