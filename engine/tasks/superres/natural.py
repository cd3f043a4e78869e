"""Photographs, four or two times finer: by a learned upsampler or a steered prior, in agreement with what was given.

What is given counts as averages over blocks of pixels, y = H x. The upsampler was trained so; both ways correct each
estimate by x + P(y - H x), P repeating pixels, so that the result, averaged again, is the input.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from engine import grids, models, samplers, steering, tiles
from engine.denoisers import residual_shift
from engine.errors import InputError
from engine.io.pictures import Picture, to_pixels
from engine.models.model import Model
from engine.recipe import Recipe
from engine.rng import Rng
from engine.steering import AveragePool
from engine.step import Step
from engine.tasks import pictures, priors
from engine.tasks.base import Result, Setting

UPSAMPLER, PRIOR = "flowers_x4", "flowers"
LEARNED, STEERED = "upsampler", "steered"
FACTOR = 4
"""Of the upsampler. To make a picture twice as fine, its result is averaged over 2 x 2 px."""
STEERERS = ("ddnm", "diffpir", "pigdm")
STEERED_PX = 256
"""Longest side of what the steered prior makes: it works on squares of 32 px, all of them in every step."""
_OVERLAP = 4
"""The part of a square's side, one in so many, that it shares with its neighbour."""
SETTINGS = (
    Setting("way", "Method", "A model trained to enlarge photographs: more faithful than bicubic on flowers, hardly so "
            "on others, sharper on all. Or a prior of small flower pictures, steered by the input: a comparison of "
            "methods, sharp and less faithful than bicubic.", LEARNED, (LEARNED, STEERED),
            ("Learned upsampler", "Steered flowers prior")),
    Setting("times", "How much finer", "The side of the result, in sides of the input.", "4", ("4", "2"),
            ("Four times", "Twice")),
    Setting("agree", "Agree with the input", "Corrects every estimate so that the result, made small again by "
            "averages, is the input.", True),
    Setting("texture", "Texture", "Share of the start noise. 0 gives the most faithful estimate, which is smooth; 1 "
            "draws texture that may have been there.", 0.3, minimum=0.0, maximum=1.0, step=0.05),
)


