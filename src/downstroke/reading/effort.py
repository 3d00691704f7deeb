"""How much is done to read one picture: bounded, so that no picture keeps others waiting."""

from __future__ import annotations

from dataclasses import dataclass

MOST = 14e6  # pixels that the locator looks at: about 3 s of one core; a page of 1,000 digits takes three quarters
A_PIECE = 4000  # pixels: what a piece of ink takes, in the glyphs that it may be part of


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
