"""Training targets of the geometry stage with the noise of sampling taken out."""

import torch
from torch import Tensor, nn

from engine.denoisers import coefficients, spread
from engine.training import objective
from engine.training.spec import Batch

SPACING = 0.1
"""Noise level, in units of the network's coordinates, under which neighbouring points of a cloud can be told apart."""


def posterior_mean(x_t: Tensor, alpha: Tensor, sigma: Tensor, cloud: Tensor) -> Tensor:
    """E[x0 | x_t] for a point drawn from `cloud`, each of whose points is as likely: (B, N, 3).

    x_t (B, N, 3) = alpha x0 + sigma eps; cloud (B, M, 3); alpha, sigma (B, 1, 1).
    """
    precision = sigma.square().reciprocal()
    closeness = x_t * (alpha * precision) @ cloud.transpose(1, 2)
    length = (alpha.square() * precision / 2) * cloud.square().sum(-1)[:, None]
    return torch.softmax(closeness - length, dim=-1) @ cloud


def geometry_loss(network: nn.Module, batch: Batch, schedule, prediction: str, generator: torch.Generator) -> Tensor:
    """Squared error against the v of the posterior mean given the whole shape, at random times.

    Points are independent given their shape, so E[x0 | x_t, condition] is the mean, over the shapes that are possible,
    of this target: the best network is the same as for the usual loss, but where a point sat on the surface, which
    nothing can tell, is no longer noise in the gradient ("stable target field", Xu et al., ICLR 2023). Levels at which
    single points could be told apart count less. batch.x0 (B, N, 3); its condition `surface` (B, M, 3) is more of the
    same cloud, with x0 in it.
    """
    told = dict(batch.conditions)
    surface = told.pop("surface")
    x_t, t, _ = objective.noised(batch, schedule, prediction, generator)
    levels = schedule(t)
    alpha, sigma = (spread(level, x_t) for level in levels)
    with torch.autocast(x_t.device.type, enabled=False):
        x0 = posterior_mean(x_t, alpha, sigma, surface)
    on_x, on_x0 = (spread(factor, x_t) for factor in coefficients(*levels, "x0", prediction))
    counted = sigma.square() / (sigma.square() + SPACING**2)
    return (counted * (network(x_t, t, **told) - on_x * x_t - on_x0 * x0).square()).mean()
