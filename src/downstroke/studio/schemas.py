"""What programs send and are sent, described for them: the models behind /openapi.json."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from downstroke.learning.schedules import SCHEDULES
from downstroke.recipe import RECIPES, Recipe

Name = Annotated[str, Field(description="The run's name: its folder in the runs folder.", examples=["calm-otter"])]
Share = Annotated[float, Field(ge=0, le=1)]
Rows28 = Annotated[
    list[Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=28, max_length=28, fail_fast=True)]],
    Field(
        min_length=28,
        max_length=28,
        fail_fast=True,
        description="28 rows of 28 grey levels, 0 to 255, ink high on zero.",
    ),
]


class Shape(BaseModel):
    """One JSON object."""

    model_config = ConfigDict(extra="forbid", json_schema_serialization_defaults_required=True)


class Asked(Shape):
    """One JSON object of a request: a 1 is no `true`, and a word is no number."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Error(Shape):
    """Why a request was not carried out."""

    error: str = Field(description="One line for a person.", examples=["there is no run 'calm-otter' here"])


class Health(Shape):
    """That the server answers."""

    status: Literal["ok"]
    version: str = Field(examples=["0.1.0"])


class Forecast(Shape):
    """Val loss so many epochs ahead."""

    epochs: int = Field(description="Epochs ahead.", examples=[5])
    val_loss: float
    low: float = Field(description="Low end of the 80% interval.")
    high: float = Field(description="High end of the 80% interval.")


class Advice(Shape):
    """Train on, or stop, and why: the JSON of `downstroke advise`."""

    epoch: int
    verdict: Literal["continue", "plateau", "overfitting", "unstable", "too-early"]
    best_epoch: int | None
    best_val_loss: float | None
    forecast: list[Forecast]
    reason: str = Field(examples=["Continue. Val loss still falls: 0.071 -> 0.047 over the last 3 epochs."])
    command: str | None = Field(
        description="What to type next.", examples=["downstroke continue calm-otter --epochs 5"]
    )
    step: int | None = Field(None, description="The step of the last row; null where it is not known.")
    likely_better: float | None = Field(
        None, description="How likely val loss still gets more than 1% lower, 0 to 1; null where it was not judged."
    )


State = Literal["training", "queued", "paused", "idle", "failed"]


class Run(Shape):
    """A run in a line."""

    name: Name
    recipe: str = Field(description="The name of its recipe.", examples=["standard"])
    state: State = Field(
        description="training: being trained now. queued: waiting for its turn. paused: interrupted before its "
        "goal; continue finishes it. idle: nothing left to do. failed: `error` says why."
    )
    epochs: int = Field(description="Epochs done.", examples=[3])
    target_epochs: int = Field(description="Epochs when the training that was asked for is done.", examples=[6])
    steps: int = Field(description="Updates of the weights so far.", examples=[1290])
    val_loss: float | None = Field(description="Of the best epoch: mean cross-entropy on val, nats.", examples=[0.031])
    val_accuracy: float | None = Field(description="Of the best epoch, 0 to 1.", examples=[0.991])
    best_epoch: int | None
    train_seconds: float = Field(description="Seconds of training, as `downstroke train` counts them.")
    advice: Advice | None
    error: str | None
    made_at: str | None = Field(description="When the run was made.", examples=["2026-11-22T21:45:00+0000"])


class Progress(Shape):
    """How far training is."""

    epoch: int = Field(description="The epoch under way, from 1.")
    step: int
    steps_per_epoch: int
    lr: float
    images_per_second: float | None = Field(description="Over the last seconds; null before it is known.")
    seconds_left: float | None


class Detail(Run):
    """A run, with its recipe, its machine and the looks at its test set."""

    recipe_fields: dict[str, Any] = Field(description="Every field of the recipe.", examples=[{"model": "cnn"}])
    environment: dict[str, Any] = Field(description="Versions, device, data: fixed when the run was made.")
    looks: list[dict[str, Any]] = Field(description="Every look at the sealed test set, the first first.")
    steps_per_epoch: int | None = Field(description="Null before the run has its data.", examples=[430])
    progress: Progress | None


