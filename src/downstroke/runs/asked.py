"""What `continue` was asked for, kept until its goal is on disk: who is killed before that is told, the next time."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from downstroke.errors import DownstrokeError, counted
from downstroke.runs import files
from downstroke.runs.run import MOST_COUNTED, Run

ASKED = "asked.json"


def typed(**options: Any) -> str:
    """Options of `continue` as one types them; those that are None or False are left out.

    >>> typed(epochs=3, until_done=False, lr=None), typed(until_done=True, max_epochs=9)
    ('--epochs 3', '--until-done --max-epochs 9')
    """
    words = []
    for name, value in options.items():
        if value is not None and value is not False:
            words += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return shlex.join(words)


@contextmanager
def kept(run: Run, epochs: int | None, *, until_done: bool) -> Iterator[list[str]]:
    """Keep what is asked for while the run is opened; gives the lines about what was asked for before and never begun.

    Whatever happens in between, but a kill, is said by whoever it happens to: then nothing is kept.
    """
    path = run.folder / ASKED
    lines = _unbegun(run)
    if epochs is not None or until_done:
        with suppress(OSError):  # a folder that cannot be written to is refused by what follows, and named
            files.write_json(path, {"epochs": None if until_done else epochs})
    try:
        yield lines
    finally:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def _unbegun(run: Run) -> list[str]:
    try:
        epochs = files.read_json(run.folder / ASKED)["epochs"]
    except (DownstrokeError, OSError, KeyError, TypeError):
        return []
    if epochs is not None and not (type(epochs) is int and 0 < epochs <= MOST_COUNTED):
        return []
    done = "0 epochs" if epochs is None else f"0 of {counted(epochs, 'epoch')}"
    asked = typed(epochs=epochs, until_done=epochs is None)
    return [f"an earlier continue {asked} was killed before it began, {done} done: run it again if you want them"]
