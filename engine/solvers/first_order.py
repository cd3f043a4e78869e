"""First-order solvers: DDPM's ancestral sampling, DDIM, Euler."""

import math
from collections.abc import Iterator
from itertools import pairwise

from torch import Tensor

from engine.options import Option
from engine.solvers.exponential import Node, Update, path, update
from engine.solvers.loops import Denoise, march
from engine.solvers.registry import solver
from engine.step import Step


@solver("ddpm", title="DDPM (ancestral)", order=1, deterministic=False, steps=(20, 100, 1000),
        hint="First order, 1 call per step, random. Use 100 steps or more; fewer leave noise or blur.",
        paper="Ho et al. 2020, arXiv 2006.11239, algorithm 2; any stride as in DDIM, section 4.1",
        options=(Option("variance", "Variance", "small", choices=("small", "large"),
                        help="Small: exact for a single point of data. Large: exact for white noise."),))
def ddpm(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, variance: str = "small") -> Iterator[Step]:
    """Mean of q(x_t | x_s, x0) plus noise of that law's variance ("small") or of q(x_s | x_t)'s ("large").

    Order 1, one call per step, stochastic, any schedule and grid. No noise is added into sigma = 0.

    >>> for step in ddpm(denoise, x, grids.make("uniform", schedule, 100), schedule, rng=Rng(0, 1)): ...
    """
    nodes = path(times, schedule)
    table = []
    for s, t in pairwise(nodes):
        # 1 - exp(-2h) is the share of the variance that the step renews; it is 1 at an infinite step.
        row, renewed = update(s, t, eta=1.0), -math.expm1(-2 * (t.log_snr - s.log_snr))
        large = s.sigma * math.sqrt(renewed) if t.sigma > 0 else 0.0
        table.append(row._replace(noise=large) if variance == "large" else row)
    return march(denoise, x, nodes, table, rng)


@solver("ddim", title="DDIM", order=1, steps=(5, 20, 100),
        hint="First order, 1 call per step. 20 to 100 steps; robust everywhere. Noise 1 makes it DDPM.",
        paper="Song, Meng, Ermon 2021, arXiv 2010.02502, equations 12 and 16",
        options=(Option("eta", "Noise", 0.0, "0 is deterministic, 1 is DDPM's small variance.", 0.0, 1.0),))
def ddim(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, eta: float = 0.0) -> Iterator[Step]:
    """x_t = alpha_t x0 + sqrt(sigma_t^2 - n^2) eps + n z, n = eta sigma_t sqrt(1 - exp(-2h)).

    Order 1, one call per step, deterministic for eta = 0, any schedule and grid.

    >>> for step in ddim(denoise, x, grids.make("uniform", schedule, 20), schedule): ...
    """
    nodes = path(times, schedule)
    return march(denoise, x, nodes, [_ddim(s, t, eta) for s, t in pairwise(nodes)], rng)


def _ddim(s: Node, t: Node, eta: float) -> Update:
    if not eta:
        return update(s, t)
    renewed = -math.expm1(-2 * (t.log_snr - s.log_snr))
    keep = t.sigma * math.sqrt(max(0.0, 1 - eta * eta * renewed)) / s.sigma
    return Update(keep, t.alpha - keep * s.alpha, (), eta * t.sigma * math.sqrt(renewed))


@solver("euler", title="Euler", order=1, steps=(5, 20, 100),
        hint="First order, 1 call per step. 20 to 100 steps. The same step as DDIM without noise, in EDM's words.",
        paper="Karras et al. 2022, arXiv 2206.00364, algorithm 1 without its correction")
def euler(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None) -> Iterator[Step]:
    """Euler's rule in the coordinates X = x/alpha, S = sigma/alpha: X_t = X + (S_t - S)(X - x0)/S.

    Multiplied out for x it needs no division by alpha, and is DDIM with eta = 0. Order 1, one call per step,
    deterministic, any schedule and grid.

    >>> for step in euler(denoise, x, grids.make("karras", schedule, 20), schedule): ...
    """
    nodes = path(times, schedule)
    table = []
    for s, t in pairwise(nodes):
        shrink = t.sigma / s.sigma
        table.append(Update(shrink, t.alpha - shrink * s.alpha))
    return march(denoise, x, nodes, table)
