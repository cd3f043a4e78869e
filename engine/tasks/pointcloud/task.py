"""Sketch to 3-D: points that gather into what was drawn and described, take its colours, and know their parts."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from engine import models
from engine.errors import InputError
from engine.models.model import Model
from engine.recipe import Recipe
from engine.solvers import row
from engine.step import Step
from engine.tasks import base, pictures
from engine.tasks.base import InputSpec, Result, Setting
from engine.tasks.pointcloud import examples, outcome, sampling, stages, surfaces
from engine.tasks.pointcloud.pool import POINTS
from engine.tasks.pointcloud.wishes import CREATE, MODES, PARTS, RECOLOUR, Wish

GEOMETRY, COLOUR = "cloud_geometry", "cloud_colour"
_OPTIONS = {"mode": CREATE, "sketch_weight": sampling.WEIGHTS[0], "text_weight": sampling.WEIGHTS[1],
            "colour_steps": sampling.COLOUR_STEPS, "points": str(POINTS), "surface": surfaces.NONE, "up": "y"}
_USED = {CREATE: ("sketch_weight", "text_weight", "colour_steps", "points", "surface"),
         RECOLOUR: ("text_weight", "colour_steps", "surface", "up"), PARTS: ("surface", "up")}
_UNUSED = {CREATE: (), RECOLOUR: ("steps",), PARTS: ("steps", "solver", "spacing", "seed", "random", "samples")}


class SketchToCloud:
    """STPD (Wu et al., ICCV 2023): geometry is diffused first, from sketch and words, then colours on that geometry.

    Since colours never move a point, a finished or a person's own cloud can be coloured anew, and the second network's
    labels tell its parts.
    """

    name = "pointcloud"
    title = "Sketch to 3-D"
    summary = ("Draw an object and say what it is: coloured points gather into it. Give it other colours, take its "
               "parts apart, wrap it in a surface.")
    warning = ""
    models = (GEOMETRY, COLOUR)
    inputs = (
        InputSpec("sketch", "Sketch", "sketch", "A line drawing of one object, as seen from a little above.",
                  required=False),
        InputSpec("text", "What it is", "text", 'Such as "a tall red chair with four thin black legs".',
                  required=False),
        InputSpec("cloud", "Your own point cloud", "cloud", "PLY, OBJ, STL, GLB, OFF, XYZ, CSV or PCD: to colour anew, "
                  "or to see its parts.", required=False),
        # No setting, since words that people type never enter a recipe.
        InputSpec("appearance", "Other words for the colours", "text", "Without them the colours follow the first "
                  "words.", required=False),
    )
    settings = (
        Setting("mode", "What to do", "A new shape, new colours for a cloud, or the parts of a cloud.", CREATE, MODES,
                ("Create from sketch and words", "Colour a cloud anew", "Find the parts of a cloud")),
        Setting("sketch_weight", "Weight of the sketch", "1 follows it as learned, more exaggerates, 0 ignores it.",
                _OPTIONS["sketch_weight"], minimum=0.0, maximum=8.0, step=0.1),
        Setting("text_weight", "Weight of the words", "The same for the words, in shape and colours.",
                _OPTIONS["text_weight"], minimum=0.0, maximum=8.0, step=0.1),
        Setting("colour_steps", "Steps for the colours", "After those of the shape.", _OPTIONS["colour_steps"],
                minimum=1, maximum=100, step=1, advanced=True),
        Setting("points", "Points", "8192 lays further points between the first 2048.", _OPTIONS["points"],
                (str(POINTS), str(stages.MANY)), advanced=True),
        Setting("surface", "Surface", "Poisson closes gaps, ball pivoting spans the points themselves.",
                surfaces.NONE, (surfaces.NONE, *surfaces.METHODS), ("None", "Poisson", "Ball pivoting"),
                advanced=True),
        Setting("up", "What is up in the cloud", "The models know shapes that stand on their feet.", "y", ("y", "z"),
                ("y, as in GLB and OBJ", "z, as from scanners and CAD"), advanced=True),
    )
    examples = examples.EXAMPLES
    defaults = Recipe(task="pointcloud", model=GEOMETRY, solver=sampling.SOLVER, steps=sampling.STEPS,
                      spacing=sampling.SPACING, samples=4, options=_OPTIONS)
    guidance_range = (1.0, 1.0)
    steps_range = (1, 200)
    samples_range = (1, 8)
    samplers = pictures.unshifted_solver_names()

    def relevant(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the settings that have an effect in this mode."""
        return ("mode", *_USED[options.get("mode", CREATE)])

    def ignored(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the common settings without effect: colours have steps of their own, parts are one look."""
        return _UNUSED[options.get("mode", CREATE)]

    def solvers(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """All that need nothing of their own, but Resfusion's, which has another schedule."""
        return self.samplers

    def calls(self, recipe: Recipe) -> int:
        """Network calls of the run, in both stages."""
        options = _OPTIONS | dict(recipe.options)
        if options["mode"] == PARTS:
            return 1
        colouring = row(recipe.solver).calls(options["colour_steps"])
        if options["mode"] == RECOLOUR:
            return colouring
        added = stages.MORE_STEPS * recipe.samples if options["points"] == str(stages.MANY) else 0
        return row(recipe.solver).calls(recipe.steps) + colouring + added

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        """Yield the steps of both stages and at last a Result, which `engine.tasks.pointcloud.outcome` describes.

        inputs, any of: "sketch", a `Sketch`; "text" and "appearance", texts; "cloud", a `CloudFile`. The steps' x and
        x0 are points (B, N, 3) while the shape forms and (B, N, 6) with colours in [-1, 1] afterwards, y up, N 2048 or
        what an own cloud has if that is less. Raises InputError.
        """
        recipe = base.check(self, recipe)
        options = _OPTIONS | dict(recipe.options)
        wish = Wish.of(inputs, options)
        colour = _model(COLOUR)
        if wish.mode == CREATE:
            used = _model(recipe.model or GEOMETRY, GEOMETRY)
            run = stages.created(used, colour, wish, recipe, options)
        else:
            used, stage = colour, stages.parted if wish.mode == PARTS else stages.recoloured
            run = stage(colour, wish, recipe, options)
        clouds = None
        for item in run:
            if isinstance(item, Step):
                yield item
            else:
                clouds = item
        words = used.network.words
        yield outcome.result(clouds, wish, words, options["surface"], pictures.completed(recipe, used, None))

    def evaluate(self, data: str, limit: int | None = None) -> list[dict[str, Any]]:
        """See `engine.tasks.pointcloud.evaluate.evaluate`. A pointwise network that is not shipped has an empty row."""
        from engine.tasks.pointcloud import evaluate

        there = "cloud_pointwise" in models.names()
        measured = evaluate.Models(_model(GEOMETRY), _model(COLOUR), _model("cloud_pointwise") if there else None)
        rows = evaluate.evaluate(measured, Path(data), limit)
        missing = {"source": "invented", "method": "pointwise network (not shipped, not measured)"}
        return rows if there else [*rows, missing]


def _model(name: str, kind: str = "") -> Model:
    """The model, which must be of the kind (by default that of its name)."""
    model = models.load(name)
    if model.card.architecture.kind != (kind or name):
        raise InputError(f"The model {name[:40]} is not one of {(kind or name).replace('_', ' ')}.",
                         "Each stage needs a network that was trained for it.", "Leave the model empty.",
                         field="model")
    return model


TASK = SketchToCloud()
