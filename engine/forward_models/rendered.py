"""A denoiser of observations that goes through the signal: it names what was observed, then observes that.

A signal is only ever known by observations render(signal, view) under known views. One observation, the target, is
diffused; another one of the same signal is the context. As the estimate is a signal, it can be rendered from any
further view, and a third observation teaches that it must look right from there as well.
Tewari et al. 2023, arXiv 2306.11719. Signals, observations and views are (B, *).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Seen(NamedTuple):
    """Observations (B, *) and the views (B, *) under which they were made."""

    observation: Tensor
    view: Tensor


class Triple(NamedTuple):
    """Three observations of each signal of a batch."""

    context: Seen
    target: Seen
    other: Seen


Render = Callable[[Tensor, Tensor], Tensor]
"""render(signal, view) -> observation, differentiable in the signal."""
Estimate = Callable[[Seen, Tensor, Tensor, Tensor, Tensor], Tensor]
"""estimate(context, x_t, alpha, sigma, view) -> signal; x_t = alpha observation + sigma eps under that view, alpha and
sigma (B,)."""


class Rendered:
    """denoise(x_t, t) -> x0 of the observation under one view, for any solver.

    signal: the one that the last call estimated, None before the first. After a run it is the sample of the signal.
    """

    def __init__(self, estimate: Estimate, render: Render, schedule, context: Seen, view: Tensor):
        self._estimate, self._render, self._schedule = estimate, render, schedule
        self._context, self._view = context, view
        self.signal: Tensor | None = None

    def __call__(self, x: Tensor, t: float | Tensor) -> Tensor:
        alpha, sigma = (torch.as_tensor(level).to(x).expand(len(x)) for level in self._schedule(t))
        self.signal = self._estimate(self._context, x, alpha, sigma, self._view)
        return self._render(self.signal, self._view)


def told(estimate: Estimate, second: Tensor, noise: float) -> Estimate:
    """The same estimate for someone who has seen the target already, with noise: second = target + noise * eps.

    What is diffused and what was seen are two measurements of the target with independent Gaussian noise. Their mean,
    weighted by precision, says as much as both, so the estimate sees that one, at the lower noise that it has. Nothing
    is trained anew and no call is added. second: one observation, or one per sample; noise > 0.
    """

    def informed(context: Seen, x: Tensor, alpha: Tensor, sigma: Tensor, view: Tensor) -> Tensor:
        shaped = (len(x), *[1] * (x.ndim - 1))
        alpha, sigma = alpha.reshape(shaped), sigma.reshape(shaped)
        # The precisions are alpha^2 / sigma^2 and 1 / noise^2; multiplied by both denominators nothing is divided by 0.
        total = (alpha * noise) ** 2 + sigma ** 2
        best = (alpha * noise ** 2 * x + sigma ** 2 * second) / total
        left = (sigma * noise) ** 2 / total
        level = 1 / (1 + left).sqrt()
        return estimate(context, level * best, level.flatten(), (left.sqrt() * level).flatten(), view)

    return informed


def loss(estimate: Estimate, render: Render, schedule, given: Triple, t: Tensor, noise: Tensor,
         other: float = 1.0) -> Tensor:
    """Mean squared errors of the rendered target and, `other` times, of the third view, which has no noise.

    t (B,), noise like the target. Without the third view (other = 0) a signal need only look right from where it is
    rendered. In the mean over all data the best estimate renders the posterior mean of both observations.
    """
    alpha, sigma = (level.to(noise) for level in schedule(t))
    shaped = (len(noise), *[1] * (noise.ndim - 1))
    noisy = alpha.reshape(shaped) * given.target.observation + sigma.reshape(shaped) * noise
    signal = estimate(given.context, noisy, alpha, sigma, given.target.view)
    error = torch.nn.functional.mse_loss(render(signal, given.target.view), given.target.observation)
    if other > 0:
        error = error + other * torch.nn.functional.mse_loss(render(signal, given.other.view), given.other.observation)
    return error
