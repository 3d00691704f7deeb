"""Whose code a run may run: a recipe may name a model or a criterion as `package.module:callable`.

Opening a run imports that module. For a run that was made here this is the user's own code. A folder that came from
elsewhere could name any function that can be imported, so it is refused unless the user trusts who made it.

A run with code of its own is signed when it is made, with a key that only this user has. The signature covers the names
in the recipe, so that a changed recipe is refused too. Where no key can be kept, such runs need `--trust`.

Other things that were made here are signed with the same key: what the studio has queued.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any

from downstroke.errors import RunError, shown
from downstroke.recipe import Recipe
from downstroke.regular import read_regular

if TYPE_CHECKING:
    from downstroke.runs.run import Run

_KEY_BYTES = 32


def code_of(recipe: Recipe) -> dict[str, str]:
    """The fields of the recipe that name code of the user's own."""
    named = {"model": recipe.model, "criterion": recipe.criterion}
    return {field: name for field, name in named.items() if ":" in name}


def sign(recipe: Recipe) -> dict[str, str] | None:
    """The identity of a run made here now, for its environment; None where it names no code, or no key can be kept."""
    code, identity = code_of(recipe), secrets.token_hex(16)
    if not code or (made := signature(identity, code)) is None:
        return None
    return {"id": identity, "signature": made}


def refuse_foreign_code(run: Run) -> None:
    """RunError where opening the run would run code, and it was neither made here nor is trusted."""
    code = code_of(run.recipe)
    if not code or run.trusted or _made_here(run.environment.get("identity"), code):
        return
    named = " and ".join(f"{field} {shown(name)}" for field, name in code.items())
    raise RunError(
        f"{run.folder} would run code: {named}. The run was not made here, so it is not opened; "
        f"if you trust who made it, add --trust (in Python: Run.open(..., trust=True))"
    )


def _made_here(identity: Any, code: dict[str, str]) -> bool:
    if not isinstance(identity, dict) or not isinstance(identity.get("id"), str):
        return False
    return is_signed(identity.get("signature"), identity["id"], code)


def signature(*what: Any) -> str | None:
    """What only this user can say of `what`, which is ready for JSON; None where no key can be kept."""
    try:
        return _signature(_key(make=True), what)
    except OSError:
        return None


def is_signed(signature: Any, *what: Any) -> bool:
    """Whether `signature` is what `signature` gave this user for the same."""
    if not isinstance(signature, str):
        return False
    try:
        expected = _signature(_key(make=False), what)
    except OSError:
        return False
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))


def _signature(key: bytes, what: tuple[Any, ...]) -> str:
    return hmac.new(key, json.dumps(what, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def _key(*, make: bool) -> bytes:
    """This user's key; made where there is none and `make` says so. OSError."""
    at_windows = os.environ.get("LOCALAPPDATA") if os.name == "nt" else None
    try:
        state = at_windows or os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError as error:  # a user without a home folder, as in a container
        raise OSError(str(error)) from None
    path = Path(state) / "downstroke" / "key"
    if make:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        else:
            with os.fdopen(handle, "wb") as file:
                file.write(secrets.token_bytes(_KEY_BYTES))
    key = read_regular(path, _KEY_BYTES)
    if len(key) != _KEY_BYTES:  # another process is writing it, or it was cut: unusable, and never a weaker key
        raise OSError(f"{path} is damaged; remove it to have a new one made")
    return key
