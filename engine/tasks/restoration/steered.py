"""The other way of restoration: a prior that never saw damage, steered by a measurement whose physics is known.

The central square of a picture is shrunk to the prior's size, measured, and found again from the measurement alone, so
that methods can be compared where the truth is known.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from engine import models, steering
from engine.io.pictures import Picture, to_pixels
from engine.recipe import Recipe
from engine.step import Step
from engine.tasks import pictures, priors
from engine.tasks.base import Result, Setting
from engine.tasks.inverse import judging, measurements, solving
from engine.training.flowers import CLASSES
from engine.training.pictures import centre

PRIOR, ANY = "flowers", "any"
SETTINGS = (
    Setting("measurement", "What is measured", "The picture's central square, made small, is measured so and found "
            "again.", "small4", measurements.names(), tuple(measurements.kind(n).title for n in measurements.names())),
    Setting("noise", "Noise of the measurement", "Standard deviation, where black and white are 2 apart.", 0.04,
            minimum=0.0, maximum=1.0, step=0.01),
    Setting("flower", "Flower", "What the prior is told to paint. Guidance sets how strongly.", ANY, (ANY, *CLASSES),
            ("Any", *(name.capitalize() for name in CLASSES))),
    *priors.SETTINGS,
)
SAMPLERS = tuple(row.name for row in steering.catalogue())
_SHOWN_PX = 256


def samplers(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the steering samplers that can serve the measurement with its noise."""
    kind = measurements.kind(options.get("measurement", SETTINGS[0].default))
    offers, noise = kind.make(32).offers, options.get("noise", SETTINGS[1].default)
    return tuple(row.name for row in steering.catalogue() if row.needs in offers and (row.noisy or not noise))


def run(given: Picture, recipe: Recipe) -> Iterator[Step | Result]:
    """Yield the steps, enlarged, and the Result: samples, mean, spread, input (what was measured) and reference.

    Pictures are enlarged without smoothing. The metrics are `judging.figures`.
    """
    options = {setting.name: setting.default for setting in SETTINGS} | dict(recipe.options)
    model = models.load(recipe.model if recipe.model not in ("", "restoration") else PRIOR)
    side = model.card.resolution_px
    case = solving.measured(_square(given, side), options["measurement"], recipe.seed, float(options["noise"]))
    told = options["flower"] if model.card.classes else ANY
    step = None
    for step in solving.solve(case, model, recipe, None if told == ANY else CLASSES.index(told)):
        yield replace(step, x=_enlarged(step.x), x0=_enlarged(step.x0))
    weights = getattr(step, "log_weights", None)
    share = None if weights is None else weights.softmax(0)
    seen = measurements.shown(case.measurement, case.y)
    found = pictures.arrays(to_pixels(_enlarged(step.x)), input=to_pixels(_enlarged(seen))[0],
                            reference=to_pixels(_enlarged(case.truth))[0])
    notes = (*given.notes, f"The central square was worked on at {side} px and is shown enlarged.")
    yield Result(found, _named(judging.figures(step.x, case.truth, case.y, case.measurement, case.noise, share)),
                 pictures.completed(recipe, model, (side, side)), notes)


def _square(given: Picture, side: int) -> Tensor:
    import cv2

    square = centre(given.pixels, min(given.size))
    return Picture(cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)).tensor()


def _enlarged(x: Tensor) -> Tensor:
    """By a whole factor to about 256 px, (B, 3, H, W)."""
    factor = max(1, _SHOWN_PX // x.shape[-1])
    return x.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


_NAMES = {"consistency": ("Misfit to the measurement (1 is its noise; without noise a share)", 3),
          "spread": ("Mean spread of the samples", 3), "psnr_db": ("PSNR of the result (dB)", 2),
          "psnr_mean_db": ("PSNR of the mean (dB)", 2), "ssim": ("SSIM of the result", 4),
          "ssim_mean": ("SSIM of the mean", 4), "spectral_error": ("Spectral error of the result", 3),
          "coverage": ("Truth inside the 90 % interval", 3)}


def _named(figures: Mapping[str, float]) -> dict[str, float]:
    return {title: round(figures[name], digits) for name, (title, digits) in _NAMES.items()
            if name in figures and np.isfinite(figures[name])}
