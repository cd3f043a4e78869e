"""Learning from small ensembles: the CRPS on the grid and in spherical harmonics, after FourCastNet 3 (2025).

One step of the probability flow turns noise into the next state, so that a member costs one call; members are scored by
the CRPS, which is smallest for the true law. The spectral part counts how strong each harmonic is, wherever its crests
are, which keeps members from becoming too smooth. The noise needs no spectrum of its own: white errors of the linear
model are already a random field on the sphere with the spectrum of what one step cannot foresee.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from engine import grids, solvers
from engine.tasks.forecast.sampling import OPTIONS, SOLVER
from engine.tasks.forecast.sphere import Sphere
from engine.training.spec import Batch

SPECTRAL = 0.1
"""Weight of the spectral part."""


def crps(members: Tensor, truth: Tensor, fair: float = 1.0) -> Tensor:
    """CRPS (*) of members (M, *) and truth (*).

    fair: 1 is unbiased for M members, 0 that of the members as they are, which rewards those that keep together.
    """
    count = len(members)
    error = (members - truth).abs().mean(0)
    if count == 1:
        return error
    ranks = (2 * torch.arange(1, count + 1, device=members.device) - count - 1) / (count * (count - 1))
    apart = torch.tensordot(ranks.to(members), members.sort(0).values, 1)
    return error - apart * (count - 1 + fair) / count


@dataclass(frozen=True)
class Harmonics:
    """A sphere's grid for gradients. weights (rows,) of the area, mean 1."""

    sphere: Sphere

    @cached_property
    def weights(self) -> Tensor:
        """Of each latitude, mean 1."""
        return torch.from_numpy(self.sphere.weights).float()

    @cached_property
    def _legendre(self) -> Tensor:
        return torch.from_numpy(self.sphere.legendre * self.sphere.weights * 2 / self.sphere.rows).float()

    def analysis(self, maps: Tensor) -> Tensor:
        """Complex coefficients (*, l, m) of maps (*, rows, columns), as `Sphere.analysis`."""
        waves = torch.fft.rfft(maps)[..., :self.sphere.highest + 1] * (2 * math.pi / self.sphere.columns)
        return torch.einsum("lmj,...jm->...lm", self._legendre.to(waves), waves)

    def strengths(self, maps: Tensor) -> Tensor:
        """|a_lm| (*, l, m) of maps; a little is added under the root, whose slope has no end at 0."""
        found = self.analysis(maps)
        return (found.real.square() + found.imag.square() + 1e-12).sqrt()

    def loss(self, members: Tensor, truth: Tensor, fair: float = 1.0, spectral: float = SPECTRAL) -> Tensor:
        """Mean CRPS on the grid by area, plus `spectral` times that of the strengths, m > 0 twice, over 4 pi.

        members (M, B, rows, columns), truth (B, rows, columns).
        """
        grid = (crps(members, truth, fair) * self.weights[:, None].to(members)).mean()
        twice = torch.ones(self.sphere.highest + 1).to(members)
        twice[1:] = 2
        waves = crps(self.strengths(members), self.strengths(truth), fair)
        return grid + spectral * (waves * twice).sum((-2, -1)).mean() / (4 * math.pi)


def drawn(network: nn.Module, schedule: Any, past: Tensor, when: Tensor, noise: Tensor) -> Tensor:
    """eta (B, K) that one step of the sampler of forecasts makes of noise (B, K): one call of the network."""
    shift, features = network.read(past, when)
    shift = network.trusted(shift)

    def denoise(x: Tensor, t: float) -> Tensor:
        alpha, sigma = schedule(t)
        v = network(x, torch.full((len(x),), t, device=x.device), cond=features, shift=shift)
        return alpha * x - sigma * v.float()

    times = grids.make("uniform", schedule, 1)
    *_, last = solvers.solve(SOLVER, denoise, noise * schedule(float(times[0]))[1], times, schedule, **OPTIONS)
    return last.x


def loss(harmonics: Harmonics, members: int, network: nn.Module, batch: Batch, schedule: Any, prediction: str,
         generator: torch.Generator) -> Tensor:
    """Fair CRPS of members that share a past, on maps of the errors; for `Spec.loss` with the first two bound."""
    past, when = batch.conditions["past"], batch.conditions["when"]
    noise = torch.randn(members, *batch.x0.shape, generator=generator).to(batch.x0)
    made = torch.stack([network.noise_maps(drawn(network, schedule, past, when, one)) for one in noise])
    return harmonics.loss(made, network.noise_maps(batch.x0))
