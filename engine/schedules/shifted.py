"""Schedules that lead from a degraded picture to the clean one, in coordinates in which that picture is shifted away.

In them the state is alpha x0 + sigma eps like any other, so that every solver runs on it; what the network sees is that
state plus a share of the degraded picture (`engine.denoisers.residual_shift`, `reverting_shift`).
"""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import ClassVar

from engine.errors import InputError
from engine.schedules.base import Number, Schedule, at_least, prepared
from engine.schedules.decaying import VPLinear
from engine.schedules.tables import Tabulated


@dataclass(frozen=True)
class Residual(Schedule):
    """Resfusion (Shi et al., NeurIPS 2024, arXiv 2311.14900) in the limit of many steps, in shifted coordinates.

    With the retained part a(t) the process is x_t = (2a - 1) x0 + (1 - a) degraded + sqrt(1 - a^2) eps. The shift
    y = x_t - (1 - a) degraded makes it an ordinary schedule, (alpha, sigma) = (2a - 1, sqrt(1 - a^2)), for every
    solver. a follows the VP-linear law, slowed so that a(1) = 1/2: at t = 1 nothing of x0 is left in y, which is noise
    of sigma(1) = sqrt(3)/2. Runs start there (log_snr = -inf); t_max is where the useful finite range ends.
    """

    name: ClassVar[str] = "residual"
    beta_min: float = 0.1
    beta_max: float = 20.0
    t_min: float = 1e-3
    t_max: float = 0.99

    @property
    def start(self) -> float:
        return 1.0

    def retained(self, t: Number) -> Number:
        """a(t): 1 at t = 0, 1/2 at t = 1."""
        t, m = prepared(t)
        return m.exp(self._log_retained(t))

    def _log_retained(self, t):
        linear, quadratic = self._shape
        return -math.log(2) * (t * (linear + quadratic * t) / (linear + quadratic))

    @cached_property
    def _shape(self) -> tuple[float, float]:
        """-log a is proportional to linear t + quadratic t^2."""
        end = VPLinear(self.beta_min, self.beta_max)._time_of(-math.log(2), math)
        return self.beta_min / 2 * end, (self.beta_max - self.beta_min) / 4 * end**2

    def _levels(self, t, m):
        log_retained = self._log_retained(t)
        # 2a - 1 rounds to -1e-16 instead of 0 at t = 1 in some libraries.
        return at_least(1 + 2 * m.expm1(log_retained), 0.0), m.sqrt(abs(m.expm1(2 * log_retained)))

    def _time(self, log_snr, m):
        # (2a - 1)^2 = r^2 (1 - a^2) with r = alpha/sigma, solved for 1 - a without cancellation at either end.
        ratio = m.exp(-at_least(-log_snr, -300.0))
        lost = (2 - 3 * ratio / (ratio + m.sqrt(ratio * ratio + 3))) / (4 + ratio * ratio)
        linear, quadratic = self._shape
        depth = -m.log1p(-lost) / math.log(2) * (linear + quadratic)
        return 2 * depth / (linear + m.sqrt(linear**2 + 4 * quadratic * depth))

    def _rates(self, t, m):
        linear, quadratic = self._shape
        retained = self.retained(t)
        retained_rate = -math.log(2) * (linear + 2 * quadratic * t) / (linear + quadratic) * retained
        return 2 * retained_rate, -retained * retained_rate / self._levels(t, m)[1]


@dataclass(frozen=True)
class MeanReverting(Tabulated):
    """The mean-reverting SDE of IR-SDE (Luo et al., 2023, arXiv 2301.11699) and EDiffSR (2024, arXiv 2310.19288).

    dx = theta (mu - x) dt + rest sqrt(2 theta) dw runs from the clean picture to the degraded one, mu, plus noise of
    standard deviation `rest`: x_t = mu + alpha (x0 - mu) + sigma eps with alpha = exp(-c(t)), c the integral of theta,
    and sigma = rest sqrt(1 - alpha^2). The shift y = x_t - (1 - alpha) mu makes it an ordinary schedule.
    theta(t) = 1 - cos^2(pi/2 (t + .008)/1.008) / cos^2(pi/2 .008/1.008), up to a factor, is the cosine law of the
    published code on a table of `nodes` steps; between them c is linear, so that its inverse is exact.

    rest: stationary standard deviation, pictures in [-1, 1]; EDiffSR has 50/255 for pictures in [0, 1].
    left: alpha at t = 1. At t = 1 there is still that much of x0, so runs start from left * mu + rest * noise.
    """

    name: ClassVar[str] = "mean_reverting"
    rest: float = 100 / 255
    left: float = 0.005
    nodes: int = 100
    t_max: ClassVar[float] = 1.0

    def __post_init__(self):
        if not (self.rest > 0 and 0 < self.left < 1 and self.nodes >= 2):
            raise InputError("The mean-reverting schedule is not usable.",
                             "It needs rest above 0, left between 0 and 1, and at least 2 nodes.", field="schedule")

    @property
    def t_min(self) -> float:
        return 1 / self.nodes

    @cached_property
    def _fall(self) -> tuple[float, ...]:
        def kept(i: int) -> float:
            return math.cos((i / (self.nodes + 2) + 0.008) / 1.008 * math.pi / 2) ** 2

        # The published cumulative sum leaves its first entry out.
        thetas = [1 - kept(i) / kept(0) for i in range(2, self.nodes + 2)]
        scale = -math.log(self.left) / math.fsum(thetas)
        return tuple(scale * c for c in accumulate(thetas, initial=0.0))
