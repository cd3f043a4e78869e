"""What every noise schedule is, and the arithmetic that floats and tensors share."""

import math
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

Number = TypeVar("Number", float, Tensor)


class Schedule:
    """A frozen, hashable value. Floats in, Python floats out; tensors in, float64 tensors of the same shape out.

    t_min, t_max: closed range of times whose log_snr is finite and useful for grids.
    """

    name: ClassVar[str]
    t_min: float
    t_max: float

    @property
    def start(self) -> float:
        """Time at which a run starts from (nearly) pure noise."""
        return self.t_max

    def __call__(self, t: Number) -> tuple[Number, Number]:
        """(alpha, sigma) at time t; exactly (1, 0) at t = 0."""
        return self._levels(*prepared(t))

    def log_snr(self, t: Number) -> Number:
        """log(alpha / sigma) at time t; inf where sigma = 0 and -inf where alpha = 0."""
        alpha, sigma = self(t)
        if isinstance(alpha, Tensor):
            return alpha.log() - sigma.log()
        if sigma == 0 or alpha == 0:
            return math.inf if sigma == 0 else -math.inf
        return math.log(alpha) - math.log(sigma)

    def time_at(self, log_snr: Number) -> Number:
        """Time at which the schedule has this log(alpha / sigma): the exact inverse of `log_snr`."""
        return self._time(*prepared(log_snr))

    def rates(self, t: Number) -> tuple[Number, Number]:
        """(d alpha / dt, d sigma / dt) at time t > 0."""
        return self._rates(*prepared(t))

    # `m` is the module that computes: math for floats, torch for tensors.
    def _levels(self, t: Number, m: Any) -> tuple[Number, Number]:
        raise NotImplementedError

    def _time(self, log_snr: Number, m: Any) -> Number:
        raise NotImplementedError

    def _rates(self, t: Number, m: Any) -> tuple[Number, Number]:
        raise NotImplementedError


def prepared(value: Number) -> tuple[Number, Any]:
    """The number in double precision and the module that computes with it."""
    if not isinstance(value, Tensor):
        return float(value), math
    # Apple's GPU has no float64; schedules are cheap enough for the CPU there.
    return (value.cpu() if value.device.type == "mps" else value).double(), torch


def softplus(z: Number) -> Number:
    """log(1 + e^z) without overflow."""
    if isinstance(z, Tensor):
        return torch.logaddexp(z, torch.zeros_like(z))
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def at_least(value: Number, low: float) -> Number:
    """The value, or `low` where it is below that."""
    return value.clamp_min(low) if isinstance(value, Tensor) else max(value, low)
