"""What a task is: data about itself and one generator. Page, API, command line and tests are made from this."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from engine.errors import InputError
from engine.options import Option
from engine.recipe import Recipe
from engine.step import Step


@dataclass(frozen=True)
class Setting:
    """One setting of a task beyond solver, steps, spacing, guidance, seed and samples."""

    name: str
    label: str
    help: str
    default: float | int | str | bool
    choices: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    unit: str = ""
    advanced: bool = False

    def as_option(self) -> Option:
        """The same without what only the page needs."""
        return Option(self.name, self.label, self.default, self.help, self.minimum, self.maximum, self.choices)


@dataclass(frozen=True)
class InputSpec:
    """One thing that a person gives. kind: one that `engine.io.inputs` reads, such as "picture" or "mask"."""

    name: str
    label: str
    kind: str
    help: str
    required: bool = True


@dataclass(frozen=True)
class Example:
    """A ready-made case: `make()` gives the inputs, options override the defaults."""

    title: str
    make: Any
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Array:
    """Numbers with named axes and a unit. Pictures are (sample, y, x, channel) uint8."""

    values: np.ndarray
    axes: tuple[str, ...]
    unit: str = ""


@dataclass(frozen=True)
class Result:
    """What a finished run gives. arrays: "samples" of pictures and masks, "points" of point sets; "mean", "spread",
    "input", "reference" where they exist.

    files: contents of further files by the end of their name, such as "samples-1.tif", in formats of the task's own.
    """

    arrays: Mapping[str, Array]
    metrics: Mapping[str, float]
    recipe: Recipe
    notes: tuple[str, ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


class Task(Protocol):
    """Inputs in, `Step`s out, a `Result` last. Stopping is closing the generator."""

    name: str
    title: str
    summary: str
    warning: str
    models: tuple[str, ...]
    inputs: tuple[InputSpec, ...]
    settings: tuple[Setting, ...]
    examples: tuple[Example, ...]
    defaults: Recipe
    guidance_range: tuple[float, float]
    steps_range: tuple[int, int]
    samples_range: tuple[int, int]
    samplers: tuple[str, ...]
    """Names of all rows of `engine.samplers` that it can run with some options, in the page's order."""

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        """Yield a Step per solver step, the Result last. x0 can be shown: pictures (B, 3, H, W) in [-1, 1], or points
        (B, N, 3) with y up, or (B, N, 6) with colours in [-1, 1].
        """

    def solvers(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the samplers that work with these options."""

    def calls(self, recipe: Recipe) -> int:
        """Network calls that the run will make (a guided pair counts as one)."""

    def evaluate(self, data: str, limit: int | None = None) -> list[dict[str, Any]]:
        """Rows of our result, the baselines and the time, measured in one run on the folder `data`."""


def check(task: Task, recipe: Recipe) -> Recipe:
    """The recipe, proven to be runnable by the task. Raises InputError naming the field and its allowed range."""
    _within("steps", recipe.steps, *task.steps_range)
    _within("guidance", recipe.guidance, *task.guidance_range)
    _within("samples", recipe.samples, *task.samples_range)
    known = {s.name: s for s in task.settings}
    for name, value in recipe.options.items():
        if name in known:
            known[name].as_option().check(value)
    names = task.solvers(recipe.options)
    if recipe.solver not in names:
        raise InputError(f"{task.title} cannot run the solver {recipe.solver[:40]!r} with these settings.",
                         fix="Choose one of " + ", ".join(names) + ".", field="solver")
    return recipe


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise InputError(f"{name} is {value:g}.", f"It must be from {low:g} to {high:g}.", field=name)
