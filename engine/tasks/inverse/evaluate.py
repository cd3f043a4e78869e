"""Every steering method beside classical ones, on the same measurements of held-out flowers, in one run."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine import steering
from engine.models.model import Model
from engine.recipe import Recipe
from engine.tasks.inverse import baselines, judging, solving
from engine.tasks.inverse.solving import Case
from engine.tasks.measuring import Averages, pictures_in

PROBLEMS = ("box", "small4", "blur")
SAMPLES = 8
MOST = 50
EQUAL, OWN = "equal time", "own steps"
_YARDSTICK, _YARDSTICK_STEPS = "ddnm", 50
_PROBE_STEPS = 6
_OWN_STEPS = 100
"""A method's own number of steps is its usual one, but no more than this."""


def evaluate(data: str | Path, limit: int | None = None) -> list[dict[str, Any]]:
    """`measure` on the shipped prior of flowers and held-out flowers under `data`."""
    from engine import models

    model = models.load("flowers")
    return measure(model, pictures_of(data, model.card.resolution_px, limit))


def pictures_of(data: str | Path, side: int, limit: int | None = None) -> list[Tensor]:
    """Central squares (1, 3, side, side) of up to 50 held-out flowers: the folder flowers under `data`, or `data`."""
    import cv2

    from engine.io.pictures import Picture
    from engine.training.flowers import SOURCE
    from engine.training.pictures import centre

    folder = Path(data).resolve()
    folder = folder / SOURCE if (folder / SOURCE).is_dir() else folder
    found = []
    for picture in pictures_in(folder, MOST if limit is None else min(MOST, limit), (SOURCE,)):
        square = centre(picture, min(picture.shape[:2]))
        found.append(Picture(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)).tensor())
    return found


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
        able = [r.name for r in steering.catalogue() if _serves(r, cases[0])]
        for budget, name, steps in _plan(model, cases[0], able if methods is None else methods, samples):
            for seed, case in enumerate(cases):
                figures = _ours(model, case, name, steps, samples, seed)
                averages.add((problem, f"ours, {steering.row(name).title}", budget), figures | {"steps": float(steps)})
    return averages.rows()


def _plan(model: Model, case: Case, names: Sequence[str], samples: int) -> list[tuple[str, str, int]]:
    """(budget, method, steps) of all runs on one problem."""
    _seconds(model, case, _YARDSTICK, _PROBE_STEPS, samples)  # loads what is slow the first time
    allowed = _seconds(model, case, _YARDSTICK, _YARDSTICK_STEPS, samples)
    runs = []
    for name in names:
        fewest, usual, _ = steering.row(name).steps
        each = _seconds(model, case, name, _PROBE_STEPS, samples) / _PROBE_STEPS
        runs.append((EQUAL, name, max(4, min(round(allowed / each), 1000))))
        runs.append((OWN, name, max(fewest, min(usual, _OWN_STEPS))))
    return runs


def _serves(row: steering.SteeringRow, case: Case) -> bool:
    return row.needs in case.measurement.offers and (row.noisy or case.noise == 0)


def _seconds(model: Model, case: Case, name: str, steps: int, samples: int) -> float:
    start = time.perf_counter()
    _ours(model, case, name, steps, samples, 0)
    return time.perf_counter() - start


def _ours(model: Model, case: Case, name: str, steps: int, samples: int, seed: int) -> dict[str, float]:
    spacing = next(iter(steering.row(name).spacings), "uniform")
    recipe = Recipe(task="inverse", solver=name, steps=steps, spacing=spacing, samples=samples, seed=seed)
    start = time.perf_counter()
    with torch.no_grad():
        *_, step = solving.solve(case, model, recipe)
    seconds = time.perf_counter() - start
    weights = getattr(step, "log_weights", None)
    return judging.figures(step.x, case.truth, case.y, case.measurement, case.noise,
                           None if weights is None else weights.softmax(0)) | {"seconds": seconds}


def _classical(case: Case, method: baselines.Baseline) -> dict[str, float]:
    start = time.perf_counter()
    found = method(case.y, case.measurement, case.noise, tuple(case.truth.shape[-2:]))
    seconds = time.perf_counter() - start
    figures = judging.figures(found, case.truth, case.y, case.measurement, case.noise)
    return figures | {"spread": float("nan"), "coverage": float("nan"), "seconds": seconds}
