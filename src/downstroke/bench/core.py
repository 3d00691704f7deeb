"""`downstroke bench core`: accuracy, the loop's overhead, memory, and that a run loses nothing."""

from __future__ import annotations

import json
import math
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from downstroke.api import Run, train
from downstroke.bench.timing import Say, completed, machine, median_ratio, program, timed
from downstroke.errors import RunError, counted
from downstroke.history import ValLosses
from downstroke.learning import models
from downstroke.learning.events import StepDone
from downstroke.learning.learner import Images
from downstroke.learning.machine import choose
from downstroke.learning.optimizers import OPTIMIZERS
from downstroke.learning.precision import Measured, bfloat16_features, family
from downstroke.learning.schedules import SCHEDULES
from downstroke.recipe import Recipe, named
from downstroke.runs.loading import load_data
from downstroke.runs.outputs import output_json
from downstroke.runs.parts import Parts
from downstroke.runs.run import METRICS, STEPS, VAL_LOSSES
from downstroke.runs.training import Training

BLOCK = 100  # steps timed at a stretch
PRECISION_OF = ("standard", "sprint", "best", "tiny", "reader")
TOGETHER_S = 16.0  # that a training of `together` lasts alone: 10 at least, on a machine that varies


def measure(*, seeds: int, trials: int, only: Sequence[str], out: Path, say: Say) -> dict[str, Any]:
    """Measure the parts named in `only` (all, where it is empty), save the figures to `out`, and return them."""
    figures = machine()
    with tempfile.TemporaryDirectory(prefix="downstroke-bench-") as folder:
        home = Path(folder)
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "loop": lambda: loop_overhead(home, say),
            "memory": lambda: memory(home, say),
            "accuracy": lambda: accuracy(home, seeds, say),
            "continue": lambda: continuing(home, trials, say),
            "kill": lambda: killing(home, trials, say),
            "together": lambda: together(home, say),
            "precision": lambda: precisions(home, say),
        }
        for name, part in parts.items():
            if not only or name in only:
                figures |= part()
                output_json(out, figures)
    return figures


def accuracy(home: Path, seeds: int, say: Say) -> dict[str, Any]:
    """Test accuracy of the default recipe over seeds 0..n-1, none dropped."""
    found, seconds = [], []
    for seed in range(seeds):
        run = completed(train(progress=False, runs_dir=home, name=f"accuracy-{seed}", seed=seed))
        found.append(run.test()["accuracy"])
        seconds.append(run.summary()["train_seconds"])
        say(f"standard, seed {seed}: test accuracy {found[-1]:.2%} after {seconds[-1]:.1f} s")
    return {
        "standard_test_accuracy_mean": statistics.mean(found),
        "standard_test_accuracy": found,
        "standard_train_seconds_median": statistics.median(seconds),
    }


def loop_overhead(home: Path, say: Say, rounds: int = 12) -> dict[str, Any]:
    """The loop, its records written to disk, against the barest loop of the same model: seconds a block, in turn."""
    figures: dict[str, Any] = {}
    precisions = ["float32", "bfloat16"] if bfloat16_features() else ["float32"]
    for precision in precisions:
        recipe = named("standard").replace(
            augment="none", average=0.0, label_smoothing=0.0, batch_size=128, uncertain=1.0, epochs=rounds
        )
        threads = torch.get_num_threads()  # both loops are in this process: its threads stay as they are
        with Training.start(
            recipe, runs_dir=home, name=f"loop-{precision}", precision=precision, threads=threads
        ) as training:
            ours, bare = _our_blocks(training), _bare_blocks(recipe, precision == "bfloat16")
            next(ours), next(bare)  # the first block of each is for warming up
            pairs = [(next(ours), next(bare)) for _ in range(rounds)]
        ratio = median_ratio([mine for mine, _ in pairs], [theirs for _, theirs in pairs])
        step = statistics.median(mine for mine, _ in pairs) / BLOCK
        say(f"loop, {precision}: {ratio:.3f} times the time of a bare one, {step * 1e3:.1f} ms a step")
        figures |= {f"loop_over_bare_{precision}": ratio, f"step_ms_{precision}": step * 1e3}
    return figures


def _our_blocks(training: Training) -> Iterator[float]:
    """Seconds of one block of steps after another, all within an epoch: measuring W is not what is compared."""
    began, seen = time.perf_counter(), 0
    for event in training:
        if isinstance(event, StepDone):
            seen += 1
            if seen < BLOCK:
                continue
            yield time.perf_counter() - began
        began, seen = time.perf_counter(), 0  # what was begun when the epoch ended is not a block


