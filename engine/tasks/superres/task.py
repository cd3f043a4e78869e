"""Super-resolution of satellite pictures: four times finer, by EDiffSR or by plain regression, GeoTIFF in and out."""

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
from engine.tasks.base import Example, InputSpec, Result, Setting
from engine.tasks.superres import scene
from engine.tasks.superres.evaluate import inconsistency
from engine.tasks.superres.scaling import FACTOR, cropped, enlarged, shrunk

MODELS = {"diffusion": "ediffsr", "regression": "ediffsr_regression"}
PREDICTIONS = ("reverting", "regression")
LEAST_PX = 16
"""Least side of a picture that is to be shrunk: less cannot be compared with the result."""


def _example(seed: int, sharp: bool):
    def make() -> dict[str, Picture]:
        picture = scene.aerial(256, seed)
        return {"picture": Picture(picture if sharp else shrunk(picture))}

    return make


class SuperResolution:
    """EDiffSR (TGRS 2024) on the mean-reverting schedule in shifted coordinates, so that every solver can run it.

    The state is y = x_t - (1 - alpha) mu with mu the bicubic enlargement; it starts as noise around a trace of mu and
    ends as the sharp picture. The network's attention pools over the picture, so it sees squares of the size that it
    was trained on; larger pictures are made of overlapping ones.
    """

    name = "superres"
    title = "Super-resolution"
    summary = "Makes a satellite picture four times finer. Several samples show which details are sure."
    warning = "Added detail is plausible, not measured. Research use, not for decisions about what is on the ground."
    models = tuple(MODELS.values())
    inputs = (InputSpec("picture", "Picture", "picture",
                        "A satellite picture of about 10 m a pixel, such as Sentinel-2; a GeoTIFF keeps its place."),)
    settings = (
        Setting("method", "Method", "Diffusion draws sharp pictures that fit; regression gives one blurred average.",
                "diffusion", tuple(MODELS), ("Diffusion (EDiffSR)", "Regression")),
        Setting("play", "Shrink the picture first",
                "Takes a sharp picture, shrinks it by four, and compares the result with it.", False),
        Setting("diversity", "Diversity", "Share of the start noise. 1 draws from everything that fits, less is "
                "smoother, 0 gives one smooth estimate.", 1.0, minimum=0.0, maximum=1.0, step=0.05),
    )
    examples = (
        Example("Fields by a river", _example(1, sharp=False), {"method": "diffusion", "play": False}),
        Example("Sharp fields to shrink", _example(7, sharp=True), {"method": "diffusion", "play": True}),
    )
    defaults = Recipe(task="superres", model=MODELS["diffusion"], solver="dpmpp_2m", steps=15, spacing="quadratic",
                      options={"method": "diffusion", "play": False, "diversity": 1.0})
    guidance_range = (1.0, 1.0)
    steps_range = (1, 200)
    samples_range = (1, 16)
    samplers = pictures.unshifted_solver_names()

    def relevant(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the settings that have an effect: a regression draws nothing."""
        return ("method", "play") if self._regresses(options) else ("method", "play", "diversity")

    def ignored(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the common settings without effect: a regression is one call."""
        return ("steps", "spacing", "samples", "seed", "random") if self._regresses(options) else ()

    def solvers(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """All that need nothing of their own, but Resfusion's, which has another schedule; for a regression DDIM."""
        return ("ddim",) if self._regresses(options) else self.samplers

    def calls(self, recipe: Recipe) -> int:
        """Network calls for each tile; a picture up to 16 px wide and high is one."""
        return 1 if self._regresses(recipe.options) else row(recipe.solver).calls(recipe.steps)

    def _regresses(self, options: Mapping[str, Any]) -> bool:
        return options.get("method") == "regression"

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        """Yield the steps and at last a Result with arrays input (enlarged), samples, and mean, spread, reference.

        inputs: "picture", a `Picture`; of a `GeoPicture` the result has a GeoTIFF for each sample and for their mean.
        The steps' x and x0 are pictures (B, 3, 4h, 4w). Raises InputError.
        """
        recipe = base.check(self, recipe)
        if self._regresses(recipe.options):
            recipe = recipe.replace(steps=1, samples=1)
        given: Picture = inputs["picture"]
        played = bool(recipe.options.get("play", False))
        sharp = cropped(given.pixels) if played else None
        low = given.pixels if sharp is None else _small(sharp)
        size = FACTOR * low.shape[0], FACTOR * low.shape[1]
        pictures.fits(recipe.samples, size)
        model = self._model(recipe)
        mu = enlarged(Picture(low).tensor())
        step = None
        for step in self._steps(model, recipe, mu):
            yield step
        found = pictures.arrays(to_pixels(step.x), input=to_pixels(mu)[0], **({"reference": sharp} if played else {}))
        measured = pictures.scores(found, sharp, found["input"].values) if played else {}
        notes = (*given.notes, f"Shrunk again, the first sample differs from the input by "
                 f"{inconsistency(found['samples'].values[0], low):.1f} of 255 grey levels (root mean square).")
        yield Result(found, measured, pictures.completed(recipe, model, size), notes, _placed(given, found, played))

    def _model(self, recipe: Recipe) -> Model:
        method = recipe.options.get("method", "diffusion")
        own = recipe.model not in ("", *self.models)
        model = models.load(recipe.model if own else MODELS[method])
        if model.card.prediction not in PREDICTIONS:
            raise InputError(f"The model predicts {model.card.prediction[:40]!r}.",
                             "Super-resolution needs one that was trained for it.", "Leave the model empty.",
                             field="model")
        return model

    def _steps(self, model: Model, recipe: Recipe, mu: torch.Tensor) -> Iterator[Step]:
        """The solver's steps as pictures: noise around mu first, the sharp picture last."""
        schedule = model.schedule
        mu = mu.expand(recipe.samples, -1, -1, -1)
        side = model.card.resolution_px
        by_tiles = tiles.tiled(model.denoiser, side, side // 4)

        def denoise(x, t):
            return by_tiles(x, t, cond=mu)

        rng = Rng(recipe.seed, recipe.samples)
        alpha, sigma = schedule(schedule.start)
        start = alpha * mu + sigma * float(recipe.options.get("diversity", 1.0)) * rng.normal_like(mu)
        for step in pictures.solve(recipe, guidance.clipped(denoise), start, schedule, rng):
            yield replace(step, x=step.x + denoisers.reverting_shift(mu, step.t, schedule))

    def evaluate(self, data: str, limit: int | None = None) -> list[dict[str, Any]]:
        """A row per method: classical ones, the regression of equal size, one sample of ours, the mean of eight."""
        from engine.tasks.superres import evaluate

        def upscale(low: np.ndarray, method: str, samples: int, seed: int) -> np.ndarray:
            solver = {"solver": "ddim"} if method == "regression" else {}
            recipe = self.defaults.replace(samples=samples, seed=seed, options={"method": method}, **solver)
            with torch.no_grad():
                *_, result = self.run({"picture": Picture(low)}, recipe)
            return result.arrays["samples"].values

        return evaluate.evaluate(upscale, evaluate.pictures_of(data, limit))


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


TASK = SuperResolution()
