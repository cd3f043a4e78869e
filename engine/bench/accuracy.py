"""How far solvers end from the exact solution, for the same number of denoiser calls, beside diffusers."""

import math
from typing import Any

from torch import Tensor

from engine import exact, grids, schedules, solvers
from engine.bench.diffusers_side import counterpart
from engine.bench.table import Row, Table
from engine.rng import Rng
from engine.schedules import Schedule

BUDGETS = (10, 20, 40)
TRAINED_STEPS = 1000
LAW = exact.toy()
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
    end = exact.solution(LAW.denoiser(schedule), x, schedule, 200 if quick else 2000)
    budgets = BUDGETS[:1] if quick else BUDGETS
    rows = [_row(entry, spacing, x, end, schedule, budgets) for spacing in _SPACINGS
            for entry in solvers.self_sufficient()
            if entry.deterministic and not entry.tags and (not entry.spacings or spacing in entry.spacings)]
    title = "Mean distance from the exact solution by denoiser calls, 2-D mixture, discrete linear schedule, float64"
    return [Table(title, rows)]


def _row(entry: solvers.SolverRow, spacing: str, x: Tensor, end: Tensor, schedule: Schedule,
         budgets: tuple[int, ...]) -> Row:
    row: Row = {"solver": entry.name, "spacing": spacing}
    for budget in budgets:
        steps = max((n for n in range(1, budget + 1) if entry.calls(n) <= budget), default=0)
        scheduler = counterpart(entry.name, **_SPACINGS[spacing])
        row[f"ours {budget}"] = _distance(_ours(entry.name, spacing, steps, x, schedule), end) if steps else "-"
        final = _theirs(scheduler, budget, x, schedule) if scheduler else None
        row[f"diffusers {budget}"] = "-" if final is None else _distance(final, end)
    return row


def _distance(x: Tensor, end: Tensor) -> str:
    return f"{float((x.double() - end).norm(dim=1).mean()):.1e}"


def _ours(name: str, spacing: str, steps: int, x: Tensor, schedule: Schedule) -> Tensor:
    times = grids.make(spacing, schedule, steps)
    *_, last = solvers.solve(name, LAW.denoiser(schedule), x, times, schedule)
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
        eps = (seen - alpha * LAW.posterior_mean(seen, alpha, sigma)) / sigma
        state = scheduler.step(eps.float(), t, state).prev_sample
    return state
