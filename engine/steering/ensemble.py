"""What the particles of AFDPS do: steps of the prior, which the measurement weighs or leads.

Steps are Gaussian kernels in z = x / alpha with noise of level tau = sigma / alpha. `power` is the variance that the
clean signal is taken to have where the posterior mean alone does not say it.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from engine.steering import particles
from engine.steering.likelihood import Likelihood, Tempered
from engine.steering.moves import Level, noise_in
from engine.steering.particles import ParticleStep


class Kernel(NamedTuple):
    """N(mean, std^2 I), mean (N, *)."""

    mean: Tensor
    std: float


def tau(level: Level) -> float:
    """Noise level of x / alpha; infinite where nothing is left of the signal."""
    return level.sigma / level.alpha if level.alpha > 0 else math.inf


def flow(x: Tensor, x0: Tensor, here: Level, there: Level) -> Tensor:
    """z at `there` on the probability-flow ODE, by an Euler step in tau (DDIM)."""
    return x0 + tau(there) * noise_in(x, x0, here)


def reverse(x: Tensor, x0: Tensor, here: Level, there: Level, power: float) -> Kernel:
    """z at `there` on the reverse SDE: q(z | x, x0), widened by what x leaves unknown of an x0 with power.

    To small steps this makes no difference. To large ones it is exact for the prior N(0, power I), and the last step
    keeps room for the measurement to decide what the posterior mean leaves open.
    """
    share = (tau(there) / tau(here)) ** 2
    mean = (1 - share) * x0 + tau(there) ** 2 * here.alpha / here.sigma ** 2 * x
    unknown = (1 - share) ** 2 * _unexplained(tau(here), power)
    return Kernel(mean, math.sqrt(tau(there) ** 2 * (1 - share) + unknown))


def langevin(x: Tensor, x0: Tensor, level: Level, length: float, power: float) -> Kernel:
    """A step of length * tau^2 along the score from z = x / alpha, with noise that leaves the marginal as it is.

    That is so to first order in the length for every prior, and exactly for N(0, power I).
    """
    z, noisy = x / level.alpha, tau(level) ** 2
    contraction = length * noisy / (power + noisy)
    return Kernel(z + length * (x0 - z), math.sqrt(noisy * length * (2 - contraction)))


def _unexplained(level: float, power: float) -> float:
    """Variance of a clean signal N(0, power) given its state at a noise level."""
    return power if level == math.inf else power * level ** 2 / (power + level ** 2)


class Ensemble:
    """Particles x (N, *) with their weights, at one level; the batch is the ensemble.

    islands: groups of about equal size. Weights are shares within a group, times its share of the particles.
    """

    def __init__(self, x: Tensor, level: Level, at: Tempered, likelihood: Likelihood, rng, islands: int = 1):
        self.x, self.likelihood, self.rng = x, likelihood, rng
        self._islands = torch.arange(len(x)).tensor_split(min(islands, len(x)))
        self.log_weights = torch.zeros(len(x), dtype=torch.float64)
        self._reading = torch.zeros_like(self.log_weights)
        if at.shrink > 0:
            twist = likelihood.twist(torch.zeros_like(x), tau(level), at, x / level.sigma, rng)
            self._arrive(twist.centre + twist.deviation, twist.log_ratio, level, at)

    def carry(self, z: Tensor, level: Level, at: Tempered) -> None:
        """Move to z by the prior's flow; the weights alone follow the likelihood."""
        self._arrive(z, self.likelihood.log(z, at), level, at)

    def lead(self, kernel: Kernel, level: Level, at: Tempered) -> None:
        """Move by a kernel of the prior, led by the likelihood."""
        twist = self.likelihood.twist(kernel.mean, kernel.std, at, self.rng.normal_like(kernel.mean), self.rng)
        self._arrive(twist.centre + twist.deviation, twist.log_ratio, level, at)

    def _arrive(self, z: Tensor, gain: Tensor, level: Level, at: Tempered) -> None:
        # The gain holds the new likelihood; the old one was in the weights from the move before.
        self.log_weights = self._normalised(self.log_weights + gain - self._reading)
        self._reading = self.likelihood.log(z, at) if level.sigma > 0 else torch.zeros_like(gain)
        self.x = level.alpha * z

    def step(self, index: int, total: int, level: Level, x0: Tensor, share: float) -> ParticleStep:
        """The step just made with the estimate x0; drawn anew when at most this share of the particles counts."""
        ess = particles.effective_size(self.log_weights)
        poor = [island for island in self._islands if share > 0 and self._is_poor(island, share)]
        if poor:
            offset, ancestors = float(self.rng.uniform()[0]), torch.arange(len(self.x))
            for island in poor:
                ancestors[island] = island[particles.systematic(self.log_weights[island], offset)]
                self.log_weights[island] = -math.log(len(self.x))
            self._reading, moved = self._reading[ancestors], ancestors.to(self.x.device)
            self.x, x0 = self.x[moved], x0[moved]
        return ParticleStep(index, total, level.t, level.sigma, self.x, x0, index, self.log_weights.clone(), ess)

    def _is_poor(self, island: Tensor, share: float) -> bool:
        """Whether at most this share of an island's particles counts."""
        log_weights = self.log_weights[island]
        return particles.effective_size(log_weights) <= share * len(island) or bool(log_weights.isneginf().any())

    def _normalised(self, log_weights: Tensor) -> Tensor:
        """Each island's weights with a sum of its share of the particles."""
        return torch.cat([particles.normalised(log_weights[island]) + math.log(len(island) / len(log_weights))
                          for island in self._islands])
