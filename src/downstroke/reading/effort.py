"""How much is done to read one picture: bounded, so that no picture keeps others waiting."""

from __future__ import annotations

from dataclasses import dataclass

MOST = 18e6  # pixels that the locator looks at: 3 to 6 s of one core
A_GLYPH = 2500  # pixels: what it takes to cut one out, and to read it
A_DIGIT = 4 * A_GLYPH  # pixels: what one takes that the locator sees; it may be cut, or joined to others


class TooLongError(Exception):
    """Reading a picture takes longer than whoever asked wants to wait; nothing is wrong with it."""


@dataclass
class Effort:
    """What reading a picture has taken, in pixels that the locator looks at; with `quick`, so many at most."""

    quick: float | None = None
    spent: float = 0.0

    def spend(self, pixels: float) -> None:
        """Count so many more. TooLongError where they are more than `quick` allows."""
        self.spent += pixels
        if self.quick is not None and self.spent > self.quick:
            raise TooLongError

    def allows(self, pixels: float) -> bool:
        """Whether so many more are within the bounds of every picture: what they do not allow is left out."""
        return self.spent + pixels <= MOST
