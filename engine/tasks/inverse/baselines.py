"""What one gets without a learned prior: the classical method that fits each kind of measurement, in one place.

Pictures are tensors (1, 3, H, W) in [-1, 1]. Each method knows the measurement as ours do, and the noise.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.steering.operators import Inpaint, Measurement, Operator

Baseline = Callable[[Tensor, Measurement, float, tuple[int, int]], Tensor]
"""(y, measurement, noise, (height, width)) -> picture."""


def biharmonic(y: Tensor, measurement: Inpaint, noise: float, size: tuple[int, int]) -> Tensor:
    """The smoothest surface through what is known (scikit-image `inpaint_biharmonic`)."""
    from skimage.restoration import inpaint_biharmonic

    unknown = measurement.known[0, 0].cpu().numpy() == 0
    filled = inpaint_biharmonic(_array(measurement.pinv(y)), unknown, channel_axis=-1)
    return _tensor(np.clip(filled, 0, 1))


def bicubic(y: Tensor, measurement: Measurement, noise: float, size: tuple[int, int]) -> Tensor:
    """The small picture enlarged."""
    return F.interpolate(y, size, mode="bicubic", align_corners=False).clamp(-1, 1)


def wiener(y: Tensor, measurement: Operator, noise: float, size: tuple[int, int]) -> Tensor:
    """The linear estimate of least error for pictures whose spectrum falls with the square of the frequency.

    Solved as (H'H + noise^2 / power D'D)^-1 H'y with differences D, the power taken from the measurement itself.
    """
    mean = measurement.pinv(y).mean((2, 3), keepdim=True)
    centred = y - measurement.H(mean.expand(-1, -1, *size))
    steps = [s.square().mean() for s in _differences(measurement.pinv(centred))]
    weight = max(noise, 1e-3) ** 2 / max(float(sum(steps)), 1e-4)
    from engine.steering.operators.linear_algebra import conjugate_gradients

    def matrix(x: Tensor) -> Tensor:
        rough = sum(x - (torch.roll(x, 1, d) + torch.roll(x, -1, d)) / 2 for d in (2, 3))
        return measurement.adjoint(measurement.H(x)) + weight * rough

    return (conjugate_gradients(matrix, measurement.adjoint(centred)) + mean).clamp(-1, 1)


def total_variation(y: Tensor, measurement: Operator, noise: float, size: tuple[int, int], rounds: int = 60) -> Tensor:
    """Least squares with a total-variation penalty: proximal gradient steps with scikit-image's Chambolle solver."""
    from skimage.restoration import denoise_tv_chambolle

    x = measurement.pinv(y).clamp(-1, 1)
    strength = 0.02 + noise / 4
    length = 1.0 / max(_largest(measurement, x), 1e-6)
    for _ in range(rounds):
        x = x + length * measurement.adjoint(y - measurement.H(x))
        x = _tensor(denoise_tv_chambolle(_array(x), weight=strength / 2 * length, channel_axis=-1))
    return x.clamp(-1, 1)


def fitting(name: str) -> dict[str, Baseline]:
    """The baselines of a kind of measurement, by their names for people; {} where nothing classical is simple."""
    holes = {"biharmonic": biharmonic, "total variation": total_variation}
    small = {"bicubic": bicubic, "total variation": total_variation}
    blurred = {"Wiener": wiener, "total variation": total_variation}
    return {"box": holes, "scattered": holes, "small2": small, "small4": small, "bicubic4": small, "blur": blurred,
            "motion": blurred, "noise": blurred}.get(name, {})


def _largest(measurement: Operator, x: Tensor) -> float:
    """The largest eigenvalue of H'H, by power iteration."""
    v = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    for _ in range(12):
        v = measurement.adjoint(measurement.H(v / v.norm()))
    return float(v.norm())


def _differences(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.diff(dim=2), x.diff(dim=3)


def _array(x: Tensor) -> np.ndarray:
    return (x[0].permute(1, 2, 0).double().numpy() + 1) / 2


def _tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture * 2 - 1).float().permute(2, 0, 1)[None]
