"""A smooth first guess for unknown pixels: what the model then only has to correct."""

import torch
import torch.nn.functional as F
from torch import Tensor


def smooth_fill(picture: Tensor, known: Tensor) -> Tensor:
    """picture (B, 3, H, W) with the pixels where known (B, 1, H, W) is 0 replaced by a smooth continuation.

    Normalised averages over growing cells ("pull"), then each unknown pixel takes the finest average that has any known
    pixel in it, interpolated bilinearly ("push"). With nothing known at all the fill is 0. Known pixels stay bit-exact.
    """
    values, weights = [picture * known], [known]
    while min(values[-1].shape[-2:]) > 1:
        weight = F.avg_pool2d(weights[-1], 2, ceil_mode=True)
        value = F.avg_pool2d(values[-1] * weights[-1], 2, ceil_mode=True)
        values.append(value / weight.clamp(min=1e-6))
        weights.append((weight > 0).to(weight))
    guess = values[-1]
    for value, weight in zip(reversed(values[:-1]), reversed(weights[:-1])):
        guess = F.interpolate(guess, size=value.shape[-2:], mode="bilinear", align_corners=False)
        guess = torch.where(weight > 0, value, guess)
    return torch.where(known > 0, picture, guess)
