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
from engine.tasks.restoration import examples, guided, steered
from engine.tasks.restoration.degradations import DEGRADATIONS, NAMES, degrade

MODEL = "restoration"
TRAINED, STEERED = "trained", "steered"
AUTO = "auto"


def _told(degradation: str) -> dict[str, Any]:
    return {"method": TRAINED, "degradation": degradation, "play": False, "strength": 0.5}


class Restoration:
    """Resfusion (Shi et al., NeurIPS 2024) on a shifted schedule, so that every solver of the catalogue can run it.

    The state is y = x_t - (1 - a) degraded; it starts as pure noise at t = 1 and ends as the clean picture. One network
    knows all degradations by label; the label "none" stands for "find out", and guidance moves between the two. The
    method "steered" is another way, see `steered`.
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
        Setting("diversity", "Diversity", "Share of the start noise. 0 gives the most faithful single estimate, 1 "
                "draws from everything that fits: the mean of such samples is faithful, one of them is grainier.",
                0.0, minimum=0.0, maximum=1.0, step=0.05),
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
                               "diversity": 0.0})
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
        """Network calls of a picture that fits in one tile."""
        return samplers.calls(recipe)

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
        schedule = model.schedule
        whole = bad.tensor()
        worked_on = guided.small(whole) if kind in guided.KINDS else whole
        degraded = worked_on.expand(recipe.samples, -1, -1, -1)
        none = torch.tensor([len(NAMES)])
        told = torch.tensor([NAMES.index(kind)]) if known else none
        told_apart = guidance.classifier_free(tiles.tiled(model.denoiser), {"label": told}, {"label": none},
                                          recipe.guidance if known else 1.0)

        def denoise(x, t):
            return told_apart(x, t, cond=degraded)

        rng = Rng(recipe.seed, recipe.samples)
        start = rng.normal_like(degraded) * schedule(schedule.start)[1] * float(options["diversity"])
        step = None
        for step in pictures.solve(recipe, guidance.clipped(denoise), start, schedule, rng):
            yield replace(step, x=step.x + denoisers.residual_shift(degraded, step.t, schedule))
        others = {"input": bad.pixels} | ({"reference": given.pixels} if played else {})
        found = pictures.arrays(to_pixels(guided.carried(worked_on, step.x, whole)), **others)
        measured = pictures.scores(found, given.pixels, bad.pixels) if played else {}
        notes = given.notes
        if worked_on.shape != whole.shape:
            notes = (*notes, f"Haze lies over the whole picture: it was judged at {worked_on.shape[-1]} x "
                             f"{worked_on.shape[-2]} px, and the change of colours was carried to the full size.")
        if recipe.samples > 1 and options["diversity"] == 0:
            notes = (*notes, "With diversity 0 all samples are equal. Raise it to see what else fits.")
        yield Result(found, measured, pictures.completed(recipe, model, given.size), notes)

    def evaluate(self, data: str, limit: int | None = None) -> list[dict[str, Any]]:
        """Rows per degradation and method at strength 0.5: input, classical ones, ours in five steps.

        One sample has diversity 0; the mean of several is over samples of diversity 1.
        """
        from engine.tasks.restoration import evaluate

        def restore(degraded: np.ndarray, degradation: str, samples: int, seed: int) -> np.ndarray:
            recipe = self.defaults.replace(samples=samples, seed=seed,
                                           options={"degradation": degradation, "diversity": float(samples > 1)})
            with torch.no_grad():
                *_, result = self.run({"picture": Picture(degraded)}, recipe)
            return result.arrays["samples"].values

        return evaluate.evaluate(restore, evaluate.pictures_of(data, limit))


TASK = Restoration()
