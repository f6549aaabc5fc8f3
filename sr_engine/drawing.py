"""Identifiers of 32 hexadecimal digits, drawn by chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sr_engine.clock import Clock

_BY_CHANCE = 19
"""Hexadecimal digits behind time and version, in whose fourth a UUID has two bits that say its variant."""
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


def identifier(randbelow: Callable[[int], int]) -> str:
    """A random identifier; `randbelow` draws a whole number from 0 and below its argument."""
    return f"{randbelow(1 << 128):032x}"


def identifiers(clock: Clock, randbelow: Callable[[int], int], how_many: int) -> Sequence[str]:
    """So many identifiers, drawn at once: UUIDs of version 7 (RFC 9562), less their hyphens.

    They begin with the time, so that those of one time are neighbours in every index that holds them.
    """
    begin = f"{int(clock.now().timestamp() * 1_000):012x}7"
    digits = f"{randbelow(1 << 4 * _BY_CHANCE * how_many):0{_BY_CHANCE * how_many}x}"
    drawn = (digits[start : start + _BY_CHANCE] for start in range(0, len(digits), _BY_CHANCE))
    return [f"{begin}{one[:3]}{_VARIANT[one[3]]}{one[4:]}" for one in drawn]
