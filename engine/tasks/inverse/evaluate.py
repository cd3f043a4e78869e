"""Every steering method beside classical ones, on the same measurements of held-out flowers, in one run."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from engine import steering
from engine.models.model import Model
from engine.tasks.inverse import baselines, judging, solving
from engine.tasks.inverse.methods import equal_steps, own_steps, recipe, serving, step_seconds, yardstick
from engine.tasks.inverse.solving import Case
from engine.tasks.measuring import Averages, pictures_in

PROBLEMS = ("box", "small4", "blur")
SAMPLES, PARTICLES = 8, 32
MOST = 50
EQUAL, OWN = "equal time", "own steps"
CLOCK = time.process_time
_YARDSTICK_STEPS = 50


def evaluate(data: str | Path, limit: int | None = None) -> list[dict[str, Any]]:
    """`measure` on the shipped prior of flowers and held-out flowers under `data`."""
    from engine import models

    model = models.load("flowers")
    return measure(model, pictures_of(data, model.card.resolution_px, limit))


def pictures_of(data: str | Path, side: int, limit: int | None = None) -> list[Tensor]:
    """Central squares (1, 3, side, side) of up to 50 held-out flowers: the folder flowers under `data`, or `data`."""
    from engine.io.pictures import Picture
    from engine.training.flowers import SOURCE

    folder = Path(data).resolve()
    folder = folder / SOURCE if (folder / SOURCE).is_dir() else folder
    found = pictures_in(folder, MOST if limit is None else min(MOST, limit), (SOURCE,))
    return [solving.square(Picture(pixels), side) for pixels in found]


def measure(model: Model, pictures: Sequence[Tensor], problems: Sequence[str] = PROBLEMS,
            methods: Sequence[str] | None = None, samples: int = SAMPLES) -> list[dict[str, Any]]:
    """One row per problem, method and budget, means over the pictures; see `judging.figures` for the figures.

    Methods: classical ones, one picture each; ours, `samples` samples of no class in particular, once with each
    method's own number of steps and once with as many as fit in the time that 50 steps of DDNM take. Particles are 32
    on 8 islands: with fewer their weights say little. seconds: median, for all samples, of processor time, which does
    not depend on what else the machine does. Picture i is measured with noise of seed i, from which our samples start,
    too.
    """
    *_, rows = measuring(model, pictures, problems, methods, samples)
    return rows


def measuring(model: Model, pictures: Sequence[Tensor], problems: Sequence[str] = PROBLEMS,
              methods: Sequence[str] | None = None, samples: int = SAMPLES) -> Iterator[list[dict[str, Any]]]:
    """The rows of `measure` as they stand after each picture."""
    averages = Averages("problem", "method", "budget")
    runs = {problem: _plan(model, solving.measured(pictures[0], problem, 0), methods, samples) for problem in problems}
    for seed, picture in enumerate(pictures):
        for problem in problems:
            case = solving.measured(picture, problem, seed)
            for name, method in baselines.fitting(problem).items():
                averages.add((problem, name, ""), _classical(case, method) | {"steps": 0.0, "samples": 1.0})
            for run in runs[problem]:
                key = problem, f"ours, {steering.row(run.method).title}", run.budget
                averages.add(key, _ours(model, case, run, seed) | {"steps": float(run.steps),
                                                                   "samples": float(run.samples)})
        yield averages.rows()


class _Run(NamedTuple):
    budget: str
    method: str
    steps: int
    samples: int


def _plan(model: Model, case: Case, names: Sequence[str] | None, samples: int) -> list[_Run]:
    """All runs on one problem; names: None for all methods that can serve it."""
    names = serving(case) if names is None else names
    if not names:
        return []
    pace = partial(step_seconds, case, model, clock=CLOCK)
    first = yardstick(case)
    pace(first, samples)  # loads what is slow the first time
    allowed = _YARDSTICK_STEPS * pace(first, samples, steps=_YARDSTICK_STEPS)
    runs = []
    for name in names:
        count = max(samples, PARTICLES) if "particles" in steering.row(name).tags else samples
        runs.append(_Run(EQUAL, name, equal_steps(allowed, pace(name, count)), count))
        runs.append(_Run(OWN, name, own_steps(name), count))
    return runs


def _ours(model: Model, case: Case, run: _Run, seed: int) -> dict[str, float]:
    start = CLOCK()
    with torch.no_grad():
        *_, step = solving.solve(case, model, recipe(run.method, run.steps, run.samples, seed))
    seconds = CLOCK() - start
    return judging.of(step, case) | {"seconds": seconds}


def _classical(case: Case, method: baselines.Baseline) -> dict[str, float]:
    start = CLOCK()
    found = method(case.y, case.measurement, case.noise, tuple(case.truth.shape[-2:]))
    seconds = CLOCK() - start
    figures = judging.figures(found, case.truth, case.y, case.measurement, case.noise)
    return figures | {"spread": float("nan"), "coverage": float("nan"), "seconds": seconds}
