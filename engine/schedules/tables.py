"""Schedules given by a table: what models of N discrete steps were trained on, read as continuous."""

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from engine.errors import InputError
from engine.schedules.base import Number, at_least, prepared, softplus
from engine.schedules.decaying import Decaying

# Below this log_snr the discrete models see pure noise; DPM-Solver drops that tail (needed for the cosine table).
_NOISE_LOG_SNR = -5.1
# A last beta of 1 leaves no signal and so no log-SNR; public implementations put alpha^2 = 2^-24 there.
_LARGEST_FALL = 12 * math.log(2)


class Tabulated(Decaying):
    """log alpha is linear between the nodes t_i = i / N, i = 0 .. N. Kinds give `_fall`: -log alpha at each node."""

    _fall: tuple[float, ...]

    @cached_property
    def _fall_tensor(self) -> Tensor:
        return torch.tensor(self._fall, dtype=torch.float64)

    @property
    def _nodes(self) -> int:
        return len(self._fall) - 1

    def _segment(self, t):
        nodes = self._nodes
        if isinstance(t, Tensor):
            left = (t * nodes).floor().long().clamp(0, nodes - 1)
            fall = self._fall_tensor.to(t.device)
            return left, fall[left], fall[left + 1]
        left = min(max(int(t * nodes), 0), nodes - 1)
        return left, self._fall[left], self._fall[left + 1]

    def _log_alpha(self, t, m):
        left, here, there = self._segment(t)
        return -(here + (t * self._nodes - left) * (there - here))

    def _log_alpha_rate(self, t, m):
        _, here, there = self._segment(t)
        return -(there - here) * self._nodes

    def _time_of(self, log_alpha, m):
        if isinstance(log_alpha, Tensor):
            fall = self._fall_tensor.to(log_alpha.device)
            left = (torch.searchsorted(fall, -log_alpha.contiguous(), right=True) - 1).clamp(0, self._nodes - 1)
        else:
            fall = self._fall
            left = min(bisect_right(fall, -log_alpha) - 1, self._nodes - 1)
        return (left + (-log_alpha - fall[left]) / (fall[left + 1] - fall[left])) / self._nodes


@dataclass(frozen=True)
class VPDiscrete(Tabulated):
    """A model trained on N steps, read as continuous: log alpha is linear between nodes t_i = (i + 1)/N and 0 at t = 0.

    betas: the N noise variances, each in (0, 1]. t_min = 1/N; t_max is the last node with log_snr >= -5.1 (as in
    DPM-Solver, Lu et al., 2022).
    """

    name: ClassVar[str] = "vp_discrete"
    betas: tuple[float, ...] = field(repr=False)
    t_min: float = field(init=False)
    t_max: float = field(init=False)

    def __post_init__(self):
        if len(self.betas) < 2 or not all(0 < b <= 1 for b in self.betas):
            raise InputError("The noise table (betas) is not usable.",
                             "It needs at least 2 numbers, each above 0 and at most 1.", field="betas")
        least_log_alpha = -softplus(-2 * _NOISE_LOG_SNR) / 2
        useful = bisect_right(self._fall, -least_log_alpha) - 1
        object.__setattr__(self, "t_min", 1 / self._nodes)
        object.__setattr__(self, "t_max", max(useful, 2) / self._nodes)

    @cached_property
    def _fall(self) -> tuple[float, ...]:
        fall = [0.0]
        for beta in self.betas:
            fall.append(fall[-1] - math.log1p(-beta) / 2 if beta < 1 else max(fall[-1] + 1, _LARGEST_FALL))
        return tuple(fall)

    def model_time(self, t: Number) -> Number:
        """The index 0 .. N-1 (fractions allowed) that the network was trained with."""
        return at_least(prepared(t)[0] * self._nodes - 1, 0.0)


def beta_table(kind: str, count: int = 1000, first: float | None = None,
               last: float | None = None) -> tuple[float, ...]:
    """The N noise variances of a discrete model.

    linear: evenly spaced, 1e-4 to 0.02. scaled_linear: squares of evenly spaced roots, 8.5e-4 to 0.012 (latent models).
    cosine: from f(u) = cos^2(pi/2 (u + .008)/1.008), at most .999; takes no ends. Raises InputError for another kind.
    """
    if kind == "cosine":
        def kept(u):
            return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
        return tuple(min(1 - kept((i + 1) / count) / kept(i / count), 0.999) for i in range(count))
    ends = {"linear": (1e-4, 2e-2), "scaled_linear": (8.5e-4, 1.2e-2)}
    if kind not in ends:
        raise InputError(f"There is no noise table named {str(kind)[:40]!r}.",
                         fix="Choose linear, scaled_linear or cosine.", field="betas")
    low, high = (given if given is not None else usual for given, usual in zip((first, last), ends[kind], strict=True))
    power = 2 if kind == "scaled_linear" else 1
    roots = torch.linspace(low ** (1 / power), high ** (1 / power), count, dtype=torch.float64)
    return tuple((roots**power).tolist())
