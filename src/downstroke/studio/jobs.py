"""Training in a child process: `downstroke train` and `continue`, queued, watched, stopped, and outliving the server.

A run's folder holds what was trained. Beside the runs, in `.studio/`, lies what only the studio knows, a JSON file a
run: what was asked for, which process does it, how it ended. Both are on disk, so a restarted server knows what the
one before it knew. A process is known again by its number and by when it began; another of the same number is left
alone.

The runs folder may be a stranger's. So a job's file is taken only where all of it is in order, and a training is
started or interrupted only where this user's studio has queued it for this folder: the file is signed (`runs.trust`).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from downstroke.api import Run
from downstroke.errors import DownstrokeError, RunError, shown
from downstroke.learning.schedules import SCHEDULES
from downstroke.recipe import Recipe
from downstroke.runs import files, names, trust
from downstroke.runs.run import MOST_COUNTED, RECIPE
from downstroke.studio.errors import Refused
from downstroke.studio.follow import last_step
from downstroke.studio.uploads import in_words

HOME = ".studio"
AT_ONCE = 1  # trainings
MOST_WAITING = 8
TICK_S = 0.1
NICE = 10  # of the child: whoever waits for an answer of the server comes first
MOST_LINE = 10_000  # bytes of the last line that a training said

Count = Annotated[int, Field(ge=0, le=MOST_COUNTED)]
Whole = Annotated[int, Field(ge=1, le=2**63)]


@dataclass
class Job:
    """One training that was asked for: a new run, or more of one."""

    name: str  # of the run
    action: Literal["train", "continue"]
    recipe: dict[str, Any]  # all fields of the run's recipe
    goal: Count  # epochs done when this is done
    epochs: Whole | None = None  # of continue; None finishes what was interrupted
    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    schedule: str | None = None
    status: Literal["queued", "running", "ended"] = "queued"
    order: Whole = field(default_factory=time.time_ns)
    pid: Whole | None = None
    began: Whole | None = None  # when the process did, in the system's ticks; None where the system does not say
    asked: Literal["pause", "stop"] | None = None  # where somebody did
    told: bool = False  # whether the process has been told of it
    step_before: Count = 0  # of the run, when the process was started
    step_after: Count = 0  # of the run, when it had ended
    error: str | None = None  # the line that a person sees, where it failed


_JOB = TypeAdapter(Job)


class Jobs:
    """The trainings of one runs folder. A context; one studio at a time may start trainings in a folder."""

    def __init__(self, runs_dir: Path, *, read_only: bool = False) -> None:
        self.runs_dir, self.read_only = runs_dir, read_only
        self._home = runs_dir / HOME
        self._jobs: dict[str, Job] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._held = ExitStack()
        self._left_aside: set[str] = set()  # what was said of files

    def __enter__(self) -> Jobs:
        if self.read_only:
            return self
        if self._home.is_symlink():
            raise DownstrokeError(f"{self._home} is a link, and the studio writes into it; remove it")
        self._home.mkdir(parents=True, exist_ok=True)
        busy = f"another studio serves {self.runs_dir}; use that one, or look on with --read-only"
        self._held.enter_context(files.locked(self._home / ".lock", busy))
        self._jobs = self._read()
        watch = threading.Thread(target=self._watch, name="trainings", daemon=True)
        watch.start()
        self._held.callback(watch.join)
        self._held.callback(self._closing.set)
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()  # the trainings go on

    def folder(self, name: str) -> Path:
        """Where run `name` is, or will be. Refused(404) for a name that would lead elsewhere."""
        try:
            folder = self.runs_dir / names.checked(name)
        except DownstrokeError as error:
            raise Refused(404, str(error)) from None
        if folder.resolve().parent != self.runs_dir.resolve():
            raise Refused(404, f"run {name!r} is outside the runs folder; move it there")
        return folder

    def open(self, name: str) -> Run:
        """The run of that name. Refused(404)."""
        folder = self.folder(name)
        if not (folder / RECIPE).exists():
            raise Refused(404, f"there is no run {name!r} here")
        return Run(folder)

    def job(self, name: str) -> Job | None:
        """What the studio knows of a run's latest training; None where it has had no part in it."""
        if self.read_only:
            return self._read(f"{self.folder(name).name}.job.json").get(name)
        with self._lock:
            return self._jobs.get(name)

    def all(self) -> dict[str, Job]:
        """Name -> job, the one that was asked for first before the others."""
        if self.read_only:
            return self._read()
        with self._lock:
            return dict(sorted(self._jobs.items(), key=lambda item: item[1].order))

    def train(self, recipe: Recipe, name: str | None) -> str:
        """Queue a new run; returns its name. Refused where the name is taken or too many wait."""
        with self._lock:
            taken = name or self._fresh()
            if name is not None:
                try:
                    names.checked(name)
                except DownstrokeError as error:
                    raise Refused(400, str(error)) from None
                job = self._jobs.get(name)
                if self.folder(name).exists() or (job and job.status != "ended"):
                    raise Refused(409, f"there is a run {name!r}, and a run is never overwritten; choose another name")
            self._queue(Job(taken, "train", recipe.to_dict(), recipe.epochs))
            return taken

    def extend(self, name: str, epochs: int | None, lr: float | None, schedule: str | None) -> None:
        """Queue more of a run; with `epochs` None, what was interrupted. Refused where it trains already."""
        with self._lock:
            run = self.open(name)
            self._refuse_busy(name, run)
            self._refuse_nothing(name, run, epochs, [lr, schedule])
            position = run.position
            goal = position["epoch"] + epochs if position and epochs else _goal(run)
            self._queue(Job(name, "continue", run.recipe.to_dict(), goal, epochs, lr, schedule))

    def _refuse_busy(self, name: str, run: Run) -> None:
        job = self._jobs.get(name)
        if (job and job.status != "ended") or run.in_training:
            raise Refused(409, f"{name} is being trained or waiting for its turn; pause it or stop it first")

    def _refuse_nothing(self, name: str, run: Run, epochs: int | None, changes: list[Any]) -> None:
        if epochs is not None:
            return
        if changes != [None, None]:
            raise Refused(400, "lr and schedule begin a new leg of training; say how long: epochs")
        if run.position.get("epoch", 0) >= _goal(run):
            raise Refused(409, f"{name} has trained all the epochs it was asked for; say how many more: epochs")

    def ask(self, name: str, wish: Literal["pause", "stop"]) -> None:
        """Pause a training (its goal is kept) or stop it; what only waits leaves the queue. Refused(404), (409)."""
        with self._lock:
            job = self._jobs.get(name)
            if job is None or job.status == "ended":
                self._ask_idle(name, wish, job)
            elif job.status == "queued":
                if wish == "pause":
                    raise Refused(409, f"{name} is still waiting for its turn; stop takes it from the queue")
                self._forget(name)
            else:
                if name not in self._children and not _is(job):
                    raise Refused(
                        409,
                        f"{name} is trained by a process that this studio cannot identify; press Ctrl-C where it runs",
                    )
                job.asked = wish
                self._write(job)
                self._tell(job)

    def _ask_idle(self, name: str, wish: str, job: Job | None) -> None:
        made = (self.folder(name) / RECIPE).exists()
        if not made and job is None:
            raise Refused(404, f"there is no run {name!r} here")
        if made and self.open(name).in_training:
            raise Refused(409, f"{name} is being trained outside the studio; stop it there (Ctrl-C)")
        if wish == "pause":
            raise Refused(409, f"{name} is not being trained, so there is nothing to pause")
        if not made:
            self._forget(name)
            return
        run = self.open(name)
        recipe, goal, step = run.recipe.to_dict(), _goal(run), _step(run)
        self._jobs[name] = Job(name, "continue", recipe, goal, status="ended", asked="stop", step_after=step)
        self._write(self._jobs[name])

    def _queue(self, job: Job) -> None:
        if self.read_only:
            raise Refused(403, "this studio is read-only; it starts no training")
        waiting = sum(other.status == "queued" for other in self._jobs.values())
        if waiting >= MOST_WAITING:
            raise Refused(429, f"{waiting} trainings are waiting already; stop one, or try again when one is done")
        self._jobs[job.name] = job
        self._write(job)
        self._start_next()

    def _fresh(self) -> str:
        while (name := names.fresh()) in self._jobs or (self.runs_dir / name).exists():
            pass
        return name

    def _watch(self) -> None:
        while not self._closing.wait(TICK_S):
            try:
                with self._lock:
                    for job in [job for job in self._jobs.values() if job.status == "running"]:
                        self._look_at(job)
                    self._start_next()
            except Exception as error:  # a full disk, a spoiled folder: the next look may fare better
                print(f"the studio cannot keep its record of trainings: {error}", file=sys.stderr, flush=True)
                self._closing.wait(10)

    def _look_at(self, job: Job) -> None:
        child = self._children.get(job.name)
        code = child.poll() if child else None
        if code is None and (child or _is(job)):
            self._tell(job)
            return
        if child is None and self._in_training(job.name):
            return  # a process that cannot be told for sure, but it trains
        self._children.pop(job.name, None)
        job.status, job.pid = "ended", None
        job.step_after = self._step(job.name)
        job.error = self._why(job, code)
        self._write(job)

    def _in_training(self, name: str) -> bool:
        return files.held(self.runs_dir / name / ".lock")

    def _step(self, name: str) -> int:
        run = self.runs_dir / name
        return _step(Run(run)) if (run / RECIPE).exists() else 0

    def _why(self, job: Job, code: int | None) -> str | None:
        """Why it failed; None where it did not. Without an exit code, from what it said and what it left."""
        said = self._last_line(job.name)
        if said.startswith("error: "):
            return said.removeprefix("error: ")
        if code == 0 or job.asked:
            return None
        if code is None or code == 130:  # of an orphan there is only what it left; 130: somebody's Ctrl-C
            position = Run(self.runs_dir / job.name).position
            if code == 130 or (position and position["epoch"] >= position["leg"]["last_epoch"]):
                return None
        how = f"signal {-code}" if code is not None and code < 0 else "killed, or the machine was switched off"
        return f"its process ended without a message ({how}); all up to its last checkpoint is kept: continue"

    def _last_line(self, name: str) -> str:
        try:
            with files.open_inside(self._home / f"{name}.log") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - MOST_LINE))
                lines = log.read(MOST_LINE).decode(errors="replace").splitlines()
        except OSError:
            return ""
        return lines[-1] if lines else ""

    def _tell(self, job: Job) -> None:
        """Interrupt the process, once; not before a new run is there, or a continued one has made its first step.

        Until then it listens to nobody. A new run may still draw for long before its first step.
        """
        if job.asked is None or job.told or job.pid is None:
            return
        step = last_step(self.runs_dir / job.name)
        job.step_before = min(job.step_before, step)  # what came after its checkpoint was dropped
        begun = (self.runs_dir / job.name / RECIPE).exists() if job.action == "train" else step > job.step_before
        if begun and self._in_training(job.name):
            job.told = True
            self._write(job)
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(job.pid, signal.SIGINT)

    def _start_next(self) -> None:
        while sum(job.status == "running" for job in self._jobs.values()) < AT_ONCE:
            waiting = sorted((job for job in self._jobs.values() if job.status == "queued"), key=lambda job: job.order)
            if not waiting:
                return
            self._start(waiting[0])

    def _start(self, job: Job) -> None:
        folder = self.runs_dir / job.name
        # -P: what lies in the folder that the studio was started in, a torch.py say, is not imported for being there.
        command = [sys.executable, "-P", "-m", "downstroke", job.action]
        if job.action == "train":
            recipe = self._home / f"{job.name}.recipe.json"
            files.write_json(recipe, job.recipe)
            command += [str(recipe), "--name", job.name, "--runs-dir", str(self.runs_dir)]
        else:
            given = {"--epochs": job.epochs, "--lr": job.lr, "--schedule": job.schedule}
            command += [str(folder), *(f"{flag}={value}" for flag, value in given.items() if value is not None)]
        job.step_before = last_step(folder)
        with files.open_new(self._home / f"{job.name}.log") as log:
            child = subprocess.Popen(
                [*command, "--json"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,  # Ctrl-C here, or this process' end, is not a reason for it to end
            )
        _calm(child.pid)
        self._children[job.name] = child
        job.status, job.pid, job.began = "running", child.pid, _began(child.pid)
        self._write(job)

    def _read(self, files_: str = "*.job.json") -> dict[str, Job]:
        jobs = []
        for path in self._home.glob(files_):
            try:
                jobs.append(self._read_one(path))
            except DownstrokeError as error:  # of a version to come, or damaged: the run's folder says what matters
                line = shown(f"{path} is ignored: {error}")
                if line not in self._left_aside:
                    self._left_aside.add(line)
                    print(line, file=sys.stderr, flush=True)
        return {job.name: job for job in sorted(jobs, key=lambda job: job.order)}

    def _read_one(self, path: Path) -> Job:
        """DownstrokeError where anything in the file is not in order, and where others would have it acted upon."""
        values = files.read_json(path, self.runs_dir)
        signature = values.pop("signature", None) if isinstance(values, dict) else None
        try:
            job = _JOB.validate_json(json.dumps(values), strict=True)
        except ValidationError as error:
            raise RunError(in_words(error.errors(include_url=False))) from None
        if path.name != f"{names.checked(job.name)}.job.json":
            raise RunError(f"it belongs to run {job.name!r}")
        if job.schedule not in (None, *SCHEDULES):
            raise RunError(f"no schedule {job.schedule!r}; there are {', '.join(SCHEDULES)}")
        recipe = Recipe.from_dict(job.recipe)
        if job.action == "train" and (code := trust.code_of(recipe)):
            raise RunError(f"it names code, and the studio trains with none: {', '.join(code.values())}")
        acted_upon = job.status != "ended" and not self.read_only
        if acted_upon and not trust.is_signed(signature, *self._signed(values)):
            raise RunError(f"this user has not queued it in {self.runs_dir}; queue it again if you want it")
        return replace(job, recipe=recipe.to_dict())

    def _signed(self, values: dict[str, Any]) -> tuple[Any, ...]:
        """What the signature of a job's file is of: in another folder it is not asked for."""
        return "job", str(self.runs_dir.resolve()), values

    def _write(self, job: Job) -> None:
        values = asdict(job)
        signature = trust.signature(*self._signed(values))
        files.write_json(self._home / f"{job.name}.job.json", {**values, "signature": signature})

    def _forget(self, name: str) -> None:
        self._jobs.pop(name, None)
        for end in ("job.json", "recipe.json", "log"):
            (self._home / f"{name}.{end}").unlink(missing_ok=True)


def _goal(run: Run) -> int:
    position = run.position
    goal: int = position["leg"]["last_epoch"] if position else run.recipe.epochs
    return goal


def _step(run: Run) -> int:
    step: int = run.position.get("step", 0)
    return step


def _calm(pid: int) -> None:
    with suppress(AttributeError, OSError):  # not on Windows
        os.setpriority(os.PRIO_PROCESS, pid, NICE)


def _is(job: Job) -> bool:
    """Whether the job's process is alive, and for sure that very process."""
    return job.pid is not None and job.began is not None and _began(job.pid) == job.began


def _began(pid: int) -> int | None:
    """When process `pid` began, in ticks since the machine did; None where it is not there, or has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        after_name = stat.rpartition(")")[2].split()
        return None if after_name[0] in ("Z", "X") else int(after_name[19])
    except (OSError, IndexError, ValueError):
        return None
