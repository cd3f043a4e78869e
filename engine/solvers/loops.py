"""The two loops that tables of coefficients run in. Nothing but tensor arithmetic happens inside them."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from engine.errors import InputError
from engine.solvers.exponential import Node, Update
from engine.step import Step

Denoise = Callable[[Tensor, float], Tensor]
Stage = tuple[Node, Update]


def march(denoise: Denoise, x: Tensor, nodes: Sequence[Node], table: Sequence[Update], rng=None,
          noise_form: bool = False) -> Iterator[Step]:
    """One call per step: x = a x + b x0 + sum_j c_j m_j + s z with the m_j of earlier steps, newest first.

    x: (B, *). table: one Update per step. noise_form: the history keeps x - alpha x0 instead of x0.
    Raises InputError when the table draws noise and there is no rng.
    """
    if rng is None and any(row.noise for row in table):
        raise InputError("This solver draws new noise at every step.", "It was given no random numbers.",
                         "Pass rng=Rng(seed, samples).", "rng")
    depth = max(len(row.older) for row in table)
    history: list[Tensor] = []
    for i, row in enumerate(table):
        start, end = nodes[i], nodes[i + 1]
        x0 = denoise(x, start.t)
        new = combine(x, x0, row, history)
        if row.noise:
            new.add_(rng.normal_like(x), alpha=row.noise)
        if depth:
            history = [torch.sub(x, x0, alpha=start.alpha) if noise_form else x0, *history[:depth - 1]]
        x = new
        yield Step(i + 1, len(table), end.t, end.sigma, x, x0, i + 1)


def single_steps(denoise: Denoise, x: Tensor, nodes: Sequence[Node], plan: Sequence[Sequence[Stage]],
                 noise_form: bool = False) -> Iterator[Step]:
    """Steps without memory: step i visits the nodes of plan[i], calls the denoiser at all but the last, ends there.

    The Updates of a step all start from its first state; their `older` are its own stages, first stage first.
    """
    calls = 0
    for i, ((*inner, (end, last))) in enumerate(plan):
        x0 = latest = denoise(x, nodes[i].t)
        found: list[Tensor] = []
        for stage, row in inner:
            u = combine(x, x0, row, found)
            latest = denoise(u, stage.t)
            found.append(torch.sub(u, latest, alpha=stage.alpha) if noise_form else latest)
        x = combine(x, x0, last, found)
        calls += 1 + len(inner)
        yield Step(i + 1, len(plan), end.t, end.sigma, x, latest, calls)


def combine(x: Tensor, x0: Tensor, row: Update, predictions: Sequence[Tensor]) -> Tensor:
    """a x + b x0 + sum_j c_j m_j as a new tensor."""
    new = torch.mul(x, row.x).add_(x0, alpha=row.x0)
    for weight, prediction in zip(row.older, predictions, strict=False):
        if weight:
            new.add_(prediction, alpha=weight)
    return new