class Queue(Shape):
    """The trainings running, and those waiting."""

    running: list[str]
    waiting: list[str] = Field(description="The next one first.")


class Runs(Shape):
    """The runs here, the newest first."""

    runs: list[Run]
    queue: Queue
    read_only: bool = Field(description="Whether nothing can be changed through this server.")
    version: str


class EpochRow(Shape):
    """One epoch; null is what was not measured."""

    epoch: int
    step: int
    elapsed_s: float
    lr: float | None
    batch_loss: float | None = Field(description="Mean over the images as they came, while W was moving.")
    loss: float | None = Field(description="On a fixed sample of the training images, in evaluation mode.")
    accuracy: float | None
    val_loss: float | None
    val_accuracy: float | None


class StepRow(Shape):
    """One update of the weights."""

    step: int
    lr: float | None
    batch_loss: float | None
    gradient_norm: float | None


class History(Shape):
    """What was recorded."""

    epochs: list[EpochRow]
    steps: list[StepRow] = Field(description="At most 2,000: of more, every second, third, ..., and the last.")


class RecipeField(Shape):
    """A field of a recipe."""

    name: str = Field(examples=["optimizer"])
    kind: Literal["choice", "number", "integer", "flag", "text"]
    choices: list[str] | None
    note: str = Field(description="What it decides.", examples=["images in one step"])
    low: float | None
    high: float | None


class NamedRecipe(Shape):
    """A recipe by name."""

    name: str = Field(examples=["standard"])
    fields: dict[str, Any]


class Recipes(Shape):
    """The named recipes, and the fields of a recipe."""

    recipes: list[NamedRecipe]
    fields: list[RecipeField]


def _described(f: dataclasses.Field[Any]) -> dict[str, Any]:
    """A field of a recipe as JSON schema; `Recipe` itself checks it."""
    kind = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}[str(f.type).split(" |")[0]]
    low = {"exclusiveMinimum" if f.metadata["open_low"] else "minimum": f.metadata["low"]}
    ends = {key: end for key, end in {**low, "maximum": f.metadata["high"]}.items() if math.isfinite(end)}
    types = [kind, "null"] if "None" in str(f.type) else kind
    return {"type": types, "description": f.metadata["note"], **({"minLength": 1} if kind == "string" else ends)}


RecipeName = Annotated[str, WithJsonSchema({"enum": list(RECIPES)})]
ScheduleName = Annotated[str, WithJsonSchema({"enum": list(SCHEDULES)})]
RecipeFields = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "description": "Fields of a recipe; what is left out comes from `base`.",
            "properties": {
                "base": {"enum": list(RECIPES), "default": "standard"},
                **{f.name: _described(f) for f in dataclasses.fields(Recipe)},
            },
            "additionalProperties": False,
        }
    ),
]


class Train(Asked):
    """A new run."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"recipe": "standard", "epochs": 3},
                {"recipe": {"base": "standard", "optimizer": "nesterov", "lr": 0.03}, "epochs": 3, "name": "mine"},
            ]
        },
    )

    recipe: RecipeName | RecipeFields = Field("standard", description="A recipe's name, or the fields of one.")
    epochs: int | None = Field(None, ge=1, le=10_000, description="Left out, the recipe's.")
    name: str | None = Field(None, max_length=64, description="Left out, two words at random.")
    data: str | None = Field(None, max_length=4096, description="mnist, or a path on the server's machine.")


class Continue(Asked):
    """More of a run."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"epochs": 3}, {"epochs": None}]})

    epochs: int | None = Field(None, ge=1, le=10_000, description="Epochs more; null finishes what was interrupted.")
    lr: float | None = Field(None, gt=0, allow_inf_nan=False, description="Continue with this lr, as a new leg.")
    schedule: ScheduleName | None = Field(None, description="Continue with this schedule, as a new leg.")


class Misread(Shape):
    """A test image that was read as another digit."""

    index: int = Field(description="Of the test image.")
    label: int
    prediction: int
    probabilities: list[Share]
    image: Rows28


