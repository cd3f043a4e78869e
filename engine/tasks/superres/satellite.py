"""Satellite pictures, four times finer: EDiffSR or plain regression, GeoTIFF in and out."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from engine import denoisers, guidance, models, tiles
from engine.errors import InputError
from engine.io.geotiff import GeoPicture, encode
from engine.io.pictures import Picture, to_pixels
from engine.models.model import Model
from engine.recipe import Recipe
from engine.rng import Rng
from engine.solvers import row
from engine.step import Step
from engine.tasks import base, pictures
from engine.tasks.base import Result, Setting
from engine.tasks.superres import starts
from engine.tasks.superres.evaluate import inconsistency
from engine.tasks.superres.scaling import FACTOR, cropped, enlarged, shrunk

MODELS = {"diffusion": "ediffsr", "regression": "ediffsr_regression"}
PREDICTIONS = ("reverting", "regression")
LEAST_PX = 16
"""Least side of a picture that is to be shrunk: less cannot be compared with the result."""
RANDOM, SEARCHED = "random", "searched"
SETTINGS = (
    Setting("method", "Method", "Diffusion draws sharp pictures that fit; regression gives one blurred average.",
            "diffusion", tuple(MODELS), ("Diffusion (EDiffSR)", "Regression")),
    Setting("start", "Start noise", "Drawn afresh, or the one that did best on training pictures, the same for every "
            "picture; then a solver that draws no noise gives one answer.", RANDOM, (RANDOM, SEARCHED),
            ("Random", "Searched once")),
    Setting("diversity", "Diversity", "Share of the start noise. 1 draws from everything that fits, less is "
            "smoother, 0 gives one smooth estimate.", 1.0, minimum=0.0, maximum=1.0, step=0.05),
)


def regresses(options: Mapping[str, Any]) -> bool:
    """Whether these options ask for the plain regression."""
    return options.get("method") == "regression"


def relevant(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the settings that have an effect: a regression draws nothing."""
    return ("method",) if regresses(options) else ("method", *(("start",) if starts.there() else ()), "diversity")


def run(given: Picture, recipe: Recipe, options: Mapping[str, Any]) -> Iterator[Step | Result]:
    """Yield the steps and at last a Result with arrays input (enlarged), samples, and mean, spread, reference.

    Of a `GeoPicture` the result has a GeoTIFF for each sample and for their mean. The steps' x and x0 are pictures
    (B, 3, 4h, 4w). Raises InputError.
    """
    if regresses(options):
        recipe = recipe.replace(steps=1, samples=1)
    played = bool(options["play"])
    sharp = cropped(given.pixels) if played else None
    low = given.pixels if sharp is None else _small(sharp)
    size = FACTOR * low.shape[0], FACTOR * low.shape[1]
    pictures.fits(recipe.samples, size)
    model = _model(recipe, str(options["method"]))
    mu = enlarged(Picture(low).tensor())
    step = None
    for step in _steps(model, recipe, options, mu):
        yield step
    found = pictures.arrays(to_pixels(step.x), input=to_pixels(mu)[0], **({"reference": sharp} if played else {}))
    measured = pictures.scores(found, sharp, found["input"].values) if played else {}
    notes = (*given.notes, f"Shrunk again, the first sample differs from the input by "
             f"{inconsistency(found['samples'].values[0], low):.1f} of 255 grey levels (root mean square).")
    if options["start"] == SEARCHED and not regresses(options):
        notes = (*notes, starts.evidence(starts.of(model)))
    yield Result(found, measured, pictures.completed(recipe, model, size), notes, _placed(given, found, played))


def _model(recipe: Recipe, method: str) -> Model:
    own = recipe.model not in ("", *MODELS.values())
    model = models.load(recipe.model if own else MODELS[method])
    if model.card.prediction not in PREDICTIONS:
        raise InputError(f"The model predicts {model.card.prediction[:40]!r}.",
                         "Super-resolution needs one that was trained for it.", "Leave the model empty.",
                         field="model")
    return model


def _steps(model: Model, recipe: Recipe, options: Mapping[str, Any], mu: torch.Tensor) -> Iterator[Step]:
    """The solver's steps as pictures: noise around mu first, the sharp picture last."""
    schedule = model.schedule
    mu = mu.expand(recipe.samples, -1, -1, -1)
    side = model.card.resolution_px
    by_tiles = tiles.tiled(model.denoiser, side, side // 4)

    def denoise(x, t):
        return by_tiles(x, t, cond=mu)

    rng = Rng(recipe.seed, recipe.samples)
    alpha, sigma = schedule(schedule.start)
    noise = rng.normal_like(mu) if options["start"] == RANDOM or regresses(options) else _searched(model, recipe, mu)
    start = alpha * mu + sigma * float(options["diversity"]) * noise
    for step in pictures.solve(recipe, guidance.clipped(denoise), start, schedule, rng):
        yield replace(step, x=step.x + denoisers.reverting_shift(mu, step.t, schedule))


def _searched(model: Model, recipe: Recipe, mu: torch.Tensor) -> torch.Tensor:
    """The searched noise at the size of mu, the same for every sample."""
    if not row(recipe.solver).deterministic:
        raise InputError(f"{row(recipe.solver).title} draws noise in every step.",
                         "A searched start has an effect where nothing else is drawn.",
                         "Choose a solver without noise, such as DPM-Solver++ 2M, or a random start.", field="start")
    return starts.of(model).at(*mu.shape[-2:]).expand_as(mu)


def _small(sharp: np.ndarray) -> np.ndarray:
    """The sharp picture shrunk by four. Raises InputError when it is too small for that."""
    if min(sharp.shape[:2]) < LEAST_PX:
        raise InputError(f"The picture is {sharp.shape[1]} x {sharp.shape[0]} px.",
                         f"To shrink it by {FACTOR} takes {LEAST_PX} px on each side.", "Give a larger picture.",
                         field="picture")
    return shrunk(sharp)


def _placed(given: Picture, found: Mapping[str, base.Array], played: bool) -> dict[str, bytes]:
    """GeoTIFFs of the samples and their mean, where the input has a place on Earth."""
    if not isinstance(given, GeoPicture):
        return {}
    samples = found["samples"].values
    place = given.georeference.top_left(*samples.shape[1:3]) if played else given.georeference.finer(FACTOR)
    named = {f"samples-{number}.tif": sample for number, sample in enumerate(samples, 1)}
    named |= {"mean.tif": found["mean"].values} if "mean" in found else {}
    return {name: encode(np.ascontiguousarray(pixels), place) for name, pixels in named.items()}
