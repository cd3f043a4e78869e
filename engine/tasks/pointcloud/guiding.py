"""Guidance by two conditions with a weight each."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

Conditions = Mapping[str, Tensor]


def two_conditions(denoise: Callable[..., Tensor], both: Conditions, first: Conditions, neither: Conditions,
                   weight_first: float, weight_second: float) -> Callable[..., Tensor]:
    """x0 = x0_00 + w1 (x0_10 - x0_00) + w2 (x0_11 - x0_10), a denoiser around a denoiser.

    Brooks et al., "InstructPix2Pix" (CVPR 2023), eq. 3. Weights 1 and 1 are the plain condition on both, 0 and 0 none;
    above 1 exaggerates. Conditions are tensors with first axis 1. One call of up to three times the samples: an answer
    whose factor is zero is not asked for.
    """
    factors = (1 - weight_first, weight_first - weight_second, weight_second)
    asked = [(cond, factor) for cond, factor in zip((neither, first, both), factors) if factor]

    def guided(x_t: Tensor, t: float | Tensor) -> Tensor:
        count = len(asked)
        told = {name: torch.cat([cond[name].expand(len(x_t), *cond[name].shape[1:]) for cond, _ in asked])
                for name in both}
        times = t.repeat(count) if isinstance(t, Tensor) and t.ndim else t
        answers = denoise(x_t.repeat(count, *[1] * (x_t.ndim - 1)), times, **told).chunk(count)
        return sum(factor * answer for (_, factor), answer in zip(asked, answers))

    return guided
