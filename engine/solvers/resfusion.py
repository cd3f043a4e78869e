"""Resfusion's reverse step in shifted coordinates. Shi et al. 2024, arXiv 2311.14900."""

import math
from collections.abc import Iterator
from itertools import pairwise

from torch import Tensor

from engine.errors import InputError
from engine.solvers.exponential import Update, path
from engine.solvers.loops import Denoise, march
from engine.solvers.registry import solver
from engine.step import Step


@solver("resfusion", title="Resfusion", order=1, deterministic=False, steps=(2, 5, 40), tags=("residual",),
        hint="First order, 1 call per step, random. 5 steps as in the paper: more steps, more variety, less fidelity.",
        paper="Shi et al. 2024, arXiv 2311.14900, algorithm 2: DDPM's posterior with the residual noise")
def resfusion(denoise: Denoise, y: Tensor, times: Tensor, schedule, rng=None) -> Iterator[Step]:
    """DDPM's posterior of x_t - R, R = degraded - clean, written for y = x_t - (1 - a) degraded.

    With a = schedule.retained(t): mean k y + (2 a_t - 1 - k (2 a_s - 1)) x0, k = (a_s/a_t) (1 - a_t^2)/(1 - a_s^2),
    variance (1 - a_t^2)/(1 - a_s^2) (1 - a_s^2/a_t^2); the degraded picture cancels out of both. Same marginals as DDPM
    on this schedule, but less new noise, because R shrinks together with the noise. Only for `schedules.residual()`.
    Order 1, one call per step, stochastic; no noise into t = 0.

    >>> for step in resfusion(denoise, y, grids.make("uniform", schedule, 5), schedule, rng=Rng(0, 1)): ...
    """
    if not hasattr(schedule, "retained"):
        raise InputError("Resfusion cannot run on this noise schedule.", "It needs the residual schedule.",
                         "Choose DDIM or DPM-Solver++ 2M instead.", "solver")
    nodes = path(times, schedule)
    table = []
    for s, t in pairwise(nodes):
        kept = schedule.retained(s.t) / schedule.retained(t.t)
        keep = kept * (t.sigma / s.sigma) ** 2
        noise = t.sigma / s.sigma * math.sqrt(max(0.0, 1 - kept * kept))
        table.append(Update(keep, t.alpha - keep * s.alpha, (), noise))
    return march(denoise, y, nodes, table, rng)
