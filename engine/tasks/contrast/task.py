"""Contrast synthesis: what a brain slice may look like after contrast agent, made up from the slice before it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import guidance, models
from engine.errors import InputError
from engine.io.pictures import Picture
from engine.models.model import Model
from engine.recipe import Recipe
from engine.rng import Rng
from engine.solvers import row
from engine.step import Step
from engine.tasks import base, pictures
from engine.tasks.base import Array, Example, InputSpec, Result, Setting
from engine.tasks.contrast import phantom, views
from engine.tasks.contrast.data import BRIGHTEST, Case, levels, scaled, split
from engine.tasks.contrast.framing import Framed, added, framed, shrunk
from engine.tasks.contrast.sampling import DIVERSITY, STEPS, condition
from engine.tasks.contrast.targets import SUBTRACTION, TARGETS, Target, as_picture

_EXAMPLE_PX = 256


def _example(seed: int, marked: bool):
    def make() -> dict[str, Any]:
        before, _, lesion = phantom.head(_EXAMPLE_PX, seed)
        level = np.uint8(scaled(before, *levels(before), 1.0) * 255 + 0.5)
        inputs = {"picture": Picture(np.repeat(level[..., None], 3, axis=2))}
        return inputs | ({"mask": lesion} if marked else {})

    return make


class ContrastSynthesis:
    """Ibarra et al. (2025) for brain slices: the slice before contrast is the condition, two targets are diffused.

    The network sees the whole picture at 128 px; the change that it draws is enlarged and added to the picture. A
    marked area tells it where contrast is expected, and guidance how much that counts.
    """

    name = "contrast"
    title = "Contrast synthesis"
    summary = "Guesses from a T1 slice before contrast agent what the slice after it may look like."
    warning = ("Research use only: does not replace contrast agent. Enhancement is invented by the model, not "
               "measured.")
    models = tuple(target.model for target in TARGETS.values())
    inputs = (InputSpec("picture", "Slice before contrast", "picture",
                        "An axial T1 slice of a brain without skull, on black."),
              InputSpec("mask", "Where contrast is expected", "mask",
                        "Optional: paint where enhancement is known from elsewhere.", required=False))
    settings = (
        Setting("target", "What is diffused", "The difference that contrast makes, or the slice after contrast itself.",
                SUBTRACTION.name, tuple(TARGETS), ("Subtraction", "Post-contrast")),
        Setting("diversity", "Diversity", "Share of the start noise. 1 draws from all that the model holds possible, "
                "less keeps to what is likely, 0 gives one estimate.", DIVERSITY, minimum=0.0, maximum=1.0, step=0.05),
    )
    examples = (Example("Made-up head with a lesion", _example(3, marked=False), {"target": SUBTRACTION.name}),
                Example("The same, lesion marked", _example(3, marked=True), {"target": SUBTRACTION.name}))
    defaults = Recipe(task="contrast", model=SUBTRACTION.model, solver="dpmpp_2m", steps=STEPS, spacing="uniform",
                      guidance=1.0, samples=8, options={"target": SUBTRACTION.name, "diversity": DIVERSITY})
    guidance_range = (0.0, 4.0)
    steps_range = (1, 200)
    samples_range = (1, 16)
    samplers = pictures.unshifted_solver_names()

    def solvers(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """All that need nothing of their own, but Resfusion's, which has another schedule."""
        return self.samplers

    def calls(self, recipe: Recipe) -> int:
        """Network calls of the run."""
        return row(recipe.solver).calls(recipe.steps)

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        """Yield the steps at 128 px and at last a Result with input, samples, difference, mean and spread of several.

        inputs: "picture", a `Picture`, and perhaps "mask", bool of its size, True where contrast is expected. All
        pictures show brightness from 0 to 1.6 of the slice's 99.5th percentile as black to white; "difference" shows
        the change of the mean in colours (`views.difference`). Raises InputError.
        """
        recipe = base.check(self, recipe)
        slice_ = framed(inputs["picture"])
        area = _checked(inputs.get("mask"), slice_.whole.shape)
        pictures.fits(recipe.samples, slice_.whole.shape)
        target = TARGETS[recipe.options.get("target", SUBTRACTION.name)]
        model = self._model(recipe, target)
        region = None if area is None else shrunk(np.float32(area)) > 0.5
        small = torch.from_numpy(slice_.small)[None, None]
        step = None
        for step in _steps(model, target, recipe, slice_.small, region):
            yield _shown(step, target, small)
        after = target.decode(step.x, small).clamp(0, BRIGHTEST)[:, 0].numpy()
        whole = added(slice_, after)
        yield Result(_arrays(slice_, whole), _measured(slice_, whole, area),
                     pictures.completed(recipe, model, slice_.whole.shape), (*slice_.notes, *_NOTES))

    def _model(self, recipe: Recipe, target: Target) -> Model:
        own = recipe.model not in ("", *self.models)
        model = models.load(recipe.model if own else target.model)
        architecture = model.card.architecture
        if architecture.kind != "contrast_unet" or architecture.options.get("base") != target.base:
            raise InputError(f"The model is not one of {target.name} contrast synthesis.",
                             "Each target needs a model that was trained for it.", "Leave the model empty.",
                             field="model")
        return model

    def evaluate(self, data: str, limit: int | None = None) -> list[dict[str, Any]]:
        """A row per method on the patient left out; fitted baselines see the other patients only."""
        from engine.tasks.contrast import evaluate
        from engine.tasks.contrast.baselines import fitted

        train, kept = split(Path(data))

        @torch.no_grad()
        def synthesise(case: Case, target: str, told: bool, samples: int, seed: int) -> np.ndarray:
            recipe = self.defaults.replace(samples=samples, seed=seed, options={"target": target})
            wanted = TARGETS[target]
            *_, last = _steps(self._model(recipe.replace(model=""), wanted), wanted, recipe, case.before,
                              case.region if told else None)
            before = torch.from_numpy(case.before)[None, None]
            return wanted.decode(last.x, before).clamp(0, BRIGHTEST)[:, 0].numpy()

        return evaluate.evaluate(synthesise, fitted(train), evaluate.evenly(kept, limit))


