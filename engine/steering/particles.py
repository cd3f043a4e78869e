"""Weighted particles: how many of them count, how they are drawn anew, and what they say together.

log_weights (N,) are float64 on the CPU and need not be normalised; -inf is a particle that does not count.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import InputError
from engine.step import Step

FEW = 2.0


@dataclass(frozen=True, slots=True)
class ParticleStep(Step):
    """A step of an ensemble: the samples of x and x0 belong together and have weights.

    log_weights: (N,) float64 on the CPU, of the particles in x, whose exponentials add up to 1. ess: effective sample
    size, from 1 to N, of this step's weights; where that led to resampling, log_weights are already equal again.
    """

    log_weights: Tensor
    ess: float


def normalised(log_weights: Tensor) -> Tensor:
    """The same weights with exponentials that add up to 1; what is not a number counts nothing.

    Raises InputError when no particle is left that counts.
    """
    finite = log_weights.nan_to_num(nan=-torch.inf, posinf=-torch.inf, neginf=-torch.inf)
    total = finite.logsumexp(0)
    if total == -torch.inf:
        raise InputError(f"The weights of all {len(log_weights)} particles have collapsed.",
                         "None of them explains the measurement within its noise, or the run has diverged.",
                         "Check the measurement and its noise, or raise the steps or the noise.", field="noise")
    return finite - total


def effective_size(log_weights: Tensor) -> float:
    """Kish's effective sample size 1 / sum w^2: N for equal weights, 1 when a single particle carries everything."""
    return float((-(2 * normalised(log_weights)).logsumexp(0)).exp())


def systematic(log_weights: Tensor, offset: float) -> Tensor:
    """Whom each of the N places copies, (N,) int64: particle i is copied N w_i times, rounded up or down at random.

    offset: uniform in [0, 1). Particles that survive keep their place, so that a viewer can follow them.
    """
    count = len(log_weights)
    ends = normalised(log_weights).exp().cumsum(0) * count
    marks = torch.arange(count, dtype=torch.float64) + offset
    # The last end is count up to rounding, which must not push a mark beyond it.
    copies = torch.searchsorted(ends, marks, right=True).clamp(max=count - 1).bincount(minlength=count)
    ancestors = torch.arange(count)
    ancestors[copies == 0] = ancestors.repeat_interleave((copies - 1).clamp(min=0))
    return ancestors


def mean(x: Tensor, log_weights: Tensor) -> Tensor:
    """The weighted mean of the particles x (N, *): (*), the estimate with the least squared error."""
    weights = normalised(log_weights).exp().to(x)
    return torch.tensordot(weights, x, 1)


def best(x: Tensor, log_weights: Tensor) -> Tensor:
    """The particle with the highest weight, (*)."""
    return x[int(normalised(log_weights).argmax())]


def spread(x: Tensor, log_weights: Tensor) -> Tensor:
    """The weighted standard deviation of each number, (*), free of bias; 0 when one particle carries everything."""
    weights = normalised(log_weights).exp()
    freedom = float(1 - weights.square().sum())
    if freedom <= 0:
        return torch.zeros_like(x[0])
    squares = (x - mean(x, log_weights)).square()
    return (torch.tensordot(weights.to(x), squares, 1) / freedom).sqrt()


def interval(x: Tensor, log_weights: Tensor, share: float = 0.9) -> tuple[Tensor, Tensor]:
    """Ends (*), (*) of the central interval of each number, between weighted quantiles of the particles.

    With n = ess the particle behind which half of its own weight brings the sum to c stands for the quantile
    (n c + 1/2) / (n + 1), so that n equal weights give i / (n + 1) and the interval covers its share of further draws
    on average. It ends at the outermost particles: below 2 / (1 - share) - 1 of them it covers less.
    """
    weights = normalised(log_weights).exp()
    size = effective_size(log_weights)
    values, order = x.sort(0)
    mine = weights.to(x)[order]
    positions = (size * (mine.cumsum(0) - mine / 2) + 0.5) / (size + 1)
    return tuple(_at(values, positions, edge) for edge in ((1 - share) / 2, (1 + share) / 2))


def note(log_weights: Tensor, ess: float) -> str:
    """What people must know of a degenerate ensemble, "" for a healthy one."""
    if ess >= FEW or len(log_weights) < FEW:
        return ""
    return (f"Of {len(log_weights)} particles only {ess:.1f} count. Their spread says too little about what is "
            "uncertain. Use more particles, more islands, more steps or a higher noise.")


def _at(values: Tensor, positions: Tensor, wanted: float) -> Tensor:
    """Linear interpolation of sorted values (N, *) at one position; outside, the outermost value."""
    upper = (positions < wanted).sum(0, keepdim=True).clamp(max=len(values) - 1)
    lower = (upper - 1).clamp(min=0)
    low, high = positions.gather(0, lower), positions.gather(0, upper)
    part = ((wanted - low) / (high - low).clamp(min=torch.finfo(values.dtype).tiny)).clamp(0, 1)
    return torch.lerp(values.gather(0, lower), values.gather(0, upper), part)[0]
