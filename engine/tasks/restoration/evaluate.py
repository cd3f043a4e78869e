"""Restoration beside the input and classical methods, on the same degraded pictures, in one run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine import metrics
from engine.tasks.measuring import Averages, mean_picture, pictures_in, timed

Restore = Callable[[np.ndarray, str, int, int], np.ndarray]
"""(degraded uint8 (H, W, 3), name of the degradation, samples, seed) -> uint8 (samples, H, W, 3)."""

SAMPLES = 4


def pictures_of(data: str | Path, limit: int | None = None) -> list[np.ndarray]:
    """PNG and JPEG pictures under `data`, uint8 (H, W, 3): of its folder kodak24 where it has one, of all otherwise.

    limit: at most so many, evenly spaced. In a folder that models are trained on, only the files held out from that.
    Raises InputError where there is none.
    """
    from engine.tasks.restoration.training import SOURCES

    folder = Path(data)
    return pictures_in(folder / "kodak24" if (folder / "kodak24").is_dir() else folder, limit, SOURCES)


def evaluate(restore: Restore, pictures: Sequence[np.ndarray], strength: float = 0.5) -> list[dict[str, Any]]:
    """One row per degradation and method: mean PSNR (dB) and SSIM, median seconds a picture. Pictures: uint8 (H, W, 3).

    Methods: the input as it is, the classical ones that make sense for the degradation, one sample of ours, the mean of
    four. The damage of picture i is drawn with seed i, and so are our samples.
    """
    from engine.tasks.restoration.degradations import NAMES, degrade

    averages = Averages("degradation", "method")
    for name in NAMES:
        methods = _methods(restore, name)
        for seed, clean in enumerate(pictures):
            bad = np.uint8(degrade(name, clean.astype(np.float32) / 255, strength, seed) * 255 + 0.5)
            for method, apply in methods.items():
                result, seconds = timed(apply, bad, seed)
                averages.add((name, method), {"psnr_db": metrics.psnr(result, clean),
                                              "ssim": metrics.ssim(result, clean), "seconds": seconds})
    return averages.rows(strength=strength)


def _methods(restore: Restore, degradation: str) -> dict[str, Callable[[np.ndarray, int], np.ndarray]]:
    from engine.tasks.restoration.baselines import METHODS, TRIED

    classical = {name: lambda bad, seed, apply=METHODS[name]: apply(bad) for name in TRIED[degradation]}
    return {"input": lambda bad, seed: bad} | classical | {
        "ours, 5 steps": lambda bad, seed: restore(bad, degradation, 1, seed)[0],
        f"ours, mean of {SAMPLES}": lambda bad, seed: mean_picture(restore(bad, degradation, SAMPLES, seed))}
