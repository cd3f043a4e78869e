"""Pseudo numerical methods on the diffusion manifold: S-PNDM and F-PNDM. Liu et al. 2022, arXiv 2202.09778."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from engine.solvers.exponential import Node, node, path, update
from engine.solvers.loops import Denoise, combine
from engine.solvers.registry import solver
from engine.step import Step

_PAPER = "Liu et al. 2022, arXiv 2202.09778, "


@solver("spndm", title="S-PNDM", order=2, steps=(4, 25, 100), calls=lambda n: n + (n > 1), spacings=("uniform",),
        paper=_PAPER + "S-PNDM",
        hint="Second order, 1 call per step plus 1. 20 to 50 steps, uniform spacing only.")
def spndm(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None) -> Iterator[Step]:
    """First step with the mean of the noise at both ends, later e = (3 e_0 - e_1)/2; the transfer function moves x.

    Order 2, N + 1 calls, deterministic, uniform times only. A step into sigma = 0 returns x0, one from alpha = 0 is
    DDIM's.

    >>> for step in spndm(denoise, x, grids.make("uniform", schedule, 25), schedule): ...
    """
    nodes = path(times, schedule)
    steps, calls, e_1 = len(nodes) - 1, 0, None
    for i, (s, t, transfer, first_order) in enumerate(_moves(nodes)):
        x0 = denoise(x, s.t)
        e = _noise(x, x0, s)
        if first_order:
            x = combine(x, x0, first_order, ())
        elif e_1 is None:
            ahead = _move(x, transfer, (1.0, e))
            x0 = denoise(ahead, t.t)
            calls += 1
            x = _move(x, transfer, (1 / 2, e), (1 / 2, _noise(ahead, x0, t)))
        else:
            x = _move(x, transfer, (3 / 2, e), (-1 / 2, e_1))
        e_1 = e
        calls += 1
        yield Step(i + 1, steps, t.t, t.sigma, x, x0, calls)


@solver("fpndm", title="F-PNDM", order=2, steps=(5, 50, 200), calls=lambda n: n + 3 * min(3, n - 1),
        spacings=("uniform",), paper=_PAPER + "F-PNDM",
        hint="Second order with a small error, 1 call per step plus 9. 20 to 100 steps, uniform spacing only.")
def fpndm(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None) -> Iterator[Step]:
    """Three pseudo Runge-Kutta steps of four calls, then pseudo linear multistep (Adams-Bashforth) of four points.

    N + 9 calls, deterministic, uniform times only. Its order is 2, with a constant a seventh of S-PNDM's: the
    fourth-order mean of the noise goes through a transfer function that is not linear. A step into sigma = 0 returns
    x0, one from alpha = 0 is DDIM's.

    >>> for step in fpndm(denoise, x, grids.make("uniform", schedule, 50), schedule): ...
    """
    nodes = path(times, schedule)
    steps, calls, history = len(nodes) - 1, 0, []
    halves = {i: _middle(nodes[i], nodes[i + 1], schedule) for i in range(min(4, steps))}
    for i, (s, t, transfer, first_order) in enumerate(_moves(nodes)):
        x0 = denoise(x, s.t)
        e = _noise(x, x0, s)
        if first_order:
            x = combine(x, x0, first_order, ())
        elif len(history) < 3:
            middle, to_middle = halves[i]
            half = _move(x, to_middle, (1.0, e))
            e_2 = _noise(half, denoise(half, middle.t), middle)
            half = _move(x, to_middle, (1.0, e_2))
            e_3 = _noise(half, denoise(half, middle.t), middle)
            ahead = _move(x, transfer, (1.0, e_3))
            x0 = denoise(ahead, t.t)
            calls += 3
            x = _move(x, transfer, (1 / 6, e), (1 / 3, e_2), (1 / 3, e_3), (1 / 6, _noise(ahead, x0, t)))
        else:
            e_1, e_2, e_3 = history
            x = _move(x, transfer, (55 / 24, e), (-59 / 24, e_1), (37 / 24, e_2), (-9 / 24, e_3))
        history = [e, *history[:2]]
        calls += 1
        yield Step(i + 1, steps, t.t, t.sigma, x, x0, calls)


def _moves(nodes: Sequence[Node]) -> list[tuple]:
    """Per step: both nodes, its transfer, and the first-order update that replaces it next to an infinite log-SNR."""
    return [(s, t, _transfer(s, t), None) if math.isfinite(t.log_snr - s.log_snr) else (s, t, None, update(s, t))
            for s, t in pairwise(nodes)]


def _transfer(s: Node, t: Node) -> tuple[float, float]:
    """phi(x, e) = a x + b e, the DDIM map from s to t; the papers' fraction without its cancellation."""
    return t.alpha / s.alpha, -t.sigma * math.expm1(t.log_snr - s.log_snr)


def _middle(s: Node, t: Node, schedule) -> tuple[Node, tuple[float, float]] | None:
    """The node half way in time and the transfer to it; None from alpha = 0, where no transfer starts."""
    time = (s.t + t.t) / 2
    middle = node(time, *schedule(time))
    return (middle, _transfer(s, middle)) if math.isfinite(s.log_snr) else None


def _move(x: Tensor, transfer: tuple[float, float], *terms: tuple[float, Tensor]) -> Tensor:
    """phi(x, sum of weight * e)."""
    new = torch.mul(x, transfer[0])
    for weight, e in terms:
        new.add_(e, alpha=weight * transfer[1])
    return new


def _noise(x: Tensor, x0: Tensor, at: Node) -> Tensor:
    """eps of the state x = alpha x0 + sigma eps."""
    return torch.sub(x, x0, alpha=at.alpha).div_(at.sigma)
