"""Noise schedules: how much clean picture and how much noise is left at time t.

The marginal is x_t = alpha x0 + sigma eps with eps ~ N(0, I). `t = 0` is clean. `log_snr` means log(alpha / sigma),
which falls strictly as t grows, so that every schedule can be inverted in closed form.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor

from engine.errors import InputError

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
        return self._levels(*_prepared(t))

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
        return self._time(*_prepared(log_snr))

    def rates(self, t: Number) -> tuple[Number, Number]:
        """(d alpha / dt, d sigma / dt) at time t > 0."""
        return self._rates(*_prepared(t))

    # `m` is the module that computes: math for floats, torch for tensors.
    def _levels(self, t: Number, m: Any) -> tuple[Number, Number]:
        raise NotImplementedError

    def _time(self, log_snr: Number, m: Any) -> Number:
        raise NotImplementedError

    def _rates(self, t: Number, m: Any) -> tuple[Number, Number]:
        raise NotImplementedError


class _VariancePreserving(Schedule):
    """alpha^2 + sigma^2 = 1, so that log alpha alone says everything.

    Kinds give `_log_alpha(t, m)`, its derivative `_log_alpha_rate(t, m)` and its inverse `_time_of(log_alpha, m)`.
    """

    def _levels(self, t, m):
        log_alpha = self._log_alpha(t, m)
        return m.exp(log_alpha), m.sqrt(abs(m.expm1(2 * log_alpha)))

    def _time(self, log_snr, m):
        return self._time_of(-_softplus(-2 * log_snr) / 2, m)

    def _rates(self, t, m):
        alpha, sigma = self._levels(t, m)
        alpha_rate = self._log_alpha_rate(t, m) * alpha
        return alpha_rate, -alpha * alpha_rate / sigma


@dataclass(frozen=True)
class VPLinear(_VariancePreserving):
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
class Cosine(_VariancePreserving):
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
        return _at_least((angle - self._first) / self._speed, 0.0)


# Below this log_snr the discrete models see pure noise; DPM-Solver drops that tail (needed for the cosine table).
_NOISE_LOG_SNR = -5.1
# A last beta of 1 leaves no signal and so no log-SNR; public implementations put alpha^2 = 2^-24 there.
_LARGEST_FALL = 12 * math.log(2)


@dataclass(frozen=True)
class VPDiscrete(_VariancePreserving):
    """A model trained on N steps, read as continuous: log alpha is linear between nodes t_i = (i + 1)/N and 0 at t = 0.

    betas: the N noise variances, each in (0, 1]. t_min = 1/N; t_max is the last node with log_snr >= -5.1 (as in
    DPM-Solver, Lu et al., 2022).
    """

    name: ClassVar[str] = "vp_discrete"
    betas: tuple[float, ...] = field(repr=False)
    t_min: float = field(init=False)
    t_max: float = field(init=False)
    _fall: tuple[float, ...] = field(init=False, repr=False, compare=False)
    _fall_tensor: Tensor = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        if len(self.betas) < 2 or not all(0 < b <= 1 for b in self.betas):
            raise InputError("The noise table (betas) is not usable.",
                             "It needs at least 2 numbers, each above 0 and at most 1.", field="betas")
        fall = [0.0]
        for beta in self.betas:
            fall.append(fall[-1] - math.log1p(-beta) / 2 if beta < 1 else max(fall[-1] + 1, _LARGEST_FALL))
        nodes = len(self.betas)
        least_log_alpha = -_softplus(-2 * _NOISE_LOG_SNR) / 2
        useful = bisect_right(fall, -least_log_alpha) - 1
        object.__setattr__(self, "_fall", tuple(fall))
        object.__setattr__(self, "_fall_tensor", torch.tensor(fall, dtype=torch.float64))
        object.__setattr__(self, "t_min", 1 / nodes)
        object.__setattr__(self, "t_max", max(useful, 2) / nodes)

    def model_time(self, t: Number) -> Number:
        """The index 0 .. N-1 (fractions allowed) that the network was trained with."""
        return _at_least(_prepared(t)[0] * len(self.betas) - 1, 0.0)

    def _segment(self, t):
        nodes = len(self.betas)
        if isinstance(t, Tensor):
            left = (t * nodes).floor().long().clamp(0, nodes - 1)
            fall = self._fall_tensor.to(t.device)
            return left, fall[left], fall[left + 1]
        left = min(max(int(t * nodes), 0), nodes - 1)
        return left, self._fall[left], self._fall[left + 1]

    def _log_alpha(self, t, m):
        left, here, there = self._segment(t)
        return -(here + (t * len(self.betas) - left) * (there - here))

    def _log_alpha_rate(self, t, m):
        _, here, there = self._segment(t)
        return -(there - here) * len(self.betas)

    def _time_of(self, log_alpha, m):
        nodes = len(self.betas)
        if isinstance(log_alpha, Tensor):
            fall = self._fall_tensor.to(log_alpha.device)
            left = (torch.searchsorted(fall, -log_alpha.contiguous(), right=True) - 1).clamp(0, nodes - 1)
        else:
            fall = self._fall
            left = min(bisect_right(fall, -log_alpha) - 1, nodes - 1)
        return (left + (-log_alpha - fall[left]) / (fall[left + 1] - fall[left])) / nodes


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
        return m.exp(-_softplus(log_snr))

    def _rates(self, t, m):
        return t * 0 - 1, t * 0 + 1


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
        t, m = _prepared(t)
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
        return _at_least(1 + 2 * m.expm1(log_retained), 0.0), m.sqrt(abs(m.expm1(2 * log_retained)))

    def _time(self, log_snr, m):
        # (2a - 1)^2 = r^2 (1 - a^2) with r = alpha/sigma, solved for 1 - a without cancellation at either end.
        ratio = m.exp(-_at_least(-log_snr, -300.0))
        lost = (2 - 3 * ratio / (ratio + m.sqrt(ratio * ratio + 3))) / (4 + ratio * ratio)
        linear, quadratic = self._shape
        depth = -m.log1p(-lost) / math.log(2) * (linear + quadratic)
        return 2 * depth / (linear + m.sqrt(linear**2 + 4 * quadratic * depth))

    def _rates(self, t, m):
        linear, quadratic = self._shape
        retained = self.retained(t)
        retained_rate = -math.log(2) * (linear + 2 * quadratic * t) / (linear + quadratic) * retained
        return 2 * retained_rate, -retained * retained_rate / self._levels(t, m)[1]


def vp_linear(beta_min: float = 0.1, beta_max: float = 20.0, t_min: float = 1e-3) -> VPLinear:
    """The continuous variance-preserving schedule, t in (0, 1]."""
    return VPLinear(beta_min, beta_max, t_min)


def vp_discrete(betas: Sequence[float] | str = "linear", count: int = 1000, first: float | None = None,
                last: float | None = None) -> VPDiscrete:
    """The schedule of a model trained on N discrete steps, t in [1/N, 1].

    betas: the N numbers themselves, or the kind of table that `beta_table` makes from count, first and last.
    """
    if isinstance(betas, str):
        betas = beta_table(betas, count, first, last)
    return VPDiscrete(tuple(float(b) for b in betas))


def cosine() -> Cosine:
    """The cosine schedule of improved DDPM, continuous, t in (0, 0.9946]."""
    return Cosine()


def edm(sigma_min: float = 0.002, sigma_max: float = 80.0) -> EDM:
    """Variance-exploding coordinates; t is the noise level itself."""
    return EDM(sigma_min, sigma_max)


def flow() -> Flow:
    """The straight path of rectified flow, t in [0.001, 0.999] (velocity methods may use all of [0, 1])."""
    return Flow()


def residual(beta_min: float = 0.1, beta_max: float = 20.0) -> Residual:
    """The Resfusion process; see `Residual` for its coordinates."""
    return Residual(beta_min, beta_max)


_CONSTRUCTORS = {f.__name__: f for f in (vp_linear, vp_discrete, cosine, edm, flow, residual)}


def names() -> tuple[str, ...]:
    """Names that `by_name` knows."""
    return tuple(_CONSTRUCTORS)


def by_name(name: str, **options) -> Schedule:
    """Rebuild a schedule from a model card. Raises InputError for unknown names or options."""
    if name not in _CONSTRUCTORS:
        raise InputError(f"There is no noise schedule named {str(name)[:40]!r}.",
                         fix="Choose one of " + ", ".join(_CONSTRUCTORS) + ".", field="schedule")
    try:
        return _CONSTRUCTORS[name](**options)
    except TypeError as error:
        raise InputError(f"The noise schedule {name} does not take these options.", f"{error}.",
                         field="schedule") from None


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


def _prepared(value: Number) -> tuple[Number, Any]:
    """The number in double precision and the module that computes with it."""
    if not isinstance(value, Tensor):
        return float(value), math
    # Apple's GPU has no float64; schedules are cheap enough for the CPU there.
    return (value.cpu() if value.device.type == "mps" else value).double(), torch


def _softplus(z: Number) -> Number:
    """log(1 + e^z) without overflow."""
    if isinstance(z, Tensor):
        return torch.logaddexp(z, torch.zeros_like(z))
    return max(z, 0.0) + math.log1p(math.exp(-abs(z)))


def _at_least(value: Number, low: float) -> Number:
    return value.clamp_min(low) if isinstance(value, Tensor) else max(value, low)
