"""Rows of the evaluation beyond satellite pictures: photographs, the searched start, photographs in the dark."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from engine import metrics, models
from engine.io.pictures import Picture, to_pixels
from engine.recipe import Recipe
from engine.rng import Rng
from engine.tasks.measuring import Averages, mean_picture, pictures_in, timed
from engine.tasks.superres import dark, darkness, natural, starts
from engine.tasks.superres.scaling import enlarged, shrunk

Enlarge = Callable[..., np.ndarray]
"""(low uint8 (h, w, 3), options, samples, seed, **fields of the recipe) -> uint8 (samples, 4h, 4w, 3)."""

SIDE_PX = 128
SAMPLES = 8
STOPS = (1.0, 3.0, 5.0)
STEPS = (5, 10, 20)
_SETS = ("flowers", "kodak24")
_MOST = 8
_STARTS = 4
"""Random starts that a searched one is compared with, in the mean."""


def photographs_of(data: str | Path, limit: int | None = None) -> dict[str, list[np.ndarray]]:
    """Central squares of 128 px, uint8, by set: of held-out flowers and of Kodak's pictures, where they are there."""
    from engine.tasks.superres.dark_training import SOURCES
    from engine.training.pictures import centre

    most = _MOST if limit is None else min(limit, _MOST)
    return {name: [centre(picture, SIDE_PX) for picture in pictures_in(Path(data) / name, most, SOURCES)
                   if min(picture.shape[:2]) >= SIDE_PX]
            for name in _SETS if (Path(data) / name).is_dir()}


def of_photographs(enlarge: Enlarge, data: str | Path, limit: int | None = None) -> list[dict[str, Any]]:
    """Rows of photographs, averaged over 4 x 4 px and found again. Figures as in `evaluate.evaluate`.

    consistency: root mean square difference, in grey levels, between the result's averages and the input. ours: the
    upsampler with texture 0 (estimate) and 1 (samples), and the prior of flowers in 20 steps of each steering sampler.
    """
    methods: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
        "bicubic": lambda low, seed: natural.bicubic(low, 4),
        "bicubic, corrected": lambda low, seed: _corrected(low),
        "ours, estimate": lambda low, seed: enlarge(low, {"texture": 0.0}, 1, seed)[0],
        "ours, as the page": lambda low, seed: enlarge(low, {}, 1, seed)[0],
        "ours, one sample": lambda low, seed: enlarge(low, {"texture": 1.0}, 1, seed)[0],
        f"ours, mean of {SAMPLES}": lambda low, seed: mean_picture(enlarge(low, {"texture": 1.0}, SAMPLES, seed)),
    } | {f"flowers prior, {name}": lambda low, seed, name=name: enlarge(
        low, {"way": natural.STEERED}, 1, seed, solver=name, steps=20, spacing="uniform")[0]
        for name in natural.STEERERS}
    averages = Averages("kind", "method")
    for name, found in photographs_of(data, limit).items():
        for seed, sharp in enumerate(found):
            low = natural.averaged(sharp, natural.FACTOR)
            for method, apply in methods.items():
                result, seconds = timed(apply, low, seed)
                averages.add((f"photographs, {name}", method), _figures(result, sharp, low, seconds))
    return averages.rows()


def _corrected(low: np.ndarray) -> np.ndarray:
    """Bicubic, and the input's averages put right as in `natural`."""
    x, y = Picture(natural.bicubic(low, 4)).tensor(), Picture(low).tensor()
    measured = natural.AveragePool(4)
    return to_pixels(x + measured.pinv(y - measured.H(x)))[0]


def _figures(result: np.ndarray, sharp: np.ndarray, low: np.ndarray, seconds: float) -> dict[str, float]:
    return {"psnr_db": metrics.psnr(result, sharp), "ssim": metrics.ssim(result, sharp),
            "spectral_error": metrics.spectral_error(result, sharp),
            "high_spectral_error": metrics.spectral_error(result, sharp, high_only=True),
            "consistency": natural.misfit(result, low), "seconds": seconds}


def of_starts(pictures: Sequence[np.ndarray]) -> list[dict[str, Any]]:
    """Rows of one sample each from a random start (the mean of four), the searched one and zero, at equal steps.

    psnr_error_db: standard error over the pictures of the gain over the mean random start. None where no start was
    searched or no picture has the model's size.
    """
    if not starts.there():
        return []
    model = models.load(starts.MODEL)
    start, side = starts.of(model), model.card.resolution_px
    sharp = [picture for picture in pictures if picture.shape[:2] == (side, side)]
    rows = []
    for steps in STEPS if len(sharp) > 1 else ():
        random = [_run_from(model, Rng(seed, len(sharp)).normal(3, side, side), sharp, steps)
                  for seed in range(_STARTS)]
        zero, searched = (_run_from(model, noise.expand(len(sharp), -1, -1, -1), sharp, steps)
                          for noise in (torch.zeros_like(start.noise), start.noise))
        usual = np.mean([[figures["psnr_db"] for figures in found] for found in random], axis=0)
        drawn = [figures for found in random for figures in found]
        for name, found in (("random start", drawn), ("searched start", searched), ("zero start", zero)):
            averages = Averages("kind", "method")
            for figures in found:
                averages.add((f"start noise, {steps} steps", name), figures)
            gain = np.array([figures["psnr_db"] for figures in found[:len(sharp)]]) - usual
            error = {} if name == "random start" else {"psnr_error_db": round(float(gain.std(ddof=1)
                                                                                    / len(sharp)**0.5), 4)}
            rows += [row | {"pictures": len(sharp)} | error for row in averages.rows()]
    return rows


