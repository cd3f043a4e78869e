"""Slices after contrast, drawn from a model of either target."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from engine import grids, guidance, schedules
from engine.rng import Rng
from engine.solvers import solve
from engine.tasks.contrast.data import BRIGHTEST
from engine.tasks.contrast.targets import Target, as_picture

SCHEDULE = ("cosine", {})
STEPS = 5
DIVERSITY = 0.5
"""Share of the start noise: 1 draws from all that the model holds possible, less keeps to what is likely."""


def condition(before: np.ndarray, region: np.ndarray | None = None) -> Tensor:
    """What the network is told of a slice (H, W), (1, 2, H, W): the slice, and where contrast shows if that is known.

    The second channel is 1 inside of the region and -1 outside, 0 where nothing is told.
    """
    told = np.zeros_like(before) if region is None else 2 * np.float32(region) - 1
    return torch.stack((as_picture(torch.from_numpy(before)), torch.from_numpy(told)))[None]


def draw(denoise: Callable[..., Tensor], target: Target, cond: Tensor, samples: int, seed: int = 0,
         steps: int = STEPS, diversity: float = DIVERSITY) -> Tensor:
    """Slices after contrast (samples, B, H, W) in [0, BRIGHTEST]: independent ones for each of the B slices of cond."""
    schedule = schedules.by_name(SCHEDULE[0], **SCHEDULE[1])
    before = ((cond[:, :1] + 1) * (BRIGHTEST / 2)).repeat(samples, 1, 1, 1)
    known = cond.repeat(samples, 1, 1, 1)
    start = diversity * schedule(schedule.start)[1] * Rng(seed, len(known)).normal(1, *cond.shape[-2:])
    bounded = guidance.clipped(lambda x, t: denoise(x, t, cond=known), -target.limit, target.limit)
    *_, last = solve("dpmpp_2m", bounded, start, grids.make("uniform", schedule, steps), schedule)
    found = target.decode(last.x, before).clamp(0, BRIGHTEST)
    return found.reshape(samples, len(cond), *cond.shape[-2:])
