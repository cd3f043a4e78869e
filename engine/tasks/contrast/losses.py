"""The tumour-aware loss of contrast synthesis, on slices rather than on x0 (Ibarra et al. 2025, arXiv 2508.13776).

Published are L = 0.3 L_global + 0.6 L_roi + 0.05 L_contrast + 0.05 L_intensity and L_global = 0.30 MAE + 0.60
perceptual + 0.15 TV + 0.05 MSE. No perceptual network is at hand: the absolute difference of gradients at three scales
and a tenth of 1 - SSIM stand in for it. The region is derived from the true difference, no expert drew it
(`data.enhancing`).
L_roi and L_intensity count where the network was told the region: a weight that depends on what the network knows
leaves its posterior as it is, while one that depends on the hidden truth makes every doubtful pixel more likely to take
up contrast, at each step of a run again. Errors in the region are divided by the pixels of the whole slice: by its own
few per cent they would weigh fifty times as much as the rest.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.tasks.contrast.data import BRIGHTEST
from engine.tasks.contrast.targets import Target
from engine.training.objective import noised
from engine.training.spec import Batch

_MAE, _STRUCTURE, _TV, _MSE = 0.30, 0.60, 0.15, 0.05
_GLOBAL, _REGION, _CONTRAST, _INTENSITY = 0.3, 0.6, 0.05, 0.05
_SCALES = 3
_DISSIMILARITY = 0.1
_WINDOW_PX = 7


@dataclass(frozen=True)
class TumourAware:
    """The objective of a target, in place of `engine.training.objective.loss`, for a network that predicts x0.

    The batch's `weight` (B, 3, H, W) brings before, after (both [0, BRIGHTEST]) and region (0 or 1); the last channel
    of its `cond` is 0 where the region was not told.
    """

    target: Target

    def __call__(self, network: nn.Module, batch: Batch, schedule, prediction: str,
                 generator: torch.Generator) -> Tensor:
        """The loss of one batch."""
        before, after, region = batch.weight.split(1, dim=1)
        x_t, t, _ = noised(batch, schedule, "v", generator)
        x0 = network(x_t, t, cond=batch.cond)
        told = batch.cond[:, -1].abs().amax((1, 2))
        with torch.autocast(x_t.device.type, enabled=False):
            return total(self.target.decode(x0.float(), before), after, before, region, told)


def total(found: Tensor, after: Tensor, before: Tensor, region: Tensor, told: Tensor) -> Tensor:
    """L of slices (B, 1, H, W); region 0 or 1; told (B,): 1 where the network knew the region, else 0."""
    uptake = F.l1_loss(F.relu(found - before), F.relu(after - before))
    known = region * told[:, None, None, None]
    return (_GLOBAL * similarity(found, after, torch.ones_like(region)) + _REGION * similarity(found, after, known)
            + _CONTRAST * uptake + _INTENSITY * mean_difference(found, after, known).mean())


def similarity(found: Tensor, after: Tensor, region: Tensor) -> Tensor:
    """0.30 MAE + 0.60 structure + 0.15 TV + 0.05 MSE of slices (B, 1, H, W), of pixels outside the region 0."""
    error = found - after
    structure = gradients(error, region) + _DISSIMILARITY * dissimilarity(found, after, region)
    return (_MAE * (error.abs() * region).mean() + _STRUCTURE * structure
            + _TV * _steps(found, region) + _MSE * (error.square() * region).mean())


def gradients(error: Tensor, region: Tensor) -> Tensor:
    """Mean absolute step between neighbours of an error (B, 1, H, W), over full, half and quarter size."""
    parts = [_steps(error, region)]
    for _ in range(_SCALES - 1):
        error, region = F.avg_pool2d(error, 2), F.avg_pool2d(region, 2)
        parts.append(_steps(error, region))
    return torch.stack(parts).mean()


def dissimilarity(found: Tensor, after: Tensor, region: Tensor) -> Tensor:
    """Mean of 1 - SSIM (Wang et al. 2004) over square windows of 7 px within the slices, of pixels outside 0."""
    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, _WINDOW_PX, 1)

    first, second = (0.01 * BRIGHTEST) ** 2, (0.03 * BRIGHTEST) ** 2
    a, b = mean(found), mean(after)
    variances, covariance = mean(found**2) + mean(after**2) - a**2 - b**2, mean(found * after) - a * b
    ssim = (2 * a * b + first) * (2 * covariance + second) / ((a**2 + b**2 + first) * (variances + second))
    inner = region[..., _WINDOW_PX // 2:-(_WINDOW_PX // 2), _WINDOW_PX // 2:-(_WINDOW_PX // 2)]
    return ((1 - ssim) * inner).mean()


def mean_difference(found: Tensor, after: Tensor, region: Tensor) -> Tensor:
    """How far the mean over the region is off, (B,); 0 where there is no region."""
    return (((found - after) * region).sum((1, 2, 3)) / region.sum((1, 2, 3)).clamp(min=1)).abs()


def _steps(values: Tensor, region: Tensor) -> Tensor:
    down, right = values.diff(dim=2).abs() * region[:, :, 1:], values.diff(dim=3).abs() * region[..., 1:]
    return (down.mean() + right.mean()) / 2
