"""A run: one folder, readable at any time, also while it is being written."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from downstroke.errors import CheckpointError, DownstrokeError, RecipeError, RunError, counted, shown
from downstroke.history import History, Steps, read_steps
from downstroke.recipe import Recipe
from downstroke.runs import files

if TYPE_CHECKING:
    from downstroke.advice.curve import Curve
    from downstroke.advice.verdict import Advice
    from downstroke.learning.models import Network
    from downstroke.runs.checkpoint import Checkpoint

RECIPE, ENVIRONMENT, METRICS, STEPS = "recipe.json", "environment.json", "metrics.csv", "steps.csv"
VAL_LOSSES, LOSS_PICTURE, LOCK = "val_losses.npy", "loss.png", ".lock"
LOOKS = "test.json"
READINGS = "examined.npz"  # of the last look: its number, and the probabilities of every test image
MOST_COUNTED = 10**12  # epochs, steps, images


@dataclass(frozen=True)
class Weights:
    """The weights of a run, in a network that is ready to be used."""

    network: Network
    source: str  # "best" or "last"
    epoch: int
    step: int  # updates that led to them; 0: the random initial weights
    damage: str | None  # one line, where a damaged checkpoint was passed over
    least_score: float | None  # log(sum(exp(logits))) that 99% of val's images reach; None without val, or in mid-epoch


class Run:
    """What a run's folder says.

    >>> run = Run.open("runs/calm-otter")     # doctest: +SKIP
    >>> run.history.best.val_loss             # doctest: +SKIP
    0.0312
    """

    def __init__(self, folder: Path, *, trust: bool = False) -> None:
        """`trust`: also run the code that its recipe names, where the run was not made here (`runs.trust`)."""
        self.folder, self.trusted = folder.resolve(), trust

    @classmethod
    def open(
        cls,
        run: str | os.PathLike[str] | None = None,
        runs_dir: str | os.PathLike[str] = "runs",
        *,
        trust: bool = False,
    ) -> Self:
        """The run in folder `run`, or of that name in `runs_dir`; left out, the newest there. RunError.

        `trust`: run the code that the recipe names as `package.module:callable`, also where the run was made elsewhere.
        """
        home = Path(runs_dir)
        if run is None:
            folders = list_folders(home)
            if not folders:
                raise RunError(f"there is no run in {home.resolve()} yet; make one: downstroke train")
            return cls(folders[-1], trust=trust)
        for folder in (Path(run), home / run):
            if (folder / RECIPE).is_file():
                return cls(folder, trust=trust)
        if Path(run).is_dir():
            raise RunError(f"{run} is not a run: it has no {RECIPE}; expected a folder that `downstroke train` made")
        names = ", ".join(folder.name for folder in reversed(list_folders(home)[-3:]))
        there = f"the newest in {home} are {names}" if names else f"{home} holds none yet"
        raise RunError(f"no run {str(run)!r}; {there}")

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def typed(self) -> str:
        """The folder as one would type it here, in quotes where a shell needs them."""
        try:
            return shlex.quote(str(self.folder.relative_to(Path.cwd())))
        except ValueError:
            return shlex.quote(str(self.folder))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.folder)!r})"

    def _repr_html_(self) -> str:
        from downstroke.runs.notebook import shown_run

        return shown_run(self)

    @property
    def recipe(self) -> Recipe:
        """What decides W. RunError where the file is missing or damaged."""
        values = files.read_json(self.folder / RECIPE)
        if not isinstance(values, dict):
            raise RunError(f"{self.folder / RECIPE} does not hold a recipe")
        try:
            return Recipe.from_dict(values)
        except RecipeError as error:
            raise RunError(f"{self.folder / RECIPE}: {error}") from None

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, device, precision, threads, data: fixed when the run was made."""
        values: dict[str, Any] = files.read_json(self.folder / ENVIRONMENT)
        whole = isinstance(values, dict) and {"device", "precision", "threads", "data"} <= values.keys()
        data = values["data"] if whole else None
        if not isinstance(data, dict) or not {"classes", "train", "val", "fingerprint"} <= data.keys():
            raise RunError(f"{self.folder / ENVIRONMENT} is damaged: it lacks the device or the data of the run")
        try:
            _refuse_kinds(values, _ENVIRONMENT)
            _refuse_kinds(data, _DATA, "data.")
        except ValueError as error:
            raise RunError(f"{self.folder / ENVIRONMENT} is damaged: {error}") from None
        return values

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each label."""
        return tuple(self.environment["data"]["classes"])

    @property
    def val(self) -> tuple[str, int, int]:
        """What decides the val images: a fingerprint of the data or of its val part, the split seed, their number."""
        data = self.environment["data"]
        if own := data.get("val_fingerprint"):
            return own, 0, data["val"]
        return data["fingerprint"], self.recipe.split_seed, data["val"]

    @property
    def history(self) -> History:
        """The epochs so far; empty before the first is done."""
        path = self.inside(METRICS)
        return History() if _empty(path) else History.read(path)

    @property
    def steps(self) -> Steps:
        """The steps so far."""
        path = self.inside(STEPS)
        return Steps() if _empty(path) else read_steps(path)

    def inside(self, file: str) -> Path:
        """The path of one of its files. RunError where it is a link that leads out of the run's folder."""
        try:
            return files.inside(self.folder / file)
        except OSError as error:
            raise RunError(f"{error.filename} cannot be read ({error.strerror})") from None

    @property
    def in_training(self) -> bool:
        """Whether a process trains it now, this one or another."""
        return files.held(self.folder / LOCK)

    @property
    def position(self) -> dict[str, Any]:
        """Where the last checkpoint stands: the JSON of `learning.learner.Position`; {} before there is one.

        `epoch` epochs and `batch` batches of the next are done; `leg` holds the goal, `last_epoch`.
        """
        # Between two renames, `last` of a run that is being written is missing for an instant: look again.
        for name in ("last", "last.previous", "last"):
            try:
                state = files.read_json(self.folder / name / "state.json", self.folder)
                refuse_absurd(state)
            except (RunError, ValueError):
                continue
            position: dict[str, Any] = state["position"]
            return position
        return {}

    @property
    def looks(self) -> list[dict[str, Any]]:
        """Every look at the test images that was taken with this run, in order. RunError where the file is damaged."""
        path = self.folder / LOOKS
        if not path.exists():
            return []
        found = files.read_json(path)
        looks = found.get("looks") if isinstance(found, dict) else None
        if not isinstance(looks, list) or not all(isinstance(look, dict) and "look" in look for look in looks):
            raise RunError(f"{path} does not hold the looks taken so far; restore it from a copy")
        return looks

    @property
    def state(self) -> str:
        """Training now, finished, interrupted before its goal, or empty: no step of it is kept."""
        return "training" if self.in_training else standing(self.position)

    def advice(self, operating_point: str = "balanced") -> Advice:
        """Whether to train on or to stop, and why: see `advice.verdict.advise`. Raises DownstrokeError without val."""
        from downstroke.advice import verdict

        return verdict.advise(self.curve(), run=self.typed, operating_point=operating_point)

    def curve(
        self, loss: str | None = None, val_loss: str | None = None, *, say: Callable[[str], None] = lambda line: None
    ) -> Curve:
        """What advice is drawn from: see `advice.logs.read`; it knows where the schedule ends. Raises LogError."""
        from downstroke.advice import logs
        from downstroke.learning import schedules

        leg, recipe = self.position.get("leg", {}), self.recipe
        schedule = schedules.SCHEDULES.get(leg.get("changes", {}).get("schedule", recipe.schedule))
        last = float(leg.get("last_epoch", recipe.epochs)) if schedule and schedule.horizon else None
        return replace(logs.read(self._recorded(), loss, val_loss, say=say), horizon=last)

    def outlook(self) -> str | None:
        """How likely a better val loss is, and by how much, in a line; None where it is too early to say."""
        from downstroke.advice import logs, verdict

        return verdict.outlook(logs.read(self._recorded()))

    def _recorded(self) -> Path:
        """The folder, where no link leads out of it from what is read of it as a log. RunError."""
        for file in (METRICS, VAL_LOSSES, ENVIRONMENT):
            self.inside(file)
        return self.folder

    def weights(self, source: str | None = None) -> Weights:
        """The weights of `best/`, the epoch with the lowest val loss; of `last/` where there is no best, or on request.

        Raises CheckpointError where no whole checkpoint is left, RunError where it would run a stranger's code.
        """
        from downstroke.learning import models
        from downstroke.runs import checkpoint
        from downstroke.runs.trust import refuse_foreign_code

        refuse_foreign_code(self)
        wanted = source or ("best" if checkpoint.exists(self.folder, "best") else "last")
        loaded, wanted = _load(self.folder, wanted, or_last=source is None)
        network = models.build(self.recipe, len(self.classes))
        try:
            network.load_state_dict(loaded.tensors["model"])
        except checkpoint.MISFIT as error:  # a model of one's own that was changed since
            text = " ".join(str(error).split())
            raise CheckpointError(
                f"the weights of {self.folder / wanted} do not fit model {self.recipe.model}: {text}"
            ) from None
        at = loaded.state["position"]
        least = loaded.state.get("least_score")
        return Weights(network.eval(), wanted, at["epoch"], at["step"], loaded.damage, least)

    def summary(self) -> dict[str, Any]:
        """The run in a line: the JSON of `train` and `continue` but for what only the training process knows."""
        history = self.history
        best = history.best
        last = history[-1] if len(history) else None
        return {
            "run": str(self.folder),
            "recipe": self.recipe.name,
            "epochs": last.epoch if last else 0,
            "steps": last.step if last else 0,
            "train_seconds": last.elapsed_s if last else 0.0,
            "best_epoch": best.epoch if best else None,
            "val_loss": best.val_loss if best else None,
            "val_accuracy": best.val_accuracy if best else None,
        }


