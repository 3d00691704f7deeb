"""Damage to the bytes of a file, for the tests of what reads files: every reading ends in a value or in one line."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

#: Something done to the bytes at a place.
Wound = Callable[[bytearray, int, random.Random], None]


def damaged(data: bytes, chance: random.Random, more: Sequence[Wound]) -> bytes:
    """`data` with one to four wounds: bits, cuts, zeros, parts that stand twice, and `more`, each as likely.

    Tests name cases by the seed of `chance`, so that the order in which it is asked must stay.
    """
    found = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(found) + 1)
        wound = chance.randrange(5 + len(more))
        if wound == 0 and at < len(found):
            found[at] ^= 1 << chance.randrange(8)
        elif wound == 1:
            del found[at:]
        elif wound == 2:
            found[at : at + chance.randint(1, 64)] = b""
        elif wound == 3:
            found[at : at + 16] = bytes(min(16, len(found) - at))
        elif wound == 4:
            found[at:at] = found[max(0, at - 100) : at]
        else:
            more[wound - 5 if wound else -1](found, at, chance)  # 0: at the end there is no bit to turn
    return bytes(found)
