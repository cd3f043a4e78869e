"""What steering samplers share: noise levels as floats, one step down, one jump back up, and the path between them."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from engine.step import Step


class Level(NamedTuple):
    """A time with its coefficients: x_t = alpha x0 + sigma eps."""

    t: float
    alpha: float
    sigma: float


Update = Callable[[Tensor, Tensor, Level, Level], tuple[Tensor, Tensor]]


def path(steps: int, jump: int = 1, repeats: int = 1) -> list[tuple[int, int]]:
    """The moves (from, to) between the grid's indices 0 (noise) .. steps (clean); to < from is a jump back.

    RePaint's schedule: `jump` steps before the last and at every further `jump` steps, go back by `jump` and walk down
    again, until each stretch was walked `repeats` times. The number of steps is `calls(steps, jump, repeats)`.
    """
    left = {steps - 1 - k: repeats - 1 for k in range(0, steps - jump, jump)}
    moves, here = [], 0
    while here < steps:
        moves.append((here, here + 1))
        here += 1
        if left.get(here, 0) > 0:
            left[here] -= 1
            moves.append((here, here - jump))
            here -= jump
    return moves


def calls(steps: int, jump: int = 1, repeats: int = 1) -> int:
    """Denoiser calls of a run along `path(steps, jump, repeats)`."""
    return steps + (repeats - 1) * jump * len(range(0, steps - jump, jump))


def descend(denoise, x: Tensor, times: Tensor, schedule, update: Update, rng, jump: int = 1,
            repeats: int = 1) -> Iterator[Step]:
    """Walk the path; `update(x, x0, here, there) -> (x at there, estimate used)` makes each step and gives a Step."""
    levels = [Level(t, *map(float, schedule(t))) for t in times.tolist()]
    moves = path(len(levels) - 1, jump, repeats)
    total = sum(there > here for here, there in moves)
    done = 0
    for i, k in moves:
        here, there = levels[i], levels[k]
        if k < i:
            x = renoise(x, here, there, rng)
            continue
        x, x0 = update(x, denoise(x, here.t), here, there)
        done += 1
        yield Step(done, total, there.t, there.sigma, x, x0, done)


def noise_in(x: Tensor, x0: Tensor, here: Level) -> Tensor:
    """The noise that the estimate x0 implies in x."""
    return (x - here.alpha * x0) / here.sigma


def ancestral(x: Tensor, x0: Tensor, here: Level, there: Level, eta: float, rng) -> Tensor:
    """DDIM (Song et al. 2021, arXiv 2010.02502, eq. 12) for any (alpha, sigma); eta 1 is ancestral sampling."""
    fresh = eta * there.sigma / here.sigma * _spread(there, here)
    kept = math.sqrt(max(there.sigma ** 2 - fresh ** 2, 0.0))
    mean = there.alpha * x0 + kept * noise_in(x, x0, here)
    return mean + fresh * rng.normal_like(x) if fresh > 0 else mean


def renoise(x: Tensor, here: Level, there: Level, rng) -> Tensor:
    """Diffuse x from `here` back up to the noisier `there`: a draw from q(x_there | x_here)."""
    return there.alpha / here.alpha * x + _spread(here, there) * rng.normal_like(x)


def inherited(singular: Tensor, noise: float, level: Level) -> Tensor:
    """Noise that `alpha pinv(y)` brings into the state along each direction; infinite where nothing was measured."""
    return torch.where(singular > 0, level.alpha * noise / singular, torch.inf)


def missing(brought: Tensor, level: Level) -> Tensor:
    """Standard deviation of the noise to add to `brought` so that it is the level's; 0 where it is more already."""
    # Rounding can put a difference of nothing below zero.
    return (level.sigma ** 2 - brought.clamp(max=level.sigma) ** 2).clamp(min=0).sqrt()


def _spread(clean: Level, noisy: Level) -> float:
    """Standard deviation of x at the noisier level given x at the cleaner one."""
    return math.sqrt(max(noisy.sigma ** 2 - (noisy.alpha / clean.alpha * clean.sigma) ** 2, 0.0))