def _run_from(model, noise: torch.Tensor, sharp: Sequence[np.ndarray], steps: int) -> list[dict[str, float]]:
    """Figures of each picture (64, 64, 3), shrunk by four and found again from its start noise."""
    low = [shrunk(picture) for picture in sharp]
    mus = torch.cat([enlarged(Picture(small).tensor()) for small in low])
    found, seconds = timed(lambda: np.concatenate([to_pixels(starts.drawn(model, *part, steps))
                                                   for part in zip(noise.split(16), mus.split(16))]))
    return [_figures(result, truth, small, seconds / len(sharp)) for result, truth, small in zip(found, sharp, low)]


def of_darkness(data: str | Path, limit: int | None = None) -> list[dict[str, Any]]:
    """Rows of photographs recorded with 1, 3 and 5 stops too little light at half the side, found again.

    The classical methods work on the developed dark picture and enlarge what they get (bicubic). "known": brightened by
    the stops that are missing, as a camera knows them; all others judge the picture. consistency: against the record,
    brightened by the known stops.
    """
    model, averages = models.load(dark.MODEL), Averages("kind", "method")
    for name, found in photographs_of(data, limit).items():
        for stops in STOPS:
            for seed, sharp in enumerate(found):
                light = darkness.recorded(np.float32(sharp) / 255, stops, np.random.default_rng((seed, 0)))
                shown = np.uint8(darkness.brightened(light) * 255 + 0.5)
                for method, apply in _brighteners(model, seed).items():
                    result, seconds = timed(apply, light)
                    averages.add((f"dark {name}, {stops:g} stops", method), _figures(result, sharp, shown, seconds))
    return averages.rows()


def _brighteners(model, seed: int) -> dict[str, Callable[[darkness.Light], np.ndarray]]:
    """uint8 (2h, 2w, 3) of a record, by method."""
    from skimage import exposure, restoration

    def developed(light: darkness.Light) -> np.ndarray:
        return np.round(darkness.to_display(light.colour) * 255) / 255

    def enlarged_twice(display: np.ndarray) -> np.ndarray:
        return natural.bicubic(np.uint8(np.clip(display, 0, 1) * 255 + 0.5), dark.FACTOR)

    def judged(light: darkness.Light) -> darkness.Light:
        return darkness.Light(light.colour, light.mosaic, darkness.missing_stops(light.colour))

    def smoothed(display: np.ndarray) -> np.ndarray:
        noise = float(np.mean(restoration.estimate_sigma(display, channel_axis=-1)))
        return restoration.denoise_nl_means(display, patch_size=5, patch_distance=6, h=0.8 * noise, sigma=noise,
                                            fast_mode=True, channel_axis=-1)

    def ours(light: darkness.Light, texture: float, samples: int = 1) -> np.ndarray:
        recipe = Recipe(task="superres", solver="dpmpp_2m", steps=15, spacing="quadratic", samples=samples, seed=seed)
        with torch.no_grad():
            *_, last = dark.steps(model, recipe, darkness.condition(light), texture)
        return mean_picture(to_pixels(last.x))

    def equalised(display: np.ndarray) -> np.ndarray:
        parts = cv2.cvtColor(np.uint8(display * 255 + 0.5), cv2.COLOR_RGB2YCrCb)
        parts[..., 0] = cv2.equalizeHist(parts[..., 0])
        return cv2.cvtColor(parts, cv2.COLOR_YCrCb2RGB) / 255

    def gamma(display: np.ndarray) -> np.ndarray:
        return display ** (np.log(0.45) / np.log(np.clip(display.mean(), 1e-3, 0.999)))

    return {"gamma": lambda light: enlarged_twice(gamma(developed(light))),
            "histogram": lambda light: enlarged_twice(equalised(developed(light))),
            "CLAHE": lambda light: enlarged_twice(exposure.equalize_adapthist(developed(light), clip_limit=0.03)),
            "brightened": lambda light: enlarged_twice(darkness.brightened(judged(light))),
            "brightened, known": lambda light: enlarged_twice(darkness.brightened(light)),
            "non-local means, known": lambda light: enlarged_twice(smoothed(darkness.brightened(light))),
            "ours, estimate": lambda light: ours(judged(light), 0.0),
            "ours, estimate, known": lambda light: ours(light, 0.0),
            "ours, one sample, known": lambda light: ours(light, 1.0),
            f"ours, mean of {SAMPLES}, known": lambda light: ours(light, 1.0, SAMPLES)}
