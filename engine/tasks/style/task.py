"""Style transfer: what a photograph shows, in the palette and the hand of other pictures, each on a dial of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from engine import samplers, schedules
from engine.recipe import Recipe
from engine.rng import Rng
from engine.step import Step
from engine.tasks import base, pictures
from engine.tasks.base import Example, InputSpec, Result, Setting
from engine.tasks.style import canvas, examples, outcome
from engine.tasks.style.patches import PatchLaw
from engine.tasks.style.scene import Scene

CONTENT, STYLE = 1.5, 1.0
_SIZES = ("128", "192", "256", "384", "512", "768", "1024")
_GRID = (0.5, 1.0, 1.5)
"""Factors of both dials in the table of nine."""


class StyleTransfer:
    """A photograph in the patches of other pictures, by diffusion under their exact law (`patches.PatchLaw`).

    The denoiser is known in closed form from the style pictures, so nothing is trained and every stroke is one that was
    painted. Two dials as in ArtFusion (Chen, 2023, arXiv 2306.09330): how closely the patches follow the photograph,
    and how much of what is seen they are. The learned model of that paper is in `engine.networks.style`.
    """

    name = "style"
    title = "Style transfer"
    summary = "Draws a photograph in the palette and the strokes of other pictures: one dial for each."
    warning = ""
    models = ()
    inputs = (
        InputSpec("content", "Photograph", "picture", "What the result shows."),
        InputSpec("style", "Style", "picture", "A painting, or anything whose palette and strokes to take."),
        InputSpec("second", "Second style", "picture", "Optional: mixed with the first one.", required=False),
        InputSpec("mask", "Where", "mask", "Optional: paint where the style comes in.", required=False),
    )
    settings = (
        Setting("content_weight", "Content weight", "How closely the strokes follow what the photograph shows.",
                CONTENT, minimum=0.0, maximum=3.0, step=0.1),
        Setting("style_weight", "Style weight", "How much of what is seen is drawn: 0 is the photograph, above 1 "
                "exaggerates.", STYLE, minimum=0.0, maximum=1.5, step=0.05),
        Setting("stroke", "Size of what is copied", "Small pieces keep details of the photograph, large ones show "
                "whole strokes.", 1.0, minimum=0.5, maximum=4.0, step=0.1),
        Setting("mix", "Share of the second style", "How many of the strokes are from the second style, where one is "
                "given.", 0.5, minimum=0.0, maximum=1.0, step=0.05),
        Setting("size", "Longer side", "Of the result.", "256", _SIZES, tuple(f"{size} px" for size in _SIZES)),
        Setting("brush", "Scale of the style", "The style is looked at in this size, relative to the photograph.", 1.0,
                minimum=0.5, maximum=2.0, step=0.1, advanced=True),
        Setting("fade", "Strength over the picture", "Where the style is at its full weight.", canvas.FADES[0],
                canvas.FADES, tuple(fade.capitalize() for fade in canvas.FADES), advanced=True),
        Setting("keep_colours", "Keep the photograph's colours", "Only the lightness is drawn.", False),
        Setting("grid", "Table of nine", "Half, once and one and a half times the content weight (down) and style "
                "weight (across), from one start noise.", False),
    )
    examples = (
        Example("Cat in dots", examples.pair("chelsea", "pointillism", "coffee")),
        Example("Cup in hatching", examples.pair("coffee", "hatching", "astronaut")),
        Example("Rocket in tiles", examples.pair("rocket", "mosaic", "chelsea")),
        Example("Cat in ink", examples.pair("chelsea", "ink wash", "astronaut")),
        Example("Astronaut in strokes", examples.pair("astronaut", "brush strokes", "coffee")),
        Example("Cup in gravel", examples.textured("coffee", "gravel")),
    )
    defaults = Recipe(task="style", model="", solver="dpmpp_2m", steps=20, spacing="uniform", guidance=1.0, options={})
    guidance_range = (1.0, 1.0)
    steps_range = (1, 200)
    samples_range = (1, 8)
    samplers = pictures.unshifted_solver_names()

    def ignored(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the common settings without effect: both dials stand in place of a guidance scale."""
        return ("guidance", "samples") if options.get("grid") else ("guidance",)

    def solvers(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """All that an ordinary schedule allows."""
        return self.samplers

    def calls(self, recipe: Recipe) -> int:
        """Calls of the denoiser."""
        return samplers.calls(recipe)

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        """Yield the steps and at last a Result with arrays samples, input, style, and table where asked.

        inputs: "content" and "style", `Picture`s; "second" and "mask" where given. Raises InputError.
        """
        recipe = base.check(self, recipe)
        options = {setting.name: setting.default for setting in self.settings} | dict(recipe.options)
        scene = Scene.of(inputs, options)
        count = len(_GRID) ** 2 if options["grid"] else recipe.samples
        pictures.fits(count, scene.size)
        step = None
        for step in _steps(scene, options, recipe, count):
            yield replace(step, x0=step.x0.clamp(-1, 1))
        yield outcome.result(scene, step.x, options, recipe)

    def evaluate(self, data: str, limit: int | None = None) -> list[dict[str, Any]]:
        """Rows per method and dial position: structure kept, style taken, time."""
        from engine.tasks.style import evaluate

        return evaluate.evaluate(self, data, limit)


def _steps(scene: Scene, options: Mapping[str, Any], recipe: Recipe, count: int) -> Iterator[Step]:
    schedule = schedules.vp_linear()
    starts = Rng(recipe.seed, 1 if options["grid"] else count)
    start, grain = (starts.normal(3, *scene.size).expand(count, -1, -1, -1) for _ in range(2))
    law = PatchLaw(scene.photograph, grain, scene.hands, scene.shares)
    content, style = _weights(options, count)

    def denoise(x: Tensor, t: Any, **_: Any) -> Tensor:
        alpha, sigma = (float(v) for v in schedule(float(t)))
        return law.denoise(x, alpha, sigma, content, style * scene.where)

    yield from pictures.solve(recipe, denoise, start * schedule(schedule.start)[1], schedule,
                              Rng(recipe.seed, count, first=count))


def _weights(options: Mapping[str, Any], count: int) -> tuple[Tensor, Tensor]:
    """Content weights (B,) and style weights (B, 1, 1, 1)."""
    content, style = (torch.full((count,), float(options[name])) for name in ("content_weight", "style_weight"))
    if options["grid"]:
        down, across = torch.meshgrid(torch.tensor(_GRID), torch.tensor(_GRID), indexing="ij")
        content, style = content * down.flatten(), style * across.flatten()
    return content, style[:, None, None, None]


TASK = StyleTransfer()
