"""Schedules without a law of decay: variance exploding, and the straight path of flow matching."""

from dataclasses import dataclass
from typing import ClassVar

from engine.schedules.base import Schedule, softplus


@dataclass(frozen=True)
class EDM(Schedule):
    """alpha = 1, sigma = t (Karras et al., 2022). Times are noise levels here."""

    name: ClassVar[str] = "edm"
    t_min: float = 0.002
    t_max: float = 80.0

    def _levels(self, t, m):
        return t * 0 + 1, t

    def _time(self, log_snr, m):
        return m.exp(-log_snr)

    def _rates(self, t, m):
        return t * 0, t * 0 + 1


@dataclass(frozen=True)
class Flow(Schedule):
    """alpha = 1 - t, sigma = t (rectified flow, Liu et al., 2022), with the noise at t = 1."""

    name: ClassVar[str] = "flow"
    t_min: float = 1e-3
    t_max: float = 0.999

    def _levels(self, t, m):
        return 1 - t, t

    def _time(self, log_snr, m):
        return m.exp(-softplus(log_snr))

    def _rates(self, t, m):
        return t * 0 - 1, t * 0 + 1
