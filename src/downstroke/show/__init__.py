"""What leaves the program for people: curves (`plots`) and the pictures of a test (`report`).

`style` is how they look; `curves` is what a history says before it is drawn.

Nothing heavy is imported here: matplotlib takes a second to load, and most commands draw nothing.
"""

import contextlib
import os
import sys


def _whatever_mplbackend_says() -> None:
    """Load matplotlib although MPLBACKEND names a backend that is not there, as a notebook's `!downstroke` inherits.

    matplotlib refuses to be imported then. Pictures are drawn by Agg and need no other; a backend that is there stays
    chosen, so that a notebook's own plots appear as before.
    """
    wanted = os.environ.get("MPLBACKEND")
    if not wanted or "matplotlib" in sys.modules:
        return
    del os.environ["MPLBACKEND"]
    try:
        import matplotlib
    finally:
        os.environ["MPLBACKEND"] = wanted
    with contextlib.suppress(ValueError):
        matplotlib.rcParams["backend"] = wanted


_whatever_mplbackend_says()
