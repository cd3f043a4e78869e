"""Training of contrast synthesis: slices before contrast, and of those after it either themselves or the difference."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator

from engine import metrics
from engine.tasks.contrast.data import BRIGHTEST, HELD_OUT, Case, split
from engine.tasks.contrast.jitter import varied
from engine.tasks.contrast.losses import TumourAware
from engine.tasks.contrast.sampling import SCHEDULE, condition, draw
from engine.tasks.contrast.targets import TARGETS, Target
from engine.training.spec import Batch, Spec

SIDE_PX = 128
COUNT = 4
_WIDTHS = (32, 64, 96, 160)
_TOLD = 0.3
"""Share of the training slices whose region is told: the rest is classifier-free."""
_JUDGED, _SHOWN, _SAMPLES = 12, 6, 4


def specs(data: Path) -> dict[str, Callable[[], Spec]]:
    """One model for each target, by name; the slices are read when one of them is taken."""
    return {target.model: partial(_spec, data, target) for target in TARGETS.values()}


def _spec(data: Path, target: Target) -> Spec:
    train, kept = split(data)
    judged = kept[len(kept) // (2 * _JUDGED)::max(1, len(kept) // _JUDGED)][:_JUDGED]
    return Spec(
        name=target.model, task="contrast", title=f"Contrast synthesis in brain MRI, {target.name}",
        kind="contrast_unet", schedule=SCHEDULE, prediction="x0", resolution_px=SIDE_PX,
        options={"base": target.base, "deviation": target.deviation, "spread": target.spread, "cond_channels": 2,
                 "widths": _WIDTHS, "depth": 1, "attention": 1},
        batch=partial(batch, train, target), validate=partial(validate, judged, target),
        sheet=partial(sheet, judged[::2][:_SHOWN], target), loss=TumourAware(target), learning_rate=1e-3, ema=0.995,
        data=f"brain_mri_contrast: slices of 2 patients, T1 before and after contrast; {HELD_OUT} is left out",
        licences="brain_mri_contrast CC BY 4.0",
        failures=("Learned from two patients: whatever is rare in them, such as a tumour that takes up contrast, is "
                  "missed or invented.",
                  "Uptake that leaves no trace in the picture before contrast cannot be known.",
                  "Skull-stripped axial brain slices only."))


def batch(train: Sequence[Case], target: Target, rng: Generator, progress: float) -> Batch:
    """4 slices of other heads and scanners than those in the files; see `TumourAware` for what `weight` holds."""
    chosen = [varied(train[index], rng) for index in rng.integers(len(train), size=COUNT)]
    cond = torch.cat([condition(case.before, case.region if rng.random() < _TOLD else None) for case in chosen])
    known = torch.from_numpy(np.stack([(case.before, case.after, np.float32(case.region)) for case in chosen]))
    before, after, _ = known.split(1, dim=1)
    return Batch(target.encode(after, before).clamp(-target.limit, target.limit), cond=cond, weight=known)


def validate(kept: Sequence[Case], target: Target, denoise) -> dict[str, float]:
    """On 12 slices of the patient left out: MAE, PSNR (dB), SSIM of no change, one sample and the mean of 4.

    Slices count from 0 to BRIGHTEST as from 0 to 1. Also the MAE within the regions, and all of it for runs that were
    told them.
    """
    drawn = _drawn(kept, target, denoise)
    known = _drawn(kept, target, denoise, region=True).mean(0)
    shown = {"no change": [case.before for case in kept], "one sample": drawn[0], f"mean of {_SAMPLES}": drawn.mean(0),
             "region told": known}
    scores = {}
    for name, found in shown.items():
        pairs = [(np.asarray(f) / BRIGHTEST, case.after / BRIGHTEST, case.region) for f, case in zip(found, kept)]
        scores[f"{name}, MAE"] = float(np.mean([metrics.mae(a, b) for a, b, _ in pairs]))
        scores[f"{name}, PSNR dB"] = float(np.mean([metrics.psnr(a, b) for a, b, _ in pairs]))
        scores[f"{name}, SSIM"] = float(np.mean([metrics.ssim(a, b) for a, b, _ in pairs]))
        scores[f"{name}, MAE in region"] = float(np.mean([metrics.mae(*p) for p in pairs if p[2].any()]))
    return {name: round(value, 4) for name, value in scores.items()}


def _drawn(kept: Sequence[Case], target: Target, denoise, region: bool = False) -> np.ndarray:
    cond = torch.cat([condition(case.before, case.region if region else None) for case in kept])
    return draw(denoise, target, cond, _SAMPLES).numpy()


def sheet(kept: Sequence[Case], target: Target, denoise) -> np.ndarray:
    """Rows: slices left out. Columns: before, one sample, mean of 4, the same with region told, truth; differences."""
    drawn, known = _drawn(kept, target, denoise), _drawn(kept, target, denoise, region=True).mean(0)
    rows = []
    for i, case in enumerate(kept):
        slices = [case.before, drawn[0, i], drawn[:, i].mean(0), known[i], case.after]
        changes = [values - case.before for values in slices[1:]]
        rows.append(np.concatenate([*(v / BRIGHTEST for v in slices), *((d + 1) / 2 for d in changes)], axis=1))
    grey = np.uint8(np.concatenate(rows).clip(0, 1) * 255 + 0.5)
    return np.repeat(grey[..., None], 3, axis=2)
