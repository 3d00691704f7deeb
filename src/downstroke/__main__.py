"""`python -m downstroke` is the command `downstroke`; under torchrun, one of several that train one run."""

import os
import signal
import sys
from types import FrameType


def _quit(number: int, frame: FrameType | None) -> None:
    """Ctrl-C while the program is being loaded: nothing is under way that could be saved."""
    os.write(2, b"interrupted\n")
    os._exit(130)


_heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not where a shell had it ignored


def run() -> None:
    """Run the command; under torchrun, leave as torchrun needs it."""
    # Before NumPy is loaded: a picture's products are too small for several threads, and threads that wait for each
    # other on a busy machine make a reading of half a second take six.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from downstroke.cli import main

    if _heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # from here on the command hears it
    try:
        main()
    except SystemExit as end:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from downstroke.learning.distributed import leave

            leave(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise
    except KeyboardInterrupt:  # after the command has ended
        sys.exit(130)


if _heard:
    signal.signal(signal.SIGINT, _quit)
if __name__ == "__main__":
    run()
