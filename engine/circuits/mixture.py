"""A shallow circuit: one sum over products of Gaussian leaves, in latent coordinates that pixels are linear in.

    x = mean + V z + eps,   z ~ sum_k weight_k prod_d N(z_d; means_kd, variances_kd),   eps ~ N(0, rest I)

The sum is smooth (every child speaks of all latents) and decomposable (a product's leaves share no latent). V has
orthonormal columns, the leading directions of the training pictures. Evidence of pixels ties the latents of a child
together, so that each child is asked for one D x D factorisation; everything is exact, also where some pixels are known
and others are softly known. Liu et al. 2024, arXiv 2401.03349, steer diffusion models with such conditionals, there of
categorical leaves.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.circuits.evidence import Evidence, Statement
from engine.circuits.posterior import Part, Posterior
from engine.errors import InputError


@dataclass(frozen=True, eq=False)
class Circuit:
    """weights (K,), means (K, D), variances (K, D) > 0, mean (P,), directions (P, D), rest > 0, shape of a picture.

    K children, D latents, P = the number of entries of `shape`. Any floating dtype; queries compute in float64.
    """

    weights: Tensor
    means: Tensor
    variances: Tensor
    mean: Tensor
    directions: Tensor
    rest: float
    shape: tuple[int, ...]

    def __post_init__(self):
        children, latents = self.means.shape
        pixels = math.prod(self.shape)
        wanted = {"weights": (children,), "means": (children, latents), "variances": (children, latents),
                  "mean": (pixels,), "directions": (pixels, latents)}
        for name, shape in wanted.items():
            found = getattr(self, name)
            if tuple(found.shape) != shape or not bool(found.isfinite().all()):
                raise refused(f"The circuit's {name} have the shape {list(found.shape)} or are not finite.",
                               f"They must be finite and of shape {list(shape)}.")
        if not (bool((self.variances > 0).all()) and bool((self.weights > 0).all()) and 0 < self.rest < math.inf):
            raise refused("The circuit has weights or variances that are not above 0.", "It describes no law then.")
        for name in ("weights", "means", "variances", "mean", "directions"):
            object.__setattr__(self, name, getattr(self, name).double())
        object.__setattr__(self, "weights", self.weights / self.weights.sum())

    def log_likelihood(self, x: Tensor) -> Tensor:
        """log p(x) of pictures (B, *shape), in nats: (B,)."""
        known = Evidence(x, torch.zeros(1))
        return self.condition(known).log_likelihood

    def pixel_variance(self) -> Tensor:
        """The variance of each pixel before anything is known, (*shape)."""
        gaps = (self.means - self.weights @ self.means) * self.weights.sqrt()[:, None]
        within = self.directions ** 2 @ (self.weights @ self.variances)
        return (within + (self.directions @ gaps.T).square().sum(1) + self.rest).reshape(self.shape)

    def condition(self, evidence: Evidence, statements: Sequence[Sequence[Statement]] = ((),),
                  sharpness: float = 1.0) -> Posterior:
        """The law of pictures given soft evidence and statements; B = the number of samples in the evidence.

        statements: the same for all samples in [[...]], or those of each sample where variances are of each, too.
        sharpness: exponent of the evidence where children are weighed against each other. 1 is exact; less keeps more
        of them, which guards against a law that is surer than it should be.
        Raises InputError for evidence of another shape.
        """
        if tuple(evidence.value.shape[1:]) != self.shape:
            raise InputError(f"The evidence has the shape {list(evidence.value.shape[1:])}.",
                             f"The circuit knows pictures of shape {list(self.shape)}.", field="evidence")
        value, variance = evidence.flat()
        groups = value.split(len(value) if len(variance) == 1 else 1)
        if len(statements) == 1:
            statements = [*statements] * len(variance)
        return Posterior([self._part(v, n, tuple(s), sharpness)
                          for v, n, s in zip(groups, variance, statements, strict=True)])

    def _part(self, value: Tensor, variance: Tensor, statements: tuple[Statement, ...], sharpness: float) -> Part:
        """value (b, P), variance (P,)."""
        precision = 1 / (self.rest + variance)  # of the evidence, seen from the latents; 0 where nothing is said
        centred = torch.where(precision > 0, value - self.mean, 0.0)
        weighted = self.directions * precision[:, None]
        gram = self.directions.T @ weighted
        factors = torch.linalg.cholesky(gram + torch.diag_embed(1 / self.variances))
        pulled = centred @ weighted  # (b, D)
        towards = self.means / self.variances + pulled[:, None]  # (b, K, D)
        latents = torch.cholesky_solve(towards.permute(1, 2, 0), factors).permute(2, 0, 1)
        return Part(self, value, variance, factors, latents,
                    self._log_evidence(centred, precision, gram, pulled, factors), statements, sharpness)

    def _log_evidence(self, centred: Tensor, precision: Tensor, gram: Tensor, pulled: Tensor,
                      factors: Tensor) -> Tensor:
        """log p(evidence) of each child, (b, K), by Woodbury's identity."""
        seen = self.means @ gram  # (K, D)
        misfit = (centred ** 2 @ precision)[:, None] - 2 * pulled @ self.means.T + (seen * self.means).sum(1)
        explained = (pulled[:, None] - seen).permute(1, 2, 0)  # (K, D, b)
        misfit = misfit - torch.linalg.solve_triangular(factors, explained, upper=False).square().sum(1).T
        volume = 2 * factors.diagonal(dim1=1, dim2=2).log().sum(1) + self.variances.log().sum(1)
        return -(misfit + volume + (2 * math.pi / precision[precision > 0]).log().sum()) / 2


def refused(what: str, why: str) -> InputError:
    """The error of a circuit that cannot be used."""
    return InputError(what, why, "Make it anew with `python -m engine prepare`, or choose another method.",
                      field="method")
