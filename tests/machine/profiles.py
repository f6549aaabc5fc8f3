"""How much the machine does: a little in every run of the tests, a lot in the long one."""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, settings

SHORT = settings(
    max_examples=20,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=(Phase.explicit, Phase.generate),
)
LONG = settings(SHORT, max_examples=500, stateful_step_count=50)