class Examined(Shape):
    """A look at the sealed test set: the JSON of `downstroke test`, and what was misread."""

    model_config = ConfigDict(extra="allow")

    run: str
    accuracy: Share
    accuracy_interval: list[Share]
    nll: float | None
    ece: float | None
    errors: int
    images: int
    looks: int = Field(description="The looks so far, this one included.")
    confusion: list[list[int]] = Field(description="Row: the true class; column: the class it was read as.")
    classes: list[str]
    misread: list[Misread]


class Difference(Shape):
    """A recipe field in which two runs differ."""

    field: str
    a: Any
    b: Any


class Compared(Shape):
    """Two runs on the same val images: the JSON of `downstroke compare`, in words too, and what differs."""

    model_config = ConfigDict(extra="allow")

    words: list[str] = Field(
        description="The readings, the val losses and, where they differ, the epochs, in a sentence each."
    )
    differs: list[Difference]


class NamedPicture(Asked):
    """A picture, and the name that its reading gets."""

    name: str = Field(max_length=1000, examples=["note.jpg"])
    data: str | Rows28 = Field(description="A picture file in base64, or 28 rows of 28 grey levels.")


Image = str | Rows28 | NamedPicture


class Read(Asked):
    """Pictures to read."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"images": ["iVBORw0KGgo..."], "digit": True}]})

    images: list[Image] = Field(
        fail_fast=True,  # of a thousand complaints one is told
        min_length=1,
        max_length=64,
        description="Each: a picture file in base64, 28 rows of 28 grey levels (one digit), or either with a name.",
    )
    digit: bool = Field(False, description="Each picture is one digit: the one at its centre.")
    strict: bool = Field(False, description="A refused digit is ? in the text.")
    run: str | None = Field(None, max_length=64, description="The run to read with; left out, the shipped reader.")
    explain: bool = Field(False, description="Each digit comes with the glyph that the network saw.")


class Digit(Shape):
    """One glyph, read."""

    digit: int | str = Field(examples=[7])
    probability: Share
    probabilities: list[Share]
    box: list[int] = Field(description="x, y, width, height in the picture's pixels.", min_length=4, max_length=4)
    accepted: bool = Field(description="Whether the reading is certain enough to be used.")
    warnings: list[str]
    glyph: Rows28 | None = Field(None, description="With `explain` only.")


class Line(Shape):
    """Digits in reading order."""

    text: str = Field(examples=["05221859"])
    digits: list[Digit]


class Reading(Shape):
    """What was read in one picture: an object of `downstroke read --json`."""

    file: str
    lines: list[Line]
    error: str | None = Field(description="Why it could not be read; then there are no lines.")
    notes: list[str]


class Readings(Shape):
    """A reading for each picture, in the order given."""

    readings: list[Reading]


class Keep(Asked):
    """A glyph with its right label."""

    glyph: Rows28
    label: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$", examples=["7"])


class Kept(Shape):
    """Where a glyph was kept; `train --data` can use the folder above the label's."""

    file: str
    kept: int = Field(description="Glyphs kept with this label.")


class Filter(Shape):
    """A filter of the first layer."""

    pixels: list[list[float]] = Field(description="Rows of weights, -1 to 1: the largest of all filters is 1.")


class Layer(Shape):
    """Sizes in one layer, as root mean squares."""

    name: str
    weights: float | None
    gradient: float | None
    update: float | None


class Noise(Shape):
    """How far a batch's gradient is from the gradient over all images."""

    batch_size: int
    relative_error: float | None
    cosine: float | None


class Inspected(Shape):
    """The current weights from inside."""

    model_config = ConfigDict(extra="allow")

    epoch: int
    step: int
    filters: list[Filter]
    layers: list[Layer]
    noise: list[Noise]


class InspectedImage(Shape):
    """One val image, read before and after an epoch."""

    index: int
    image: Rows28
    label: int
    classes: list[str]
    probabilities: list[Share]
    before: list[Share] | None = Field(description="At the epoch's start; null where those weights are not kept.")
    loss: float | None


class InspectedStep(Shape):
    """The image's loss after one step of W - lr dL/dW, by lr."""

    lrs: list[float]
    losses: list[float | None]
    loss: float | None = Field(description="Before the step.")
    lr: float | None = Field(description="The run's.")