def _bare_blocks(recipe: Recipe, bfloat16: bool) -> Iterator[float]:
    """What one would write by hand: floats made once, a random order, five lines, nothing recorded."""
    parts = Parts(load_data(recipe), recipe)
    data = Images(parts.train, "cpu")
    network = models.build(recipe, 10)
    network.measure(data.images)
    net, floats = network.net, data.images.float()[:, None] / 255 * network.scale + network.shift
    assert recipe.lr is not None
    adam = torch.optim.Adam(net.parameters(), recipe.lr, betas=(recipe.momentum, recipe.beta2), fused=True)
    while True:
        order = torch.randperm(len(floats))
        began = time.perf_counter()
        for index in torch.split(order, recipe.batch_size)[:BLOCK]:
            with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                logits = net(floats[index])
            loss = F.cross_entropy(logits.float(), data.labels[index])
            adam.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            adam.step()
        yield time.perf_counter() - began


def memory(home: Path, say: Say) -> dict[str, Any]:
    """The most memory of `downstroke train`, in a process of its own."""
    _, said = timed([*program(), "train", "--epochs", "1", "--json", "--runs-dir", str(home)])
    peak = json.loads(said)["peak_rss_mb"]
    say(f"memory: {peak:.0f} MB at most")
    return {"train_peak_rss_mb": peak}


def continuing(home: Path, trials: int, say: Say) -> dict[str, Any]:
    """N epochs and then M more against N + M at once, for random N, M, optimizers and schedules without a horizon."""
    chance, equal = random.Random(0), 0
    free = [name for name, schedule in SCHEDULES.items() if not schedule.horizon]
    for trial in range(trials):
        n, m = chance.randint(1, 3), chance.randint(1, 3)
        recipe = _small(chance).replace(
            optimizer=chance.choice(list(OPTIMIZERS)), schedule=chance.choice(free), seed=trial
        )
        parts = completed(train(recipe.replace(epochs=n), progress=False, runs_dir=home, name=f"parts-{trial}"))
        parts = completed(parts.extend(epochs=m, progress=False))
        at_once = completed(train(recipe.replace(epochs=n + m), progress=False, runs_dir=home, name=f"at-once-{trial}"))
        unlike = differences(parts, at_once)
        equal += not unlike
        said = ", ".join(unlike) or "equal"
        how = f"{recipe.model}, {recipe.optimizer}, {recipe.schedule}, {n} + {counted(m, 'epoch')}"
        say(f"continue {trial}: {how}: {said}")
    return {"continue_equal": equal, "continue_trials": trials}


def killing(home: Path, trials: int, say: Say) -> dict[str, Any]:
    """kill -9 at a random moment between the first step and the last, continue, against a run that was never broken.

    A process that had not begun, or had come to its end, is not counted: another is started in its place.
    """
    chance, equal, seen, attempt = random.Random(1), 0, 0, 0
    recipe = _small(chance).replace(model="cnn", optimizer="adam", epochs=3, train_size=4000)
    began = time.monotonic()
    unbroken = completed(train(recipe, progress=False, runs_dir=home, name="unbroken"))
    lasts = time.monotonic() - began
    total = len(unbroken.steps)
    while seen < trials:
        name = f"killed-{attempt}"
        attempt += 1
        if attempt > 10 * trials:
            raise RunError(f"only {seen} of {attempt - 1} kills came between the first step and the last")
        arguments = f"downstroke.Recipe(**{recipe.to_dict()!r}), runs_dir={str(home)!r}, name={name!r}"
        code = f"import downstroke; downstroke.train({arguments})"
        with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as process:
            while not (home / name / "recipe.json").exists() and process.poll() is None:
                time.sleep(0.001)
            time.sleep(chance.uniform(0, lasts))
            process.kill()
        if not in_the_middle(steps := len(Run.open(name, home).steps), total):
            continue
        try:
            unlike = differences(completed(Run.open(name, home).extend(progress=False)), unbroken)
        except RunError as error:
            unlike = [str(error)]
        seen += 1
        equal += not unlike
        say(f"kill -9 {seen}, after step {steps} of {total}: {', '.join(unlike) or 'equal'}")
    return {"kill_equal": equal, "kill_trials": trials}


def in_the_middle(steps: int, total: int) -> bool:
    """Whether a process killed after `steps` of `total` had begun and had not come to its last."""
    return 0 < steps < total


