"""Everything that downstroke raises on purpose.

    DownstrokeError
    ├── RecipeError       a recipe field, flag or name that cannot be used
    ├── DataError         images or labels that cannot be learned from
    ├── PictureError      a picture file that cannot be read
    ├── LogError          a training log that cannot be read, or has no val loss
    ├── RunError          a run folder that is missing, taken, in use or damaged
    │   └── CheckpointError   no whole checkpoint is left
    ├── MissingPackageError  something needs a package that is not installed
    └── NonFiniteError    a loss or gradient is not finite; the weights were not updated

Each message is one line: the value, what was expected, what to do.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in downstroke/__init__.py
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import ParamSpec, TypeVar

    P = ParamSpec("P")
    T = TypeVar("T")


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


def first_of(names: Sequence[str], most: int) -> str:
    """The first `most` names, and that there are more where there are.

    >>> first_of(["a", "b"], 2), first_of(["a", "b", "c"], 2)
    ('a, b', 'a, b, ...')
    """
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def missing(error: ImportError, what: str = "this") -> str | None:
    """What a person sees of an import that failed because a package that downstroke asks for is not installed.

    `what` needs it. None where it failed for another reason: an error in somebody's code, or in ours.
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
    lean = " (README.md says how without CUDA)" if error.name == "torch" else ""
    for requirement in asked:
        if with_name.match(requirement):
            return f"{error.name} is not installed, and {what} needs it; to have it{lean}: pip install '{requirement}'"
    return None


def to_install(extra: str) -> str:
    """The command that installs what an extra of downstroke needs.

    It names the packages: downstroke is on no index, and the extra would install downstroke anew, and torch with it.

    >>> to_install("sklearn")
    "pip install 'scikit-learn>=1.6'"
    """
    import shlex
    from importlib.metadata import PackageNotFoundError, requires

    try:
        asked = [one.partition(";") for one in requires("downstroke") or []]
    except PackageNotFoundError:  # run from its source, without being installed
        asked = []
    packages = [shlex.quote(name.strip()) for name, _, when in asked if f'extra == "{extra}"' in when.replace("'", '"')]
    return f"pip install {' '.join(packages)}" if packages else f"pip install -e '.[{extra}]', in the clone"


class DownstrokeError(Exception):
    """Base of all errors that are meant for a person; the command line prints them as one line, exit code 1."""


class MissingPackageError(ModuleNotFoundError, DownstrokeError):
    """A package that is not installed; the line says how to install it."""


def saying_what_is_missing(function: Callable[P, T]) -> Callable[P, T]:
    """The function, whose import of a package that is not installed fails with a MissingPackageError."""
    from functools import wraps

    @wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except ImportError as error:
            if isinstance(error, MissingPackageError) or (line := missing(error)) is None:
                raise
            raise MissingPackageError(line, name=error.name) from None

    return called


class RecipeError(DownstrokeError, ValueError):
    """A recipe field, flag or name that cannot be used."""


class DataError(DownstrokeError, ValueError):
    """Images or labels that cannot be learned from."""


class PictureError(DownstrokeError, ValueError):
    """A picture file that cannot be read, or that shows nothing to read."""


class LogError(DownstrokeError, ValueError):
    """A training log that cannot be read, or that has no val loss."""


class NoValLossYetError(LogError):
    """A log that is missing, empty, half written, or has no val loss so far: more lines may bring one."""


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
