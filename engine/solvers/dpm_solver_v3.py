"""DPM-Solver-v3: multistep predictor and corrector on the rest that a model's statistics leave.

Zheng et al. 2023, arXiv 2310.13268, section 3 and appendix B. `statistics.py` has the notation.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from torch import Tensor

from engine.errors import InputError
from engine.options import Option
from engine.solvers.dpm_solver import LOWER_ORDER_FINAL
from engine.solvers.exponential import Node, Update, fit, orders, path, update
from engine.solvers.loops import Denoise, combine
from engine.solvers.registry import solver
from engine.solvers.statistics import Statistics
from engine.step import Step

_OPTIONS = (
    Option("order", "Order", 3, "Of the predictor: 3, or 2 with guidance.", 1, 3),
    Option("corrector", "Corrector", "next", choices=("none", "same", "next"),
           help="Refines each state with the next call, at the predictor's order or at the next one."),
    Option("pseudo", "Near points only", "none", choices=("none", "corrector", "predictor", "both"),
           help="Each derivative from the nearest points: second order, but better for networks in 15 steps or fewer."),
    Option("half_corrector", "Corrector in the second half", False,
           "Correct only where less than half of the time is left: for strong guidance."),
    LOWER_ORDER_FINAL,
)


class _Row(NamedTuple):
    """One step. Weights are tensors of the statistics' shape.

    f = lean * x - x0; x_next = keep * x - on_f * f - forced - sum_j predict_j (g_j - f), and the same with `correct`
    once g at the end is known. carry, shift: what f at the end and g at the start need to meet: e^S and B.
    """

    lean: Tensor
    keep: Tensor
    on_f: Tensor
    forced: Tensor
    carry: Tensor
    shift: Tensor
    predict: Sequence[Tensor]
    correct: Sequence[Tensor]


@solver("dpm_solver_v3", title="DPM-Solver-v3", order=4, steps=(5, 10, 50), options=_OPTIONS, needs="statistics",
        paper="Zheng et al. 2023, arXiv 2310.13268, algorithm 2 and appendix B",
        hint="Fourth order (third without corrector), 1 call per step. 5 to 20 steps.")
def dpm_solver_v3(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, statistics: Statistics,
                  order: int = 3, corrector: str = "next", pseudo: str = "none", half_corrector: bool = False,
                  lower_order_final: bool = True) -> Iterator[Step]:
    """x_t/alpha_t = e^-L [x_s/alpha_s - g_s int e^(L+S) - int e^(L+S) B - sum_k g^(k)/k! int e^(L+S) (u - u_s)^k].

    statistics: of this model (`engine.estimation`), of the shape of one sample or (). Order 1 to 4, one call per step,
    deterministic. Any schedule and any grid: the integrals are exact between any two levels, nodes need no rounding to
    the statistics' levels. Steps from no signal or to no noise are DDIM's. `Step.x` is the predicted state.
    Raises InputError for statistics of samples of another shape.

    >>> for step in dpm_solver_v3(denoise, x, times, schedule, statistics=Statistics.read(path, sha256)): ...
    """
    sample = x.shape[1:]
    if sample and statistics.shape and sample != statistics.shape:
        raise InputError(f"The model statistics are for samples of {_size(statistics.shape)} values.",
                         f"This run's samples have {_size(sample)}.", "Choose another solver or size.", "solver")
    nodes = path(times, schedule)
    steps = orders(nodes, order, lower_order_final)
    extra = {"none": None, "same": 0, "next": 1}[corrector]
    nearest = pseudo in ("predictor", "both"), pseudo in ("corrector", "both")
    latest = nodes[0].t / 2 if half_corrector else math.inf
    table = [_row(nodes, i, p, None if extra is None or nodes[i + 1].t > latest else p + extra, nearest, statistics, x)
             for i, p in enumerate(steps)]
    return _march(denoise, x, nodes, table, order)


def _march(denoise: Denoise, x: Tensor, nodes: Sequence[Node], table: Sequence[_Row | Update],
           depth: int) -> Iterator[Step]:
    """`known` holds g at the start of the step and before, newest first, all as seen from the start of the step.

    The estimate at a predicted state is never made again after its correction: f there is kept, as in the paper.
    """
    known: list[Tensor] = []
    base = x
    for i, row in enumerate(table):
        x0 = denoise(x, nodes[i].t)
        if isinstance(row, Update):
            x, known = combine(x, x0, row, ()), []
        else:
            f = row.lean * x - x0
            if known:
                before = table[i - 1]
                if before.correct:
                    x = _landed(base, [known[0], f / before.carry - before.shift, *known[1:]], before.correct)
                known = [before.carry * (g + before.shift) for g in known]
            known = [f, *known][:depth]
            base = row.keep * x - row.on_f * f - row.forced
            x = _landed(base, known, row.predict)
        yield Step(i + 1, len(table), nodes[i + 1].t, nodes[i + 1].sigma, x, x0, i + 1)


def _landed(base: Tensor, points: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    x = base
    for weight, point in zip(weights, points[1:], strict=False):
        x = x - weight * (point - points[0])
    return x


def _row(nodes: Sequence[Node], i: int, order: int, corrector: int | None, nearest: tuple[bool, bool],
         statistics: Statistics, like: Tensor) -> _Row | Update:
    """Step i with a predictor and a corrector of these orders; nearest: whether these two use pseudo-derivatives."""
    start, end = nodes[i], nodes[i + 1]
    if not math.isfinite(end.log_snr - start.log_snr):
        return update(start, end)
    span = statistics.span(start.log_snr, end.log_snr)
    older = [nodes[i - j].log_snr - start.log_snr for j in range(1, order)]
    moments = [end.alpha * moment for moment in span.moments]
    predict = _weights(older, moments, nearest[0])
    correct = _weights([end.log_snr - start.log_snr, *older][:corrector - 1], moments, nearest[1]) if corrector else []
    tensors = (statistics.lean(start.log_snr) / start.alpha, end.alpha / start.alpha * span.decay, moments[0],
               end.alpha * span.forced, span.growth, span.drift)
    return _Row(*(t.to(like) for t in tensors), [w.to(like) for w in predict], [w.to(like) for w in correct])


def _weights(offsets: Sequence[float], moments: Sequence[Tensor], nearest: bool) -> list[Tensor]:
    """w with sum_j w_j (g_j - g_s) = sum_k moments_k g^(k)/k! for the polynomial through g_s and g_j at the offsets.

    nearest: the pseudo-derivatives of the paper, g^(k) from the first k offsets only.
    """
    weights = [moments[0] * 0 for _ in offsets]
    for k in range(1, len(offsets) + 1):
        used = offsets[:k] if nearest else offsets
        unit = [float(j == k) for j in range(1, len(used) + 1)]
        for j, coefficient in enumerate(fit(used, unit)):
            weights[j] = weights[j] + coefficient * moments[k]
    return weights


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
