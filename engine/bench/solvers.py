"""Every solver of ours and every comparable scheduler of diffusers at equal numbers of denoiser calls."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from engine import exact, grids, models, solvers
from engine.bench.contest import Contest, Entry, ours, theirs
from engine.bench.kernel_distance import features, kernel_distance
from engine.bench.table import Row, Table
from engine.rng import Rng
from engine.tasks.laboratory import problems, runs
from engine.training import pictures

BUDGETS = (5, 6, 8, 10, 12, 15, 20, 30, 50)
MODEL_BUDGETS = (5, 8, 10, 15, 20)
SUMMARY = (5, 10, 20)
MODEL = "flowers"
SEED = 20_240_117
"""Of the start noise. Searched plans are fitted on other seeds, and on other components (`problems.fitting`)."""
_DRAWS = {"mixture": 256, "patches": 128}
_FINE_STEPS = 1000
_PICTURES = 128
_QUICK_SPACINGS = ("log_snr", grids.SEARCHED)
_MODEL_SPACINGS = ("uniform", "karras", "log_snr", grids.SEARCHED)
# Methods that are worth their time on the model; the others are told apart on the laws.
_ON_MODEL = {"ours": ("ddim", "dpmpp_2m", "dpmpp_3m", "unipc_2", "unipc_3", "dpm_solver_v3", "usf"),
             "diffusers": ("DDIM", "DPM-Solver++ 2M", "DPM-Solver++ 3M", "UniPC-2 bh2", "UniPC-3 bh2", "DEIS-2")}


def measure(quick: bool, data: Path | None = None) -> list[Table]:
    """Summary first, then one table per problem: the mean distance from the exact end by number of denoiser calls.

    Problems: the mixture in the plane and the 64-dimensional patches of `engine.exact` in float64 (diffusers' own
    arithmetic is float32, 1e-6 here), both with the exact denoiser on the discrete linear schedule of 1000 steps, from
    the same standard normal noise to zero noise; and the shipped flowers model, whose end is its own fine solution.
    Calls are counted in the denoiser; a solver with several calls per step makes the most steps that fit. A row stands
    for a method and a spacing; of its other settings the best counts at each number of calls, on either side. With
    `data`, a folder with the flowers pictures of which the held-out ones are used, also the kernel distance of the
    model's samples to them.
    """
    tables, summary = [], []
    contests = [(law(name, quick), BUDGETS[:4:3] if quick else BUDGETS, None) for name in _DRAWS]
    if MODEL in models.names():
        contests.append((model(2, 20) if quick else model(8), MODEL_BUDGETS[:1] if quick else MODEL_BUDGETS, _ON_MODEL))
    for contest, budgets, chosen in contests:
        scores = _scores(contest, budgets, chosen, quick)
        summary += _summary(contest, scores, [budget for budget in budgets if budget in SUMMARY])
        title = f"{contest.problem.title}: {contest.problem.unit}, by denoiser calls, {len(contest.x)} samples"
        tables.append(Table(title, _rows(scores, budgets)))
    head = Table("Best of ours beside the best of diffusers, by denoiser calls", summary)
    kernel = [_kernel_table(data, quick)] if data is not None and MODEL in models.names() else []
    return [head, *tables, *kernel]


def law(name: str, quick: bool = False) -> Contest:
    """The contest on a known law."""
    problem = problems.load(name)
    x = problem.noise(Rng(SEED, 8 if quick else _DRAWS[name]))
    denoise = problem.denoiser()
    return Contest(problem, denoise, x, exact.solution(denoise, x, problem.trained, 100 if quick else _FINE_STEPS))


def model(samples: int, fine_steps: int = runs.FINE_STEPS) -> Contest:
    """The contest on the shipped model, of no class and without guidance; its reference takes fine_steps steps."""
    problem = problems.load(MODEL)
    x, denoise = problem.noise(Rng(SEED, samples)), problem.denoiser()
    times = grids.make("log_snr", problem.trained, fine_steps)
    with torch.no_grad():
        *_, last = solvers.solve("dpmpp_3m", denoise, x, times, problem.trained, consistent=True)
    return Contest(problem, denoise, x, last.x)


Scores = dict[Entry, dict[int, float | None]]


def _scores(contest: Contest, budgets: Sequence[int], chosen: dict[str, tuple[str, ...]] | None, quick: bool) -> Scores:
    """Errors by entry and budget; None where the entry cannot run or fails."""
    variants = not quick and chosen is None
    entries: Iterable[Entry] = (*ours(variants), *theirs(variants))
    if quick:
        entries = [e for e in entries if e.spacing in _QUICK_SPACINGS]
    if chosen is not None:
        kept = chosen if not quick else {side: names[1:2] for side, names in chosen.items()}
        entries = [e for e in entries if e.name in kept[e.side] and e.spacing in _MODEL_SPACINGS]
    return {entry: {budget: contest.error(entry, budget) for budget in budgets} for entry in entries}


def _rows(scores: Scores, budgets: Sequence[int]) -> list[Row]:
    """One row per side, method and spacing: the best of its entries at each number of calls."""
    groups: dict[tuple[str, str, str], list[dict[int, float | None]]] = {}
    for entry, found in scores.items():
        groups.setdefault((entry.side, entry.method, entry.spacing), []).append(found)
    rows = []
    for (side, method, spacing), found in groups.items():
        best = {budget: min((f[budget] for f in found if f[budget] is not None), default=None) for budget in budgets}
        if any(value is not None for value in best.values()):
            rows.append({"side": side, "method": method, "spacing": spacing}
                        | {str(budget): _rounded(value) for budget, value in best.items()})
    return rows


def _summary(contest: Contest, scores: Scores, budgets: Sequence[int]) -> list[Row]:
    rows = []
    for budget in budgets:
        best = {}
        for side in ("ours", "diffusers"):
            best[side] = min(((found[budget], entry.title) for entry, found in scores.items()
                              if entry.side == side and found[budget] is not None))
        (own, own_title), (other, other_title) = best["ours"], best["diffusers"]
        rows.append({"problem": contest.problem.name, "calls": budget, "best of ours": own_title,
                     "error of ours": _rounded(own), "best of diffusers": other_title,
                     "error of diffusers": _rounded(other), "ours / diffusers": round(own / other, 3)})
    return rows


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.3g}")


def _kernel_table(data: Path, quick: bool) -> Table:
    """Kernel distance of the model's samples to held-out pictures, with what pictures of the same kind have."""
    real = features(_held_out(data, problems.load(MODEL).shape[-1]))
    # Every other one: the files are sorted by class.
    rows = [_kernel_row("held-out pictures, one half against the other", 0, real[::2], real[1::2])]
    contest = model(4 if quick else _PICTURES, fine_steps=1)
    wanted = {"ours": ("dpmpp_2m", "unipc_3", "usf"), "diffusers": ("DPM-Solver++ 2M", "UniPC-3 bh2")}
    entries = [e for e in (*ours(False), *theirs(False)) if e.spacing in ("log_snr", grids.SEARCHED)
               and e.name in wanted[e.side]]
    for entry in entries[:1 if quick else None]:
        for calls in SUMMARY[:1] if quick else SUMMARY:
            final = contest.sample(entry, calls)
            if final is not None:
                rows.append(_kernel_row(f"{entry.side}: {entry.title}", calls, features(final), real))
    count = f"{len(contest.x)} samples of the {MODEL} model to {len(real)} held-out pictures"
    return Table(f"Kernel distance (1000 MMD^2, random features) of {count}", rows)


def _kernel_row(name: str, calls: int, x: Tensor, y: Tensor) -> Row:
    mean, spread = kernel_distance(x, y)
    return {"pictures": name, "calls": calls, "distance": round(mean, 2), "deviation": round(spread, 2)}


def _held_out(data: Path, side_px: int) -> Tensor:
    """Central squares of the flowers pictures that training held out, (B, 3, side, side) in [-1, 1]."""
    from PIL import Image

    found = pictures.read([path for path in pictures.files(data, (MODEL,)) if pictures.held_out(path)])
    squares = [Image.fromarray(pictures.centre(picture, min(picture.shape[:2]))) for picture in found]
    return pictures.to_tensor([np.asarray(s.resize((side_px, side_px), Image.Resampling.BOX)) for s in squares])
