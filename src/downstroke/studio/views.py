"""What the studio shows of runs, as JSON. Everything is read from the runs' folders; nothing is decided here."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

from downstroke import api
from downstroke.api import Run
from downstroke.data.batches import steps_per_epoch
from downstroke.errors import DownstrokeError, RecipeError
from downstroke.learning.schedules import SCHEDULES
from downstroke.recipe import RECIPES, Recipe
from downstroke.runs.files import finite
from downstroke.runs.run import METRICS, RECIPE, damage, list_folders, standing
from downstroke.studio import follow, schemas
from downstroke.studio.errors import Refused
from downstroke.studio.jobs import Job, Jobs

MOST_ROWS = 2000  # of steps in one answer
PACE_S = 15.0  # over how long the pace is taken


@dataclass(frozen=True)
class _Epoch:
    """An epoch of a run: its training images, and the updates of the weights."""

    images: int
    steps: int


class Views:
    """The runs of one folder, shown."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self._advice: dict[str, tuple[tuple[int, int], dict[str, Any] | None]] = {}
        self._seen: dict[str, deque[tuple[float, int]]] = {}
        self._lock = threading.Lock()

    def runs(self) -> dict[str, Any]:
        """Every run, the newest first: those that only wait or failed to begin before those that have a folder."""
        jobs = self.jobs.all()
        made = [folder.name for folder in reversed(list_folders(self.jobs.runs_dir)) if self._is_ours(folder)]
        unmade = [name for name, job in reversed(jobs.items()) if name not in made and _awaited(job)]
        running = [job.name for job in jobs.values() if job.status == "running"]
        return {
            "runs": [shown for name in [*unmade, *made] if (shown := self._if_there(name)) is not None],
            "queue": {"running": running, "waiting": [job.name for job in jobs.values() if job.status == "queued"]},
            "read_only": self.jobs.read_only,
            "version": version("downstroke"),
        }

    def _is_ours(self, folder: Path) -> bool:
        try:
            self.jobs.folder(folder.name)
        except DownstrokeError:
            return False
        return True

    def _if_there(self, name: str) -> dict[str, Any] | None:
        try:
            return self.run(name)
        except Refused:  # it was deleted since it was listed
            return None

    def run(self, name: str) -> dict[str, Any]:
        """A run in a line, and in which state it is. Refused(404)."""
        folder, job = self.jobs.folder(name), self.jobs.job(name)
        if job is not None and _awaited(job) and not (folder / RECIPE).exists():
            return _unmade(job)
        run = self.jobs.open(name)
        try:
            found = self._run(run, job)
            schemas.Run.model_validate(finite(found))  # what the schema refuses would refuse the list
            return found
        except Exception as error:  # whatever is wrong with one folder, it must not hide the others
            return {**_NOTHING, "name": name, "recipe": "", "state": "failed", "error": damage(error)}

    def _run(self, run: Run, job: Job | None) -> dict[str, Any]:
        summary, position = run.summary(), run.position
        state, error = _state(run, job, position)
        goal = position["leg"]["last_epoch"] if position else run.recipe.epochs
        if job is not None and job.status != "ended":
            goal = job.goal
        return {
            "name": run.name,
            "recipe": summary["recipe"],
            "state": state,
            "epochs": summary["epochs"],
            "target_epochs": summary["epochs"] if state == "idle" else max(goal, summary["epochs"]),
            "steps": max(summary["steps"], position.get("step", 0)),
            "val_loss": summary["val_loss"],
            "val_accuracy": summary["val_accuracy"],
            "best_epoch": summary["best_epoch"],
            "train_seconds": summary["train_seconds"],
            "advice": self.advice(run),
            "error": error,
            "made_at": run.environment.get("made"),
        }

    def advice(self, run: Run) -> dict[str, Any] | None:
        """The JSON of `downstroke advise`; None where there is nothing to draw it from yet."""
        try:
            status = (run.folder / METRICS).stat()
        except OSError:
            return None
        key = status.st_mtime_ns, status.st_size
        if run.name not in self._advice or self._advice[run.name][0] != key:
            try:
                found = run.advice().to_dict()
            except DownstrokeError:
                found = None
            self._advice[run.name] = key, found
        return self._advice[run.name][1]

    def detail(self, name: str) -> dict[str, Any]:
        """A run with its recipe, its machine, the looks at its test set, and how far it is."""
        shown, job = self.run(name), self.jobs.job(name)
        made = (self.jobs.folder(name) / RECIPE).exists()
        if not made:
            fields_, environment, looks, size = (job.recipe if job else {}), {}, [], None
        else:
            run = self.jobs.open(name)
            fields_, environment, looks, size = _recipe(run), _environment(run), _looks(run), _size(run)
        return {
            **shown,
            "recipe_fields": fields_,
            "environment": environment,
            "looks": looks,
            "steps_per_epoch": size and size.steps,
            "progress": self._progress(shown, size),
        }

    def _progress(self, shown: dict[str, Any], size: _Epoch | None) -> dict[str, Any] | None:
        """Where training stands and how fast it goes; None where it does not, or has not begun."""
        if shown["state"] != "training":
            self._seen.pop(shown["name"], None)
            return None
        row = follow.last_row(follow.of_steps(self.jobs.runs_dir / shown["name"]))
        if row is None or size is None:
            return None
        steps_per_s = self._pace(shown["name"], row["step"])
        left = shown["target_epochs"] * size.steps - row["step"]
        return {
            "epoch": math.ceil(row["step"] / size.steps),
            "step": row["step"],
            "steps_per_epoch": size.steps,
            "lr": row["lr"],
            "images_per_second": steps_per_s and steps_per_s * size.images / size.steps,
            "seconds_left": steps_per_s and max(0, left) / steps_per_s,
        }

    def progress_of(self, shown: dict[str, Any]) -> dict[str, Any] | None:
        """The progress of a run that `run` has shown, as in `detail`."""
        if shown["state"] != "training":
            return None
        return self._progress(shown, _size(Run(self.jobs.folder(shown["name"]))))

    def _pace(self, name: str, step: int) -> float | None:
        """Steps per second over the last seconds; None before two looks at it."""
        now = time.monotonic()
        with self._lock:
            seen = self._seen.setdefault(name, deque(maxlen=1000))
            if seen and step < seen[-1][1]:
                seen.clear()
            if not seen or step > seen[-1][1]:
                seen.append((now, step))
            while len(seen) > 2 and now - seen[0][0] > PACE_S:
                seen.popleft()
            (began, first), (ended, last) = seen[0], seen[-1]
        return (last - first) / (ended - began) if ended > began else None

    def history(self, name: str, since_step: int = 0) -> dict[str, Any]:
        """Every epoch, and the steps after `since_step`: of more than 2,000 every second, third, ..., and the last."""
        if self.jobs.job(name) is not None and not (self.jobs.folder(name) / RECIPE).exists():
            return {"epochs": [], "steps": []}
        try:
            return self._history(self.jobs.open(name), since_step)
        except Refused:
            raise
        except Exception as error:
            raise Refused(409, damage(error)) from None

    def _history(self, run: Run, since_step: int) -> dict[str, Any]:
        steps = [asdict(row) for row in run.steps if row.step > since_step]
        every = math.ceil(len(steps) / (MOST_ROWS - 1))
        thinned = steps[::every] if every > 1 else steps
        if steps and thinned[-1] != steps[-1]:
            thinned.append(steps[-1])
        return {"epochs": [asdict(row) for row in run.history], "steps": thinned}


