"""RED-Diff: a picture is optimised until it fits the measurement and the denoiser has nothing left to change."""

import itertools
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from engine.options import Option
from engine.steering import moves
from engine.steering.operators import Measurement
from engine.steering.registry import steering
from engine.step import Step

_WEIGHTS: dict[str, Callable[[float], float]] = {
    "linear": lambda r: 1.0,
    "sqrt": lambda r: r ** 0.5,
    "square": lambda r: 1 / r,
    "log": lambda r: r * math.log1p(1 / r),
    "clip": lambda r: min(r, 1.0),
    "two_thirds": lambda r: r ** (1 / 3),
    "constant": lambda r: r,
}
"""f(1/r) r for the paper's weights f and r = alpha / sigma, since eps_hat - eps = r (mu - x0)."""
_FAINTEST = 1e-4
"""Smallest r: keeps the weights finite where a schedule starts without any signal."""
_BETAS = 0.9, 0.99

PRIOR = Option("prior", "Trust in the model (λ)", 0.25,
               "How strongly the model pulls against the measurement. Raise it where that is very noisy.", 0.05, 2.0)
RATE = Option("rate", "Learning rate", 0.1,
              "How far each step goes. More fills holes faster and leaves more noise in the result.", 0.01, 0.5)
WEIGHT = Option("weighting", "Weight of noisy steps", "linear",
                "How the model's pull depends on the step's noise. linear lets every step pull equally.",
                choices=tuple(_WEIGHTS))
DISPERSION = Option("dispersion", "Jitter", 0.0, "Noise added to the picture in each step, in units of [-1, 1].",
                    0.0, 0.5)
AVERAGE = Option("average", "Average of the last steps", 0.1,
                 "Share of the steps whose pictures are averaged at the end; 0 takes the last one as it is.", 0.0, 0.5)


@steering("red_diff", title="RED-Diff", paper="Mardani et al. 2024, arXiv 2305.04391", needs="gradient", noisy=True,
          options=(PRIOR, RATE, WEIGHT, DISPERSION, AVERAGE), steps=(100, 200, 1000),
          hint="Optimises one picture instead of sampling: takes any measurement, gives little variety. Many steps.",
          cost="1 network call and 1 gradient of the measurement per step", tags=("soft",))
def red_diff(denoise, x: Tensor, times: Tensor, schedule, *, y: Tensor, operator: Measurement, noise: float = 0.0,
             rng=None, prior: float = PRIOR.default, rate: float = RATE.default, weighting: str = WEIGHT.default,
             dispersion: float = DISPERSION.default, average: float = AVERAGE.default) -> Iterator[Step]:
    """Mardani et al. 2024, arXiv 2305.04391, algorithm 1, on any grid and schedule; one call per step, no backprop.

    mu starts at P(y), or at the start noise where there is no P, and takes an Adam step down `gradient` at each time,
    with x_t = alpha mu + sigma eps. `noise` does not enter: the balance is set by `prior`, and as both parts of the
    loss are means over their own numbers, it changes with the operator. Step.x is mu, clean at all times, and in the
    last share `average` of the steps, which the paper does not have, its mean since then. Step.x0 is the denoiser's
    estimate.

        for step in steer("red_diff", denoise, x, times, schedule, y=y, operator=HDR(), rng=Rng(0, 1)): ...
    """
    levels = [moves.Level(t, *map(float, schedule(t))) for t in times.tolist()]
    steps, adam = len(levels) - 1, _Adam(rate)
    mu, mean, averaged = _start(x, y, operator, levels[0]), 0.0, 0
    for i, (here, there) in enumerate(itertools.pairwise(levels), 1):
        seen = mu + dispersion * rng.normal_like(x) if dispersion > 0 else mu
        x0 = denoise(here.alpha * seen + here.sigma * rng.normal_like(x), here.t)
        mu = mu - adam.step(gradient(seen, pull(seen, x0, here, prior, weighting), y, operator))
        shown = mu
        if i > steps * (1 - average):
            averaged += 1
            shown = mean = mean + (mu - mean) / averaged
        yield Step(i, steps, there.t, there.sigma, shown, x0, i)


def pull(mu: Tensor, x0: Tensor, level: moves.Level, prior: float, weighting: str) -> Tensor:
    """w_t (eps_hat - eps) for x_t = alpha mu + sigma eps, whatever eps was, and the estimate x0 of it; (B, *)."""
    return prior * _WEIGHTS[weighting](max(level.alpha / level.sigma, _FAINTEST)) * (mu - x0)


def gradient(mu: Tensor, pull: Tensor, y: Tensor, operator: Measurement) -> Tensor:
    """Gradient in mu (B, *), sample by sample, of mean(pull mu) + mean((y - H mu)^2) / 2 with the pull held fixed."""
    with torch.enable_grad():
        mu = mu.detach().requires_grad_()
        gap = y - operator.H(mu)
        loss = (pull * mu).flatten(1).mean(1) + gap.square().flatten(1).mean(1) / 2
        return torch.autograd.grad(loss.sum(), mu)[0]


def _start(x: Tensor, y: Tensor, operator: Measurement, first: moves.Level) -> Tensor:
    if "pinv" not in operator.offers:
        return x / math.hypot(first.alpha, first.sigma)
    return operator.pinv(y).to(x).expand_as(x)


class _Adam:
    """Kingma and Ba 2015, arXiv 1412.6980: every number has its own step size, so samples do not touch each other."""

    def __init__(self, rate: float):
        self.rate, self.count, self.first, self.second = rate, 0, 0.0, 0.0

    def step(self, gradient: Tensor) -> Tensor:
        """What to subtract from the parameter."""
        slow, slower = _BETAS
        self.count += 1
        self.first = slow * self.first + (1 - slow) * gradient
        self.second = slower * self.second + (1 - slower) * gradient.square()
        second = (self.second / (1 - slower ** self.count)).sqrt()
        return self.rate / (1 - slow ** self.count) * self.first / (second + 1e-8)
