"""A person's own model or criterion: `package.module:callable`, found and called with clear errors."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from downstroke.errors import RecipeError


def look_up(kind: str, name: str, known: Mapping[str, Any]) -> Any:
    """`known[name]`, or what `package.module:callable` names. Raises RecipeError, listing the known names."""
    if name in known:
        return known[name]
    if ":" in name:
        return _import(kind, name)
    raise RecipeError(f"no {kind} {name!r}; there are {', '.join(known)}, or your own as package.module:callable")


def _import(kind: str, name: str) -> Callable[..., Any]:
    module_name, _, attribute = name.partition(":")
    # As with `python -m`: a module beside the person's own work is found without installing it.
    if os.getcwd() not in sys.path and "" not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, ValueError, AttributeError) as error:
        raise RecipeError(f"{kind} {name!r} cannot be imported ({error}); expected package.module:callable") from None
    if not callable(found):
        raise RecipeError(f"{kind} {name!r} is a {type(found).__name__}; expected a callable")
    return found  # type: ignore[no-any-return]