def damage(error: Exception) -> str:
    """What is wrong with a run that raised `error`, in a line: whatever one run raises, the others are listed."""
    if isinstance(error, DownstrokeError):
        return str(error)
    return f"the run's folder is damaged ({type(error).__name__}: {shown(' '.join(str(error).split()))[:200]})"


def refuse_absurd(state: Any) -> None:
    """ValueError for the state of a checkpoint that no training can have, though its checksum fits."""
    _refuse_kinds(state, _STATE)
    position = state.get("position", {})
    _refuse_kinds(position, _POSITION, "position.")
    for key in ("epoch", "step", "leg"):
        if key not in position:
            raise ValueError(f"position.{key} is missing")
    _refuse_kinds(position["leg"], _LEG, "position.leg.")
    if "last_epoch" not in position["leg"]:
        raise ValueError("position.leg.last_epoch is missing")
    _refuse_kinds(position["leg"].get("changes", {}), _CHANGES, "position.leg.changes.")
    _refuse_kinds(state.get("recipe") or {}, _RECORDED_RECIPE, "recipe.")


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= MOST_COUNTED


def _is_number(value: Any) -> bool:
    """Whether it can be a float; json reads whole numbers of any size."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max


def _none_or(kind: _Kind) -> _Kind:
    return f"{kind[0]} or null", lambda value: value is None or kind[1](value)


def _list_of(what: str, kind: _Kind) -> _Kind:
    return f"a list of {what}", lambda value: isinstance(value, list) and all(map(kind[1], value))


#: What may stand in a field, in words, and whether a value is that.
_Kind = tuple[str, Callable[[Any], bool]]
_COUNT: _Kind = ("a whole number from 0 to 10^12", _is_count)
_NUMBER: _Kind = ("a number", _is_number)
_TEXT: _Kind = ("text", lambda value: isinstance(value, str))
_FLAG: _Kind = ("true or false", lambda value: isinstance(value, bool))
_FIELDS: _Kind = ("an object of fields", lambda value: isinstance(value, dict))
_CHANGE: _Kind = ("[step, threads]", lambda value: _list_of("", _COUNT)[1](value) and len(value) == 2)
_NAMES: _Kind = ("a list of names", lambda value: _list_of("", _TEXT)[1](value) and len(value) > 0)

_ENVIRONMENT = {"device": _TEXT, "precision": _TEXT, "threads": _COUNT, "threads_given": _FLAG, "made": _none_or(_TEXT)}
_DATA = {
    "classes": _NAMES,
    **dict.fromkeys(("train", "val", "test"), _COUNT),
    **dict.fromkeys(("fingerprint", "place", "val_place"), _TEXT),
    "val_fingerprint": _none_or(_TEXT),
    "own_test": _FLAG,
}
_STATE = {"position": _FIELDS, "rng": _TEXT, "least_score": _none_or(_NUMBER), "recipe": _none_or(_FIELDS)}
_RECORDED_RECIPE = {"sha256": _TEXT, "fields": _FIELDS}
_POSITION = {
    **dict.fromkeys(("epoch", "batch", "step", "images"), _COUNT),
    **dict.fromkeys(("elapsed_s", "loss_sum", "last_lr"), _NUMBER),
    "best_epoch": _none_or(_COUNT),
    "best_val_loss": _none_or(_NUMBER),
    "val_losses": _list_of("numbers", _none_or(_NUMBER)),
    "threads": _list_of("[step, threads]", _CHANGE),
    "leg": _FIELDS,
}
_LEG = {
    **dict.fromkeys(("first_epoch", "first_step", "last_epoch"), _COUNT),
    "until_done": _FLAG,
    "max_epoch": _none_or(_COUNT),
    "changes": _FIELDS,
}
_CHANGES = {"lr": _NUMBER, "schedule": _TEXT}


def _refuse_kinds(values: Any, kinds: Mapping[str, _Kind], within: str = "") -> None:
    """ValueError where `values` are no fields, or one of them, where it is there, is not of its kind."""
    if not isinstance(values, dict):
        raise ValueError(f"{within.removesuffix('.')} is {shown(str(values))[:40]}; expected an object of fields")
    for key, (words, fits) in kinds.items():
        if key in values and not fits(values[key]):
            raise ValueError(f"{within}{key} is {shown(str(values[key]))[:40]}; expected {words}")


def standing(position: Mapping[str, Any]) -> str:
    """Where a run at `Run.position` stands that nobody trains: finished, interrupted, or empty."""
    if not position.get("step"):
        return "empty"
    return "interrupted" if position.get("epoch", 0) < position["leg"].get("last_epoch", 0) else "finished"


def refuse_diverged(run: Run, weights: Weights, lost: int, images: int) -> None:
    """RunError where the weights give no number for `lost` of the `images` that it was to read."""
    if lost:
        raise RunError(
            f"{run.name} diverged: its {weights.source} weights (epoch {weights.epoch}) give no number for {lost:,} of "
            f"{counted(images, 'image')}; train it anew with a smaller lr (it was {run.recipe.lr:g})"
        )


def _empty(path: Path) -> bool:
    return not path.exists() or (path.is_file() and not path.stat().st_size)


def _load(folder: Path, source: str, *, or_last: bool) -> tuple[Checkpoint, str]:
    """Checkpoint `source`, and its name; the last one, where no whole best is left and that will do."""
    from downstroke.runs import checkpoint

    try:
        return checkpoint.load(folder, source, to_train=False), source
    except CheckpointError as error:
        if source == "last" or not or_last:
            raise
        last = checkpoint.load(folder, "last", to_train=False)
        return replace(last, damage=f"{error}; the last one is used"), "last"


def list_folders(runs_dir: Path) -> list[Path]:
    """The runs in `runs_dir`, the newest (by when it was made) last. Empty where the folder is missing."""
    if not runs_dir.is_dir():
        return []
    made = []
    for entry in os.scandir(runs_dir):
        try:
            made.append(((Path(entry.path) / RECIPE).stat().st_mtime_ns, entry.name))
        except OSError:  # not a run, or one that is being deleted
            continue
    return [runs_dir / name for _, name in sorted(made)]
