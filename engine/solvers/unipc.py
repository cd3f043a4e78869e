"""UniPC: a predictor, and a corrector that uses the next call and costs none. Zhao et al. 2023, arXiv 2302.04867."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from engine.options import Option
from engine.solvers.exponential import Node, Update, fit, moments, orders, path, update
from engine.solvers.loops import Denoise, combine
from engine.solvers.registry import solver
from engine.step import Step

_PAPER = "Zhao et al. 2023, arXiv 2302.04867, algorithms 5 to 8 (data form)"
_OPTIONS = (
    Option("variant", "Function B(h)", "bh2", choices=("bh1", "bh2"),
           help="bh2 is expm1, steadier with guidance; bh1 is linear, for few steps without."),
    Option("corrector", "Corrector", True, "Refines each state with the next call. Off: predictor only (UniP)."),
    Option("lower_order_final", "Ease the last steps", True,
           "Lower the order in the last steps: steadier, less sharp."),
)


class _Correction(NamedTuple):
    """What is added to a predicted state: new * its own x0, plus known_j * the estimates that predicted it."""

    new: float
    known: tuple[float, ...]


@solver("unipc_1", title="UniPC-1", order=2, steps=(5, 20, 100), options=_OPTIONS, paper=_PAPER,
        hint="Second order (first without corrector), 1 call per step. 15 to 50 steps.")
def unipc_1(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, variant: str = "bh2",
            corrector: bool = True, lower_order_final: bool = True) -> Iterator[Step]:
    """DDIM predictor, trapezoid corrector. Order 2, one call per step, deterministic, any grid.

    >>> for step in unipc_1(denoise, x, grids.make("log_snr", schedule, 20), schedule): ...
    """
    return _unipc(denoise, x, path(times, schedule), 1, variant, corrector, lower_order_final)


@solver("unipc_2", title="UniPC-2", order=3, steps=(5, 12, 60), options=_OPTIONS, paper=_PAPER,
        hint="Third order (second without corrector), 1 call per step. 8 to 20 steps; the choice with guidance.")
def unipc_2(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, variant: str = "bh2",
            corrector: bool = True, lower_order_final: bool = True) -> Iterator[Step]:
    """Predictor of order 2 (bh2: DPM-Solver++ 2M), corrector of order 3. One call per step, deterministic, any grid.

    >>> for step in unipc_2(denoise, x, grids.make("uniform", schedule, 12), schedule): ...
    """
    return _unipc(denoise, x, path(times, schedule), 2, variant, corrector, lower_order_final)


@solver("unipc_3", title="UniPC-3", order=4, steps=(5, 12, 60), options=_OPTIONS, paper=_PAPER,
        hint="Fourth order (third without corrector), 1 call per step. 6 to 20 steps, without strong guidance.")
def unipc_3(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, variant: str = "bh2",
            corrector: bool = True, lower_order_final: bool = True) -> Iterator[Step]:
    """Predictor of order 3 (the consistent 3M), corrector of order 4. One call per step, deterministic, any grid.

    >>> for step in unipc_3(denoise, x, grids.make("log_snr", schedule, 12), schedule): ...
    """
    return _unipc(denoise, x, path(times, schedule), 3, variant, corrector, lower_order_final)


def _unipc(denoise: Denoise, x: Tensor, nodes: Sequence[Node], highest: int, variant: str, corrector: bool,
           lower_order_final: bool) -> Iterator[Step]:
    """The estimate at a predicted state is never made again after its correction: that keeps one call per step.

    `Step.x` is the predicted state; the last step is not corrected.
    """
    steps = len(nodes) - 1
    table = [_rows(nodes, i, order, variant) for i, order in enumerate(orders(nodes, highest, lower_order_final))]
    history: list[Tensor] = []
    for i, (predict, _) in enumerate(table):
        x0 = denoise(x, nodes[i].t)
        if i and corrector:
            correct = table[i - 1][1]
            if correct.new:
                x = torch.add(x, x0, alpha=correct.new)
                for weight, known in zip(correct.known, history, strict=False):
                    x.add_(known, alpha=weight)
        x = combine(x, x0, predict, history)
        history = [x0, *history[:highest - 1]]
        yield Step(i + 1, steps, nodes[i + 1].t, nodes[i + 1].sigma, x, x0, i + 1)


def _rows(nodes: Sequence[Node], i: int, order: int, variant: str) -> tuple[Update, _Correction]:
    start, end = nodes[i], nodes[i + 1]
    h = end.log_snr - start.log_snr
    if not math.isfinite(h):
        return update(start, end), _Correction(0.0, ())
    older = [nodes[i - j] for j in range(1, order)]
    offsets = [(n.log_snr - start.log_snr) / h for n in older]
    scale = math.expm1(-h) if variant == "bh2" else -h
    # The paper fixes the weight of a single difference at one half; only there do bh1 and bh2 differ.
    predicted = [scale / (2 * offsets[0])] if order == 2 else fit(offsets, moments(-h, order - 1)) if order > 2 else []
    *known, new = fit([*offsets, 1.0], moments(-h, order)) if order > 1 else [scale / 2]
    change = [k - p for k, p in zip(known, predicted, strict=True)]
    weights = (-math.fsum(change) - new, *change)
    return update(start, end, older, predicted), _Correction(-end.alpha * new, tuple(-end.alpha * w for w in weights))
