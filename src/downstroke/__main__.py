"""`python -m downstroke` is the command `downstroke`; under torchrun, one of several that train one run."""

import os

from downstroke.cli import main


def run() -> None:
    """Run the command; a process of several leaves in its own way."""
    try:
        main()
    except SystemExit as end:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            from downstroke.learning.distributed import leave

            leave(end.code if isinstance(end.code, int) else int(end.code is not None))
        raise


if __name__ == "__main__":
    run()
