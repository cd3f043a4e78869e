"""Training targets: the network's regression problem for each prediction type."""

import torch
from torch import Tensor, nn

from engine.denoisers import coefficients, from_regression, reverting_shift
from engine.networks.bases import RESIDUAL_SPREAD, residual_base
from engine.training.masks import diffusion_loss, plain_loss
from engine.training.spec import Batch


def loss(network: nn.Module, batch: Batch, schedule, prediction: str, generator: torch.Generator) -> Tensor:
    """Mean error of the network's prediction at random times, weighted as the prediction type needs.

    prediction: "v" (Salimans and Ho, 2022) or "velocity" (flow matching, Lipman et al., 2023), both squared and at
    uniform times; "resnoise" (Resfusion's target, see `_resnoise`); "reverting" (EDiffSR, see `_matching`) or
    "regression" (the same network's single estimate, absolute error); "logits" and "plain_logits" (masks, see
    `engine.training.masks`).
    """
    own = {"resnoise": _resnoise, "reverting": _matching, "regression": _regression,
           "logits": diffusion_loss, "plain_logits": plain_loss}
    if prediction in own:
        return own[prediction](network, batch, schedule, generator)
    return _linear(network, batch, schedule, prediction, generator)


def _times(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Uniform times, stratified over the batch: every batch covers the whole range."""
    strata = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    return low + (high - low) * strata[torch.randperm(count, generator=generator)]


def _columns(*values: Tensor, like: Tensor | None = None) -> tuple[Tensor, ...]:
    """Per-sample numbers (B,) as columns that multiply pictures, or whatever has as many axes as `like`."""
    shape = (-1,) + (1,) * (3 if like is None else like.dim() - 1)
    return tuple(v.float().reshape(shape) for v in values)


def _mean(error: Tensor, weight: Tensor | None) -> Tensor:
    return error.mean() if weight is None else (error * weight).sum() / (weight.sum() * error.shape[1])


def _linear(network, batch, schedule, prediction, generator):
    x_t, t, target = noised(batch, schedule, prediction, generator)
    predicted = network(x_t, t, label=batch.label, cond=batch.cond, **batch.conditions)
    return _mean((predicted.float() - target).square(), batch.weight)


def noised(batch: Batch, schedule, prediction: str, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """x_t (B, C, H, W) at random times t (B,), and what a network of that prediction should answer, all where x0 is."""
    place = batch.x0.device
    t = _times(len(batch.x0), schedule.t_min, schedule.t_max, generator)
    (alpha, sigma), rates = schedule(t), schedule.rates(t)
    on_x, on_x0 = (v.to(place) for v in _columns(*coefficients(alpha, sigma, "x0", prediction, rates), like=batch.x0))
    alpha, sigma = (v.to(place) for v in _columns(alpha, sigma, like=batch.x0))
    x_t = alpha * batch.x0 + sigma * torch.randn(batch.x0.shape, generator=generator).to(place)
    return x_t, t.to(place), on_x * x_t + on_x0 * batch.x0


def _resnoise(network, batch, schedule, generator):
    """Resfusion (Shi et al., NeurIPS 2024), continuous limit: resnoise = eps + (sigma / 2) (degraded - clean).

    Runs start at t = 1, where nothing of the clean picture is in the state, so half of the samples sit there, half of
    those without noise: the posterior mean is asked for so. The error is counted in units of what the linear base
    leaves over, times the share (1/10 to 1) that it has in the clean picture, so that nearly clean states do not
    dominate.
    """
    quarter = len(batch.x0) // 4
    degraded = batch.cond[:, :3]
    t = _times(len(batch.x0), 0.02, 1.0, generator)
    t[:2 * quarter] = 1.0
    alpha, sigma = _columns(*schedule(t))
    kept, = _columns(schedule.retained(t))
    eps = torch.randn(batch.x0.shape, generator=generator)
    eps[:quarter] = 0
    y = alpha * batch.x0 + sigma * eps
    predicted = network(y + (1 - kept) * degraded, t, label=batch.label, cond=batch.cond)
    target = eps + sigma / 2 * (degraded - batch.x0)
    _, left = residual_base(eps, alpha, sigma, RESIDUAL_SPREAD)
    in_picture = (sigma * left / (alpha + sigma.square() / 2) / RESIDUAL_SPREAD).square()
    return _mean(in_picture.clamp(0.1, 1.0) * ((predicted.float() - target) / left).square(), batch.weight)


def _matching(network, batch, schedule, generator):
    """Maximum-likelihood matching of the mean-reverting process (IR-SDE, Luo et al., 2023), continuous limit.

    The published loss is the absolute distance between the states one step back that the network and the truth lead
    to. With short steps that is the error of the noise, times `matching_weight` and the step. Times are drawn as
    squares of uniform numbers, and counted accordingly: most of the process happens near its clean end.
    """
    place = batch.x0.device
    root = _times(len(batch.x0), schedule.t_min**0.5, schedule.t_max**0.5, generator).to(place)
    t = root.square()
    alpha, sigma, weight = _columns(*schedule(t), 2 * root * matching_weight(schedule, t))
    eps = torch.randn(batch.x0.shape, generator=generator).to(place)
    y = alpha * batch.x0 + sigma * eps
    predicted = network(y + reverting_shift(batch.cond, t, schedule), t, label=batch.label, cond=batch.cond)
    return _mean(weight * (predicted.float() - eps).abs(), batch.weight)


def matching_weight(schedule, t: Tensor) -> Tensor:
    """How far the reverse step goes wrong per unit of time and error of the noise: 2 theta rest^2 / sigma, (B,)."""
    (alpha, sigma), (alpha_rate, _) = schedule(t), schedule.rates(t)
    return -2 * alpha_rate / alpha * schedule.rest**2 / sigma


def _regression(network, batch, schedule, generator):
    estimate = from_regression(network, schedule)(batch.x0, schedule.start, cond=batch.cond, label=batch.label)
    return _mean((estimate - batch.x0).abs(), batch.weight)
