"""Precision weighting after CogDPM (2024): where a diffusion's own estimates disagree, its condition counts for more.

The published form of the precision is not known to us; this is a reconstruction. Successive estimates of the clean map
are a hierarchy of predictions; where they still move, what is drawn is not settled by the past. Their variance over a
window, smoothed over neighbours, is the inverse of the precision.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.networks.forecaster import Forecaster

WINDOW = 5
"""Estimates that are compared."""
_BEGUN = 0.3
"""Share of the time of a diffusion after which estimates say anything."""


def unsettled(estimates: Sequence[Tensor]) -> Tensor:
    """Variance (B, y, x) of estimates, each (B, y, x), over their sequence, averaged over 3 x 3 places; 0 of one."""
    variance = torch.stack(tuple(estimates)).var(0, correction=0)
    return F.avg_pool2d(F.pad(variance[:, None], (1, 1, 1, 1), "replicate"), 3, 1)[:, 0]


def ranked(variance: np.ndarray) -> np.ndarray:
    """Precision (B, y, x) float32 of each map as the share of its places that are less settled: 1 is the surest place.

    Ties share their mean, so that a flat map is 0.5 everywhere.
    """
    from scipy.stats import rankdata

    flat = variance.reshape(len(variance), -1)
    ranks = rankdata(-flat, axis=1) - 1
    return np.float32(ranks / max(flat.shape[1] - 1, 1)).reshape(variance.shape)


class Attentive:
    """x0 = x0_linear + g (x0 - x0_linear) on the map, with g = weight + attention (1 - precision) at each place.

    A denoiser like the one it wraps, for one run after the other: when t rises, a new diffusion has begun. Where
    attention is 0, or the precision flat, it is `weighed` by a constant. No further network calls.
    """

    def __init__(self, denoise: Callable[..., Tensor], schedule: Any, network: Forecaster, weight: float,
                 attention: float):
        self._denoise, self._schedule, self._network = denoise, schedule, network
        self._weight, self._attention = weight, attention
        self._seen: deque[Tensor] = deque(maxlen=WINDOW)
        self._last = -np.inf

    def __call__(self, x: Tensor, t: Any, **cond: Tensor) -> Tensor:
        now = float(torch.as_tensor(t).reshape(-1)[0])
        if now > self._last:
            self._seen.clear()
        self._last = now
        x0, linear = self._denoise(x, t, **cond), x * float(self._schedule(now)[0])
        self._seen.append(self._network.noise_maps(x0.float()))
        if now > (1 - _BEGUN) * self._schedule.start or len(self._seen) < 2:
            return linear + self._weight * (x0 - linear)
        sure = torch.from_numpy(ranked(unsettled(self._seen).numpy()))
        gain = self._weight + self._attention * (1 - sure)
        return linear + self._network.unmapped(gain * self._network.noise_maps(x0 - linear))


def of_members(estimates: Sequence[Tensor], network: Forecaster) -> np.ndarray | None:
    """Precision (y, x) of one step in time, from the estimates x0 (M, K) of its diffusion for all members, in their
    order; None when there were fewer than two.
    """
    if len(estimates) < 2:
        return None
    maps = [network.noise_maps(x0.float()) for x0 in estimates[-WINDOW:]]
    return ranked(unsettled(maps).mean(0, keepdim=True).numpy())[0]