_NOTHING: dict[str, Any] = {
    "epochs": 0,
    "target_epochs": 0,
    "steps": 0,
    "val_loss": None,
    "val_accuracy": None,
    "best_epoch": None,
    "train_seconds": 0.0,
    "advice": None,
    "error": None,
    "made_at": None,
}


def _awaited(job: Job) -> bool:
    """Whether there is something to show of a job whose run has no folder: not where somebody has deleted it."""
    return job.status != "ended" or (job.error is not None and job.step_after == 0)


def _unmade(job: Job) -> dict[str, Any]:
    """A run that has no folder: it waits, or has just been started, or failed before it had one."""
    states = {"queued": "queued", "running": "training", "ended": "failed"}
    return {
        **_NOTHING,
        "name": job.name,
        "recipe": job.recipe["name"],
        "state": states[job.status],
        "target_epochs": job.recipe["epochs"],
        "error": job.error,
    }


def _state(run: Run, job: Job | None, position: dict[str, Any]) -> tuple[str, str | None]:
    """training, queued, paused, idle or failed; and the error where it failed."""
    if job is not None and job.status != "ended":
        return ("queued" if job.status == "queued" else "training"), None
    if run.in_training:
        return "training", None
    if job is not None and job.step_after == position.get("step", 0):  # nobody has trained it since
        if job.asked == "stop":
            return "idle", None
        if job.error:
            return "failed", job.error
    return ("idle" if standing(position) == "finished" else "paused"), None


