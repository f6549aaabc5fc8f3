"""The console of a world, and an operator who is signed in to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette

from sr_engine.apart import Say, Work
from sr_engine.bootstrap import console_of
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

    def __post_init__(self) -> None:
        routes = console_of(
            self.world.instance,
            lambda: self.woken.append("delivery"),
            real=self.world.clock,
            after_decision=lambda: self.woken.append("held requests"),
            run_apart=at_once,
        )
        self.app = Starlette(routes=list(routes))

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
