"""Dental arch forms: curves in the occlusal plane, their lengths, and the curve that fits given teeth."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from engine.tasks.teeth import anatomy

QUARTIC = {"upper": (3.164e-2, 3.63e-5), "lower": (2.220e-2, 6.19e-5)}
"""(a, b) of z = z0 - a x^2 - b x^4 in mm through the centres of well-aligned teeth."""
_REACH_MM, _NODES = 48.0, 193


@dataclass(frozen=True)
class Quartic:
    """B curves z = front - a x^2 - b x^4 about the midline x = middle; all four (B,), mm."""

    a: Tensor
    b: Tensor
    front: Tensor
    middle: Tensor

    def at(self, arc: Tensor) -> tuple[Tensor, Tensor]:
        """Points and directions (B, K, 2) as (x, z), at signed arc lengths (B, K) from the midline, left positive.

        The direction is a unit vector that points to the patient's left.
        """
        x_nodes = torch.linspace(0, _REACH_MM, _NODES)
        slope = self._slope(x_nodes[None])
        piece = (1 + slope**2).sqrt()
        length = torch.cat((torch.zeros(len(slope), 1), ((piece[:, 1:] + piece[:, :-1]) / 2).cumsum(1)
                            * (_REACH_MM / (_NODES - 1))), 1)
        wanted = arc.abs().clamp(max=1e4).contiguous()
        above = torch.searchsorted(length, wanted).clamp(1, _NODES - 1)
        low, high = length.gather(1, above - 1), length.gather(1, above)
        x = x_nodes[above - 1] + (wanted - low) / (high - low) * (x_nodes[1] - x_nodes[0])
        x = x * arc.sign()
        z = self.front[:, None] - self.a[:, None] * x**2 - self.b[:, None] * x**4
        direction = torch.stack((torch.ones_like(x), self._slope(x)), -1)
        return (torch.stack((x + self.middle[:, None], z), -1), direction / direction.norm(dim=-1, keepdim=True))

    def length_to(self, x: Tensor) -> Tensor:
        """Signed arc length (B, K) from the midline to the place x (B, K) mm."""
        share = torch.linspace(0, 1, 33)
        slope = self._slope(((x - self.middle[:, None])[..., None] * share).flatten(1)).unflatten(1, (x.shape[1], 33))
        return (x - self.middle[:, None]) * torch.trapezoid((1 + slope**2).sqrt(), share, dim=-1)

    def _slope(self, x: Tensor) -> Tensor:
        return -2 * self.a[:, None] * x - 4 * self.b[:, None] * x**3


def fitted(x: Tensor, z: Tensor, weight: Tensor) -> Quartic:
    """The quartics nearest in z to points x, z (B, K), weighted (B, K), by three rounds of least squares.

    The midline is found with them; a curve never opens forwards. Few or one-sided teeth lean on an average arch.
    """
    middle = torch.zeros(len(x))
    usual = torch.tensor(QUARTIC["upper"]) * 0.5 + torch.tensor(QUARTIC["lower"]) * 0.5
    for _ in range(3):
        local = x - middle[:, None]
        columns = torch.stack((torch.ones_like(x), local, -(local**2) / 100, -(local**4) / 1e5), -1)
        gram = columns.transpose(1, 2) @ (weight[..., None] * columns)
        right = columns.transpose(1, 2) @ (weight * z)[..., None]
        prior = torch.tensor([1e-3, 1e-3, 0.05, 0.05])
        expected = torch.stack((torch.tensor(0.0), torch.tensor(0.0), usual[0] * 100, usual[1] * 1e5))
        found = torch.linalg.solve(gram + torch.diag(prior), right + (prior * expected)[:, None])[..., 0]
        a = (found[:, 2] / 100).clamp_min(0.2 * usual[0])
        b = (found[:, 3] / 1e5).clamp_min(0.0)
        # A curve shifted by d is tilted by 2 (a + 2 b x^2) d at the place x.
        square = (weight * local**2).sum(1) / weight.sum(1).clamp_min(1e-6)
        middle = middle + (found[:, 1] / (2 * (a + 2 * b * square))).clamp(-2, 2)
    return Quartic(a, b, found[:, 0], middle)


def jaw_curves(centres: Tensor, present: Tensor) -> tuple[Quartic, Quartic]:
    """Upper and lower arch through tooth centres (B, 32, 3)."""
    found = []
    for upper in (True, False):
        slots = torch.from_numpy(np.flatnonzero(upper == anatomy.UPPER))
        found.append(fitted(centres[:, slots, 0], centres[:, slots, 2], present[:, slots].float()))
    return found[0], found[1]


def beta(x: np.ndarray, width: float, depth: float) -> np.ndarray:
    """Distance forward (mm) of the beta-function arch of Braun et al. (1998); zero at x = +-width / 2, depth at 0."""
    share = np.clip(x / width, -0.5, 0.5)
    return 2**1.6 * depth * ((share + 0.5) * (0.5 - share)) ** 0.8


def catenary(x: np.ndarray, width: float, depth: float) -> np.ndarray:
    """Distance forward (mm) of a hanging chain of that width and depth."""
    from scipy.optimize import brentq

    half = width / 2
    scale = brentq(lambda a: a * (math.cosh(half / a) - 1) - depth, half / 50, 1e4)
    return depth - scale * (np.cosh(np.asarray(x) / scale) - 1)
