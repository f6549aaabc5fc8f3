"""The console of a world, and an operator who is signed in to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sr_engine.apart import Say, Work
from sr_engine.console.operator.office import Office
from sr_engine.faces import console_of, office_of
from sr_engine.store import audit
from tests.console.desk import Front, Somebody
from tests.regions.conftest import Nights


def at_once(work: Work[Any], say: Say) -> Any:
    """Work is done where it is asked for: that it is done apart is tested by itself."""
    return work(say)


@dataclass
class OperatorFront(Front):
    """The console of a world with an operator, `olga`, and what its decisions woke."""

    woken: list[str] = field(default_factory=list)
    office: Office = field(init=False)

    def __post_init__(self) -> None:
        instance = self.world.instance
        self.office = office_of(instance, lambda: self.woken.append("held requests"), at_once)
        delivery = lambda: self.woken.append("delivery")  # noqa: E731 - it wakes nobody here
        self.serve(console_of(instance, delivery, real=self.world.clock, office=self.office))

    def olga(self) -> Somebody:
        self.add("olga", None)
        return self.signed_in("olga")

    @property
    def central(self) -> Nights:
        return Nights(self.world, self.world.instance.configuration.regions["Central"])

    def trail(self, number: int = 1) -> list[tuple[str, str, str]]:
        """Who, what and detail of the newest records about more than signing in, oldest first."""
        with self.world.instance.reading_engine.connect() as connection:
            found = [
                one for one in audit.newest(connection, 200) if "sign" not in one.action and one.actor == "operator"
            ]
        return [(one.actor, one.action, one.detail) for one in reversed(found[:number])]


def found_out(browser: Somebody, path: str) -> Somebody:
    """Open a page until what takes long has been found out for it."""
    for _ in range(2_000):
        browser.open(path)
        assert browser.page.status_code == 200, browser.text
        if "being found out" not in browser.main:
            return browser
    raise TimeoutError(f"{path} is still being found out")
