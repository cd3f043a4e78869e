"""The exact law of pictures under a circuit, given evidence: its children's shares, mean, variance and samples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.circuits.evidence import Statement

if TYPE_CHECKING:
    from engine.circuits.mixture import Circuit


class Posterior:
    """What a circuit says of B pictures. Parts: samples whose evidence has the same variances, in order."""

    def __init__(self, parts: Sequence["Part"]):
        self.parts = tuple(parts)

    @cached_property
    def log_likelihood(self) -> Tensor:
        """log of the evidence's (and statements') probability density, (B,), in nats, float64; sharpness plays no
        part in it."""
        return torch.cat([(part.log_weights + part.log_evidence + part.log_stated).logsumexp(1)
                          for part in self.parts])

    @cached_property
    def shares(self) -> Tensor:
        """Posterior weights of the children, (B, K)."""
        return torch.cat([part.shares for part in self.parts])

    @cached_property
    def mean(self) -> Tensor:
        """Posterior mean of every pixel, (B, *shape), float64."""
        return self._shaped([part.mean for part in self.parts])

    @cached_property
    def variance(self) -> Tensor:
        """Posterior variance of every pixel, (B, *shape), float64; 0 for known ones."""
        return self._shaped([part.variance for part in self.parts])

    def sample(self, rng) -> Tensor:
        """One picture per sample, jointly over all pixels, (B, *shape); rng: one stream per sample."""
        circuit = self.parts[0].circuit
        stated = sum(len(s.value) for s in self.parts[0].statements)
        choice = rng.uniform(1).double()
        noise = rng.normal(circuit.means.shape[1] + len(circuit.mean) + stated).double()
        sizes = [len(part.latents) for part in self.parts]
        return self._shaped([part.sample(u, n) for part, u, n in
                             zip(self.parts, choice.split(sizes), noise.split(sizes))])

    def _shaped(self, rows: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(rows)).unflatten(1, self.parts[0].circuit.shape)


@dataclass(eq=False)
class Part:
    """b samples of a posterior that share the variances (P,) of their evidence.

    value (b, P). factors (K, D, D): Cholesky factors of the precision of each child's latents. latents (b, K, D): their
    posterior means before the statements. log_evidence (b, K). sharpness: exponent of the evidence in the shares.
    """

    circuit: "Circuit"
    value: Tensor
    evidence_variance: Tensor
    factors: Tensor
    latents: Tensor
    log_evidence: Tensor
    statements: tuple[Statement, ...] = ()
    sharpness: float = 1.0

    @property
    def log_weights(self) -> Tensor:
        return self.circuit.weights.log()

    @cached_property
    def log_stated(self) -> Tensor:
        """log-density of the statements for each child, (b, K)."""
        if not self.statements:
            return torch.zeros_like(self.log_evidence)
        gaps, _, root = self._stated
        white = torch.linalg.solve_triangular(root, gaps.permute(1, 2, 0), upper=False)
        volume = 2 * root.diagonal(dim1=1, dim2=2).log().sum(1) + root.shape[1] * math.log(2 * math.pi)
        return -(white.square().sum(1).T + volume) / 2

    @cached_property
    def shares(self) -> Tensor:
        return (self.log_weights + self.sharpness * self.log_evidence + self.log_stated).softmax(1)

    @cached_property
    def mean(self) -> Tensor:
        """(b, P)."""
        mean = self._pictures((self.shares[..., None] * self.latents).sum(1))
        if self.statements:
            gaps, gains, root = self._stated
            mean = mean + torch.einsum("bk,bkr,kpr->bp", self.shares, self._solved(gaps, root), gains)
        return mean

    @cached_property
    def variance(self) -> Tensor:
        """(b, P), by the law of total variance."""
        unsure = self._open > 0
        directions, covariances = self.circuit.directions[unsure], torch.cholesky_inverse(self.factors)
        along = torch.zeros_like(self.value)
        for i, (shares, latents) in enumerate(zip(self.shares, self.latents)):
            gaps = latents - shares @ latents
            total = torch.einsum("k,kde->de", shares, covariances) + gaps.T @ (shares[:, None] * gaps)
            along[i, unsure] = ((directions @ total) * directions).sum(1)
        variance = self._open ** 2 * along + self.circuit.rest * self._open
        if self.statements:
            variance = variance + self._variance_by_statements()
        return variance.clamp(min=0)

    def sample(self, choice: Tensor, noise: Tensor) -> Tensor:
        """(b, P) from uniform numbers (b, 1) and normal ones (b, D + P + R)."""
        circuit = self.circuit
        child = torch.searchsorted(self.shares.cumsum(1), choice).clamp(max=len(circuit.weights) - 1)[:, 0]
        sample = torch.arange(len(child))
        factors = self.factors[child]
        latent, pixel, stated = noise.split([factors.shape[-1], len(circuit.mean), noise.shape[1] - factors.shape[-1]
                                             - len(circuit.mean)], dim=1)
        shift = torch.linalg.solve_triangular(factors.mT, latent[..., None], upper=True)[..., 0]
        x = self._pictures(self.latents[sample, child] + shift) + (circuit.rest * self._open).sqrt() * pixel
        if self.statements:  # Matheron: correct the sample by what a noisy reading of it lacks
            weights, value, variance = self._rows
            _, gains, root = self._stated
            gaps = value - x @ weights.T - variance.sqrt() * stated
            x = x + (gains[child] @ torch.cholesky_solve(gaps[..., None], root[child]))[..., 0]
        return x

    @property
    def _open(self) -> Tensor:
        """How much of its own noise eps each pixel keeps under the evidence, (P,), from 0 (known) to 1 (unknown)."""
        return 1 - self.circuit.rest / (self.circuit.rest + self.evidence_variance)

    def _pictures(self, latents: Tensor) -> Tensor:
        """Posterior means of the pixels, (b, ..., P), given latents (b, ..., D)."""
        told = torch.where(self._open < 1, self.value, 0.0).reshape(len(latents), *[1] * (latents.ndim - 2), -1)
        return self._open * (self.circuit.mean + latents @ self.circuit.directions.T) + (1 - self._open) * told

    @cached_property
    def _rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """All statements in one: weights (R, P), value (R,), variance (R,)."""
        parts = self.statements
        return (torch.cat([s.weights.double().flatten(1) for s in parts]),
                torch.cat([s.value.double() for s in parts]), torch.cat([s.variance.double() for s in parts]))

    @cached_property
    def _stated(self) -> tuple[Tensor, Tensor, Tensor]:
        """Of the statements: how far each child is from them (b, K, R), its covariance of pixels and statements
        (K, P, R), and the Cholesky factor of that of the statements (K, R, R)."""
        weights, value, variance = self._rows
        circuit = self.circuit
        seen = weights * self._open  # (R, P)
        latent = torch.cholesky_solve((seen @ circuit.directions).T.expand(len(self.factors), -1, -1), self.factors)
        covariance = self._open[:, None] * (circuit.directions @ latent) + circuit.rest * seen.T  # (K, P, R)
        among = weights @ covariance + torch.diag(variance + 1e-12)
        return value - self._pictures(self.latents) @ weights.T, covariance, torch.linalg.cholesky(among)

    @staticmethod
    def _solved(gaps: Tensor, root: Tensor) -> Tensor:
        """(b, K, R): each child's covariance of the statements, inverted, times the gaps."""
        return torch.cholesky_solve(gaps.permute(1, 2, 0), root).permute(2, 0, 1)

    def _variance_by_statements(self) -> Tensor:
        """What statements add to the variance (b, P): less within each child, another spread between them."""
        gaps, gains, root = self._stated
        less = (gains.mT * torch.cholesky_solve(gains.mT, root)).sum(1)  # (K, P)
        before = self._pictures(self.latents)  # (b, K, P)
        after = before + torch.einsum("bkr,kpr->bkp", self._solved(gaps, root), gains)
        return _spread(self.shares, after) - _spread(self.shares, before) - self.shares @ less


def _spread(shares: Tensor, values: Tensor) -> Tensor:
    """Variance between the children, (b, P), of values (b, K, P) that are weighed by shares (b, K)."""
    gaps = values - torch.einsum("bk,bkp->bp", shares, values)[:, None]
    return torch.einsum("bk,bkp->bp", shares, gaps.square())
