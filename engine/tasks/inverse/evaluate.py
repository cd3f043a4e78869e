"""Every steering method beside classical ones, on the same measurements of held-out flowers, in one run."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine import steering
from engine.models.model import Model
from engine.tasks.inverse import baselines, judging, solving
from engine.tasks.inverse.methods import equal_steps, own_steps, recipe, serving, step_seconds, yardstick
from engine.tasks.inverse.solving import Case
from engine.tasks.measuring import Averages, pictures_in

PROBLEMS = ("box", "small4", "blur")
SAMPLES = 8
MOST = 50
EQUAL, OWN = "equal time", "own steps"
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
    method's own number of steps and once with as many as fit in the time that 50 steps of DDNM take. seconds: median,
    for all samples. Picture i is measured with noise of seed i, from which our samples start, too.
    """
    averages = Averages("problem", "method", "budget")
    for problem in problems:
        cases = [solving.measured(picture, problem, seed) for seed, picture in enumerate(pictures)]
        for name, method in baselines.fitting(problem).items():
            for case in cases:
                averages.add((problem, name, ""), _classical(case, method) | {"steps": 0.0})
        able = serving(cases[0])
        for budget, name, steps in _plan(model, cases[0], able if methods is None else methods, samples):
            for seed, case in enumerate(cases):
                figures = _ours(model, case, name, steps, samples, seed)
                averages.add((problem, f"ours, {steering.row(name).title}", budget), figures | {"steps": float(steps)})
    return averages.rows()


def _plan(model: Model, case: Case, names: Sequence[str], samples: int) -> list[tuple[str, str, int]]:
    """(budget, method, steps) of all runs on one problem."""
    first = yardstick(case)
    step_seconds(case, model, first, samples)  # loads what is slow the first time
    allowed = _YARDSTICK_STEPS * step_seconds(case, model, first, samples, steps=_YARDSTICK_STEPS)
    runs = []
    for name in names:
        runs.append((EQUAL, name, equal_steps(allowed, step_seconds(case, model, name, samples))))
        runs.append((OWN, name, own_steps(name)))
    return runs


def _ours(model: Model, case: Case, name: str, steps: int, samples: int, seed: int) -> dict[str, float]:
    start = time.perf_counter()
    with torch.no_grad():
        *_, step = solving.solve(case, model, recipe(name, steps, samples, seed))
    seconds = time.perf_counter() - start
    return judging.of(step, case) | {"seconds": seconds}


def _classical(case: Case, method: baselines.Baseline) -> dict[str, float]:
    start = time.perf_counter()
    found = method(case.y, case.measurement, case.noise, tuple(case.truth.shape[-2:]))
    seconds = time.perf_counter() - start
    figures = judging.figures(found, case.truth, case.y, case.measurement, case.noise)
    return figures | {"spread": float("nan"), "coverage": float("nan"), "seconds": seconds}
