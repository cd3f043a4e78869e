"""Inpainting: fill a painted area, with a mask-conditioned model or by steering a prior that never saw a mask."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from engine import models, samplers, steering
from engine.errors import InputError
from engine.io.pictures import Picture, to_pixels
from engine.recipe import Recipe
from engine.rng import Rng
from engine.steering.operators import Inpaint
from engine.step import Step
from engine.tasks import base, pictures, priors
from engine.tasks.base import Example, InputSpec, Result, Setting
from engine.tasks.inpainting import geometry, masks, paths
from engine.training.flowers import CLASSES

GENERAL, STEERED = "general", "steered"
ANY = "any"


def _example(loader: str, kind: str, seed: int):
    def make() -> dict[str, Any]:
        from skimage import data, transform

        picture = getattr(data, loader)()[..., :3]
        scale = 384 / max(picture.shape[:2])
        shape = tuple(round(side * scale) for side in picture.shape[:2])
        pixels = np.uint8(transform.resize(picture, shape, anti_aliasing=True) * 255 + 0.5)
        hole = np.zeros(shape, bool)
        top, left = (shape[0] - 128) // 2, (shape[1] - 128) // 2
        hole[top:top + 128, left:left + 128] = masks.draw(kind, np.random.default_rng(seed), 128, 128)
        return {"picture": Picture(pixels), "mask": hole}

    return make


class Inpainting:
    """The model works on squares of its own resolution around the holes; all pixels outside stay bit for bit.

    "general" runs any solver on the mask-conditioned model. "steered" runs a sampler of `engine.steering` with the
    prior of flower photographs (32 px, then an upsampler), or with a model of a person's own as the prior.
    """

    name = "inpainting"
    title = "Inpainting"
    summary = "Paint over what should go. The model fills the area so that it fits its surroundings."
    warning = "What is filled in is invented. Research use, not for diagnosis."
    models = ("inpainting", "flowers", "flowers_x4")
    inputs = (InputSpec("picture", "Picture", "picture", "A photograph of any size up to the limit."),
              InputSpec("mask", "Area to fill", "mask",
                        "Paint what to fill, upload it (white is filled), or give a box x0,y0,x1,y1."))
    settings = (
        Setting("method", "Method", "A model trained with masks, or one that never saw a mask and is steered by the "
                "known pixels.", GENERAL, (GENERAL, STEERED), ("Any photograph, trained", "Flowers, steered prior")),
        Setting("flower", "Flower", "What the prior is told to paint. Guidance sets how strongly.", ANY,
                (ANY, *CLASSES), ("Any", *(name.capitalize() for name in CLASSES))),
        Setting("diversity", "Diversity", "Share of the start noise. 0 gives the one most faithful estimate, which is "
                "smooth; 1 draws from everything that fits, and large holes turn grainy.", paths.DIVERSITY, minimum=0.0,
                maximum=1.0, step=0.05),
        *priors.SETTINGS,
    )
    examples = (
        Example("Scratched cat", _example("chelsea", "thin", 3), {"method": GENERAL}),
        Example("Coffee", _example("coffee", "free_form", 1), {"method": GENERAL}),
        Example("Rocket", _example("rocket", "free_form", 5), {"method": GENERAL}),
    )
    defaults = Recipe(task="inpainting", solver="ddim", steps=20, spacing="uniform", guidance=1.0, samples=4,
                      options={"method": GENERAL, "flower": ANY})
    guidance_range = (0.0, 8.0)
    steps_range = (2, 200)
    samples_range = (1, 8)
    samplers = (*pictures.solver_names(), *steering.names(Inpaint))

    def relevant(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the task's settings that have an effect with these options."""
        if options.get("method", GENERAL) == GENERAL:
            return ("method", "diversity")
        return ("method", "flower", "limit", *(("rescale",) if options.get("flower", ANY) != ANY else ()))

    def ignored(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the common settings without effect: guidance needs something that the model is told."""
        told = options.get("method", GENERAL) != GENERAL and options.get("flower", ANY) != ANY
        return () if told else ("guidance",)

    def takes_model(self, options: Mapping[str, Any]) -> bool:
        """Whether a person's own model can be the prior: with every method but the mask-conditioned model."""
        return options.get("method", GENERAL) != GENERAL

    def solvers(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Every solver with the general model, every steering sampler with a prior."""
        return pictures.solver_names() if options.get("method", GENERAL) == GENERAL else steering.names(Inpaint)

    def calls(self, recipe: Recipe) -> int:
        """Network calls of a run, of the prior and of its upsampler."""
        cascade = recipe.options.get("method", GENERAL) != GENERAL and recipe.model in ("", *self.models)
        return samplers.calls(recipe) + (paths.UPSAMPLER_STEPS if cascade else 0)

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        """Yield the steps and at last a Result with arrays input, samples, and mean and spread of several samples.

        inputs: "picture", a `Picture`, and "mask", bool (H, W), True where it is to be filled. The steps show the
        largest square, (B, 3, size, size), its known pixels in place. Raises InputError.
        """
        recipe = base.check(self, recipe)
        given: Picture = inputs["picture"]
        hole = np.asarray(inputs["mask"], bool)
        if hole.shape != given.size:
            raise InputError(f"The mask is {hole.shape[1]} x {hole.shape[0]} px.",
                             f"The picture is {given.size[1]} x {given.size[0]} px.", "Both must have the same size.",
                             field="mask")
        pictures.fits(recipe.samples, given.size)
        path = self._path(recipe)
        squares = geometry.squares(hole, path.size)
        cuts = [geometry.cut(given.pixels, square) for square in squares]
        # One batch for everything: sample by sample, and in each sample square by square.
        known = torch.from_numpy(np.stack([~unknown for _, unknown in cuts])).float()[:, None]
        clean = torch.cat([Picture(pixels).tensor() for pixels, _ in cuts]) * known
        clean, known = (v.repeat(recipe.samples, 1, 1, 1) for v in (clean, known))
        rng = Rng(recipe.seed, len(clean))
        shown = max(range(len(squares)), key=lambda i: squares[i].side)
        step = None
        for step in path.steps(clean, known, rng):
            pick = slice(shown, None, len(squares))
            yield replace(step, x=step.x[pick], x0=torch.where(known > 0, clean, step.x0)[pick])
        painted = to_pixels(step.x).reshape(recipe.samples, len(squares), path.size, path.size, 3)
        samples = np.stack([self._paste(given.pixels, squares, filled) for filled in painted])
        notes = given.notes
        if recipe.samples > 1 and not path.diverse:
            notes = (*notes, "With diversity 0 all samples are equal. Raise it to see what else fits.")
        if (shrunk := max(square.side / square.size for square in squares)) > 1:
            notes = (*notes, f"The area was filled at 1/{shrunk:.1f} of the picture's resolution, because the model "
                             f"works at {path.size} px.")
        found = pictures.arrays(samples, input=np.where(hole[..., None], np.uint8(127), given.pixels))
        yield Result(found, {}, pictures.completed(recipe, path.model, given.size), notes)

    def _path(self, recipe: Recipe) -> "paths.Path":
        general = recipe.options.get("method", GENERAL) == GENERAL
        own = bool(recipe.model) and recipe.model not in self.models
        if own and general:
            raise InputError("The method \"Any photograph, trained\" has its own model.",
                             "A model of your own serves as the prior of the steered method.",
                             "Choose the other method, or leave the model empty.", field="model")
        if general:
            return paths.General(models.load("inpainting"), recipe)
        if own:
            return paths.Steered(models.load(recipe.model), recipe)
        flower = recipe.options.get("flower", ANY)
        return paths.Cascade(models.load("flowers"), models.load("flowers_x4"), recipe,
                             None if flower == ANY else CLASSES.index(flower))

    @staticmethod
    def _paste(picture: np.ndarray, squares: list[geometry.Square], filled: np.ndarray) -> np.ndarray:
        for square, result in zip(squares, filled):
            picture = geometry.paste_back(picture, square, result)
        return picture

    def evaluate(self, data: str, limit: int | None = None) -> list[dict[str, Any]]:
        """Rows per set, kind of hole and method: smooth fill, classical methods, ours; see `evaluate.measure`."""
        from engine.tasks.inpainting import evaluate

        def inpaint(picture: np.ndarray, hole: np.ndarray, samples: int, seed: int, diversity: float) -> np.ndarray:
            recipe = self.defaults.replace(samples=samples, seed=seed,
                                           options={"method": GENERAL, "diversity": diversity})
            with torch.no_grad():
                *_, result = self.run({"picture": Picture(picture), "mask": hole}, recipe)
            return result.arrays["samples"].values

        return evaluate.evaluate(inpaint, data, limit)


TASK = Inpainting()
