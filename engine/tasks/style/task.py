"""Style transfer: what a photograph shows, in the palette and the hand of other pictures, each on a dial of its own."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from engine import metrics, models, samplers
from engine.io.pictures import Picture, to_pixels
from engine.networks.style import PATCH
from engine.recipe import Recipe
from engine.rng import Rng
from engine.step import Step
from engine.tasks import base, pictures
from engine.tasks.base import Array, Example, InputSpec, Result, Setting
from engine.tasks.style import canvas, examples, sampling, statistics
from engine.tasks.style.structure import grey

MODEL, CODEC = "style", "style_autoencoder"
_SIZES = ("128", "192", "256", "384", "512", "768", "1024")
_GRID = (0.5, 1.0, 1.5)
"""Factors of both dials in the table of nine."""


class StyleTransfer:
    """ArtFusion (Chen, 2023, arXiv 2306.09330) with an autoencoder and style features of our own.

    A latent diffusion model is told the structure of a photograph and the style of other pictures; two guidance weights
    say how much of either comes in. The network is convolutional and its style is told as numbers, so it draws pictures
    of any size in one piece, without tiles and seams.
    """

    name = "style"
    title = "Style transfer"
    summary = "Draws a photograph in the palette and the strokes of other pictures: one dial for each."
    warning = ""
    models = (MODEL, CODEC)
    inputs = (
        InputSpec("content", "Photograph", "picture", "What the result shows."),
        InputSpec("style", "Style", "picture", "A painting, or anything whose palette and strokes to take."),
        InputSpec("second", "Second style", "picture", "Optional: mixed with the first one.", required=False),
        InputSpec("mask", "Where", "mask", "Optional: paint where the style comes in.", required=False),
    )
    settings = (
        Setting("content", "Content weight", "How much of the photograph's structure stays.", sampling.CONTENT,
                minimum=0.0, maximum=3.0, step=0.1),
        Setting("style", "Style weight", "How much of the style comes in.", sampling.STYLE, minimum=0.0, maximum=4.0,
                step=0.1),
        Setting("detail", "Detail told", "How finely the structure is told: 1 is everything, 0 only large masses, so "
                "that strokes are free.", sampling.DETAIL, minimum=0.0, maximum=1.0, step=0.05),
        Setting("mix", "Share of the second style", "From the first style (0) to the second (1).", 0.5, minimum=0.0,
                maximum=1.0, step=0.05),
        Setting("size", "Longer side", "Of the result. Time grows with its square.", "256", _SIZES,
                tuple(f"{size} px" for size in _SIZES)),
        Setting("brush", "Size of the strokes", "The style is looked at in this size, relative to the photograph.", 1.0,
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
        Example("Cat in ink", examples.pair("chelsea", "ink wash", "rocket")),
        Example("Astronaut in strokes", examples.pair("astronaut", "brush strokes", "coffee")),
        Example("Cup in gravel", lambda: examples.pair("coffee", "", "chelsea")()
                | {"style": Picture(examples.texture("gravel"))}),
    )
    defaults = Recipe(task="style", model=MODEL, solver=sampling.SOLVER, steps=sampling.STEPS, spacing="uniform",
                      guidance=1.0, options={})
    guidance_range = (1.0, 1.0)
    steps_range = (1, 200)
    samples_range = (1, 8)
    samplers = pictures.unshifted_solver_names()

    def ignored(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the common settings without effect: both dials are guidance weights of their own."""
        return ("guidance", "samples") if options.get("grid") else ("guidance",)

    def solvers(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """All that an ordinary schedule allows."""
        return self.samplers

    def calls(self, recipe: Recipe) -> int:
        """Network calls; what guidance needs is one call."""
        return samplers.calls(recipe)

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        """Yield the steps and at last a Result with arrays samples, input, style, and grid where asked.

        inputs: "content" and "style", `Picture`s; "second" and "mask" where given. Steps show the latents by their
        principal components. Raises InputError.
        """
        recipe = base.check(self, recipe)
        options = {setting.name: setting.default for setting in self.settings} | dict(recipe.options)
        content = canvas.fitted(inputs["content"].pixels, int(options["size"]))
        count = len(_GRID) ** 2 if options["grid"] else recipe.samples
        pictures.fits(count, content.shape[:2])
        model, codec = models.load(MODEL), models.load(CODEC).network
        with torch.no_grad():
            scene = _scene(codec, model.network, inputs, content, options, count)
            step = None
            for step in self._steps(model, scene, options, recipe):
                if step.index < step.total:
                    yield replace(step, x=scene.picture(step.x, codec.preview),
                                  x0=scene.picture(step.x0, codec.preview))
            # One by one: decoding is what takes most memory.
            finished = torch.cat([scene.picture(one[None], codec.decode) for one in step.x]).clamp(-1, 1)
            yield replace(step, x=finished, x0=finished)
            yield _result(scene, to_pixels(finished), options, pictures.completed(recipe, model, content.shape[:2]))

    def _steps(self, model, scene: "_Scene", options: Mapping[str, Any], recipe: Recipe) -> Iterator[Step]:
        count, shape = len(scene.told.grey), scene.told.grey.shape[1:]
        start = Rng(recipe.seed, 1 if options["grid"] else count).normal(*shape).expand(count, *shape)
        rng = Rng(recipe.seed, count, first=count)
        content, style = _weights(options, shape[-2:])
        yield from sampling.steps_of(model.denoiser, scene.told, start, rng, recipe.solver, recipe.steps,
                                     recipe.spacing, content, style, float(options["detail"]), scene.kept,
                                     **samplers.options(recipe))

    def evaluate(self, data: str, limit: int | None = None) -> list[dict[str, Any]]:
        """Rows per method and dial position: structure kept, style taken, time."""
        from engine.tasks.style import evaluate

        return evaluate.evaluate(self, data, limit)


@dataclass(frozen=True)
class _Scene:
    """content, style (H, W, 3) uint8 as they are worked on; told: as the network takes them. where: share
    (1, 1, H', W') of the mask, and own: latents of the photograph, or None for the whole picture."""

    content: np.ndarray
    style: np.ndarray
    told: sampling.Told
    notes: tuple[str, ...]
    where: Tensor | None = None
    own: Tensor | None = None

    def kept(self, x0: Tensor) -> Tensor:
        """The estimate, with the photograph's own latents outside the mask."""
        if self.where is None:
            return x0
        inside = torch.nn.functional.avg_pool2d(self.where, PATCH)
        return inside * x0 + (1 - inside) * self.own

    def picture(self, latents: Tensor, show: Callable[[Tensor], Tensor]) -> Tensor:
        """Latents as pictures (B, 3, H, W) by `show`, with the photograph itself outside the mask."""
        x = show(latents)
        if self.where is not None:
            x = self.where * x + (1 - self.where) * canvas.padded(self.content)
        return x[..., :self.content.shape[0], :self.content.shape[1]]


def _scene(codec, network, inputs: Mapping[str, Any], content: np.ndarray, options: Mapping[str, Any], count: int
           ) -> _Scene:
    longest = max(canvas.LEAST_PX, round(int(options["size"]) * float(options["brush"])))
    styles, notes = [], tuple(inputs["content"].notes)
    for name in ("style", "second"):
        given = inputs.get(name)
        if given is not None:
            styles.append(canvas.fitted(given.pixels, longest))
            notes += _about(name, given)
    shares = (1 - float(options["mix"]), float(options["mix"])) if len(styles) > 1 else (1.0,)
    numbers = [sampling.described(codec, canvas.padded(one)) for one in styles]
    style = {name: value.expand(count, -1) for name, value in sampling.mixed(network, numbers, shares).items()}
    told = sampling.Told(codec.encode(grey(canvas.padded(content))).expand(count, -1, -1, -1), style)
    mask = inputs.get("mask")
    if mask is None:
        return _Scene(content, styles[0], told, notes)
    return _Scene(content, styles[0], told, notes, canvas.cover(mask, content.shape[:2]),
                  codec.encode(canvas.padded(content)))


def _about(name: str, given: Picture) -> tuple[str, ...]:
    height, width = given.pixels.shape[:2]
    if min(height, width) >= canvas.LEAST_PX:
        return given.notes
    return (*given.notes, f"The {name} picture has only {width} x {height} px: its strokes are enlarged.")


def _weights(options: Mapping[str, Any], shape: tuple[int, int]) -> tuple[sampling.Weight, sampling.Weight]:
    content, style = float(options["content"]), float(options["style"])
    if options["grid"]:
        down, across = torch.meshgrid(torch.tensor(_GRID), torch.tensor(_GRID), indexing="ij")
        return content * down.reshape(-1, 1, 1, 1), style * across.reshape(-1, 1, 1, 1)
    if options["fade"] != canvas.FADES[0]:
        return content, style * canvas.faded(shape, options["fade"])
    return content, style


def _result(scene: _Scene, samples: np.ndarray, options: Mapping[str, Any], recipe: Recipe) -> Result:
    if options["keep_colours"]:
        samples = np.stack([canvas.with_colours_of(one, scene.content) for one in samples])
    found = pictures.arrays(samples, input=scene.content, style=scene.style)
    if not options["grid"]:
        return Result(found, _measured(samples[0], scene), recipe, scene.notes)
    shown = {name: found[name] for name in ("samples", "input", "style")}
    note = "The table's rows are content weights, its columns style weights, each times 0.5, 1 and 1.5."
    return Result(shown | {"table": Array(_table(samples), pictures.AXES[1:])},
                  _measured(samples[len(samples) // 2], scene), recipe, (*scene.notes, note))


def _table(samples: np.ndarray) -> np.ndarray:
    side = len(_GRID)
    return np.concatenate([np.concatenate(list(samples[row * side:(row + 1) * side]), 1) for row in range(side)])


def _measured(shown: np.ndarray, scene: _Scene) -> dict[str, float]:
    """Structure kept and style taken by one sample."""
    wanted, got, had = (statistics.describe(one[None])[0] for one in (scene.style, shown, scene.content))
    kept = metrics.ssim(metrics.luminance(shown), metrics.luminance(scene.content))
    return {"SSIM of the lightness to the photograph": round(kept, 3),
            "Distance to the style": round(statistics.distance(got, wanted), 3),
            "Distance of the photograph to the style": round(statistics.distance(had, wanted), 3)}


TASK = StyleTransfer()
