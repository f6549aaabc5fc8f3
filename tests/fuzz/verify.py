"""The fuzz target: parse, schema and verification of arbitrary bytes, guided by the coverage of our code.

`make fuzz SECONDS=600` runs it; `python -m tests.fuzz.verify FILE` runs it on one file that was found.
"""

from __future__ import annotations

import random
import sys
from collections import Counter

import atheris

with atheris.instrument_imports(include=["signing", "sr_engine.messages"]):
    from tests.fuzz.judge import ATTACKS, Judge

from tests.fuzz.mutations import mutate

REPORTED_EVERY = 10_000
"""Executions."""


def main() -> None:
    judge = Judge.of_fixtures()
    good = [path.read_bytes() for path in sorted(ATTACKS.glob("good/*.xml"))]
    outcomes: Counter[str] = Counter()

    def target(data: bytes) -> None:
        outcomes[judge.judge(data)] += 1
        if outcomes.total() % REPORTED_EVERY == 0:  # libFuzzer leaves without a word to Python
            sys.stderr.write(f"outcomes: {dict(outcomes.most_common())}\n")

    def mutator(data: bytes, max_size: int, seed: int) -> bytes:
        """Change a message as an attacker would, or leave it to libFuzzer, which knows what led to new coverage.

        Left alone, the search drifts to short inputs, which are refused early: one in three begins with a good message.
        """
        choices = random.Random(seed)
        if choices.random() < 1 / 3:
            data = choices.choice(good)
        changed = mutate(data, choices.randrange) if choices.random() < 2 / 3 else atheris.Mutate(data, max_size)
        return changed[:max_size]

    atheris.Setup(sys.argv, target, custom_mutator=mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
