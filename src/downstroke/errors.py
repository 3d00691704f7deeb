"""Everything that downstroke raises on purpose.

    DownstrokeError
    ├── RecipeError       a recipe field, flag or name that cannot be used
    ├── DataError         images or labels that cannot be learned from
    ├── PictureError      a picture file that cannot be read
    ├── LogError          a log of training that advice cannot be drawn from
    ├── RunError          a run folder that is missing, taken, in use or damaged
    │   └── CheckpointError   no whole checkpoint is left
    └── NonFiniteError    a loss or gradient stopped being a number; the weights were left as they were

Each message is one line: the value, what was expected, what to do.
"""

from __future__ import annotations


def shown(text: str) -> str:
    r"""`text` as it may stand in one line of a terminal: what does not print, in a file's name, as its escape.

    >>> shown("a\nb")
    'a\\nb'
    """
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def counted(number: float, what: str, many: str | None = None) -> str:
    """A number with its noun, in the plural where it is not 1; `many` where that is not the noun with an s.

    >>> counted(1, "epoch"), counted(2_000, "epoch"), counted(0, "class", "classes"), counted(0.5, "epoch")
    ('1 epoch', '2,000 epochs', '0 classes', '0.5 epochs')
    """
    digits = f"{number:,.0f}" if number == round(number) else f"{number:g}"
    return f"{digits} {what if number == 1 else many or what + 's'}"


def missing(error: ImportError) -> str | None:
    """What a person sees of an import that failed because a package that downstroke asks for is not installed.

    None where it failed for another reason: an error in somebody's code, or in ours.
    """
    import re
    from importlib.metadata import PackageNotFoundError, requires

    if not isinstance(error, ModuleNotFoundError):
        return None
    with_name = re.compile(rf"{re.escape(error.name or '-')}(?![\w.-])")
    try:
        asked = [one.partition(";")[0].strip() for one in requires("downstroke") or []]
    except PackageNotFoundError:  # run from its source, without being installed
        asked = ["torch", "matplotlib"]
    for requirement in asked:
        if with_name.match(requirement):
            return f"{error.name} is not installed, and this needs it; to have it: pip install '{requirement}'"
    return None


class DownstrokeError(Exception):
    """Base of all errors that are meant for a person; the command line prints them as one line, exit code 1."""


class RecipeError(DownstrokeError, ValueError):
    """A recipe field, flag or name that cannot be used."""


class DataError(DownstrokeError, ValueError):
    """Images or labels that cannot be learned from."""


class PictureError(DownstrokeError, ValueError):
    """A picture file that cannot be read, or that shows nothing to read."""


class LogError(DownstrokeError, ValueError):
    """A log of training that cannot be read, or that has no val loss."""


class RunError(DownstrokeError):
    """A run folder that is missing, taken, in use or damaged."""


class CheckpointError(RunError):
    """No whole checkpoint is left in a run."""


class NonFiniteError(DownstrokeError, ArithmeticError):
    """The loss or the gradient is not finite. The weights are as they were before the step.

    Attributes: `epoch` and `step` (both counted from 1) and `lr`, of the step that was refused.
    """

    def __init__(self, quantity: str, epoch: int, step: int, lr: float) -> None:
        self.epoch, self.step, self.lr = epoch, step, lr
        super().__init__(
            f"the {quantity} is not finite at epoch {epoch}, step {step} (lr {lr:g}); the weights were not updated. "
            f"Try a smaller lr ({lr / 10:g}), a warm-up (--warmup-steps 100), or look for broken images."
        )
