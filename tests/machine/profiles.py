"""How much the machine does: a little in every run of the tests, a lot in the long one."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

SHORT = settings(
    # The same histories in every run, so that a change is judged by what it changes; the long run looks for new ones.
    derandomize=True,
    max_examples=9,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=(Phase.explicit, Phase.generate),
)
LONG = settings(SHORT, derandomize=False, max_examples=500, stateful_step_count=50)