def together(home: Path, say: Say, rounds: int = 3) -> dict[str, Any]:
    """Two trainings at once, each against one alone, in turn, threads left to choose.

    Each has as many epochs as last TOGETHER_S seconds alone on this machine: the program looks at the cores once a
    second, so that a training of a second would show nothing.
    """
    trial = 4
    (seconds,) = _at_once(home, ["trial"], trial)
    epochs = math.ceil(trial * TOGETHER_S / seconds)
    ratios, alones = [], []
    for turn in range(rounds):
        (alone,) = _at_once(home, [f"alone-{turn}"], epochs)
        both = _at_once(home, [f"first-{turn}", f"second-{turn}"], epochs)
        alones.append(alone)
        ratios += [alone / seconds for seconds in both]
        said = " and ".join(f"{seconds:.1f}" for seconds in both)
        say(f"together, round {turn + 1}: {counted(epochs, 'epoch')} alone {alone:.1f} s, two at once {said} s")
    return {
        "together_over_alone_speed_median": statistics.median(ratios),
        "together_over_alone_speed": ratios,
        "together_alone_seconds": alones,
    }


def _at_once(home: Path, names: Sequence[str], epochs: int) -> list[float]:
    """Training seconds of `downstroke train` in a process for each name, all started together."""
    fields = f"train standard --train-size 10000 --val-size 500 --epochs {epochs} --json".split()
    begun = [
        subprocess.Popen(
            [*program(), *fields, "--runs-dir", str(home), "--name", name],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for name in names
    ]
    said = [process.communicate()[0] for process in begun]
    return [json.loads(text)["train_seconds"] for text in said]


def precisions(home: Path, say: Say, rounds: int = 6) -> dict[str, Any]:
    """A row of `learning.precision.MEASURED` for each recipe here: blocks of steps in both precisions, in turn."""
    here, rows = choose(), []
    for name in PRECISION_OF:
        # An epoch holds a block at least; what is drawn for the reader is the same in both.
        recipe = named(name).replace(epochs=rounds + 1, negatives=0)
        with ExitStack() as open_:
            blocks = []
            for kind in ("float32", "bfloat16"):
                begun = Training.start(
                    recipe, runs_dir=home, name=f"{name}-{kind}", precision=kind, threads=here.threads
                )
                blocks.append(_our_blocks(open_.enter_context(begun)))
            for block in blocks:
                next(block)  # the first of each is for warming up
            times = [tuple(next(block) for block in blocks) for _ in range(rounds)]
        ratio = median_ratio([bfloat16 for _, bfloat16 in times], [float32 for float32, _ in times])
        row = Measured(family(here.device), recipe.model, name, ratio, time.strftime("%Y-%m-%d"), "bench core")
        say(f"precision, {name}: a step in bfloat16 takes {ratio:.3f} times that in float32; {row}")
        rows.append(asdict(row))
    return {"precision": rows}


def _small(chance: random.Random) -> Recipe:
    """A recipe of a few seconds with everything that carries state from step to step."""
    return named("standard").replace(
        model=chance.choice(list(models.MODELS)),
        train_size=1500,
        val_size=500,
        batch_size=32,
        lr=0.002,
        dropout=0.2,
        lr_decay=0.7,
        lr_decay_epochs=1,
        warmup_steps=10,
    )


def differences(one: Run, other: Run) -> list[str]:
    """What is not bit for bit the same in two runs, times apart: W, its average, the optimizer's state, the records."""
    found = []
    for name in ("last", "best"):
        mine, theirs = (_checkpoint(run.folder / name) for run in (one, other))
        found += [
            f"{name}/{file}" for file in sorted(mine.keys() | theirs.keys()) if mine.get(file) != theirs.get(file)
        ]
    for file in (METRICS, STEPS, VAL_LOSSES):
        mine, theirs = (_record(run.folder / file) for run in (one, other))
        if mine != theirs:
            found.append(file)
    return found


def _checkpoint(folder: Path) -> dict[str, Any]:
    held: dict[str, Any] = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    state = json.loads((folder / "state.json").read_text())
    del state["checksum"], state["position"]["elapsed_s"]
    if folder.name == "best":
        # What lies ahead of the best epoch is known differently to a run that was asked to go on later.
        del state["position"]["leg"]
    return {**held, "state.json": state}


def _record(path: Path) -> Any:
    if not path.exists():
        return None
    if path.name == VAL_LOSSES:
        held = ValLosses.read(path)
        return held and (held.losses.tolist(), None if held.epochs is None else held.epochs.tolist())
    lines = [line.split(",") for line in path.read_text().splitlines()]
    skip = {i for i, column in enumerate(lines[0]) if column == "elapsed_s"}
    return [[value for i, value in enumerate(line) if i not in skip] for line in lines]
