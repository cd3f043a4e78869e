"""Heun's rule in the coordinates of EDM, for any schedule."""

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from engine.solvers.exponential import path, update
from engine.solvers.loops import Denoise, combine
from engine.solvers.registry import solver
from engine.step import Step


@solver("heun", title="Heun (EDM)", order=2, nfe_per_step=2, steps=(5, 18, 80), calls=lambda n: 2 * n - 1,
        hint="Second order, 2 calls per step. 15 to 40 steps, best with Karras spacing. Accurate, slow below 10 steps.",
        paper="Karras et al. 2022, arXiv 2206.00364, algorithm 1")
def heun(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None) -> Iterator[Step]:
    """Trapezoid rule for dX/dS = (X - x0)/S in X = x/alpha, S = sigma/alpha.

    Multiplied out, an Euler step to t is followed by x += alpha_t (S/S_t - 1)(x0' - x0)/2 with x0' found there, so
    that nothing divides by alpha. Order 2, two calls per step, one where sigma ends or alpha starts at 0;
    deterministic, any schedule and grid.

    >>> for step in heun(denoise, x, grids.make("karras", schedule, 18), schedule): ...
    """
    nodes = path(times, schedule)
    table = []
    for s, t in pairwise(nodes):
        h = t.log_snr - s.log_snr
        table.append((update(s, t), t.alpha * math.expm1(h) / 2 if math.isfinite(h) else 0.0))
    calls = 0
    for i, (row, correction) in enumerate(table):
        start, end = nodes[i], nodes[i + 1]
        x0 = denoise(x, start.t)
        x = combine(x, x0, row, ())
        calls += 1
        if correction:
            corrected = denoise(x, end.t)
            x = torch.add(x, corrected, alpha=correction).sub_(x0, alpha=correction)
            x0 = corrected
            calls += 1
        yield Step(i + 1, len(table), end.t, end.sigma, x, x0, calls)