_NOTES = (f"Black to white is brightness from 0 to {BRIGHTEST:g} times that of the brightest tissue in the input.",
          f"In the difference, full orange is a gain of {views.FULL_COLOUR:g} of that brightness, full blue a loss.")


def _checked(mask: np.ndarray | None, size: tuple[int, int]) -> np.ndarray | None:
    """The marked area as bool (H, W), None where nothing is marked. Raises InputError for another size."""
    if mask is None:
        return None
    area = np.asarray(mask, bool)
    if area.shape != tuple(size):
        raise InputError(f"The mask is {area.shape[1]} x {area.shape[0]} px.",
                         f"The picture is {size[1]} x {size[0]} px.", "Both must have the same size.", field="mask")
    return area if area.any() else None


def _steps(model: Model, target: Target, recipe: Recipe, small: np.ndarray,
           region: np.ndarray | None) -> Iterator[Step]:
    """The solver's steps in x0's own coordinates, (B, 1, H, W)."""
    schedule, rng = model.schedule, Rng(recipe.seed, recipe.samples)
    free = {"cond": condition(small, None)}
    told = free if region is None else {"cond": condition(small, region)}
    weight = 1.0 if region is None else recipe.guidance
    guided = guidance.classifier_free(model.denoiser, told, free, weight)
    bounded = guidance.clipped(guided, -target.limit, target.limit)
    share = float(recipe.options.get("diversity", DIVERSITY))
    start = share * schedule(schedule.start)[1] * rng.normal(1, *small.shape)
    return pictures.solve(recipe, bounded, start, schedule, rng)


def _shown(step: Step, target: Target, before: Tensor) -> Step:
    """The step as pictures (B, 3, 128, 128): slices after contrast."""
    def picture(values: Tensor) -> Tensor:
        return as_picture(target.decode(values, before)).expand(-1, 3, -1, -1)

    return replace(step, x=picture(step.x), x0=picture(step.x0).clamp(-1, 1))


def _arrays(slice_: Framed, whole: np.ndarray) -> dict[str, Array]:
    change = views.difference(slice_.whole, whole.mean(0))
    return pictures.arrays(views.grey(whole), input=views.grey(slice_.whole), difference=change)


def _measured(slice_: Framed, whole: np.ndarray, area: np.ndarray | None) -> dict[str, float]:
    """How much was added, in per cent of the brightest tissue, over the head and over the marked area."""
    change, head = 100 * (whole.mean(0) - slice_.whole), slice_.whole > 0
    found = {"mean change in the head (%)": change[head]}
    if area is not None:
        found["mean change in the marked area (%)"] = change[area]
    return {name: round(float(values.mean()), 2) for name, values in found.items()}


TASK = ContrastSynthesis()
