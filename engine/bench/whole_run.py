"""What a whole run with live previews costs beyond its network calls."""

import base64
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from engine import grids, solvers
from engine.bench.subject import Subject, choose
from engine.bench.table import Row, Table, machine, medians_s
from engine.io.save import jpeg_frame
from engine.recipe import Recipe
from engine.rng import Rng
from engine.runtime import computing, device, sharing
from engine.runtime.execution import Finished, Working, execute
from engine.runtime.settings import limits
from engine.step import Step
from engine.tasks.base import Array, Result

STEPS = 20
SOLVERS = ("ddim", "dpmpp_2m", "unipc_2")


@dataclass(frozen=True)
class _Task:
    """The least that `execute` runs: noise to picture with one solver."""

    subject: Subject
    denoise: sharing.Denoiser

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        rng, side_px = Rng(recipe.seed, recipe.samples), self.subject.side_px
        x = rng.normal(3, side_px, side_px)
        conditions = self.subject.conditions(recipe.samples, side_px)
        times = grids.make(recipe.spacing, self.subject.schedule, recipe.steps)
        for step in solvers.solve(recipe.solver, lambda x_t, t: self.denoise(x_t, t, **conditions), x, times,
                                  self.subject.schedule, rng=rng):
            yield step
        yield Result({"samples": Array(_pixels(step.x), ("sample", "y", "x", "channel"))}, {}, recipe)


def measure(quick: bool) -> list[Table]:
    """One row per solver: a run of 20 steps through `execute` with JPEG previews of x0 and x_t, and 20 network calls.

    ratio: their quotient. previews: frames that one run showed.
    """
    subject = choose(quick)
    precision = device.precision(device.choose())
    runner = subject.runner(precision)
    task = _Task(subject, sharing.shared(subject.denoiser(runner)))
    x, conditions = Rng(0, 1).normal(3, subject.side_px, subject.side_px), subject.conditions(1, subject.side_px)

    def bare() -> None:
        with torch.no_grad():
            for k in range(STEPS):
                runner(x, torch.full((1,), 1 - k / STEPS), **conditions)

    rows = [_row(task, solver, bare, quick) for solver in SOLVERS[:1 if quick else None]]
    title = f"Whole run of {STEPS} steps with live previews, {subject.title}, {subject.side_px} px, {machine()}"
    return [Table(title, rows)]


def _row(task: _Task, solver: str, bare: Callable[[], None], quick: bool) -> Row:
    recipe, shown = Recipe(task="bench", solver=solver, steps=STEPS), []
    found = medians_s({"run": lambda: shown.append(_watch(task, recipe)), "bare": partial(computing.compute, bare)},
                      1 if quick else 15)
    return {"solver": solver, "run s": round(found["run"], 4), "20 bare calls s": round(found["bare"], 4),
            "ratio": round(found["run"] / found["bare"], 3), "previews": statistics.median(shown)}


def _watch(task: _Task, recipe: Recipe) -> int:
    """Number of previews. Each costs what the viewer of the page spends on it."""
    shown = 0
    for event in execute(task, {}, recipe):
        if isinstance(event, Working) and event.step is not None:
            for state in (event.step.x0, event.step.x):
                frame = jpeg_frame(_pixels(state)[0], limits().preview_px, limits().preview_quality)
                base64.b64encode(frame)
            shown += 1
    assert isinstance(event, Finished), event
    return shown


def _pixels(x: Tensor):
    return x.clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
