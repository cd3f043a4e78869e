"""What a solver step costs beyond its tensor arithmetic, beside the same step of diffusers."""

from collections.abc import Callable

import torch
from torch import Tensor

from engine import grids, schedules, solvers
from engine.bench.diffusers_side import counterpart
from engine.bench.table import Row, Table, machine, medians_s
from engine.rng import Rng

STEPS = 20
SHAPE = (1, 3, 64, 64)

# Number of tensors in each linear combination of one step; "noise" adds the drawing of new noise.
_SUMS: dict[str, tuple[int | str, ...]] = {
    "ddim": (2,), "euler": (2,), "ddpm": (2, "noise"), "dpm_solver_2m": (2, 3), "dpmpp_2m": (3,), "dpmpp_3m": (4,),
    "sde_dpmpp_2m": (3, "noise"), "unipc_2": (3, 3), "unipc_3": (4, 4), "heun": (2, 3), "dpmpp_2s": (2, 3),
}


def measure(quick: bool) -> list[Table]:
    """One row per solver, milliseconds per step of a denoiser that costs nothing, set-up included.

    bare: the same sums of the same tensors with the same weights every step and no set-up. diffusers: the scheduler's
    `set_timesteps` and `step` for the same number of denoiser calls.
    """
    with torch.no_grad():
        rows = [_row(name, sums, quick) for name, sums in _SUMS.items()]
    return [Table(f"Overhead per solver step, ms, state {SHAPE}, {STEPS} steps, {machine('float32')}", rows)]


def _row(name: str, sums: tuple[int | str, ...], quick: bool) -> Row:
    schedule = schedules.vp_discrete("linear", 1000)
    rng = Rng(0, SHAPE[0])
    x, x0 = rng.normal(*SHAPE[1:]), rng.normal(*SHAPE[1:])
    times = grids.make("uniform", schedule, STEPS)

    def ours() -> None:
        for _ in solvers.solve(name, lambda x, t: x0, x, times, schedule, rng=rng):
            pass

    jobs = {"ours": ours, "bare": _bare(sums, x, x0, rng)}
    scheduler = counterpart(name)
    if scheduler is not None:
        calls = solvers.row(name).calls(STEPS) if name == "dpmpp_2s" else STEPS
        noise = {"generator": torch.Generator().manual_seed(0)} if "noise" in sums else {}

        def theirs() -> None:
            scheduler.set_timesteps(calls)
            state = x
            for t in scheduler.timesteps:
                state = scheduler.scale_model_input(state, t)
                state = scheduler.step(x0, t, state, **noise).prev_sample

        jobs["diffusers"] = theirs
    ms = {key: 1e3 * value / STEPS for key, value in medians_s(jobs, *((3, 0.0) if quick else (50, 3.0))).items()}
    return {"solver": name, "ours ms": round(ms["ours"], 4), "bare ms": round(ms["bare"], 4),
            "over bare ms": round(ms["ours"] - ms["bare"], 4),
            "diffusers ms": round(ms["diffusers"], 4) if "diffusers" in ms else None}


def _bare(sums: tuple[int | str, ...], x: Tensor, x0: Tensor, rng: Rng) -> Callable[[], None]:
    def run() -> None:
        for _ in range(STEPS):
            new = x
            for terms in sums:
                if terms == "noise":
                    new.add_(rng.normal_like(x), alpha=0.5)
                    continue
                new = torch.mul(new, 0.5).add_(x0, alpha=0.5)
                for _ in range(terms - 2):
                    new.add_(x0, alpha=0.5)

    return run
