"""What a measurement says about a noisy state, from hardly anything at high noise to all of it at the end.

States are z = x / alpha with noise of level tau = sigma / alpha. A `Tempered` likelihood reads the measurement as
y ~ N(shrink H(z), noise I + spread H H'). Every choice that ends at (1, 0, noise^2) leads to the same posterior; what
differs is how much the weights of the particles have to carry on the way.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engine.steering.operators import Measurement, Operator

PATHS = ("wiener", "level", "linear", "none")
# What a measurement that is not linear is taken to say about pictures in [-1, 1]: their mean square.
PICTURES = 0.25
# A measurement of nothing but 0 does not say that the clean signal is known already.
FAINT = PICTURES / 100


class Tempered(NamedTuple):
    """y ~ N(shrink H(z), noise I + spread H H') for states at one noise level; both are variances."""

    shrink: float
    spread: float
    noise: float


class Twist(NamedTuple):
    """A Gaussian kernel N(mean, std^2 I) led towards the measurement: centre + deviation is a draw.

    centre, deviation: (N, *). log_ratio: (N,) float64, the likelihood of that draw times how much more often the first
    kernel would have made it, in logarithms and up to one number for all.
    """

    centre: Tensor
    deviation: Tensor
    log_ratio: Tensor


def tempering(path: str, levels: Sequence[float], noise: float, gamma: float, power: float) -> list[Tempered]:
    """One Tempered per noise level tau >= 0, infinite allowed; levels fall.

    none: the full likelihood throughout. linear: its power (tau_0 - tau) / tau_0. level: the noise of the state counts
    as noise of the measurement. wiener: z itself is taken for k z, the linear estimate of the clean signal with mean
    square `power`, k = power / (power + tau^2), and its error k tau^2 counts as noise; if clean signals were
    N(0, power I), that would be the exact likelihood of y given z, and all weights equal. gamma scales the standard
    deviation of what counts as noise in the last two; 0 for none.
    """
    start = max((tau for tau in levels if tau < torch.inf), default=0.0)

    def at(tau: float) -> Tempered:
        if tau == torch.inf:
            return Tempered(0.0, 0.0, noise ** 2)
        if path == "wiener":
            shrink = power / (power + tau ** 2)
            return Tempered(shrink, gamma ** 2 * shrink * tau ** 2, noise ** 2)
        if path == "level":
            return Tempered(1.0, (gamma * tau) ** 2, noise ** 2)
        power_of = max((start - tau) / start, 1e-12) if path == "linear" and start else 1.0
        return Tempered(1.0, 0.0, noise ** 2 / power_of)

    return [at(tau) for tau in levels]


class Linear:
    """For operators: all is Gaussian and exact, however stiff. y: (1, *)."""

    def __init__(self, operator: Operator, y: Tensor):
        self.operator, self.y = operator, y

    def power(self, x: Tensor) -> float:
        """Mean square of the clean signal along the directions that are seen, from the measurement; never quite 0."""
        seen = self.operator.frobenius(x[:1]).item()
        return max(self.y.square().sum().item() / seen, FAINT) if seen else PICTURES

    def log(self, z: Tensor, at: Tempered) -> Tensor:
        """Log-likelihood of y given each state, (N,) float64, up to one number for all."""
        missing = self.y - at.shrink * self.operator.H(z)
        return -inner(missing, self.operator.solve_measured(missing, at.spread, at.noise)) / 2

    def twist(self, mean: Tensor, std: float, at: Tempered, noise: Tensor, rng) -> Twist:
        """The product of N(mean, std^2 I) and the likelihood, which is Gaussian again; log_ratio is its mass.

        noise: standard normal, like mean.
        """
        # Of the Kalman update only the determinant is left out: it is the same for all.
        variance = at.spread + (at.shrink * std) ** 2
        missing = self.y - at.shrink * self.operator.H(mean)
        pull = self.operator.solve_measured(missing, variance, at.noise)
        centre = mean + at.shrink * std ** 2 * self.operator.adjoint(pull)
        return Twist(centre, self._deviation(std, variance, at, noise, rng), -inner(missing, pull) / 2)

    def _deviation(self, std: float, variance: float, at: Tempered, noise: Tensor, rng) -> Tensor:
        if "svd" in self.operator.offers:
            def left(s: Tensor) -> Tensor:
                share = (at.noise + at.spread * s ** 2) / (at.noise + variance * s ** 2)
                return torch.where(s > 0, share, 1.0).sqrt()  # 0 / 0 where nothing is seen without noise

            return self.operator.by_singular_value(std * noise, left)
        # Matheron's rule: a draw of state and measurement, less what is explained of it by that measurement.
        seen = self.operator.H(at.shrink * std * noise + at.spread ** 0.5 * rng.normal_like(noise))
        seen = seen + at.noise ** 0.5 * rng.normal_like(seen)
        explained = self.operator.adjoint(self.operator.solve_measured(seen, variance, at.noise))
        return std * noise - at.shrink * std ** 2 * explained


class Nonlinear:
    """For any measurement with a gradient: one gradient step leads the kernel, the ratio keeps the weights exact.

    The spread of a state counts as noise of the measurement as it is, as if H had singular values around 1.
    """

    def __init__(self, measurement: Measurement, y: Tensor):
        self.measurement, self.y = measurement, y

    def power(self, x: Tensor) -> float:
        """Mean square of the clean signal: that of pictures."""
        return PICTURES

    def log(self, z: Tensor, at: Tempered) -> Tensor:
        """As `Linear.log`."""
        missing = self.y - self.measurement.H(at.shrink * z)
        return -inner(missing, missing) / (2 * (at.noise + at.spread))

    def twist(self, mean: Tensor, std: float, at: Tempered, noise: Tensor, rng) -> Twist:
        """N(mean, std^2 I) moved by a damped gradient step; it keeps its width, so that no ratio is without bound."""
        noisy = at.noise + at.spread
        damped = noisy / (noisy + (at.shrink * std) ** 2)
        shift = damped * std * self._slope(mean, at)
        draw = mean + std * (shift + noise)
        log_ratio = self.log(draw, at) - inner(shift, shift) / 2 - inner(shift, noise)
        return Twist(mean + std * shift, std * noise, log_ratio)

    def _slope(self, z: Tensor, at: Tempered) -> Tensor:
        """Gradient of the log-likelihood."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            missing = self.y - self.measurement.H(at.shrink * z)
            log = -missing.square().sum() / (2 * (at.noise + at.spread))
            return torch.autograd.grad(log, z)[0]


Likelihood = Linear | Nonlinear


def inner(a: Tensor, b: Tensor) -> Tensor:
    """Inner product per sample, (N,) float64 on the CPU: sums of 1e5 decide by differences of 1."""
    if a.device.type == "mps":  # has no float64
        a, b = a.cpu(), b.cpu()
    return (a.double() * b.double()).flatten(1).sum(1).cpu()
