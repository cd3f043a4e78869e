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
from engine.steering import particles
from engine.steering.particles import ParticleStep
from engine.step import Step
from engine.tasks import pictures, priors
from engine.tasks.base import Array, Result, Setting
from engine.tasks.inverse import judging, measurements, solving
from engine.training.flowers import CLASSES

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
_GREY_LEVELS = 255


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
    case = solving.measured(solving.square(given, side), options["measurement"], recipe.seed, float(options["noise"]))
    told = options["flower"] if model.card.classes else ANY
    step = None
    for step in solving.solve(case, model, recipe, None if told == ANY else CLASSES.index(told)):
        yield replace(step, x=_enlarged(step.x), x0=_enlarged(step.x0))
    seen = measurements.shown(case.measurement, case.y)
    others = {"input": to_pixels(_enlarged(seen))[0], "reference": to_pixels(_enlarged(case.truth))[0]}
    found, told = _weighted(step, others) if isinstance(step, ParticleStep) else (
        pictures.arrays(to_pixels(_enlarged(step.x)), **others), ())
    notes = (*given.notes, f"The central square was worked on at {side} px and is shown enlarged.", *told)
    yield Result(found, _named(judging.of(step, case)), pictures.completed(recipe, model, (side, side)), notes)


def _weighted(step: ParticleStep, others: Mapping[str, np.ndarray]) -> tuple[dict[str, Array], tuple[str, ...]]:
    """The arrays of an ensemble, the particles that count most first, and what people must know of their weights."""
    order = step.log_weights.argsort(descending=True, stable=True)
    x, log_weights = _enlarged(step.x[order].clamp(-1, 1)), step.log_weights[order]
    found = pictures.arrays(to_pixels(x), **others)
    if len(x) == 1:
        return found, ()
    found["mean"] = replace(found["mean"], values=to_pixels(particles.mean(x, log_weights)[None])[0])
    spread = particles.spread(x, log_weights).mean(0) * _GREY_LEVELS / 2
    found["spread"] = replace(found["spread"], values=spread.float().cpu().numpy())
    shares = ", ".join(f"{100 * share:.0f} %" for share in log_weights.softmax(0).tolist())
    told = (f"The particles are in the order of their weights: {shares}. Mean and spread are weighted.",
            particles.note(log_weights, particles.effective_size(log_weights)))
    return found, tuple(line for line in told if line)


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
