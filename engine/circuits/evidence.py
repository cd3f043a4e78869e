"""What is softly known of a picture: a value and a variance per pixel, and statements about weighted sums of pixels."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import InputError


@dataclass(frozen=True, eq=False)
class Evidence:
    """Independent soft evidence: pixel i contributes the factor N(value_i; x_i, variance_i).

    value: (B, *shape). variance: any shape that broadcasts to it, its first axis 1 for all samples alike. 0 means that
    the pixel is known, infinity that nothing is said of it; its value then has no effect. The less evidence varies over
    the samples, the less work it is: one variance for all costs as much as one sample.
    """

    value: Tensor
    variance: Tensor

    def __post_init__(self):
        variance = self.variance.reshape([1] * (self.value.ndim - self.variance.ndim) + [*self.variance.shape])
        object.__setattr__(self, "variance", variance)
        if bool((variance < 0).any() | variance.isnan().any()) or not bool(self.value.isfinite().all()):
            raise InputError("The evidence holds a variance below zero, or a number that is not finite.",
                             "A variance is 0 for known pixels and infinite for unknown ones.", field="evidence")

    def flat(self) -> tuple[Tensor, Tensor]:
        """value (B, P) and variance (1, P) or (B, P) in float64."""
        shape = self.value.shape
        variance = self.variance.double().expand(self.variance.shape[0], *shape[1:])
        return self.value.double().flatten(1), variance.flatten(1)

    def __and__(self, other: "Evidence") -> "Evidence":
        """Both together: precisions add up. Where both know a pixel, the first one counts."""
        first, second = self.variance, other.variance
        # Shares of the two values, which stay finite when a variance is 0 or infinite.
        share = torch.where(first == 0, 1.0, second / (first + second))
        share = torch.where(second.isinf(), 1.0, torch.where(first.isinf(), 0.0, share))
        share = torch.where(first.isinf() & second.isinf(), 0.5, share)
        both = torch.where(first.isinf(), second, first * share)
        return Evidence(share * self.value + (1 - share) * other.value, both)

    @classmethod
    def of_state(cls, x: Tensor, alpha: float, sigma: float) -> "Evidence":
        """What a noisy state x = alpha x0 + sigma eps says of x0; nothing where it holds no signal."""
        if alpha == 0:
            return cls(torch.zeros_like(x), x.new_full((1,), math.inf))
        return cls(x / alpha, x.new_full((1,), (sigma / alpha) ** 2))


@dataclass(frozen=True, eq=False)
class Statement:
    """Softly stated sums over pixels: weights (R, *shape) times the picture is value (R,), up to variance (R,) >= 0."""

    weights: Tensor
    value: Tensor
    variance: Tensor

    @classmethod
    def mean_colour(cls, area: Tensor, colour: Sequence[float], tolerance: float) -> "Statement":
        """The mean over an area (H, W), bool, of each of the channels is `colour`, give or take `tolerance`."""
        count = len(colour)
        share = area.double() / area.sum().clamp(min=1)
        weights = torch.eye(count, dtype=torch.float64)[:, :, None, None] * share
        return cls(weights, torch.tensor(colour, dtype=torch.float64),
                   torch.full((count,), tolerance ** 2, dtype=torch.float64))
