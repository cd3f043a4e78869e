"""Segmentation: masks drawn by diffusion, what they agree on, and where one should not trust them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from engine import models
from engine.errors import InputError
from engine.io.medical.scan import Scan, slice_picture
from engine.models.model import Model
from engine.recipe import Recipe
from engine.solvers import row
from engine.step import Step
from engine.tasks import base, pictures
from engine.tasks.base import Example, InputSpec, Result, Setting
from engine.tasks.segmentation import examples, masking, outcome
from engine.tasks.segmentation.targets import TARGETS, Target

SCALES = (0.1, 8.0)


class Segmentation:
    """MedSegDiff (Wu et al., 2022, arXiv 2211.00611): the mask is denoised, the picture is its condition.

    Several samples are several answers that the picture allows. Their mean, or STAPLE's weighing of them, is the
    chance of every pixel; where they differ is where not to trust it.
    """

    name = "segmentation"
    title = "Segmentation"
    summary = ("Finds nuclei, vessels of the retina or, in invented pictures, an optic cup, a tumour or a nodule. "
               "Draws several masks that the picture allows, and shows where they differ.")
    warning = "Research use, not for diagnosis."
    models = tuple(target.model for target in TARGETS.values())
    inputs = (InputSpec("picture", "Picture or scan", "scan",
                        "PNG, JPEG, TIFF (8 or 16 bit), DICOM, a zipped series, or NIfTI."),)
    settings = (
        Setting("target", "What to find", "Each has a model of its own.", "nuclei", tuple(TARGETS),
                tuple(target.title for target in TARGETS.values())),
        Setting("threshold", "Threshold", "Chance above which a pixel belongs to the mask.", 0.5, minimum=0.05,
                maximum=0.95, step=0.01),
        Setting("fusion", "Fusion", "How the samples become one chance a pixel: steadied by the picture network's own "
                "answer, as they are, or weighed by how well each agrees with the others.", "calibrated",
                ("calibrated", "mean", "staple"), ("Calibrated mean", "Mean", "STAPLE"), advanced=True),
        Setting("scale", "Enlargement", "How many times larger the picture is made for the model. 0 takes what fits "
                "the training pictures.", 0.0, minimum=0.0, maximum=SCALES[1], step=0.05, advanced=True),
        Setting("slice", "Slice", "Of a volume, counted from 1; 0 is the middle one.", 0, minimum=0, maximum=4096,
                step=1),
        Setting("every_slice", "Every slice", "Segments the whole volume, slice by slice.", False),
        Setting("centre", "Window centre", "Of the values of a scan.", 0.0, minimum=-65536.0, maximum=65536.0,
                step=1.0),
        Setting("width", "Window width", "0 takes the file's own window, or the range of the values.", 0.0,
                minimum=0.0, maximum=131072.0, step=1.0),
    )
    examples = (
        Example("Fluorescent nuclei", examples.nuclei, {"target": "nuclei"}),
        Example("Stained nuclei", examples.stained, {"target": "nuclei"}),
        Example("Retina", examples.retina, {"target": "vessels"}),
        Example("Invented tumour", examples.tumour, {"target": "demo"}),
    )
    defaults = Recipe(task="segmentation", model="segmentation_nuclei", solver="dpmpp_2m", steps=10, samples=8,
                      spacing="uniform", options={"target": "nuclei", "threshold": 0.5, "fusion": "calibrated"})
    guidance_range = (1.0, 1.0)
    steps_range = (1, 200)
    samples_range = (1, 16)
    samplers = pictures.unshifted_solver_names()

    def solvers(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """All that need nothing of their own, but Resfusion's, which has another schedule."""
        return self.samplers

    def calls(self, recipe: Recipe) -> int:
        """Network calls for each tile; a picture up to 128 px wide and high is one."""
        return row(recipe.solver).calls(recipe.steps)

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        """Yield the steps and at last a Result, whose arrays and files `engine.tasks.segmentation.outcome` describes.

        inputs: "picture", a `Scan`. The steps' x0 are pictures (B, 3, h, w) with the expected masks over them, x the
        noisy masks (B, 1, h, w), of the size that the model works at. Raises InputError.
        """
        recipe = base.check(self, recipe)
        scan: Scan = inputs["picture"]
        options = {setting.name: setting.default for setting in self.settings} | dict(recipe.options)
        target = TARGETS[options["target"]]
        model = self._model(recipe, target)
        shown = _chosen(scan, options["slice"])
        every = options["every_slice"] and len(scan.values) > 1
        drawn = outcome.Drawn(options["fusion"], target.counted)
        for number, index in enumerate(range(len(scan.values)) if every else [shown]):
            picture = slice_picture(scan, index, *_window(options)).pixels
            scale = options["scale"] or target.scale(picture)
            of = _prepared(picture, target, model, scale, recipe)
            step = None
            for step in masking.steps(model, of, recipe, first=number * recipe.samples):
                placed = replace(step, index=number * step.total + step.index, total=step.total * (
                    len(scan.values) if every else 1), nfe=step.nfe + number * self.calls(recipe))
                yield replace(placed, x0=masking.overlaid(of, step.x0))
            drawn.add(index, masking.chances(of, step.x), masking.own_chance(of))
        recipe = pictures.completed(recipe, model, scan.size[1:])
        yield outcome.result(scan, slice_picture(scan, shown, *_window(options)).pixels, drawn, shown, target, options,
                             recipe)

    def _model(self, recipe: Recipe, target: Target) -> Model:
        own = recipe.model not in ("", *self.models)
        model = models.load(recipe.model if own else target.model)
        if model.card.prediction != "logits":
            raise InputError(f"The model predicts {model.card.prediction[:40]!r}.",
                             "Segmentation needs one that predicts masks.", "Leave the model empty.", field="model")
        return model

    def evaluate(self, data: str, limit: int | None = None) -> list[dict[str, Any]]:
        """Rows per data set and method: classical ones, the plain U-Net, and ours by samples and steps."""
        from engine.tasks.segmentation import evaluate

        return evaluate.evaluate(data, limit)


def _chosen(scan: Scan, number: int) -> int:
    """Index of the slice with this number from 1, 0 being the middle one. Raises InputError for one beyond the last."""
    count = len(scan.values)
    if number > count:
        raise InputError(f"Slice {number} was asked for.", f"The scan has {count} slice{'s' if count > 1 else ''}.",
                         f"Choose one from 1 to {count}.", field="slice")
    return int(number) - 1 if number else count // 2


def _window(options: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Centre and width of the window, both None where the scan's own is taken."""
    return (options["centre"], options["width"]) if options["width"] else (None, None)


def _prepared(picture: np.ndarray, target: Target, model: Model, scale: float, recipe: Recipe) -> masking.Prepared:
    scale = float(np.clip(scale, *SCALES))
    pictures.fits(recipe.samples, masking.working_size(picture.shape[:2], scale))
    with torch.no_grad():
        return masking.prepared(picture, target, model, scale)


TASK = Segmentation()
