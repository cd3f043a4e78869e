"""Training objectives of the networks that give the logits of a mask."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.training.spec import Batch


def diffusion_loss(network: nn.Module, batch: Batch, schedule, generator: torch.Generator) -> Tensor:
    """Cross-entropy of the posterior of each pixel at random times, plus that of the picture network's own answer.

    Cross-entropy is smallest where the network gives the true P(mask = 1 | x_t, picture), so samples and their mean are
    calibrated; MedSegDiff's squared errors have the same minimum, a Dice loss does not. network: `networks.MedSeg`;
    batch.x0 (B, 1, H, W) in {-1, 1}, batch.cond the pictures.
    """
    mask, count = batch.x0, len(batch.x0)
    strata = (torch.arange(count) + torch.rand(count, generator=generator)) / count
    t = schedule.t_min + (schedule.t_max - schedule.t_min) * strata[torch.randperm(count, generator=generator)]
    alpha, sigma = (v.float()[:, None, None, None].to(mask.device) for v in schedule(t))
    noise = torch.randn(mask.shape, generator=generator).to(mask.device)
    encoded = network.encode(batch.cond)
    logits = network(alpha * mask + sigma * noise, t.to(mask.device), cond=encoded)
    return _cross_entropy(logits, mask, batch.weight) + _cross_entropy(encoded[:, :1], mask, batch.weight)


def plain_loss(network: nn.Module, batch: Batch, schedule, generator: torch.Generator) -> Tensor:
    """Cross-entropy plus soft Dice loss of a network that sees the picture alone: the usual recipe of a plain U-Net."""
    nothing = torch.zeros(len(batch.x0), device=batch.x0.device)
    logits = network(torch.zeros_like(batch.x0), nothing, cond=batch.cond)
    return _cross_entropy(logits, batch.x0, batch.weight) + dice_loss(logits, batch.x0)


def _cross_entropy(logits: Tensor, mask: Tensor, weight: Tensor | None) -> Tensor:
    """Mean over the pixels that count, nats."""
    each = F.softplus(-mask * logits.float())
    return each.mean() if weight is None else (each * weight).sum() / weight.sum()


def dice_loss(logits: Tensor, mask: Tensor) -> Tensor:
    """1 - (2 sum p y + 1) / (sum p + sum y + 1), mean over samples; y = 1 where mask (B, 1, H, W) is."""
    chance, truth = torch.sigmoid(logits.float()).flatten(1), (mask.flatten(1) + 1) / 2
    return (1 - (2 * (chance * truth).sum(1) + 1) / (chance.sum(1) + truth.sum(1) + 1)).mean()
