"""Steering methods as contestants: which can serve a measurement, with which recipe, and with how many steps."""

import time
from collections.abc import Callable, Iterator

import torch

from engine import steering
from engine.models.model import Model
from engine.recipe import Recipe
from engine.steering import SteeringRow
from engine.tasks.inverse import solving
from engine.tasks.inverse.solving import Case

_YARDSTICK = "ddnm"
_PROBE_STEPS = 6
_FOR_FEW = {"afdps": {"islands": 8}}
"""Options of methods whose defaults are for very many samples."""
_MOST_OWN, _FEWEST_EQUAL, _MOST_EQUAL = 100, 4, 1000


def serves(row: SteeringRow, case: Case) -> bool:
    """Whether the measurement offers what the method needs, and the method accounts for its noise."""
    return row.needs in case.measurement.offers and (row.noisy or case.noise == 0)


def serving(case: Case) -> list[str]:
    """Names of the methods that can serve a measurement, in the order of the catalogue."""
    return [row.name for row in steering.catalogue() if serves(row, case)]


def yardstick(case: Case) -> str:
    """The method whose time the others get where all get the same: DDNM, or the first that can serve."""
    able = serving(case)
    return _YARDSTICK if _YARDSTICK in able else able[0]


def recipe(name: str, steps: int, samples: int, seed: int, guidance: float = 1.0) -> Recipe:
    """A run of this method with its first spacing and its usual options for a few samples."""
    spacing = next(iter(steering.row(name).spacings), "uniform")
    return Recipe(task="inverse", solver=name, steps=steps, spacing=spacing, samples=samples, seed=seed,
                  guidance=guidance, options=_FOR_FEW.get(name, {}))


def own_steps(name: str) -> int:
    """A method's usual number of steps, but no more than 100 unless it cannot do with so few."""
    fewest, usual, _ = steering.row(name).steps
    return max(fewest, min(usual, _MOST_OWN))


def equal_steps(allowed_s: float, step_s: float) -> int:
    """Steps of `step_s` seconds that fit in a time, 4 to 1000."""
    return max(_FEWEST_EQUAL, min(round(allowed_s / step_s), _MOST_EQUAL))


def step_seconds(case: Case, model: Model, name: str, samples: int, guidance: float = 1.0,
                 label: int | None = None, steps: int = _PROBE_STEPS,
                 clock: Callable[[], float] = time.perf_counter) -> float:
    """Seconds per step of a method, from a short run. The first run of a process is slower than the later ones."""
    began = clock()
    with torch.no_grad():
        _exhausted(solving.solve(case, model, recipe(name, steps, samples, 0, guidance), label))
    return (clock() - began) / steps


def _exhausted(steps: Iterator) -> None:
    for _ in steps:
        pass
