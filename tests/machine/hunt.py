"""Runs the machine until it finds something, and says what was broken and by which steps.

`python -m tests.machine.hunt` from the root of the repository exits with 1 if something was found. Nothing is shrunk
unless asked for: the first finding is enough.
"""

from __future__ import annotations

import argparse
import re
import sys

from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.machine.machine import Machine
from tests.machine.profiles import SHORT

_INVARIANT = re.compile(
    r"^state\.(?:"
    + "|".join(name for name in vars(Machine) if hasattr(getattr(Machine, name), "hypothesis_stateful_invariant"))
    + r")\(\)$"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=300)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--shrink", action="store_true", help="look for a shorter history, which may take minutes")
    asked = parser.parse_args()
    phases = (Phase.generate, Phase.shrink) if asked.shrink else (Phase.generate,)
    profile = settings(
        SHORT,
        max_examples=asked.examples,
        stateful_step_count=asked.steps,
        phases=phases,
        derandomize=True,
        report_multiple_bugs=False,
        print_blob=False,
    )
    try:
        run_state_machine_as_test(Machine, settings=profile)
    except Exception as broken:  # whatever the product does that it must not is a finding
        for one in getattr(broken, "exceptions", [broken]):
            print(f"{type(one).__name__}: {one}")
        for line in "\n".join(getattr(broken, "__notes__", [])).splitlines():
            if not _INVARIANT.match(line):
                print(f"    {line}")
        return 1
    print("nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
