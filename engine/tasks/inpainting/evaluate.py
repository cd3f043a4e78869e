"""Inpainting beside classical methods, on the same holes in the same pictures, in one run."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine import metrics
from engine.tasks.measuring import Averages, mean_picture, pictures_in, timed

Inpaint = Callable[[np.ndarray, np.ndarray, int, int, float], np.ndarray]
"""(picture uint8 (H, W, 3), hole bool (H, W), samples, seed, diversity) -> uint8 (samples, H, W, 3)."""

HOLES = ("thin", "free_form", "centre_box")
SAMPLES = 8
CROP_PX = 128
# Large holes in whole pictures take the biharmonic method seconds each; few pictures are enough to see the difference.
_MOST_CROPS, _MOST_WHOLE = 24, 6
_UNSEEN = 127


def sets_of(data: str | Path, limit: int | None = None) -> dict[str, list[np.ndarray]]:
    """Pictures to measure on, uint8 (H, W, 3), by the name of their set.

    From the folders flowers and kodak24 under `data`, or from `data` itself where it has neither: the central square of
    128 px of up to 24 pictures; of kodak24 also up to 6 pictures whole. In a folder that models are trained on, only
    files held out from that count. limit: at most so many of each set. Raises InputError where there is no picture.
    """
    from engine.tasks.inpainting.training import SOURCES

    folder = Path(data).resolve()
    places = [folder / name for name in ("flowers", "kodak24") if (folder / name).is_dir()] or [folder]
    crops, whole = (count if limit is None else min(limit, count) for count in (_MOST_CROPS, _MOST_WHOLE))
    sets = {f"{place.name}, {CROP_PX} px": [_central(picture) for picture in pictures_in(place, crops, SOURCES)]
            for place in places}
    if places[-1].name == "kodak24":
        sets["kodak24, whole"] = pictures_in(places[-1], whole)
    return sets


def evaluate(inpaint: Inpaint, data: str | Path, limit: int | None = None) -> list[dict[str, Any]]:
    """`measure` on `sets_of(data, limit)`."""
    return measure(inpaint, sets_of(data, limit))


def measure(inpaint: Inpaint, sets: Mapping[str, Sequence[np.ndarray]]) -> list[dict[str, Any]]:
    """One row per set, kind of hole and method, means over the pictures of the set.

    psnr_db, ssim: on the hole. spectral_error: on the square around it. boundary_jump: see `metrics`. seconds: median,
    for all samples. Methods: smooth fill (what our model starts from), biharmonic, Telea, and of ours one sample, the
    one estimate of diversity 0, and the mean of eight samples (of the usual diversity). The hole in picture i is drawn
    with seed i, and so are our samples. Nobody sees the pixels under the hole.
    """
    from engine.tasks.inpainting import masks
    from engine.tasks.inpainting.baselines import BASELINES
    from engine.tasks.inpainting.paths import DIVERSITY

    methods = {"smooth fill": lambda holed, hole, seed: _smooth(holed, hole)}
    methods |= {name: lambda holed, hole, seed, apply=apply: apply(holed, hole) for name, apply in BASELINES.items()}
    methods["ours, one sample"] = lambda holed, hole, seed: inpaint(holed, hole, 1, seed, DIVERSITY)[0]
    methods["ours, one estimate"] = lambda holed, hole, seed: inpaint(holed, hole, 1, seed, 0.0)[0]
    methods[f"ours, mean of {SAMPLES}"] = lambda holed, hole, seed: mean_picture(
        inpaint(holed, hole, SAMPLES, seed, DIVERSITY))

    averages = Averages("set", "hole", "method")
    for name, pictures in sets.items():
        for kind in HOLES:
            for seed, truth in enumerate(pictures):
                hole = masks.draw(kind, np.random.default_rng(seed), *truth.shape[:2])
                holed = np.where(hole[..., None], np.uint8(_UNSEEN), truth)
                for method, apply in methods.items():
                    result, seconds = timed(apply, holed, hole, seed)
                    averages.add((name, kind, method), _figures(result, truth, hole) | {"seconds": seconds})
    return averages.rows()


def _figures(result: np.ndarray, truth: np.ndarray, hole: np.ndarray) -> dict[str, float]:
    return {"psnr_db": metrics.psnr(result, truth, hole), "ssim": metrics.ssim(result, truth, hole),
            "spectral_error": metrics.spectral_error(result, truth, hole),
            "boundary_jump": metrics.boundary_jump(result, truth, hole)}


def _smooth(holed: np.ndarray, hole: np.ndarray) -> np.ndarray:
    import torch

    from engine.io.pictures import Picture, to_pixels
    from engine.tasks.inpainting.fill import smooth_fill

    known = torch.from_numpy(~hole).float()[None, None]
    return np.where(hole[..., None], to_pixels(smooth_fill(Picture(holed).tensor(), known))[0], holed)


def _central(picture: np.ndarray) -> np.ndarray:
    """The central square of 128 px, or of the shorter side where that is less."""
    from engine.training.pictures import centre

    return np.ascontiguousarray(centre(picture, min(CROP_PX, *picture.shape[:2])))
