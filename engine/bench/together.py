"""What runs gain that share the batches of one network, and whether they still get the same pictures."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from engine import grids, solvers
from engine.bench.subject import Subject, choose
from engine.bench.table import Row, Table, machine, medians_s
from engine.denoisers import counted
from engine.rng import Rng
from engine.runtime import device, sharing

RUNS = (("ddim", 20), ("dpmpp_2m", 20), ("ddpm", 30), ("euler", 25), ("heun", 10), ("unipc_2", 12), ("dpmpp_3m", 15),
        ("sde_dpmpp_2m", 25))


def measure(quick: bool) -> list[Table]:
    """One row per picture size and precision: 8 runs with different solvers and steps one after another, and at once.

    calls: network calls of the runs at once, samples per call their mean batch; difference: largest between a run's
    final state alone and at once, for states around 1.
    """
    subject = choose(quick)
    precisions = dict.fromkeys((device.precision(device.choose()), torch.float32))
    sides = (subject.side_px,) if quick else sorted({subject.side_px, 64, 128})
    rows = [_row(subject, side_px, precision, quick) for side_px in sides for precision in precisions]
    return [Table(f"{len(RUNS)} runs sharing one network, {subject.title}, {machine('dtype as given')}", rows)]


def _row(subject: Subject, side_px: int, precision: torch.dtype, quick: bool) -> Row:
    count = counted(subject.denoiser(subject.runner(precision)))
    network = sharing.shared(count)
    finals: dict[str, list[Tensor]] = {}
    calls: dict[str, int] = {}

    def job(name: str, runs: Callable[..., list[Tensor]]) -> Callable[[], None]:
        def go() -> None:
            count.calls = 0
            finals[name] = runs(subject, network, side_px, quick)
            calls[name] = count.calls

        return go

    jobs = {"alone": job("alone", _one_after_another), "at once": job("at once", _at_once)}
    found = medians_s(jobs, 1 if quick else 3)
    difference = max(float((a - b).abs().max()) for a, b in zip(finals["alone"], finals["at once"], strict=True))
    return {"px": side_px, "dtype": str(precision).removeprefix("torch."),
            "one after another s": round(found["alone"], 3), "at once s": round(found["at once"], 3),
            "throughput": round(found["alone"] / found["at once"], 2),
            "calls": calls["at once"], "samples per call": round(calls["alone"] / calls["at once"], 2),
            "difference": float(f"{difference:.1e}")}


def _one_after_another(subject: Subject, network: sharing.Denoiser, side_px: int, quick: bool) -> list[Tensor]:
    return [_run(subject, network, side_px, k, quick) for k in range(len(RUNS))]


def _at_once(subject: Subject, network: sharing.Denoiser, side_px: int, quick: bool) -> list[Tensor]:
    with ThreadPoolExecutor(len(RUNS)) as pool:
        return list(pool.map(lambda k: _run(subject, network, side_px, k, quick), range(len(RUNS))))


def _run(subject: Subject, network: sharing.Denoiser, side_px: int, k: int, quick: bool) -> Tensor:
    solver, steps = RUNS[k]
    rng, conditions = Rng(k, 1), subject.conditions(1, side_px, seed=k)
    times = grids.make("uniform", subject.schedule, max(2, steps // 5) if quick else steps)

    def denoise(x_t: Tensor, t: float) -> Tensor:
        return network(x_t, t, **conditions)

    with torch.no_grad():
        *_, last = solvers.solve(solver, denoise, rng.normal(3, side_px, side_px), times, subject.schedule, rng=rng)
    return last.x