def relevant(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the settings that have an effect."""
    return ("way", "times") if options.get("way") == STEERED else ("way", "times", "agree", "texture")


def solvers(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Those that the residual schedule allows, or the steering samplers that were measured here."""
    return STEERERS if options.get("way") == STEERED else pictures.solver_names()


def cropped(pixels: np.ndarray, factor: int) -> np.ndarray:
    """(H, W, 3) without the last rows and columns beyond a multiple of the factor."""
    height, width = (side // factor * factor for side in pixels.shape[:2])
    return pixels[:height, :width]


def averaged(sharp: np.ndarray, factor: int) -> np.ndarray:
    """uint8 (H, W, 3), sides multiples of the factor, averaged over blocks and rounded to 8 bits."""
    return to_pixels(AveragePool(factor).H(Picture(sharp).tensor()))[0]


def bicubic(low: np.ndarray, factor: int) -> np.ndarray:
    """uint8 (h, w, 3) enlarged by a factor, Keys 1981 with a = -1/2: what ours stands beside."""
    return to_pixels(F.interpolate(Picture(low).tensor(), scale_factor=factor, mode="bicubic", antialias=True))[0]


def misfit(result: np.ndarray, low: np.ndarray) -> float:
    """||H x - y||: root mean square, in grey levels of 255, of the result averaged to the size of `low` and `low`."""
    factor = result.shape[0] // low.shape[0]
    found = result.reshape(low.shape[0], factor, low.shape[1], factor, 3).mean((1, 3))
    return float(np.sqrt(np.mean((found - low) ** 2)))


def run(given: Picture, recipe: Recipe, options: Mapping[str, Any]) -> Iterator[Step | Result]:
    """Yield the steps and at last a Result with arrays input (bicubic), samples, and mean, spread, reference.

    options: those of the recipe with the defaults of the rest. Raises InputError.
    """
    factor, played = int(options["times"]), bool(options["play"])
    sharp = cropped(given.pixels, factor) if played else None
    low = given.pixels if sharp is None else averaged(sharp, factor)
    size = factor * low.shape[0], factor * low.shape[1]
    pictures.fits(recipe.samples, size)
    steered = options["way"] == STEERED
    model = models.load(PRIOR if steered else UPSAMPLER)
    y = Picture(low).tensor()
    way = _steered(model, recipe, y, factor) if steered else _upsampled(model, recipe, options, y, factor)
    step = None
    for step in way:
        yield step
    before = bicubic(low, factor)
    found = pictures.arrays(to_pixels(step.x), input=before, **({"reference": sharp} if played else {}))
    measured = pictures.scores(found, sharp, before) if played else {}
    first = found["samples"].values[0]
    notes = (*given.notes, "Averaged to its size again, the first sample differs from the input by "
             f"{misfit(first, low):.1f} of 255 grey levels (root mean square), bicubic by {misfit(before, low):.1f}.")
    if recipe.samples > 1 and not steered and not options["texture"]:
        notes = (*notes, "With texture 0 all samples are equal. Raise it to see what else fits.")
    yield Result(found, measured, pictures.completed(recipe, model, size), notes)


def _upsampled(model: Model, recipe: Recipe, options: Mapping[str, Any], y: Tensor, factor: int) -> Iterator[Step]:
    """The upsampler's steps as pictures: noise around the enlargement first."""
    # The enlargement that it was trained on, see `engine.tasks.inpainting.paths.enlarged`.
    cond = F.interpolate(y, scale_factor=FACTOR, mode="bicubic", align_corners=False).clamp(-1, 1)
    cond = cond.expand(recipe.samples, -1, -1, -1)
    by_tiles, schedule, measured = tiles.tiled(model.denoiser), model.schedule, AveragePool(FACTOR)

    def denoise(x, t):
        x0 = by_tiles(x, t, cond=cond).clamp(-1, 1)
        return x0 + measured.pinv(y - measured.H(x0)) if options["agree"] else x0

    rng = Rng(recipe.seed, recipe.samples)
    start = rng.normal_like(cond) * schedule(schedule.start)[1] * float(options["texture"])
    for step in pictures.solve(recipe, denoise, start, schedule, rng):
        shown = step.x + residual_shift(cond, step.t, schedule)
        yield replace(step, x=_reduced(shown, factor), x0=_reduced(step.x0, factor))


def _reduced(x: Tensor, factor: int) -> Tensor:
    return x if factor == FACTOR else F.avg_pool2d(x, FACTOR // factor)


def _steered(model: Model, recipe: Recipe, y: Tensor, factor: int) -> Iterator[Step]:
    """The steps of the recipe's steering sampler, whose prior sees overlapping squares of its own size."""
    height, width = (factor * side for side in y.shape[-2:])
    if max(height, width) > STEERED_PX:
        raise InputError(f"The result would have {width} x {height} px.",
                         f"The steered prior makes at most {STEERED_PX} px a side, because it works on small squares.",
                         "Give a smaller picture, or take the learned upsampler.", field="picture")
    side, schedule = model.card.resolution_px, model.schedule
    missing = (max(0, side // factor - given) for given in reversed(y.shape[-2:]))
    right, below = missing
    y = F.pad(y, (0, right, 0, below), mode="replicate")
    rng = Rng(recipe.seed, recipe.samples)
    start = rng.normal(3, factor * y.shape[-2], factor * y.shape[-1]) * schedule(schedule.start)[1]
    denoise = tiles.tiled(priors.denoiser(model, recipe), side, side // _OVERLAP, at_once=True)
    times = grids.make(recipe.spacing, schedule, recipe.steps)
    for step in steering.steer(recipe.solver, denoise, start, times, schedule, y=y, operator=AveragePool(factor),
                               rng=rng, **samplers.options(recipe)):
        yield replace(step, x=step.x[..., :height, :width], x0=step.x0[..., :height, :width])
