"""Schedules whose signal fades into stationary noise: the variance-preserving family, continuous in time."""

import math
from dataclasses import dataclass
from typing import ClassVar

from engine.schedules.base import Schedule, at_least, softplus


class Decaying(Schedule):
    """alpha^2 + (sigma / rest)^2 = 1, so that log alpha alone says everything; rest = 1 preserves the variance.

    Kinds give `_log_alpha(t, m)`, its derivative `_log_alpha_rate(t, m)` and its inverse `_time_of(log_alpha, m)`.
    """

    rest: float = 1.0

    def _levels(self, t, m):
        log_alpha = self._log_alpha(t, m)
        return m.exp(log_alpha), self.rest * m.sqrt(abs(m.expm1(2 * log_alpha)))

    def _time(self, log_snr, m):
        return self._time_of(-softplus(-2 * (log_snr + math.log(self.rest))) / 2, m)

    def _rates(self, t, m):
        alpha, sigma = self._levels(t, m)
        alpha_rate = self._log_alpha_rate(t, m) * alpha
        return alpha_rate, -self.rest**2 * alpha * alpha_rate / sigma


@dataclass(frozen=True)
class VPLinear(Decaying):
    """beta(t) rises linearly from beta_min to beta_max (Song et al., "Score-based generative modeling", 2021)."""

    name: ClassVar[str] = "vp_linear"
    beta_min: float = 0.1
    beta_max: float = 20.0
    t_min: float = 1e-3
    t_max: float = 1.0

    def _log_alpha(self, t, m):
        return -t * (t * (self.beta_max - self.beta_min) / 4 + self.beta_min / 2)

    def _log_alpha_rate(self, t, m):
        return -(t * (self.beta_max - self.beta_min) + self.beta_min) / 2

    def _time_of(self, log_alpha, m):
        root = m.sqrt(self.beta_min**2 - 4 * (self.beta_max - self.beta_min) * log_alpha)
        return -4 * log_alpha / (root + self.beta_min)


@dataclass(frozen=True)
class Cosine(Decaying):
    """alpha ~ cos(pi/2 (t + s)/(1 + s)) with alpha(0) = 1 (Nichol and Dhariwal, 2021, eq. 17). t = 1 is singular."""

    name: ClassVar[str] = "cosine"
    offset: float = 0.008
    t_min: float = 1e-3
    t_max: float = 0.9946

    @property
    def _speed(self) -> float:
        return math.pi / 2 / (1 + self.offset)

    @property
    def _first(self) -> float:
        return self._speed * self.offset

    def _log_alpha(self, t, m):
        # log(cos(first + turn) / cos(first)) without its cancellation near t = 0.
        turn = self._speed * t
        return m.log1p(-2 * m.sin(turn / 2) ** 2 - math.tan(self._first) * m.sin(turn))

    def _log_alpha_rate(self, t, m):
        return -self._speed * m.tan(self._first + self._speed * t)

    def _time_of(self, log_alpha, m):
        angle = m.acos(m.exp(log_alpha) * math.cos(self._first))
        # arccos is only known to about 1e-14 near alpha = 1, which must not become a negative time.
        return at_least((angle - self._first) / self._speed, 0.0)
