"""What is diffused: the slice after contrast (PC) or the difference (SUB), and the way back to a slice.

Ibarra et al. (MICCAI Deep-Breath 2025, arXiv 2508.13776). Slices are tensors (B, 1, H, W) in [0, BRIGHTEST] units of
the slice before contrast, see `engine.tasks.contrast.data`.
"""

from dataclasses import dataclass

from torch import Tensor

from engine.tasks.contrast.data import BRIGHTEST

_STRETCH = 0.5
"""Uptake that is 1 in the difference, as published."""


@dataclass(frozen=True)
class Target:
    """One way to write the wanted slice as x0. name: of the setting; model: its name; limit: of |x0|.

    base, deviation and spread: of `networks.contrast.ContrastUNet`.
    """

    name: str
    model: str
    base: str
    limit: float
    deviation: float
    spread: float

    def encode(self, after: Tensor, before: Tensor) -> Tensor:
        """x0 of a slice after contrast."""
        return (after - before) / _STRETCH if self.base == "zero" else as_picture(after)

    def decode(self, x0: Tensor, before: Tensor) -> Tensor:
        """The slice after contrast of an x0; not clipped, so that gradients and noisy states pass."""
        return before + _STRETCH * x0 if self.base == "zero" else (x0 + 1) * (BRIGHTEST / 2)


SUBTRACTION = Target("subtraction", "contrast_sub", "zero", 1.0 / _STRETCH, 0.3, 0.3)
POST_CONTRAST = Target("post-contrast", "contrast_pc", "input", 1.0, 0.6, 0.3 * _STRETCH * 2 / BRIGHTEST)
TARGETS = {target.name: target for target in (SUBTRACTION, POST_CONTRAST)}


def as_picture(values: Tensor) -> Tensor:
    """Slices in [0, BRIGHTEST] to [-1, 1], the range of pictures and conditions."""
    return values * (2 / BRIGHTEST) - 1
