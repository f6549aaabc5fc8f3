"""Signing in: passwords, locks, second factors, sessions, and forms that are not ours."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select

from sr_engine.configuration.console import ConsoleRole
from sr_engine.operations import accounts as operations
from sr_engine.store import audit
from sr_engine.store.tables import console_accounts, console_recovery_codes, console_sessions
from tests.console.desk import AT, PASSWORD, Front, code_now
from tests.world import A, edit


def actions(front: Front) -> list[tuple[str, str]]:
    with front.world.instance.reading_engine.connect() as connection:
        return [(one.actor, one.action) for one in reversed(audit.newest(connection, 50))]


def test_whoever_is_not_signed_in_is_asked_to_and_then_sent_where_they_wanted_to_go(front: Front) -> None:
    front.add()
    browser = front.somebody()
    browser.open("/account?x=1")
    assert browser.path == "/console/sign-in"
    browser.send("Sign in", login="Ann ", password=PASSWORD)
    assert browser.path == "/console/account"
    assert browser.page.url.query == b"x=1"
    assert A.name in browser.text


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "/console//evil", "/health/live", "\\evil"]
)
def test_nobody_is_sent_elsewhere_after_signing_in(front: Front, target: str) -> None:
    front.add()
    browser = front.somebody()
    browser.open("/sign-in")
    browser.send("Sign in", login="ann", password=PASSWORD, tampered={"next": target})
    assert browser.path == "/console/releases"


def test_a_wrong_password_and_an_unknown_login_are_told_the_same(front: Front) -> None:
    front.add()
    browser = front.somebody()
    wrong = browser.sign_in("ann", "not the one")
    said = browser.main.replace("ann", "")
    unknown = browser.sign_in("bob", "not the one")
    assert (wrong.status_code, unknown.status_code) == (403, 403)
    assert browser.main.replace("bob", "") == said
    assert "Login or password is not right" in said


def test_a_first_password_has_to_be_changed_before_anything_else(front: Front) -> None:
    first = front.add(password=None)
    browser = front.signed_in(password=first)
    assert browser.path == "/console/account/password"
    browser.open("/releases")
    assert browser.path == "/console/account/password"
    for wanted, again, problem in (
        ("short", "short", "at least 12 characters"),
        ("ann likes firmware", "ann likes firmware", "name of the account"),
        ("abababababababab", "abababababababab", "few different characters"),
        (PASSWORD, f"{PASSWORD}!", "not typed the same twice"),
    ):
        browser.send("Change password", password=first, new_password=wanted, again=again)
        assert browser.page.status_code == 422
        assert problem in browser.text
    browser.send("Change password", password=first, new_password=PASSWORD, again=PASSWORD)
    assert browser.path == "/console/account"
    assert "Your password was changed" in browser.text
    assert front.somebody().sign_in("ann", first).status_code == 403
    front.signed_in(password=PASSWORD)


def test_a_changed_password_ends_the_sessions_elsewhere(front: Front) -> None:
    front.add()
    here, there = front.signed_in(), front.signed_in()
    here.open("/account/password")
    other = "four other words altogether"
    here.send("Change password", password=PASSWORD, new_password=other, again=other)
    assert here.open("/account").url.path == "/console/account"
    assert there.open("/account").url.path == "/console/sign-in"


def test_after_some_failures_nothing_is_tried_for_a_time_that_grows(front: Front) -> None:
    front.add()
    browser = front.somebody()
    for _ in range(4):
        assert browser.sign_in("ann", "wrong").status_code == 403
    assert "30 seconds" in (browser.sign_in("ann", "wrong"), browser.text)[1]
    assert browser.sign_in("ann", PASSWORD).status_code == 429, "not even the right one is tried"
    front.world.clock.advance(timedelta(seconds=31))
    assert "2 minutes" in (browser.sign_in("ann", "wrong"), browser.text)[1]
    front.world.clock.advance(timedelta(seconds=121))
    browser.sign_in("ann", PASSWORD)
    assert browser.path == "/console/releases"
    assert ("processor", "sign-in locked") in actions(front)


def test_nobody_keeps_another_out_by_guessing_from_elsewhere(front: Front) -> None:
    front.add()
    stranger = front.somebody("192.0.2.9")
    for _ in range(6):
        stranger.sign_in("ann", "wrong")
    assert stranger.page.status_code == 429
    assert front.signed_in().path == "/console/releases"
    assert stranger.sign_in("ann", PASSWORD).status_code == 429, "that ann is in does not let others guess on"


def test_many_addresses_together_have_no_more_guesses_than_are_allowed(fronts: Callable[..., Front]) -> None:
    few = lambda place: edit(place / "config" / "console.toml", "failures_anywhere = 100", "failures_anywhere = 6")  # noqa: E731
    front = fronts(few)
    front.add()
    for number in range(6):
        front.somebody(f"192.0.2.{number}").sign_in("ann", "wrong")
    browser = front.somebody()
    assert browser.sign_in("ann", PASSWORD).status_code == 429
    assert front.world.run(lambda uow: operations.unlock(uow, "ann"))
    browser.sign_in("ann", PASSWORD)
    assert browser.path == "/console/releases"


def test_an_operator_can_unlock_an_account(front: Front) -> None:
    front.add()
    browser = front.somebody()
    for _ in range(5):
        browser.sign_in("ann", "wrong")
    assert front.world.run(lambda uow: operations.unlock(uow, "ann"))
    browser.sign_in("ann", PASSWORD)
    assert browser.path == "/console/releases"


def test_an_address_is_locked_whatever_accounts_are_tried_from_it(fronts: Callable[..., Front]) -> None:
    few = lambda place: edit(place / "config" / "console.toml", "failures_of_address = 50", "failures_of_address = 3")  # noqa: E731
    front = fronts(few)
    front.add()
    browser = front.somebody()
    for number in range(3):
        browser.sign_in(f"nobody{number}", "wrong")
    assert browser.sign_in("ann", PASSWORD).status_code == 429


def test_whoever_has_a_network_of_addresses_has_no_more_guesses_than_who_has_one(fronts: Callable[..., Front]) -> None:
    few = lambda place: edit(place / "config" / "console.toml", "failures_of_address = 50", "failures_of_address = 3")  # noqa: E731
    front = fronts(few)
    front.add()
    for number in range(3):
        front.somebody(f"2001:db8::{number:x}").sign_in(f"nobody{number}", "wrong")
    assert front.somebody("2001:db8::beef").sign_in("ann", PASSWORD).status_code == 429
    assert front.signed_in().path == "/console/releases"


def test_a_second_factor_is_set_up_and_then_wanted(front: Front) -> None:
    front.add()
    browser = front.signed_in()
    browser.open("/account")
    browser.follow("Set up a second factor")
    secret = browser.tree.xpath("//details//code")[0].text_content().replace(" ", "")
    (picture,) = browser.tree.xpath("//main//*[local-name()='svg']")
    assert picture.get("viewbox"), "the picture is shown whole, whatever its size"
    browser.send("Use this from now on", code="000000" if code_now(secret, front) != "000000" else "111111")
    assert browser.page.status_code == 422
    browser.send("Use this from now on", code=code_now(secret, front))
    codes = [one.text_content() for one in browser.tree.xpath("//ul[@class='codes']//code")]
    assert len(set(codes)) == 10
    browser.follow("I have kept them")
    assert browser.path == "/console/releases"

    again = front.signed_in()
    assert again.path == "/console/sign-in/second"
    assert again.open("/releases").url.path == "/console/sign-in/second", "a password alone opens nothing"
    again.send("Go on", code=code_now(secret, front))
    assert again.page.status_code == 403, "the code was used when it was set up"
    front.world.clock.advance(timedelta(seconds=30))
    again.send("Go on", code=code_now(secret, front))
    assert again.path == "/console/releases"

    lost = front.signed_in()
    lost.send("Go on", code=codes[0].upper().replace("-", " "))
    assert lost.path == "/console/releases"
    once_more = front.signed_in()
    assert once_more.send("Go on", code=codes[0]).status_code == 403, "a recovery code is good once"


def test_a_second_factor_is_replaced_by_nobody_who_has_no_more_than_a_session(front: Front) -> None:
    front.add()
    browser = front.signed_in()
    browser.open("/account/second-factor")
    secret = browser.tree.xpath("//details//code")[0].text_content().replace(" ", "")
    browser.send("Use this from now on", code=code_now(secret, front))
    browser.open("/account/second-factor")
    another = browser.tree.xpath("//details//code")[0].text_content().replace(" ", "")
    assert browser.send("Use this from now on", code=code_now(another, front)).status_code == 422
    assert "The present password is not right" in browser.text
    for _ in range(4):
        browser.send("Use this from now on", code=code_now(another, front), password="a guess")
    assert browser.open("/account").url.path == "/console/sign-in", "after too many guesses the session is over"
    front.world.clock.advance(timedelta(seconds=60))
    again = front.signed_in()
    again.send("Go on", code=code_now(secret, front))
    again.open("/account/second-factor")
    new = again.tree.xpath("//details//code")[0].text_content().replace(" ", "")
    again.send("Use this from now on", code=code_now(new, front), password=PASSWORD)
    assert "I have kept them" in again.text


def test_codes_are_not_guessed_without_end(front: Front) -> None:
    front.add()
    front.world.run(lambda uow: operations.new_second_factor(uow, front.world.instance.randbelow, "ann"))
    browser = front.signed_in()
    answers = [browser.send("Go on", code=f"99999{digit}").status_code for digit in range(6)]
    assert answers[:5] == [403] * 5
    assert "nothing is tried for" in browser.text


def test_some_roles_need_a_second_factor(fronts: Callable[..., Front]) -> None:
    wanted = lambda place: edit(  # noqa: E731
        place / "config" / "console.toml", "second_factor_for = []", 'second_factor_for = ["operator"]'
    )
    front = fronts(wanted)
    front.add("olga", None)
    front.add()
    assert front.signed_in("olga").path == "/console/account/second-factor"
    assert front.signed_in("ann").path == "/console/releases"


def test_a_session_ends_when_nobody_is_there_and_after_its_length(front: Front) -> None:
    front.add()
    idle, busy = front.signed_in(), front.signed_in()
    for _ in range(30):
        front.world.clock.advance(timedelta(minutes=25))
        if busy.open("/account").url.path != "/console/account":
            break
    assert idle.open("/account").url.path == "/console/sign-in"
    assert timedelta(hours=11) < front.world.clock.now() - _began(front) <= timedelta(hours=12, minutes=25)


def test_a_page_that_refreshes_itself_keeps_no_session_from_ending(front: Front) -> None:
    front.add()
    browser = front.signed_in()
    for _ in range(2):
        front.world.clock.advance(timedelta(minutes=20))
        answer = browser.client.get("/console/releases", headers={"X-Live": "1"})
    assert answer.url.path == "/console/sign-in"


def _began(front: Front):  # type: ignore[no-untyped-def]
    with front.world.instance.reading_engine.connect() as connection:
        return connection.scalar(select(console_accounts.c.created_at))


def test_signing_out_ends_the_session_and_not_the_cookie_alone(front: Front) -> None:
    front.add()
    browser = front.signed_in()
    cookie = browser.client.cookies["sr-console"]
    browser.send("Sign out")
    assert browser.path == "/console/sign-in"
    browser.client.cookies.set("sr-console", cookie, domain="127.0.0.1")
    assert browser.open("/account").url.path == "/console/sign-in"
    assert actions(front)[-2:] == [("account:ann", "sign-in"), ("account:ann", "sign-out")]


def test_a_disabled_account_is_out_at_once(front: Front) -> None:
    front.add()
    browser = front.signed_in()
    front.world.run(lambda uow: operations.set_disabled(uow, "ann", disabled=True))
    assert browser.open("/account").url.path == "/console/sign-in"
    assert front.somebody().sign_in().status_code == 403


def test_a_token_is_new_after_each_step_and_nothing_secret_is_stored_in_clear(front: Front) -> None:
    front.add()
    browser = front.somebody()
    browser.client.cookies.set("sr-console", "f" * 64, domain="127.0.0.1")
    browser.sign_in()
    token = browser.client.cookies["sr-console"]
    assert token != "f" * 64
    with front.world.instance.reading_engine.connect() as connection:
        session = connection.execute(select(console_sessions)).one()
        account = connection.execute(select(console_accounts)).one()
        assert connection.execute(select(console_recovery_codes)).all() == []
    assert token not in str(session)
    assert PASSWORD not in str(account)
    assert account.password_hash.startswith("$argon2id$")


def test_cookies_are_kept_from_scripts_and_other_sites_and_to_https_but_on_this_computer(front: Front) -> None:
    front.add()
    browser = front.signed_in()
    set_cookie = browser.page.history[0].headers["set-cookie"]
    assert "sr-console=" in set_cookie
    assert "HttpOnly" in set_cookie
    assert "SameSite=strict" in set_cookie
    assert "Secure" not in set_cookie
    elsewhere = browser.client.get("https://sr.example/console/sign-in").headers["set-cookie"]
    assert "__Host-sr-console-form=" in elsewhere
    assert "Secure" in elsewhere
    assert "Secure" in browser.client.get("http://sr.example/console/sign-in").headers["set-cookie"]


@pytest.mark.parametrize("tampered", [{"csrf": ""}, {"csrf": "0" * 64}, {"csrf": "\u00e9"}])
def test_a_form_that_is_not_ours_changes_nothing(front: Front, tampered: dict[str, str]) -> None:
    front.add()
    browser = front.signed_in()
    browser.open("/account/password")
    other = "four other words altogether"
    answer = browser.send("Change password", password=PASSWORD, new_password=other, again=other, tampered=tampered)
    assert answer.status_code == 400
    stranger = front.somebody()
    stranger.open("/sign-in")
    assert stranger.send("Sign in", login="ann", password=PASSWORD, tampered=tampered).status_code == 400
    front.signed_in(password=PASSWORD)


def test_a_form_sent_from_another_site_changes_nothing(front: Front) -> None:
    front.add()
    browser = front.signed_in()
    browser.open("/account/password")
    browser.client.headers["Sec-Fetch-Site"] = "cross-site"
    other = "four other words altogether"
    assert browser.send("Change password", password=PASSWORD, new_password=other, again=other).status_code == 400


def test_every_page_forbids_what_is_not_ours(front: Front) -> None:
    front.add()
    browser = front.signed_in()
    for answer in (browser.page, browser.open("/nothing"), front.somebody().open("/sign-in")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["cache-control"] == "no-store"
        assert " style=" not in answer.text
        assert "<style" not in answer.text
        assert answer.text.count("<script") == answer.text.count("<script src=")
        assert not [word for word in answer.text.split() if word.lower().startswith(("onclick=", "onload="))]


def test_what_a_role_may_not_see_is_refused_and_not_in_the_navigation(front: Front) -> None:
    front.add("olga", None)
    browser = front.somebody()
    browser.sign_in("olga")
    assert browser.open("/releases").status_code == 403
    assert "/console/releases" not in browser.tree.xpath("//nav//a/@href")


def test_a_large_form_is_refused(front: Front) -> None:
    front.add()
    browser = front.signed_in()
    browser.open("/account/password")
    answer = browser.send("Change password", password="x" * 2_000_000, new_password="y", again="y")
    assert answer.status_code == 413


def test_roles_are_kept_apart(front: Front) -> None:
    with pytest.raises(operations.AccountRefused):
        front.add("eve", A.name, (ConsoleRole.OPERATOR,))
    with pytest.raises(operations.AccountRefused, match="no organisation nowhere"):
        front.add("eve", "nowhere")


def test_of_many_guesses_sent_at_once_no_more_count_than_of_as_many_one_after_another(front: Front) -> None:
    front.add()
    browser = front.somebody()
    browser.open("/sign-in")
    fields = {one.get("name"): one.get("value", "") for one in browser.tree.xpath("//form//input[@name]")}

    async def all_at_once() -> list[str]:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(front.app), base_url=AT, cookies=browser.client.cookies, timeout=60
        ) as client:
            guesses = [*(f"wrong {number}" for number in range(30)), PASSWORD]
            asked = [
                client.post("/console/sign-in", data={**fields, "login": "ann", "password": one}) for one in guesses
            ]
            return [answer.headers.get("location", "") for answer in await asyncio.gather(*asked)]

    assert set(front.runner.run(all_at_once())) == {""}, "the right one comes after too many that were wrong"


def test_pages_and_passwords_take_no_threads_of_service_requests(front: Front) -> None:
    front.add()
    browser = front.signed_in()
    free = threading.Event()

    async def all_threads_are_busy() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        loop.run_in_executor(None, free.wait)

    front.runner.run(all_threads_are_busy())
    try:
        assert browser.open("/hubs").status_code == 200
        browser.open("/account/password")
        browser.send("Change password", password=PASSWORD, new_password="one thing", again="another")
        assert "not typed the same twice" in browser.text
    finally:
        free.set()
