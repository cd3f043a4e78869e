"""Tooth arrangement: where crooked teeth could stand after treatment, drawn several times, with the way there."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from engine import models, samplers
from engine.errors import InputError
from engine.io.dental import Dentition
from engine.io.dental.sizes import UNITS
from engine.models.model import Model
from engine.recipe import Recipe
from engine.solvers import row
from engine.step import Step
from engine.tasks import base, pictures
from engine.tasks.base import InputSpec, Result, Setting
from engine.tasks.teeth import anatomy, asked, examples, outcome, sampling, scans, staging, state
from engine.tasks.teeth.asked import Asked
from engine.tasks.teeth.dentition import Motion, Teeth
from engine.tasks.teeth.outcome import REACH_MM

_SHOWN = 1024
_REGRESSOR = "teeth_regressor"


class ToothArrangement:
    """TADPM (Lei et al., 2024, arXiv 2312.15139): the rigid motions of all teeth are diffused, the crowns are the
    condition. What an orthodontist wishes is kept while sampling (`engine.tasks.teeth.wishes`).
    """

    name = "teeth"
    title = "Tooth arrangement"
    summary = "Proposes where crooked teeth could stand after treatment, how sure that is, and the way there in stages."
    warning = "Research use, not for treatment."
    models = ("teeth",)
    inputs = (InputSpec("teeth", "Teeth", "dentition",
                        "STL, PLY or OBJ: one file per tooth with its FDI number in the name, or jaws with labels; "
                        "several files or a zip."),)
    settings = (
        Setting("unit", "Unit of the files", "Found from the size is the one in which they are as large as teeth.",
                "auto", ("auto", *UNITS), ("Found from the size", "mm", "µm", "cm", "m", "inch")),
        Setting("fixed", "Teeth that stay", "FDI numbers or ranges along a jaw, such as 16,26 or 13-23.", ""),
        Setting("no_collisions", "No collisions", "Teeth that overlap are pushed apart while sampling.", True),
        Setting("close_gaps", "Close small gaps", "Neighbours less than 1 mm apart come into contact.", True),
        Setting("keep_width", "Keep the arch width", "Of canines and first molars, in both jaws.", False),
        Setting("keep_midline", "Set the midlines", "Brings both where the next control says.", False),
        Setting("midline_mm", "Midline to the patient's left", "Of where the upper one is now.", 0.0, minimum=-5.0,
                maximum=5.0, step=0.1, unit="mm"),
        Setting("limit_mm", "Farthest movement", "Of a crown's centre; 0 sets no limit.", 0.0, minimum=0.0,
                maximum=10.0, step=0.1, unit="mm", advanced=True),
        Setting("limit_deg", "Largest turn", "Of a tooth; 0 sets no limit.", 0.0, minimum=0.0, maximum=90.0, step=1.0,
                unit="degrees", advanced=True),
        Setting("stage_mm", "Movement per stage", "A tooth moves no farther in one stage.", staging.LIMIT_MM,
                minimum=0.1, maximum=1.0, step=0.05, unit="mm", advanced=True),
        Setting("stage_deg", "Turn per stage", "A tooth turns no farther in one stage.", staging.LIMIT_DEG, minimum=0.5,
                maximum=5.0, step=0.5, unit="degrees", advanced=True),
    )
    examples = examples.examples()
    defaults = Recipe(task="teeth", model="teeth", solver=sampling.SOLVER, steps=sampling.STEPS, spacing="uniform",
                      samples=sampling.SAMPLES, options={setting.name: setting.default for setting in settings})
    guidance_range = (1.0, 1.0)
    steps_range = (1, 200)
    samples_range = (1, 32)
    samplers = pictures.unshifted_solver_names()

    def solvers(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """All that need nothing of their own, but Resfusion's, which has another schedule."""
        return self.samplers

    def calls(self, recipe: Recipe) -> int:
        """Network calls of the run."""
        return row(recipe.solver).calls(recipe.steps)

    def relevant(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Settings that have an effect."""
        return tuple(s.name for s in self.settings if s.name != "midline_mm" or options["keep_midline"])

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        """Yield the steps and at last a Result, whose arrays and files `engine.tasks.teeth.outcome` describes.

        inputs: "teeth", a `Dentition`. The steps' x0 and x are points (B, N, 3) on the crowns in units of REACH_MM
        about the middle of all teeth: the upper jaw's, then as many of the lower jaw. Raises InputError.
        """
        recipe = base.check(self, recipe)
        options = {setting.name: setting.default for setting in self.settings} | dict(recipe.options)
        dentition: Dentition = inputs["teeth"].in_unit(options["unit"])
        wanted = asked.read(options, dentition)
        teeth = scans.teeth_of(dentition.meshes)
        model = self._model(recipe)
        frame = state.frame_of(model.network)
        level = state.levelling(teeth, frame)
        told, view = level.apply(teeth), _View(teeth)
        steps = sampling.arranging(model, teeth, recipe.samples, recipe.seed, recipe.solver, recipe.steps,
                                   wanted.wishes, spacing=recipe.spacing, **samplers.options(recipe))
        motion = None
        for step, motion in steps:
            noisy = level.undo(frame.decode(told.centres, step.x))
            yield replace(step, x=view.points(noisy), x0=view.points(motion))
        drawn = _drawn(dentition, teeth, motion, frame, level, wanted, options, view)
        yield outcome.result(drawn, pictures.completed(recipe, model, None), _notes(drawn, wanted))

    def _model(self, recipe: Recipe) -> Model:
        model = models.load(recipe.model or self.models[0])
        if model.card.architecture.kind != "teeth":
            raise InputError("The model is not one of tooth arrangement.", "It must have the network teeth.",
                             "Leave the model empty.", field="model")
        return model

    def evaluate(self, data: str, limit: int | None = None) -> list[dict[str, Any]]:
        """A row per set of held-out patients and method; see `engine.tasks.teeth.evaluate`."""
        from engine.tasks.teeth import evaluate

        shipped = set(models.names())
        if _REGRESSOR not in shipped:
            logging.getLogger(__name__).warning("The regressor of equal size is not shipped: its rows are left out.")
        return evaluate.evaluate({name: models.load(name) for name in (*self.models, _REGRESSOR) if name in shipped},
                                 data, limit)


class _View:
    """Points on the crowns of one patient, the same ones at every step."""

    def __init__(self, teeth: Teeth):
        self._teeth = teeth
        self._middle = teeth.centres[0][teeth.present[0]].mean(0)
        slots = torch.nonzero(teeth.present[0])[:, 0]
        many = teeth.points.shape[2]
        jaws = []
        for upper in (True, False):
            jaw = slots[torch.from_numpy(anatomy.UPPER)[slots] == upper]
            which = torch.linspace(0, max(len(jaw) * many - 1, 0), _SHOWN).long()
            # A jaw without teeth is a single point, that of another tooth: half of the points are a jaw's.
            jaws.append((jaw[which // many], which % many) if len(jaw) else (slots[:1].expand(_SHOWN), 0 * which))
        self._slots, self._samples = (torch.cat(parts) for parts in zip(*jaws))

    def points(self, motion: Motion) -> Tensor:
        """(B, 2 _SHOWN, 3) after motions (B, 32), in units of REACH_MM."""
        own = self._teeth.points[0, self._slots, self._samples]
        turned = own[:, None] @ (self._teeth.axes @ motion.rotation)[:, self._slots]
        return (turned[..., 0, :] + motion.centre[:, self._slots] - self._middle) / REACH_MM


def _drawn(dentition: Dentition, teeth: Teeth, samples: Motion, frame: state.Frame, level: state.Level, wanted: Asked,
           options: Mapping[str, Any], view: _View) -> outcome.Drawn:
    """The samples with their mean, which follows the wishes again, and the stages of that."""
    levelled = level.inverse().undo(samples)
    each = [levelled[k:k + 1] for k in range(len(samples.centre))]
    goal = level.undo(sampling.summary(frame, level.apply(teeth), each, wanted.wishes))
    stages = staging.staged(teeth, goal, options["stage_mm"], options["stage_deg"])
    return outcome.Drawn(dentition, teeth, samples, goal, stages, view.points(samples).numpy())


def _notes(drawn: outcome.Drawn, wanted: Asked) -> tuple[str, ...]:
    left, notes = drawn.staging.remaining, [*drawn.dentition.notes, *wanted.notes]
    if left:
        notes.append(f"In {len(left)} of {len(drawn.staging.motions)} stages teeth overlap more than at the start and "
                     f"the goal, by {float(drawn.staging.excess_mm.max()):.2f} mm at most.")
    step = outcome.exports.stride(drawn.dentition, len(drawn.staging.motions))
    if step > 1:
        notes.append(f"stages.zip holds one of {step} stages, because all of them would be too large; motions.json has "
                     "all.")
    return (*notes, "The model has seen invented malocclusions only. It knows neither roots, bone, gums nor faces.")


TASK = ToothArrangement()
