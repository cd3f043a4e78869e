"""The one-sided stochastic interpolant sampler: velocity plus a freely chosen amount of diffusion."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

from torch import Tensor

from engine.denoisers import counted
from engine.errors import InputError
from engine.options import Option
from engine.solvers.exponential import Node, path
from engine.solvers.loops import Denoise
from engine.solvers.registry import solver
from engine.step import Step

# Diffusion w(t) by the progress 1 - t/start of the run, sigma(t) and sbdm(t) = sigma sigma' - sigma^2 alpha'/alpha.
DIFFUSIONS: dict[str, Callable[[float, float, float], float]] = {
    "none": lambda progress, sigma, sbdm: 0.0,
    "constant": lambda progress, sigma, sbdm: 1.0,
    "sbdm": lambda progress, sigma, sbdm: sbdm,
    "sigma": lambda progress, sigma, sbdm: sigma,
    "linear": lambda progress, sigma, sbdm: 1 - progress,
    "decreasing": lambda progress, sigma, sbdm: (math.cos(math.pi * progress) + 1) ** 2 / 4,
    "increasing_decreasing": lambda progress, sigma, sbdm: math.sin(math.pi * progress) ** 2,
}


class _Field(NamedTuple):
    """Drift of one time: on_x x + on_x0 x0 is the change of x per unit of time towards the data."""

    on_x: float
    on_x0: float


@solver("interpolant_sde", title="Stochastic interpolant (SDE)", order=1, deterministic=False, steps=(10, 50, 250),
        paper="Albergo, Boffi, Vanden-Eijnden 2023, arXiv 2303.08797; Ma et al. 2024 (SiT), arXiv 2401.08740",
        options=(Option("diffusion", "Diffusion", "sigma", choices=tuple(DIFFUSIONS),
                        help="How the noise is spread over the run; none is the ODE. The law of the results is the "
                             "same for all."),
                 Option("diffusion_scale", "Amount of diffusion", 1.0, "Factor on the diffusion.", 0.0, 10.0),
                 Option("variant", "Rule", "euler", choices=("euler", "heun"),
                        help="Euler: 1 call per step. Heun: 2 calls, second order in the drift."),
                 Option("last_step", "Last step", "tweedie", choices=("tweedie", "mean", "euler"),
                        help="Into zero noise: the estimate, the step without its new noise, or the ODE's step.")),
        hint="First order, 1 call per step, random. 50 to 250 steps; more diffusion corrects more and needs more.")
def interpolant_sde(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, diffusion: str = "sigma",
                    diffusion_scale: float = 1.0, variant: str = "euler", last_step: str = "tweedie") -> Iterator[Step]:
    """dX = (-u + w s) dr + sqrt(2 w) dW, r = start - t, for any w(t) >= 0 with the marginals of the probability flow.

    u = alpha' x0 + sigma' eps is the velocity, s = -eps / sigma the score, both from the posterior mean, so alpha = 0
    is legal. w is `diffusion_scale` times a form of `DIFFUSIONS`, in units of the schedule's time (SiT's on "flow").
    Where a step would add more noise than is left at its end, 2 w dr > sigma^2, w is lowered to that: this keeps few
    steps stable and, as every w has the same marginals, changes no law.

    "euler" is Euler-Maruyama. "heun" adds the noise first and moves it by the trapezoid rule, two calls per step.
    Weak order 1; without diffusion order 1 and 2. A last step into sigma = 0 is one call and draws nothing: "tweedie"
    x = x0, "mean" the drift alone, "euler" the velocity alone. Any schedule and grid. Raises InputError without rng
    unless w = 0.

    >>> for step in interpolant_sde(denoise, x, grids.make("uniform", schedule, 50), schedule, rng=Rng(0, 1)): ...
    """
    nodes = path(times, schedule)
    amounts = [diffusion_scale * renewed(diffusion, s, schedule) if diffusion_scale else 0.0 for s in nodes[:-1]]
    amounts = [min(w, (t.sigma or s.sigma) ** 2 / (2 * (s.t - t.t)))
               for w, (s, t) in zip(amounts, pairwise(nodes), strict=True)]
    if rng is None and any(w and t.sigma for w, t in zip(amounts, nodes[1:], strict=True)):
        raise InputError("The stochastic interpolant draws new noise at every step.", "It was given no random numbers.",
                         "Pass rng=Rng(seed, samples), or choose no diffusion.", "rng")
    return _run(counted(denoise), x, nodes, schedule, rng, amounts, variant == "heun", last_step)


def renewed(diffusion: str, start: Node, schedule) -> float:
    """w at the start of a step before its limit, per unit of time; inf for "sbdm" where there is no signal."""
    sbdm = 0.0
    if diffusion == "sbdm":
        alpha_rate, sigma_rate = schedule.rates(start.t)
        growth = alpha_rate / start.alpha if start.alpha else -math.inf
        sbdm = start.sigma * sigma_rate - start.sigma**2 * growth
    return DIFFUSIONS[diffusion](1 - start.t / schedule.start, start.sigma, sbdm)


def _run(denoise: Denoise, x: Tensor, nodes: list[Node], schedule, rng, amounts: list[float], heun: bool,
         last_step: str) -> Iterator[Step]:
    for i, w in enumerate(amounts):
        start, end = nodes[i], nodes[i + 1]
        dt = start.t - end.t
        into_clean = end.sigma == 0
        if w and not into_clean and heun:
            x = x + math.sqrt(2 * w * dt) * rng.normal_like(x)
        x0 = denoise(x, start.t)
        first = _drift(start, schedule, 0.0 if into_clean and last_step == "euler" else w)
        if into_clean and last_step == "tweedie":
            x = x0
        else:
            slope = first.on_x * x + first.on_x0 * x0
            if heun and not into_clean:
                second = _drift(end, schedule, w)
                ahead = x + dt * slope
                x0 = denoise(ahead, end.t)
                slope = (slope + second.on_x * ahead + second.on_x0 * x0) / 2
            x = x + dt * slope
            if w and not into_clean and not heun:
                x = x + math.sqrt(2 * w * dt) * rng.normal_like(x)
        yield Step(i + 1, len(amounts), end.t, end.sigma, x, x0, denoise.calls)


def _drift(at: Node, schedule, w: float) -> _Field:
    """-u + w s as a combination of x and x0, with eps = (x - alpha x0) / sigma."""
    alpha_rate, sigma_rate = schedule.rates(at.t)
    on_eps = -(sigma_rate + w / at.sigma)
    return _Field(on_eps / at.sigma, -alpha_rate - on_eps * at.alpha / at.sigma)
