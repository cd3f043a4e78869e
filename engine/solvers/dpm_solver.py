"""DPM-Solver (noise form): single step 1/2/3, the "fast" plan, multistep 2M/3M. Lu et al. 2022, arXiv 2206.00927."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from torch import Tensor

from engine.options import Option
from engine.solvers.exponential import Node, fit, moments, node, orders, path, psi, update
from engine.solvers.loops import Denoise, Stage, march, single_steps
from engine.solvers.registry import solver
from engine.step import Step

_PAPER = "Lu et al. 2022, arXiv 2206.00927, "
SINGLE_FORM = Option("variant", "Form", "midpoint", choices=("midpoint", "taylor"),
                     help="Midpoint as in the paper, or Taylor: the exact integral of the line.")
MULTI_FORM = Option("variant", "Form", "midpoint", choices=("midpoint", "heun"),
                    help="Midpoint as in the paper, or Heun (Taylor): the exact integral of the line.")
LOWER_ORDER_FINAL = Option("lower_order_final", "Ease the last steps", True,
                           "Lower the order in the last steps of runs below 15 steps: steadier, less sharp.")
THIRD_ORDER = Option("consistent", "True third order", False,
                     "Off: as published, where half a term is missing and the order is 2. On: order 3.")


@solver("dpm_solver_1", title="DPM-Solver-1", order=1, steps=(5, 20, 100), paper=_PAPER + "equation 3.7",
        hint="First order, 1 call per step. 20 to 100 steps. The same step as DDIM.")
def dpm_solver_1(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None) -> Iterator[Step]:
    """x_t = (alpha_t/alpha_s) x - sigma_t expm1(h) eps. Order 1, one call per step, deterministic, any grid.

    >>> for step in dpm_solver_1(denoise, x, grids.make("log_snr", schedule, 20), schedule): ...
    """
    return multistep(denoise, x, path(times, schedule), 1, noise_form=True)


@solver("dpm_solver_2s", title="DPM-Solver-2 (single step)", order=2, nfe_per_step=2, steps=(3, 10, 50),
        calls=lambda n: 2 * n - 1, options=(SINGLE_FORM,), paper=_PAPER + "algorithm 1",
        hint="Second order, 2 calls per step. 8 to 25 steps, log-SNR spacing. Without guidance only.")
def dpm_solver_2s(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *,
                  variant: str = "midpoint") -> Iterator[Step]:
    """One inner node at half the step in log-SNR. Order 2, two calls per step (one next to alpha = 0 or sigma = 0).

    >>> for step in dpm_solver_2s(denoise, x, grids.make("log_snr", schedule, 10), schedule): ...
    """
    return single(denoise, x, path(times, schedule), schedule, 2, variant, noise_form=True)


@solver("dpm_solver_3s", title="DPM-Solver-3 (single step)", order=3, nfe_per_step=3, steps=(2, 7, 40),
        calls=lambda n: 3 * n - 2, options=(SINGLE_FORM,), paper=_PAPER + "algorithm 2",
        hint="Third order, 3 calls per step. 5 to 15 steps, log-SNR spacing. Without guidance only.")
def dpm_solver_3s(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *,
                  variant: str = "midpoint") -> Iterator[Step]:
    """Inner nodes at 1/3 and 2/3 of the step. Order 3, three calls per step (one next to alpha = 0 or sigma = 0).

    >>> for step in dpm_solver_3s(denoise, x, grids.make("log_snr", schedule, 7), schedule): ...
    """
    return single(denoise, x, path(times, schedule), schedule, 3, variant, noise_form=True)


@solver("dpm_solver_fast", title="DPM-Solver-fast", order=3, steps=(3, 15, 60), calls=lambda n: n,
        options=(SINGLE_FORM,), paper=_PAPER + "section 3.4",
        hint="Third order; the number of steps is the number of calls. 10 to 30 calls, log-SNR spacing, no guidance.")
def dpm_solver_fast(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *,
                    variant: str = "midpoint") -> Iterator[Step]:
    """Spends N = len(times) - 1 calls on third-order steps and fills up with second and first order.

    A step of order p spans p intervals of the grid. A last step into sigma = 0 is of first order, so a final 2 becomes
    1, 1; a first step from alpha = 0 is of first order too. `Step.total` counts steps, `Step.nfe` calls.

    >>> for step in dpm_solver_fast(denoise, x, grids.make("log_snr", schedule, 15), schedule): ...
    """
    nodes = path(times, schedule)
    plan = fast_plan(len(nodes) - 1, from_blank=nodes[0].log_snr == -math.inf, to_clean=nodes[-1].sigma == 0)
    stops = [nodes[sum(plan[:i])] for i in range(len(plan) + 1)]
    stages = [_stages(s, t, p, variant, schedule, True) for (s, t), p in zip(pairwise(stops), plan, strict=True)]
    return single_steps(denoise, x, stops, stages, noise_form=True)


@solver("dpm_solver_2m", title="DPM-Solver 2M", order=2, steps=(5, 20, 100), options=(MULTI_FORM, LOWER_ORDER_FINAL),
        paper=_PAPER + "multistep form of the authors' code",
        hint="Second order, 1 call per step. 15 to 50 steps, without guidance. Prefer DPM-Solver++ 2M.")
def dpm_solver_2m(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, variant: str = "midpoint",
                  lower_order_final: bool = True) -> Iterator[Step]:
    """Line through the last two noise predictions. Order 2, one call per step, deterministic, any grid.

    >>> for step in dpm_solver_2m(denoise, x, grids.make("log_snr", schedule, 20), schedule): ...
    """
    return multistep(denoise, x, path(times, schedule), 2, variant, lower_order_final, noise_form=True)


@solver("dpm_solver_3m", title="DPM-Solver 3M", order=2, steps=(6, 20, 100),
        options=(THIRD_ORDER, MULTI_FORM, LOWER_ORDER_FINAL), paper=_PAPER + "multistep form of the authors' code",
        hint="Second order as published, third with the option, 1 call per step. 15 to 50 steps, no guidance.")
def dpm_solver_3m(denoise: Denoise, x: Tensor, times: Tensor, schedule, rng=None, *, consistent: bool = False,
                  variant: str = "midpoint", lower_order_final: bool = True) -> Iterator[Step]:
    """Parabola through the last three noise predictions. One call per step, deterministic, any grid.

    Order 3 with `consistent`. As published its second difference lacks a factor 2, and the order is 2.

    >>> for step in dpm_solver_3m(denoise, x, grids.make("log_snr", schedule, 20), schedule, consistent=True): ...
    """
    return multistep(denoise, x, path(times, schedule), 3, variant, lower_order_final, consistent, noise_form=True)


def multistep(denoise: Denoise, x: Tensor, nodes: Sequence[Node], highest: int, variant: str = "midpoint",
              lower_order_final: bool = True, consistent: bool = False, *, noise_form: bool = False, eta: float = 0.0,
              rng=None) -> Iterator[Step]:
    """DPM-Solver (noise form) and DPM-Solver++ (data form) of order 1 to 3; eta in [0, 1] adds noise (data form)."""
    steps = len(nodes) - 1
    table = []
    for i, order in enumerate(orders(nodes, highest, lower_order_final and steps < 15)):
        start, end = nodes[i], nodes[i + 1]
        older = [nodes[i - j] for j in range(1, order)]
        h = end.log_snr - start.log_snr
        z = h if noise_form else -(1 + eta) * h
        offsets = [(n.log_snr - start.log_snr) / h for n in older]
        if order == 3:
            weights = fit(offsets, moments(z, 2) if consistent else psi(z, 3)[1:])
        elif order == 2:
            weights = [math.expm1(z) / (2 * offsets[0])] if variant == "midpoint" else fit(offsets, moments(z, 1))
        else:
            weights = []
        table.append(update(start, end, older, weights, noise=noise_form, eta=eta))
    return march(denoise, x, nodes, table, rng, noise_form)


def single(denoise: Denoise, x: Tensor, nodes: Sequence[Node], schedule, order: int, variant: str = "midpoint", *,
           noise_form: bool = False) -> Iterator[Step]:
    """DPM-Solver (noise form) and DPM-Solver++ (data form) with inner nodes, order 2 or 3."""
    plan = [_stages(s, t, order, variant, schedule, noise_form) for s, t in pairwise(nodes)]
    return single_steps(denoise, x, nodes, plan, noise_form)


def fast_plan(calls: int, from_blank: bool = False, to_clean: bool = False) -> list[int]:
    """Orders of the steps that spend exactly `calls` denoiser calls, third order first."""
    if from_blank:
        return [1, *(fast_plan(calls - 1, to_clean=to_clean) if calls > 1 else [])]
    thirds = calls // 3
    plan = {0: [3] * (thirds - 1) + [2, 1], 1: [3] * thirds + [1], 2: [3] * thirds + [2]}[calls % 3]
    return [*plan[:-1], 1, 1] if to_clean and plan[-1] == 2 else plan


def _stages(start: Node, end: Node, order: int, variant: str, schedule, noise: bool) -> list[Stage]:
    h = end.log_snr - start.log_snr
    if order == 1 or not math.isfinite(h):
        return [(end, update(start, end))]
    z = h if noise else -h

    def inner(share: float) -> Node:
        t = float(schedule.time_at(start.log_snr + share * h))
        return node(t, *schedule(t))

    if order == 2:
        middle = inner(1 / 2)
        weights = [math.expm1(z)] if variant == "midpoint" else fit([1 / 2], moments(z, 1))
        return [(middle, update(start, middle)), (end, update(start, end, [middle], weights, noise=noise))]
    # The paper's short form is of third order only with the second node at two thirds of the step.
    r1, r2 = 1 / 3, 2 / 3
    first, second = inner(r1), inner(r2)
    weights = [0.0, psi(z, 2)[1] / r2] if variant == "midpoint" else fit([r1, r2], moments(z, 2))
    return [(first, update(start, first)),
            (second, update(start, second, [first], fit([r1 / r2], moments(r2 * z, 1)), noise=noise)),
            (end, update(start, end, [first, second], weights, noise=noise))]
