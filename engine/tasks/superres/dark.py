"""Photographs with too little light, brightened, freed of noise and made twice as fine in one go; see `darkness`."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import guidance, models, tiles
from engine.denoisers import residual_shift
from engine.io.pictures import Picture, to_pixels
from engine.models.model import Model
from engine.recipe import Recipe
from engine.rng import Rng
from engine.step import Step
from engine.tasks import pictures
from engine.tasks.base import Result, Setting
from engine.tasks.superres import darkness
from engine.tasks.superres.darkness import Light
from engine.tasks.superres.natural import cropped

MODEL = "illumination"
FACTOR = darkness.FACTOR
DISPLAY, LINEAR = "display", "linear"
_STREAM = 2**33
"""Far from the streams of the samples, which begin at 0."""
SETTINGS = (
    Setting("stops", "Light that is missing", "By how much the picture is darkened before it is shrunk and given a "
            "sensor's noise.", 3.0, minimum=0.0, maximum=darkness.MOST_STOPS, step=0.25, unit="stops"),
    Setting("values", "16-bit values are", "What a file of 16 bits holds: colours for a display, light as the sensor "
            "counts it, or, without colours, a sensor's mosaic (red, green / green, blue). Others are for a display.",
            DISPLAY, (DISPLAY, LINEAR), ("For a display", "Light or mosaic")),
    Setting("brightness", "Brightness", "Added to the automatic brightening. 1 doubles the light.", 0.0, minimum=-3.0,
            maximum=3.0, step=0.25, unit="stops"),
)


def record(given: Picture, options: Mapping[str, Any], seed: int) -> tuple[Light, np.ndarray | None]:
    """The light to start from, and the truth where it is known: then it is a sensor's record of the given picture."""
    if options["play"]:
        sharp = cropped(given.pixels, 2 * FACTOR)
        rng = np.random.default_rng((seed, _STREAM))
        return darkness.recorded(np.float32(sharp) / 255, float(options["stops"]), rng), sharp
    light = _light(given, options)
    found = darkness.missing_stops(light.colour)
    return replace(light, stops=brighter(found, options)), None


def _light(given: Picture, options: Mapping[str, Any]) -> Light:
    """The light in what was given, from all its bits."""
    linear = options["values"] == LINEAR
    if given.deep is not None and (linear or given.deep.ndim == 3):
        values = np.float32(given.deep[:given.size[0] // 2 * 2, :given.size[1] // 2 * 2])
        if linear:
            return darkness.of_sensor(values)
        return darkness.of_picture(values / np.float32(65535), 0.0)
    return darkness.of_picture(np.float32(cropped(given.pixels, 2)) / 255, 0.0)


def brighter(stops: float, options: Mapping[str, Any]) -> float:
    """The automatic brightening and what people add to it, within what the network knows."""
    return min(max(stops + float(options["brightness"]), 0.0), darkness.MOST_STOPS)


def run(given: Picture, recipe: Recipe, options: Mapping[str, Any]) -> Iterator[Step | Result]:
    """Yield the steps and at last a Result with arrays input (brightened, enlarged), samples, and mean, spread,
    reference. options: those of the recipe with the defaults of the rest. Raises InputError.
    """
    light, sharp = record(given, options, recipe.seed)
    size = FACTOR * light.colour.shape[0], FACTOR * light.colour.shape[1]
    pictures.fits(recipe.samples, size)
    model = models.load(MODEL)
    cond = darkness.condition(light)
    step = None
    for step in steps(model, recipe, cond, float(options["texture"])):
        yield step
    before = to_pixels(cond[:, :3])[0]
    found = pictures.arrays(to_pixels(step.x), input=before, **({} if sharp is None else {"reference": sharp}))
    measured = {} if sharp is None else pictures.scores(found, sharp, before)
    told = "as the exposure says" if sharp is not None else "judged by its mean brightness"
    notes = (*given.notes, f"The picture was brightened by {light.stops:.1f} stops, {told}.", melding(model))
    if recipe.samples > 1 and not options["texture"]:
        notes = (*notes, "With texture 0 all samples are equal. Raise it to see what else fits.")
    yield Result(found, measured, pictures.completed(recipe, model, size), notes)


def steps(model: Model, recipe: Recipe, cond: Tensor, texture: float) -> Iterator[Step]:
    """The solver's steps as pictures (samples, 3, H, W): noise around the preview first. cond: (1, 8, H, W)."""
    cond = cond.expand(recipe.samples, -1, -1, -1)
    side, schedule = model.card.resolution_px, model.schedule
    by_tiles = tiles.tiled(model.denoiser, side, side // 4)
    rng = Rng(recipe.seed, recipe.samples)
    start = rng.normal_like(cond[:, :3]) * schedule(schedule.start)[1] * texture
    denoise = guidance.clipped(lambda x, t: by_tiles(x, t, cond=cond))
    for step in pictures.solve(recipe, denoise, start, schedule, rng):
        yield replace(step, x=step.x + residual_shift(cond[:, :3], step.t, schedule))


@torch.no_grad()
def shares(model: Model, times: Tensor) -> list[Tensor]:
    """The condition's share at each level from the finest, (T,): the mean over the channels at times (T,) in [0, 1]."""
    return [weight.mean(1) for weight in model.network.correction.weights(times)]


def melding(model: Model) -> str:
    """A sentence on how the network weighs the condition against the state, from noise to picture."""
    found = shares(model, torch.tensor([1.0, 0.5, 0.05]))
    if not found:
        return "Condition and state are stacked, whatever the time."
    noisy, middle, clean = (float(torch.stack([share[i] for share in found]).mean()) for i in range(3))
    return (f"Of what the network sees, the condition has a share of {noisy:.0%} where all is noise, {middle:.0%} in "
            f"the middle of the way and {clean:.0%} near its end.")