def _recipe(run: Run) -> dict[str, Any]:
    try:
        return run.recipe.to_dict()
    except DownstrokeError:
        return {}


def _environment(run: Run) -> dict[str, Any]:
    try:
        return run.environment
    except DownstrokeError:
        return {}


def _looks(run: Run) -> list[dict[str, Any]]:
    try:
        return run.looks
    except DownstrokeError:
        return []


def _size(run: Run) -> _Epoch | None:
    try:
        images = run.environment["data"]["train"]
        return _Epoch(images, steps_per_epoch(run.recipe, images)) if isinstance(images, int) else None
    except DownstrokeError:
        return None


def recipes() -> dict[str, Any]:
    """The named recipes, and every field of a recipe with what it decides. Loads torch."""
    named_choices = choices()
    kinds = {"int": "integer", "float": "number", "bool": "flag"}
    described = [
        {
            "name": f.name,
            "kind": "choice" if f.name in named_choices else kinds.get(str(f.type).split(" |")[0], "text"),
            "choices": named_choices.get(f.name),
            "note": f.metadata["note"],
            **{end: _finite(f.metadata[end]) for end in ("low", "high")},
        }
        for f in fields(Recipe)
    ]
    named = [{"name": name, "fields": recipe.to_dict()} for name, recipe in RECIPES.items()]
    return {"recipes": named, "fields": described}


def choices() -> dict[str, list[str]]:
    """Of the fields that are names: what there is. A `package.module:callable` is for the command line alone."""
    from downstroke.augment.variation import AUGMENTATIONS
    from downstroke.learning.criteria import CRITERIA
    from downstroke.learning.models import MODELS
    from downstroke.learning.optimizers import OPTIMIZERS

    return {
        "model": list(MODELS),
        "first_layer": ["random", "whitening"],
        "criterion": list(CRITERIA),
        "optimizer": list(OPTIMIZERS),
        "schedule": list(SCHEDULES),
        "augment": list(AUGMENTATIONS),
    }


def recipe_of(wanted: schemas.Train) -> Recipe:
    """The recipe that was asked for. RecipeError; a `package.module:callable` is for the command line alone."""
    fields = {"base": wanted.recipe} if isinstance(wanted.recipe, str) else dict(wanted.recipe)
    base = fields.pop("base", "standard")
    if not isinstance(base, str) or base not in RECIPES:
        raise RecipeError(f"no recipe {base!r}; there are {', '.join(RECIPES)}")
    given = {key: value for key in ("epochs", "data") if (value := getattr(wanted, key)) is not None}
    recipe = RECIPES[base].replace(**{**fields, **given})
    for field, names in choices().items():
        _refuse_unknown(field, getattr(recipe, field), names)
    return recipe


def schedule_of(wanted: schemas.Continue) -> str | None:
    """The schedule that was asked for, if any. RecipeError."""
    if wanted.schedule is not None:
        _refuse_unknown("schedule", wanted.schedule, SCHEDULES)
    return wanted.schedule


def _refuse_unknown(field: str, value: str, names: Collection[str]) -> None:
    if value not in names:
        raise RecipeError(f"no {field} {value!r}; there are {', '.join(names)}")


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def compare(first: Run, second: Run) -> dict[str, Any]:
    """The JSON of `downstroke compare`, its sentences, and the recipe fields that differ."""
    found = api.compare(first, second)
    one, other = first.recipe.to_dict(), second.recipe.to_dict()
    differs = [{"field": key, "a": one[key], "b": other[key]} for key in one if one[key] != other[key]]
    return {**found, "words": [found[key] for key in ("digits", "losses", "lengths") if found[key]], "differs": differs}
