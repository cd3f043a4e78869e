"""Super-resolution by four beside classical methods and a regression network of equal size, in one run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine import metrics
from engine.tasks.measuring import Averages, mean_picture, pictures_in, timed
from engine.tasks.superres.scaling import cropped, shrunk

Upscale = Callable[[np.ndarray, str, int, int], np.ndarray]
"""(low uint8 (h, w, 3), method of the task, samples, seed) -> uint8 (samples, 4h, 4w, 3)."""

SAMPLES = 8
_MOST = 100


def pictures_of(data: str | Path, limit: int | None = None) -> list[np.ndarray]:
    """Sharp pictures, uint8 (H, W, 3), sides multiples of four: up to 100, evenly spaced, or up to `limit`.

    From the folder eurosat_rgb of `data` where it has one, else from all of it; of the land covers that the models are
    trained on, only the files held out. Raises InputError where there is none.
    """
    from engine.tasks.superres.training import CLASSES, SOURCES

    folder = Path(data)
    folder = folder / SOURCES[0] if (folder / SOURCES[0]).is_dir() else folder
    return [cropped(picture) for picture in pictures_in(folder, _MOST if limit is None else limit, CLASSES)]


def evaluate(upscale: Upscale, pictures: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """One row per method, means over the pictures, uint8 (H, W, 3).

    psnr_db, ssim, spectral_error (0.3 is a factor of two), high_spectral_error (its top third of frequencies): against
    the sharp picture. consistency: root mean square difference, in grey levels, between the result shrunk again and
    what the method was given. coverage: share of the sharp values within the range of 8 samples; perfect samples of
    continuous values have 7/9. seconds: median, for all samples. Our samples of picture i have seed i.
    """
    from engine.tasks.superres.baselines import METHODS

    averages = Averages("method")
    for seed, sharp in enumerate(pictures):
        low = shrunk(sharp)
        for name, apply in METHODS.items():
            averages.add((name,), _figures(*timed(apply, low), sharp, low))
        for name, method in (("regression, equal size", "regression"), ("ours, one sample", "diffusion")):
            answers, seconds = timed(upscale, low, method, 1, seed)
            averages.add((name,), _figures(answers[0], seconds, sharp, low))
        samples, seconds = timed(upscale, low, "diffusion", SAMPLES, seed)
        averages.add((f"ours, mean of {SAMPLES}",),
                     _figures(mean_picture(samples), seconds, sharp, low) | {"coverage": _coverage(samples, sharp)})
    return averages.rows()


def _figures(result: np.ndarray, seconds: float, sharp: np.ndarray, low: np.ndarray) -> dict[str, float]:
    return {"psnr_db": metrics.psnr(result, sharp), "ssim": metrics.ssim(result, sharp),
            "spectral_error": metrics.spectral_error(result, sharp),
            "high_spectral_error": metrics.spectral_error(result, sharp, high_only=True),
            "consistency": inconsistency(result, low), "seconds": seconds}


def inconsistency(result: np.ndarray, low: np.ndarray) -> float:
    """Root mean square difference, in grey levels of 255, between the result (4h, 4w, 3) shrunk again and `low`."""
    return float(np.sqrt(np.mean((shrunk(result).astype(np.float64) - low) ** 2)))


def _coverage(samples: np.ndarray, sharp: np.ndarray) -> float:
    return float(np.mean((samples.min(0) <= sharp) & (sharp <= samples.max(0))))
