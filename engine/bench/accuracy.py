"""How far solvers end from the exact solution, for the same number of denoiser calls, beside diffusers."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from engine import grids, schedules, solvers
from engine.bench.diffusers_side import counterpart
from engine.bench.table import Row, Table
from engine.rng import Rng
from engine.schedules import Schedule

BUDGETS = (10, 20, 40)
TRAINED_STEPS = 1000
FEWEST_STEPS = 4
"""PNDM of diffusers cannot make fewer."""
_SPACINGS: dict[str, dict[str, Any]] = {
    "uniform": {"timestep_spacing": "trailing"},
    "karras": {"timestep_spacing": "trailing", "use_karras_sigmas": True},
    "log_snr": {"timestep_spacing": "trailing", "use_lu_lambdas": True},
}
"""Our spacings and what diffusers calls them."""


def measure(quick: bool) -> list[Table]:
    """One row per deterministic solver and spacing: mean distance from the exact solution for 10, 20 and 40 calls.

    The denoiser is the exact one of a two-dimensional Gaussian mixture; both sides start from the same 256 draws at the
    noisiest level of the same discrete schedule and go to zero noise. Solvers with several calls per step get the most
    steps that the calls allow. ours: float64. diffusers: float32, whose rounding is near 1e-6; a dash where it has no
    such scheduler or spacing.
    """
    schedule = schedules.vp_discrete("linear", TRAINED_STEPS)
    x = Rng(0, 32 if quick else 256).normal(2).double()
    exact = _exact(x, schedule, 200 if quick else 2000)
    budgets = BUDGETS[:1] if quick else BUDGETS
    rows = [_row(entry, spacing, x, exact, schedule, budgets) for spacing in _SPACINGS for entry in solvers.catalogue()
            if entry.deterministic and not entry.tags and (not entry.spacings or spacing in entry.spacings)]
    title = "Mean distance from the exact solution by denoiser calls, 2-D mixture, discrete linear schedule, float64"
    return [Table(title, rows)]


def _row(entry: solvers.SolverRow, spacing: str, x: Tensor, exact: Tensor, schedule: Schedule,
         budgets: tuple[int, ...]) -> Row:
    row: Row = {"solver": entry.name, "spacing": spacing}
    for budget in budgets:
        steps = max((n for n in range(1, budget + 1) if entry.calls(n) <= budget), default=0)
        scheduler = counterpart(entry.name, **_SPACINGS[spacing])
        row[f"ours {budget}"] = _distance(_ours(entry.name, spacing, steps, x, schedule), exact) if steps else "-"
        final = _theirs(scheduler, budget, x, schedule) if scheduler else None
        row[f"diffusers {budget}"] = "-" if final is None else _distance(final, exact)
    return row


def _distance(x: Tensor, exact: Tensor) -> str:
    return f"{float((x.double() - exact).norm(dim=1).mean()):.1e}"


def _ours(name: str, spacing: str, steps: int, x: Tensor, schedule: Schedule) -> Tensor:
    times = grids.make(spacing, schedule, steps)
    *_, last = solvers.solve(name, lambda x_t, t: _posterior_mean(x_t, *schedule(t)), x, times, schedule)
    return last.x


def _theirs(scheduler: Any, budget: int, x: Tensor, schedule: Schedule) -> Tensor | None:
    """The final state of the most steps that make at most `budget` calls; None when that is too few for it."""
    for steps in range(budget, FEWEST_STEPS - 1, -1):
        scheduler.set_timesteps(steps)
        if len(scheduler.timesteps) <= budget:
            break
    else:
        return None
    state = x.float()
    # Schedulers that work on x / alpha say so by the size of their first noise.
    if scheduler.init_noise_sigma != 1:
        state = (x * math.sqrt(1 + float(scheduler.sigmas[0]) ** 2)).float()
    for t in scheduler.timesteps:
        alpha, sigma = schedule((float(t) + 1) / TRAINED_STEPS)
        seen = scheduler.scale_model_input(state, t).double()
        eps = (seen - alpha * _posterior_mean(seen, alpha, sigma)) / sigma
        state = scheduler.step(eps.float(), t, state).prev_sample
    return state


_WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
_MEANS = torch.tensor([[1.0, 0.3], [-0.8, 0.9], [0.1, -1.1]], dtype=torch.float64)
_VARIANCES = torch.tensor([0.25, 0.16, 0.36], dtype=torch.float64)


def _posterior_mean(x: Tensor, alpha: float, sigma: float) -> Tensor:
    """E[x0 | x_t = x] of the mixture. x: (B, 2) float64.

    With v_k = alpha^2 s_k^2 + sigma^2 the share of component k is proportional to
    w_k / v_k exp(-|x - alpha mu_k|^2 / (2 v_k)), and its mean is mu_k + alpha s_k^2 / v_k (x - alpha mu_k).
    """
    spreads = alpha * alpha * _VARIANCES + sigma * sigma
    gaps = x[:, None] - alpha * _MEANS
    shares = (_WEIGHTS.log() - spreads.log() - gaps.square().sum(-1) / (2 * spreads)).softmax(1)
    return (shares[..., None] * (_MEANS + (alpha * _VARIANCES / spreads)[:, None] * gaps)).sum(1)


def _exact(x: Tensor, schedule: Schedule, steps: int) -> Tensor:
    """The probability-flow ODE solved from t_max to zero noise by the classical Runge-Kutta rule on y = x / alpha.

    In s = sigma / alpha it reads dy/ds = (y - x0) / s; in u = log s it is smooth, dy/du = y - x0. At s = 1e-6 what is
    left is s times a number near 1.
    """
    def slope(u: float, y: Tensor) -> Tensor:
        ratio = math.exp(u)
        alpha = 1 / math.sqrt(1 + ratio * ratio)
        return y - _posterior_mean(alpha * y, alpha, alpha * ratio)

    start = schedule.t_max
    return _runge_kutta(slope, x / schedule(start)[0], -schedule.log_snr(start), math.log(1e-6), steps)


def _runge_kutta(slope: Callable[[float, Tensor], Tensor], y: Tensor, u: float, end: float, steps: int) -> Tensor:
    h = (end - u) / steps
    for _ in range(steps):
        k1 = slope(u, y)
        k2 = slope(u + h / 2, y + h / 2 * k1)
        k3 = slope(u + h / 2, y + h / 2 * k2)
        k4 = slope(u + h, y + h * k3)
        y, u = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), u + h
    return y
