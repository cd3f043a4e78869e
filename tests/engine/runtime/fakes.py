"""A small task with a closed-form network, for tests of the runtime."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from engine import denoisers, grids, schedules, solvers
from engine.recipe import Recipe
from engine.rng import Rng
from engine.step import Step
from engine.tasks.base import Array, Result

SHAPE = (3, 8, 8)
SCHEDULE = schedules.cosine()


def recipe(solver: str = "ddim", steps: int = 6, seed: int = 0, samples: int = 1) -> Recipe:
    return Recipe(task="fake", solver=solver, steps=steps, seed=seed, samples=samples)


def exact(x: Tensor, t: float | Tensor) -> Tensor:
    """The posterior mean of pixels that are independent Gaussians of mean 0.3 and deviation 0.5."""
    alpha, sigma = (denoisers.spread(level, x) for level in SCHEDULE(t))
    return 0.3 + alpha * 0.25 / (alpha**2 * 0.25 + sigma**2) * (x - alpha * 0.3)


@dataclass
class FakeTask:
    """denoise: its network. before(k): called before step k (1 first) and before k = steps + 1, the result."""

    denoise: Callable[..., Tensor] = exact
    before: Callable[[int], Any] = lambda k: None
    started: threading.Event = field(default_factory=threading.Event)
    closed: threading.Event = field(default_factory=threading.Event)
    made: list[int] = field(default_factory=list)

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        try:
            self.started.set()
            self.before(1)
            rng = Rng(recipe.seed, recipe.samples)
            x = rng.normal(*SHAPE)
            times = grids.make(recipe.spacing, SCHEDULE, recipe.steps)
            for step in solvers.solve(recipe.solver, self.denoise, x, times, SCHEDULE, rng=rng):
                self.made.append(step.index)
                yield step
                self.before(step.index + 1)
            samples = Array(step.x.numpy(), ("sample", "channel", "y", "x"))
            yield Result({"samples": samples}, {}, recipe)
        finally:
            self.closed.set()


def small_network() -> nn.Module:
    """Three convolutions with random weights."""
    return nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.SiLU(), nn.Conv2d(32, 32, 3, padding=1), nn.SiLU(),
                         nn.Conv2d(32, 3, 3, padding=1)).eval()
