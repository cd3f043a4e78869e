"""Contrast synthesis beside classical guesses, on the patient that no model was trained on, in one run."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from engine import metrics
from engine.tasks.contrast.baselines import Guess
from engine.tasks.contrast.data import BRIGHTEST, LEAST_UPTAKE, Case
from engine.tasks.contrast.targets import TARGETS
from engine.tasks.measuring import timed

SAMPLES = 8
Synthesise = Callable[[Case, str, bool, int, int], np.ndarray]
"""(slice, target, whether the region is told, samples, seed) -> slices after contrast (samples, H, W)."""
_MEDIAN = ("seconds",)


def evenly(cases: Sequence[Case], limit: int | None) -> list[Case]:
    """At most `limit` of the slices, evenly spaced."""
    count = len(cases) if limit is None else min(limit, len(cases))
    return [cases[(2 * i + 1) * len(cases) // (2 * count)] for i in range(count)]


def evaluate(synthesise: Synthesise, guesses: Mapping[str, Guess], cases: Sequence[Case]) -> list[dict[str, Any]]:
    """One row per method; `guesses` are named classical ones. Means over the slices of one patient.

    mae, psnr_db, ssim: brightness from 0 to BRIGHTEST counts as 0 to 1. region_*: within the enhancing region, which is
    derived from the true difference by threshold and morphology, no expert drew it; slices without one are skipped.
    told "region": the model was given that region, so it says how much is added, not whether the region is found.
    recall: share of the region where half the least uptake is predicted; coverage: share of the true values within the
    range of 8 samples (7/9 if perfect). seconds: median for all samples. Samples of slice i have seed i.
    """
    rows = []
    for name, guess in guesses.items():
        rows.append(_row(name, "", "nothing", 1, [_answer(_guessed, case, guess) for case in cases]))
    for target in TARGETS:
        for told, samples in (("nothing", 1), ("nothing", SAMPLES), ("region", SAMPLES)):
            answers = [_answer(synthesise, case, target, told == "region", samples, seed)
                       for seed, case in enumerate(cases)]
            name = "one sample" if samples == 1 else f"mean of {samples}"
            rows.append(_row(f"ours, {target}, {name}", target, told, samples, answers))
    return rows


def _answer(job: Callable[..., np.ndarray], case: Case, *given: Any) -> dict[str, float]:
    found, seconds = timed(job, case, *given)
    return _figures(found, case) | {"seconds": seconds}


def _guessed(case: Case, guess: Guess) -> np.ndarray:
    return guess(case.before)[None]


def _row(name: str, target: str, told: str, samples: int, figures: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """Means of the figures over the slices that have them; of the seconds the median."""
    known = {key: [figure[key] for figure in figures if np.isfinite(figure.get(key, np.nan))]
             for key in dict.fromkeys(key for figure in figures for key in figure)}
    means = {key: round(float((np.median if key in _MEDIAN else np.mean)(values)), 4) for key, values in known.items()
             if values}
    return {"method": name, "target": target, "told": told, "samples": samples} | means | {"slices": len(figures)}


def _figures(found: np.ndarray, case: Case) -> dict[str, float]:
    """Figures of one slice from the samples (N, H, W); those of the region are left out where there is none."""
    result, truth = found.mean(0) / BRIGHTEST, case.after / BRIGHTEST
    measured = {"mae": metrics.mae(result, truth), "psnr_db": metrics.psnr(result, truth),
                "ssim": metrics.ssim(result, truth)}
    if case.region.any():
        measured |= {"region_mae": metrics.mae(result, truth, case.region),
                     "region_psnr_db": metrics.psnr(result, truth, case.region),
                     "region_ssim": metrics.ssim(result, truth, case.region),
                     "recall": recall(found.mean(0), case)}
    if len(found) > 1:
        head = case.before > 0
        inside = (found.min(0) <= case.after) & (case.after <= found.max(0))
        measured["coverage"] = float(inside[head].mean())
    return measured


def recall(found: np.ndarray, case: Case) -> float:
    """Share of the enhancing region in which the slice (H, W) shows at least half of the least uptake of a region."""
    return float(np.mean((found - case.before)[case.region] >= LEAST_UPTAKE / 2))
