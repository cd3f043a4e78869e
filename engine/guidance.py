"""Guidance: denoisers around denoisers. Each takes denoise(x_t, t, **cond) -> x0 and gives back another one."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from engine.denoisers import Denoiser, Level


def classifier_free(denoise: Denoiser, cond: Mapping[str, Tensor], uncond: Mapping[str, Tensor], weight: float,
                    rescale: float = 0.0) -> Denoiser:
    """x0 = x0_u + weight (x0_c - x0_u): weight 0 is unconditional, 1 conditional, above 1 exaggerates the condition.

    Ho and Salimans, "Classifier-free diffusion guidance" (2022), whose w is weight - 1. cond, uncond: the same keys,
    tensors whose first axis is B or 1. One call of 2B samples; one of B when weight is 0 or 1. rescale: see `rescaled`;
    unused at weight 0. The result is denoise(x_t, t, **more); `more` (tensors, first axis B or 1) goes to both halves.
    """
    assert cond.keys() == uncond.keys(), f"conditions {sorted(cond)} and {sorted(uncond)} differ"
    cond, uncond = dict(cond), dict(uncond)
    if weight in (0, 1):
        only = cond if weight == 1 else uncond
        return lambda x_t, t, **more: denoise(x_t, t, **_for_batch({**only, **more}, x_t.shape[0]))

    def guided(x_t: Tensor, t: Level, **more: Tensor) -> Tensor:
        batch = x_t.shape[0]
        halves = [_for_batch({**half, **more}, batch) for half in (cond, uncond)]
        both = {key: torch.cat([half[key] for half in halves]) for key in halves[0]}
        times = torch.cat([t, t]) if isinstance(t, Tensor) and t.ndim else t
        with_cond, without = denoise(torch.cat([x_t, x_t]), times, **both).chunk(2)
        x0 = without + weight * (with_cond - without)
        return rescaled(x0, with_cond, rescale) if rescale else x0

    return guided


def rescaled(guided: Tensor, conditional: Tensor, share: float) -> Tensor:
    """Undo part of the growth in contrast that strong guidance brings. Both (B, *); statistics per sample.

    share 0 leaves `guided`, 1 gives it the standard deviation of `conditional`; 0.7 is usual. Lin et al., "Common
    diffusion noise schedules and sample steps are flawed" (2024), sec. 3.4.
    """
    axes = tuple(range(1, guided.ndim))
    wanted, found = conditional.std(axes, keepdim=True), guided.std(axes, keepdim=True)
    return guided * (share * wanted / found.clamp_min(1e-12) + (1 - share))


def dynamic_threshold(denoise: Denoiser, quantile: float = 0.995) -> Denoiser:
    """Clip each sample's x0 to its own s = max(1, quantile of |x0|) and divide by s, so that it lies in [-1, 1].

    Saharia et al., "Photorealistic text-to-image diffusion models" (2022), sec. 2.3. For pictures in [-1, 1] and
    solvers that work on x0. quantile: in [0, 1]. No extra calls.
    """
    assert 0 <= quantile <= 1, f"quantile is {quantile}"

    def thresholded(x_t: Tensor, t: Level, **cond) -> Tensor:
        x0 = denoise(x_t, t, **cond)
        limit = _quantile(x0.abs().flatten(1), quantile).clamp_min(1.0).reshape(-1, *[1] * (x0.ndim - 1))
        return x0.clamp(-limit, limit) / limit

    return thresholded


def clipped(denoise: Denoiser, low: float = -1.0, high: float = 1.0) -> Denoiser:
    """Keep every value of x0 in [low, high]. No extra calls."""
    return lambda x_t, t, **cond: denoise(x_t, t, **cond).clamp(low, high)


def _for_batch(cond: Mapping[str, Tensor], batch: int) -> dict[str, Tensor]:
    return {key: value.expand(batch, *value.shape[1:]) for key, value in cond.items()}


def _quantile(values: Tensor, quantile: float) -> Tensor:
    """Linearly interpolated quantile of each row. `torch.quantile` sorts all and refuses more than 2^24 numbers."""
    place = quantile * (values.shape[1] - 1)
    below = values.kthvalue(math.floor(place) + 1, dim=1).values
    above = values.kthvalue(math.ceil(place) + 1, dim=1).values
    return below + (place - math.floor(place)) * (above - below)
