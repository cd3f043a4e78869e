"""Compare: a picture, an error and a quality per combination of up to three settings, all from the same noise."""

import json
import math
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from engine import solvers
from engine.errors import InputError
from engine.recipe import Recipe, libraries
from engine.rng import Rng
from engine.runtime.execution import Failed, Stopped, Waiting, Working
from engine.solvers.plan import Plan
from engine.step import Step
from engine.tasks.laboratory import axes, problems, runs, sheet
from engine.tasks.laboratory.axes import AXES, Value
from engine.tasks.laboratory.work import executed, reason_of

__all__ = ["AXES", "MOST_AXES", "MOST_CELLS", "Axis", "Cell", "Comparison", "Cost", "contact_sheet", "from_json",
           "from_values", "plan", "run", "to_json"]

MOST_AXES = 3
MOST_CELLS = 400
_VERSION = 1
_TEXT_BYTES = 10_000_000


@dataclass(frozen=True)
class Axis:
    """One direction of the table. name: of `axes.AXES`, or "option:NAME". values: in the order of the cells."""

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class Comparison:
    """What to compare. Checked when it is made: raises InputError naming the axis or setting that cannot be used.

    axes: up to three, with distinct names and at most 400 cells in all. fixed: the other settings by axis name;
    what is not named has its default. An option that is fixed goes to the solvers that take it, and a solver that takes
    one spacing only gets that unless the spacing is an axis. samples: per cell, 0 for the problem's usual number.
    plans: a person's own plans for solvers that need one, before those that are stored.
    """

    axes: tuple[Axis, ...]
    fixed: Mapping[str, Value] = field(default_factory=dict)
    samples: int = 0
    plans: tuple[Plan, ...] = ()

    def __post_init__(self):
        names = [axis.name for axis in self.axes]
        if len(names) > MOST_AXES:
            raise InputError(f"{len(names)} axes were chosen.", f"The limit is {MOST_AXES}.", "Take some away.", "axes")
        for name in names:
            if names.count(name) > 1 or name in self.fixed:
                raise InputError(f"{axes.title(name)} was chosen twice.", "Each setting can vary once.",
                                 "Choose another axis.", "axes")
        for axis in self.axes:
            if not 1 <= len(set(axis.values)) == len(axis.values):
                raise InputError(f"{axes.title(axis.name)} has {len(axis.values)} values, some of them equal or none.",
                                 "It needs at least one, each once.", "Change its values.", axis.name)
        if math.prod(self.shape) > MOST_CELLS:
            raise InputError(f"The comparison has {math.prod(self.shape)} cells.", f"The limit is {MOST_CELLS}.",
                             "Take some values away.", "axes")
        self._check_values()

    def _check_values(self) -> None:
        given = {axis.name: axis.values for axis in self.axes} | {name: (v,) for name, v in self.fixed.items()}
        used = [axes.checked("problem", value) for value in given.get("problem", (AXES["problem"].default,))]
        clean = {name: tuple(axes.checked(name, value, used) for value in values) for name, values in given.items()}
        object.__setattr__(self, "axes", tuple(Axis(axis.name, clean[axis.name]) for axis in self.axes))
        object.__setattr__(self, "fixed", {name: clean[name][0] for name in self.fixed})
        for name in used:
            begin = runs.start(self.settings(()) | {"problem": name}, self.samples)
            if not given.keys() - self.fixed.keys() & {"guidance", "label", "problem"}:
                begin.field.check(begin.guidance, begin.label)

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of values along each axis."""
        return tuple(len(axis.values) for axis in self.axes)

    def settings(self, index: tuple[int, ...]) -> dict[str, Value]:
        """All settings of one cell by axis name."""
        chosen = {axis.name: axis.values[i] for axis, i in zip(self.axes, index)}
        return {name: kind.default for name, kind in AXES.items()} | dict(self.fixed) | chosen

    def indices(self) -> Iterator[tuple[int, ...]]:
        """Places of all cells, first axis slowest."""
        return product(*map(range, self.shape))

    def prepare(self, index: tuple[int, ...]) -> runs.Run:
        """The run of one cell. Raises InputError with the reason why it cannot be made."""
        varied = {axis.name for axis in self.axes}
        return runs.prepare(self.settings(index), self.samples, varied, self.plans)


@dataclass(frozen=True)
class Cost:
    """What a comparison will take. calls: of the denoiser by the cells; reference_calls: by the fine solutions that
    are not there yet. steps: of both together. seconds: estimated from a few timed calls; a guided call counts as one
    and costs two."""

    cells: int
    calls: int
    reference_calls: int
    steps: int
    seconds: float


@dataclass(frozen=True)
class Cell:
    """One finished cell. reason: why it failed, in words, else "".

    index: place along each axis. settings: what it ran with, by axis name. picture: (H, W, 3) uint8, None where there
    is none. error: mean distance from the fine solution that starts at the same noise (`Problem.unit`); None for a run
    that draws noise of its own. quality: `Problem.quality_title` says what it is. calls: denoiser calls made.
    """

    index: tuple[int, ...]
    settings: Mapping[str, Value]
    picture: np.ndarray | None
    error: float | None
    quality: float | None
    calls: int
    seconds: float
    reason: str = ""


def plan(comparison: Comparison) -> Cost:
    """Number of runs, calls and seconds before anything is started. Some calls are timed once and then remembered."""
    cells, calls, steps, seconds, fine = 0, 0, 0, 0.0, {}
    for index in comparison.indices():
        cells += 1
        try:
            prepared = comparison.prepare(index)
        except InputError:
            continue
        begin, end = prepared.start, float(prepared.times[-1])
        fine[begin, end] = runs.fine_calls(begin, end), runs.fine_steps(begin, end)
        calls += prepared.calls
        steps += len(prepared.times) - 1
        seconds += prepared.calls * runs.call_seconds(begin) + _view_seconds(begin.problem, begin.samples)
    seconds += sum(count * runs.call_seconds(begin) for (begin, _), (count, _) in fine.items())
    steps += sum(count for _, count in fine.values())
    return Cost(cells, calls, sum(count for count, _ in fine.values()), steps, seconds)


@lru_cache(maxsize=64)
def _view_seconds(problem: str, samples: int) -> float:
    """Seconds that a cell takes beside its calls, timed once."""
    found = problems.load(problem)
    x = found.noise(Rng(0, samples))
    found.quality(x, x)
    began = time.perf_counter()
    found.quality(x, x)
    found.show(x)
    return time.perf_counter() - began


def run(comparison: Comparison) -> Iterator[Cell | Waiting | Working | Failed | Stopped]:
    """The cells as they finish, first axis slowest; between them the events of `engine.runtime.execution`.

    Working counts the steps of the whole comparison, and its step is a state of the cell that is being computed (or of
    a fine solution). A cell that fails carries its reason and the rest goes on. Closing the generator ends the run
    within one step. Failed means that the whole run could not go on.
    """
    settings = comparison.settings((0,) * len(comparison.axes))
    recipe = Recipe(task="laboratory", solver=settings["solver"], steps=settings["steps"])
    return executed(_cells(comparison), plan(comparison).steps, recipe)


def _cells(comparison: Comparison) -> Iterator[Step | Cell]:
    for index in comparison.indices():
        settings, began = comparison.settings(index), time.perf_counter()
        try:
            yield (yield from _computed(comparison, index, settings))
        except Exception as error:
            reason = reason_of(error)
            if not reason:
                raise
            yield Cell(index, settings, None, None, None, 0, time.perf_counter() - began, reason)


def _computed(comparison: Comparison, index: tuple[int, ...],
              settings: Mapping[str, Value]) -> Generator[Step, None, Cell]:
    prepared = comparison.prepare(index)
    begin, problem = prepared.start, prepared.start.field
    reference = yield from runs.fine(begin, float(prepared.times[-1]))
    began, rng, step = time.perf_counter(), runs.Noise(begin.seed, begin.samples), None
    for step in prepared.steps(rng):
        reason = runs.trouble(step, solvers.row(prepared.solver).title)
        if reason:
            return Cell(index, settings, None, None, None, step.nfe, time.perf_counter() - began, reason)
        yield step
    seconds = time.perf_counter() - began
    error = problem.distance(step.x, reference) if rng.asked == 1 else None
    return Cell(index, settings, problem.show(step.x), error, problem.quality(step.x, reference), step.nfe, seconds)


def contact_sheet(comparison: Comparison, cells: Sequence[Cell]) -> np.ndarray:
    """All cells in one labelled picture (H, W, 3) uint8: last axis to the right, the one before it down, the first in
    blocks. Under each cell its error, quality and calls, or its reason; cells that are missing stay empty."""
    names = [axes.title(axis.name) for axis in comparison.axes]
    values = [[axes.value_title(axis.name, value) for value in axis.values] for axis in comparison.axes]
    entries = {cell.index: (cell.picture, cell.reason or _figures(cell)) for cell in cells}
    return sheet.draw(names, values, entries, _heading(comparison))


def _figures(cell: Cell) -> str:
    error = "random" if cell.error is None else f"error {cell.error:.2g}"
    return f"{error}\nquality {cell.quality:.2g}, {cell.calls} calls"


def _heading(comparison: Comparison) -> str:
    """The settings that are the same in all cells and not what they usually are, and the problem in any case."""
    varied = {axis.name for axis in comparison.axes}
    told = {name: value for name, value in comparison.settings((0,) * len(comparison.axes)).items()
            if name not in varied and (name in ("problem", "solver", "steps", "seed") or value != AXES[name].default)}
    return ", ".join(f"{axes.title(name)}: {axes.value_title(name, value)}" for name, value in told.items())


def to_json(comparison: Comparison, cells: Sequence[Cell]) -> str:
    """Axes, fixed settings and the numbers of all cells as JSON text, without pictures."""
    used = {cell.settings["problem"] for cell in cells} or {comparison.settings(())["problem"]}
    about = {name: {"error": problem.unit, "quality": problem.quality_title, "sha256": problem.sha256}
             for name, problem in ((name, problems.load(name)) for name in sorted(used))}
    values: dict[str, Any] = {
        "version": _VERSION, "task": "laboratory",
        "axes": [{"name": axis.name, "values": axis.values} for axis in comparison.axes],
        "fixed": dict(comparison.fixed), "samples": comparison.samples, "problems": about,
        "plans": [json.loads(found.write()) for found in comparison.plans], "libraries": libraries(),
        "cells": [{"index": cell.index, "settings": dict(cell.settings), "error": _finite(cell.error),
                   "quality": _finite(cell.quality), "calls": cell.calls, "seconds": round(cell.seconds, 4),
                   "reason": cell.reason} for cell in cells]}
    return json.dumps(values, indent=1, allow_nan=False)


def from_json(text: str | bytes) -> Comparison:
    """The comparison that a JSON text of `to_json` tells of. Raises InputError for everything else."""
    wrong = InputError("The file holds no comparison.", "It must be JSON as this program saves it.",
                       "Give another file.", "file")
    try:
        values = json.loads(text) if len(text) <= _TEXT_BYTES else None
        if values["version"] != _VERSION or values["task"] != "laboratory":
            raise wrong
        chosen = [(axis["name"], axis["values"]) for axis in values["axes"]]
        return from_values(chosen, values["fixed"], values["samples"], values["plans"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise (error if isinstance(error, InputError) else wrong) from None


def from_values(chosen: Any, fixed: Any, samples: Any, plans: Any) -> Comparison:
    """The comparison of values from outside, which may be anything. Raises InputError unless they make one.

    chosen: values by axis, as a mapping or in pairs, first axis slowest. fixed: settings by name. plans: as JSON
    objects. samples: as in `Comparison`.
    """
    try:
        found = tuple(Plan.read(json.dumps(plan)) for plan in plans)
        return Comparison(tuple(Axis(name, tuple(values)) for name, values in dict(chosen).items()), dict(fixed),
                          samples, found)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise (error if isinstance(error, InputError) else InputError(
            "These values make no comparison.", "Each axis needs a name and a list of values, fixed settings a name "
            "and a value, plans are JSON objects.", "Change them.", "axes")) from None


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
