"""Restoration: a trained residual-noise diffusion model takes noise, blur, rain, haze ... out of a picture."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from engine import denoisers, guidance, models, samplers, tiles
from engine.io.pictures import Picture, to_pixels
from engine.recipe import Recipe
from engine.rng import Rng
from engine.step import Step
from engine.tasks import base, pictures
from engine.tasks.base import Example, InputSpec, Result, Setting
from engine.tasks.restoration import examples, faithful, guided, steered
from engine.tasks.restoration.degradations import DEGRADATIONS, NAMES, degrade

MODEL = "restoration"
TRAINED, STEERED = "trained", "steered"
AUTO = "auto"
_DIVERSITY = 0.25


def _told(degradation: str) -> dict[str, Any]:
    return {"method": TRAINED, "degradation": degradation, "play": False, "strength": 0.5}


class Restoration:
    """Resfusion (Shi et al., NeurIPS 2024) on a shifted schedule, so that every solver of the catalogue can run it.

    The state is y = x_t - (1 - a) degraded; it starts as pure noise at t = 1 and ends as a clean picture that fits.
    What is given lies between it and the posterior mean, which is the network's answer before the first step. One
    network knows all degradations by label; the label "none" stands for "find out", and guidance moves between the
    two. The method "steered" is another way, see `steered`.
    """

    name = "restoration"
    title = "Restoration"
    summary = "Takes noise, blur, JPEG artefacts, darkness, rain, drops, shadow or haze out of a photograph."
    warning = "Restored detail is plausible, not measured. Research use, not for diagnosis."
    models = (MODEL, steered.PRIOR)
    inputs = (InputSpec("picture", "Picture", "picture", "A photograph of any size up to the limit."),)
    settings = (
        Setting("method", "Method", "A model trained on damaged photographs, or a prior that never saw damage and is "
                "steered by a measurement.", TRAINED, (TRAINED, STEERED),
                ("Any photograph, trained", "Flowers, steered prior")),
        Setting("degradation", "What is wrong", "What the model is told. \"Find out\" tells it nothing.", AUTO,
                (AUTO, *NAMES), ("Find out", *(d.title for d in DEGRADATIONS))),
        Setting("play", "Damage a clean picture first",
                "Applies what is chosen above to the picture, so that the result can be compared with the truth.",
                False),
        Setting("strength", "Strength of the damage", "0 is barely visible, 1 is severe.", 0.5, minimum=0.0,
                maximum=1.0, step=0.05),
        Setting("diversity", "Diversity", "From the most faithful estimate (0), where steps look at the picture from "
                "further sides, to a draw from everything that fits (1), which has more texture.",
                _DIVERSITY, minimum=0.0, maximum=1.0, step=0.05),
        *steered.SETTINGS,
    )
    examples = (
        Example("Noisy cat", examples.photograph("chelsea", "noise"), _told("noise")),
        Example("Coffee in the rain", examples.photograph("coffee", "rain"), _told("rain")),
        Example("Hazy rocket", examples.photograph("rocket", "haze"), _told("haze")),
        Example("Clean cat to damage", examples.photograph("chelsea"), _told("noise") | {"play": True}),
        Example("Flower to find again", examples.flower, {"method": STEERED, "measurement": "small4"}),
    )
    defaults = Recipe(task="restoration", model=MODEL, solver="ddim", steps=5, spacing="uniform", guidance=1.0,
                      options={"method": TRAINED, "degradation": "noise", "play": False, "strength": 0.5,
                               "diversity": _DIVERSITY})
    guidance_range = (0.0, 8.0)
    steps_range = (1, 400)
    samples_range = (1, 16)
    samplers = (*pictures.solver_names(), *steered.SAMPLERS)

    def relevant(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the settings that have an effect: nothing can be applied while the damage is unknown."""
        if options.get("method", TRAINED) == STEERED:
            rescale = {"rescale"} if options.get("flower", steered.ANY) == steered.ANY else set()
            return ("method", *(s.name for s in steered.SETTINGS if s.name not in rescale))
        if options.get("degradation", AUTO) == AUTO:
            return ("method", "degradation", "diversity")
        return ("method", "degradation", "play", *(("strength",) if options.get("play") else ()), "diversity")

    def ignored(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the common settings without effect: guidance needs something that the model is told."""
        if options.get("method", TRAINED) == STEERED:
            return ("guidance",) if options.get("flower", steered.ANY) == steered.ANY else ()
        return ("guidance",) if options.get("degradation", AUTO) == AUTO else ()

    def takes_model(self, options: Mapping[str, Any]) -> bool:
        """Whether a person's own model can be the prior: with the steered method."""
        return options.get("method", TRAINED) == STEERED

    def solvers(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """All that the residual schedule allows, or all that can serve the measurement."""
        return steered.samplers(options) if options.get("method", TRAINED) == STEERED else pictures.solver_names()

    def calls(self, recipe: Recipe) -> int:
        """Network calls of a picture that fits in one tile: one for the estimate, and those of the solver."""
        if recipe.options.get("method", TRAINED) == STEERED:
            return samplers.calls(recipe)
        diversity = recipe.options.get("diversity", _DIVERSITY)
        return 1 + samplers.calls(recipe) if diversity else _looks(recipe)

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        """Yield the steps and at last a Result with arrays input, samples, and mean, spread, reference where known.

        inputs: "picture", a `Picture`. The steps' x and x0 are pictures (B, 3, H, W). Raises InputError.
        """
        recipe = base.check(self, recipe)
        given: Picture = inputs["picture"]
        if recipe.options.get("method", TRAINED) == STEERED:
            yield from steered.run(given, recipe)
            return
        pictures.fits(recipe.samples, given.size)
        options = {setting.name: setting.default for setting in self.settings} | dict(recipe.options)
        kind, known = options["degradation"], options["degradation"] != AUTO
        played = bool(options["play"]) and known
        bad = given
        if played:
            damaged = degrade(kind, given.pixels.astype(np.float32) / 255, float(options["strength"]), recipe.seed)
            bad = Picture(np.uint8(damaged * 255 + 0.5))

        model = models.load(recipe.model or MODEL)
        whole = bad.tensor()
        worked_on = guided.small(whole) if kind in guided.KINDS else whole
        degraded = worked_on.expand(recipe.samples, -1, -1, -1)
        none = torch.tensor([len(NAMES)])
        told = torch.tensor([NAMES.index(kind)]) if known else none
        denoise = guidance.clipped(guidance.classifier_free(
            tiles.tiled(model.denoiser), {"label": told}, {"label": none}, recipe.guidance if known else 1.0))
        step = None
        for step in self._steps(denoise, degraded, model.schedule, recipe, float(options["diversity"])):
            yield step
        others = {"input": bad.pixels} | ({"reference": given.pixels} if played else {})
        found = pictures.arrays(to_pixels(guided.carried(worked_on, step.x, whole)), **others)
        measured = pictures.scores(found, given.pixels, bad.pixels) if played else {}
        notes = given.notes
        if worked_on.shape != whole.shape:
            notes = (*notes, f"Haze lies over the whole picture: it was judged at {worked_on.shape[-1]} x "
                             f"{worked_on.shape[-2]} px, and the change of colours was carried to the full size.")
        if recipe.samples > 1 and not options["diversity"]:
            notes = (*notes, "With diversity 0 all samples are equal. Raise it to see what else fits.")
        yield Result(found, measured, pictures.completed(recipe, model, given.size), notes)

    def _steps(self, denoise, degraded: torch.Tensor, schedule, recipe: Recipe, diversity: float) -> Iterator[Step]:
        """The steps of a run on degraded (S, 3, H, W); x0, and x of the last one, are what is shown."""
        first = degraded[:1]
        if not diversity:
            for step in faithful.estimates(denoise, first, schedule.start, _looks(recipe)):
                shown = step.x0.expand(recipe.samples, -1, -1, -1)
                yield replace(step, x=shown, x0=shown)
            return
        *_, estimate = faithful.estimates(denoise, first, schedule.start, 1)
        rng = Rng(recipe.seed, recipe.samples)
        start = rng.normal_like(degraded) * schedule(schedule.start)[1]

        def conditioned(x, t):
            return denoise(x, t, cond=degraded)

        for step in pictures.solve(recipe, conditioned, start, schedule, rng):
            shown = step.x + denoisers.residual_shift(degraded, step.t, schedule)
            if step.index == step.total:
                shown = faithful.between(estimate.x0, shown, diversity)
            yield replace(step, x=shown, x0=faithful.between(estimate.x0, step.x0, diversity), nfe=step.nfe + 1)

    def evaluate(self, data: str, limit: int | None = None) -> list[dict[str, Any]]:
        """Rows per degradation and method at strength 0.5: input, classical ones, ours in five steps.

        The estimate has diversity 0 and looks at most five times at the picture; the mean of several is over samples
        of diversity 1.
        """
        from engine.tasks.restoration import evaluate

        def restore(degraded: np.ndarray, degradation: str, samples: int, seed: int) -> np.ndarray:
            recipe = self.defaults.replace(samples=samples, seed=seed,
                                           options={"degradation": degradation, "diversity": float(samples > 1)})
            with torch.no_grad():
                *_, result = self.run({"picture": Picture(degraded)}, recipe)
            return result.arrays["samples"].values

        return evaluate.evaluate(restore, evaluate.pictures_of(data, limit))


def _looks(recipe: Recipe) -> int:
    """How often the picture is looked at where nothing is drawn: from as many sides as there are steps and sense."""
    kind = recipe.options.get("degradation", AUTO)
    sides = DEGRADATIONS[NAMES.index(kind)].orientations if kind in NAMES else 1
    return min(recipe.steps, sides)


TASK = Restoration()
