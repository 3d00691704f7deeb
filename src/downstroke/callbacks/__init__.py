"""Early stopping by advice inside the loops of other frameworks; each framework is imported when its name is used.

`AdviceStopper` is for a loop of your own and needs numpy alone.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from downstroke.errors import MissingPackageError

if TYPE_CHECKING:
    from downstroke.callbacks.keras import KerasAdvice
    from downstroke.callbacks.lightning import LightningAdvice
    from downstroke.callbacks.skorch import SkorchAdvice
    from downstroke.callbacks.stopper import AdviceStopper
    from downstroke.callbacks.transformers import TransformersAdvice

__all__ = ["AdviceStopper", "KerasAdvice", "LightningAdvice", "SkorchAdvice", "TransformersAdvice"]

_HOME = {
    "AdviceStopper": "stopper",
    "KerasAdvice": "keras",
    "LightningAdvice": "lightning",
    "SkorchAdvice": "skorch",
    "TransformersAdvice": "transformers",
}


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    framework = _HOME[name]
    try:
        return getattr(import_module(f"{__name__}.{framework}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != framework:
            raise
        raise MissingPackageError(f"{name} needs {framework}: pip install {framework}", name=framework) from None
