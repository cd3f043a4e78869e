"""Laws whose exact denoiser is known: what solvers, guidance and steering are checked against.

States are (B, *) and are read as (B, D) vectors; everything runs in the dtype of the state (float64 in tests).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from engine.denoisers import spread

PosteriorMean = Callable[[Tensor, float, float], Tensor]


def _tensor(values) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


class _Law:
    """A law of x0 with an exact posterior_mean(x, alpha, sigma); alpha and sigma floats or per-sample (B,)."""

    def posterior_mean(self, x: Tensor, alpha, sigma) -> Tensor:
        raise NotImplementedError

    def denoiser(self, schedule) -> Callable[..., Tensor]:
        """denoise(x_t, t) -> x0, t a float or (B,)."""
        return lambda x, t: self.posterior_mean(x, *schedule(t))


@dataclass(frozen=True, eq=False)
class Mixture(_Law):
    """Isotropic Gaussian mixture; by default the 2-D one that the order table of the solvers was measured on."""

    weights: Tensor = field(default_factory=lambda: _tensor([0.5, 0.3, 0.2]))
    means: Tensor = field(default_factory=lambda: _tensor([[1.0, 0.3], [-0.8, 0.9], [0.1, -1.1]]))
    variances: Tensor = field(default_factory=lambda: _tensor([0.25, 0.16, 0.36]))

    def log_parts(self, x: Tensor, alpha, sigma) -> Tensor:
        """log(weight_k density_k(x)) of the law of x_t, up to one constant: (B, K)."""
        alpha, sigma = _column(alpha, x), _column(sigma, x)
        spreads = alpha**2 * self.variances.to(x) + sigma**2
        gaps = x.flatten(1)[:, None] - (alpha[..., None] * self.means.to(x))
        widths = self.means.shape[1] / 2 * spreads.log()
        return self.weights.to(x).log() - widths - gaps.square().sum(-1) / (2 * spreads)

    def posterior_mean(self, x: Tensor, alpha, sigma) -> Tensor:
        shares = self.log_parts(x, alpha, sigma).softmax(1)
        alpha, sigma = _column(alpha, x), _column(sigma, x)
        pull = alpha * self.variances.to(x) / (alpha**2 * self.variances.to(x) + sigma**2)
        gaps = x.flatten(1)[:, None] - alpha[..., None] * self.means.to(x)
        return (shares[..., None] * (self.means.to(x) + pull[..., None] * gaps)).sum(1).reshape(x.shape)

    def component(self, k: int) -> "Mixture":
        """The law of one class, for conditional denoisers."""
        return Mixture(self.weights.new_ones(1), self.means[k:k + 1], self.variances[k:k + 1])

    def sample(self, count: int, seed: int = 0) -> Tensor:
        """(count, D) draws of x0."""
        generator = torch.Generator().manual_seed(seed)
        which = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, self.means.shape[1], generator=generator, dtype=torch.float64)
        return self.means[which] + self.variances[which].sqrt()[:, None] * noise


@dataclass(frozen=True, eq=False)
class Gaussian(_Law):
    """x0 ~ N(mean, covariance), mean (D,), covariance (D, D)."""

    mean: Tensor
    covariance: Tensor

    @classmethod
    def random(cls, size: int, seed: int = 0) -> "Gaussian":
        """A full covariance with eigenvalues around 1/2."""
        generator = torch.Generator().manual_seed(seed)
        root = torch.randn(size, size, generator=generator, dtype=torch.float64) / size**0.5
        return cls(torch.randn(size, generator=generator, dtype=torch.float64) / 2,
                   root @ root.T / 2 + 0.05 * torch.eye(size, dtype=torch.float64))

    def _scaled(self, x: Tensor, factors: Tensor) -> Tensor:
        """Multiply each row of x (B, D) by `factors` (1 or B, D) in the covariance's own axes."""
        axes = torch.linalg.eigh(self.covariance)[1].to(x)
        return (x @ axes * factors) @ axes.T

    def posterior_mean(self, x: Tensor, alpha, sigma) -> Tensor:
        alpha, sigma, flat = _column(alpha, x), _column(sigma, x), x.flatten(1)
        power = torch.linalg.eigvalsh(self.covariance).to(x)
        gain = alpha * power / (alpha**2 * power + sigma**2)
        return (self.mean.to(x) + self._scaled(flat - alpha * self.mean.to(x), gain)).reshape(x.shape)

    def flow(self, x: Tensor, schedule, start: float, end: float) -> Tensor:
        """The exact solution at `end` of the probability-flow ODE that passes through x at `start`: a linear map."""
        (alpha_s, sigma_s), (alpha_t, sigma_t) = schedule(start), schedule(end)
        power = torch.linalg.eigvalsh(self.covariance).to(x)
        factors = ((alpha_t**2 * power + sigma_t**2) / (alpha_s**2 * power + sigma_s**2)).sqrt()[None]
        mean = self.mean.to(x)
        return (alpha_t * mean + self._scaled(x.flatten(1) - alpha_s * mean, factors)).reshape(x.shape)

    def posterior(self, y: Tensor, operator: Tensor, noise: float) -> "Gaussian":
        """The law of x0 given y = operator x0 + noise n; y (M,), operator (M, D), noise > 0."""
        precision = torch.linalg.inv(self.covariance)
        covariance = torch.linalg.inv(precision + operator.T @ operator / noise**2)
        return Gaussian(covariance @ (precision @ self.mean + operator.T @ y / noise**2), covariance)

    def sample(self, count: int, seed: int = 0) -> Tensor:
        """(count, D) draws of x0."""
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(count, self.mean.shape[0], generator=generator, dtype=torch.float64)
        return self.mean + noise @ torch.linalg.cholesky(self.covariance).T


def reference(law: _Law, x: Tensor, schedule, start: float, end: float, steps: int = 1000) -> Tensor:
    """The probability-flow ODE from x at `start` to `end`, whose log_snr are finite, by Runge-Kutta (RK4) in log_snr.

    With y = x / alpha it reads dy / d log_snr = x0(y) - y, whatever the schedule. 1000 steps leave less than 1e-9.
    """
    first, last = schedule.log_snr(start), schedule.log_snr(end)
    step = (last - first) / steps

    def slope(y: Tensor, log_snr: float) -> Tensor:
        return law.posterior_mean(y, 1.0, math.exp(-log_snr)) - y

    y = x / schedule(start)[0]
    for i in range(steps):
        here = first + i * step
        k1 = slope(y, here)
        k2 = slope(y + step / 2 * k1, here + step / 2)
        k3 = slope(y + step / 2 * k2, here + step / 2)
        k4 = slope(y + step * k3, here + step)
        y = y + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y * schedule(end)[0]


def normal(*shape: int, seed: int = 0) -> Tensor:
    """Standard normal numbers in float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _column(level, x: Tensor) -> Tensor:
    """alpha or sigma as (1, 1) or (B, 1) in x's dtype."""
    level = spread(level, x.flatten(1))
    return level.reshape(-1, 1) if isinstance(level, Tensor) else x.new_full((1, 1), level)
