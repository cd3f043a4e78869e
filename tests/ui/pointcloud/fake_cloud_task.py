"""Sketches to clouds without weights: words give a colour to a torus, or to the cloud that was brought."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from engine.errors import InputError
from engine.io.sketches import Sketch
from engine.recipe import Recipe
from engine.rng import Rng
from engine.step import Step
from engine.tasks.base import Array, Example, InputSpec, Result, Setting
from tests.ui.fake_task import Fake, torus

COLOURS = {"red": (220, 40, 40), "blue": (40, 60, 220)}
GREY = (128, 128, 128)
POINTS = 2048


def circle(side_px: int = 96) -> np.ndarray:
    """Ink (side, side) float32 of a ring."""
    y, x = np.mgrid[:side_px, :side_px] - (side_px - 1) / 2
    return np.float32(abs(np.hypot(x, y) - side_px / 3) < 2)


@dataclass
class FakeCloudTask(Fake):
    """Noise that contracts to a torus in the colour that the words name."""

    name: str = "pointcloud"
    title: str = "Sketch to 3-D"
    summary: str = "Draw an object and say what it is."

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        return (InputSpec("sketch", "Sketch", "sketch", "A line drawing of one object.", required=False),
                InputSpec("text", "What it is", "text", 'Such as "a red chair".', required=False),
                InputSpec("cloud", "Your own point cloud", "cloud", "To colour anew, or to see its parts.",
                          required=False),
                InputSpec("appearance", "Other words for the colours", "text", "Without them the first words count.",
                          required=False))

    settings = (Setting("mode", "What to do", "A new shape, or another look for a cloud.", "create",
                        ("create", "recolour", "parts"), ("Create", "Colour a cloud anew", "Find the parts")),
                Setting("sketch_weight", "Weight of the sketch", "0 ignores it.", 1.5, minimum=0.0, maximum=8.0,
                        step=0.1),
                Setting("up", "What is up in the cloud", "Shapes stand on their feet.", "y", ("y", "z"),
                        advanced=True))

    @property
    def examples(self) -> tuple[Example, ...]:
        return (Example("Ring", lambda: {"sketch": Sketch(circle()), "text": "a red chair"}, {"mode": "create"}),
                Example("Words only", lambda: {"text": "a blue lamp"}, {"mode": "create"}))

    def relevant(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        return ("mode", "sketch_weight") if options["mode"] == "create" else ("mode", "up")

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        points, mode = torus(POINTS)[0], recipe.options["mode"]
        if mode == "create" and not {"sketch", "text"} & inputs.keys():
            raise InputError("There is neither a sketch nor a text.", fix="Draw at least one stroke.", field="sketch")
        if mode != "create":
            if "cloud" not in inputs:
                raise InputError("There is no point cloud.", fix="Choose a file.", field="cloud")
            points = inputs["cloud"].points
        words = inputs.get("appearance") or inputs.get("text") or ""
        colour = next((rgb for name, rgb in COLOURS.items() if name in words.split()), GREY)
        clean = torch.from_numpy(np.concatenate([points, np.full_like(points, 1) * np.float32(colour) / 127.5 - 1], -1))
        noise = Rng(recipe.seed, recipe.samples).normal(*clean.shape)
        for index in range(1, recipe.steps + 1):
            self._call()
            sigma = 1 - index / recipe.steps
            shape = clean[:, :3] if index <= recipe.steps // 2 else clean
            kept = noise[..., :shape.shape[-1]]
            yield Step(index, recipe.steps, sigma, sigma, shape + sigma * kept, shape + 0.2 * sigma * kept, index)
        yield self._clouds(points, colour, inputs.get("sketch"), recipe)

    def _clouds(self, points: np.ndarray, colour: tuple[int, ...], sketch: Sketch | None, recipe: Recipe) -> Result:
        from engine.tasks.pointcloud.exports import cloud_files

        sizes = 1 - 0.08 * np.arange(recipe.samples, dtype=np.float32)
        all_points = points * sizes[:, None, None]
        colours = np.full(all_points.shape, colour, np.uint8)
        parts = (all_points[..., 1] < 0).astype(np.int32)
        arrays = {"points": Array(all_points, ("sample", "point", "axis")),
                  "colours": Array(colours, ("sample", "point", "channel")), "parts": Array(parts, ("sample", "point")),
                  "part_names": Array(np.array(["top", "base"]), ("part",))}
        if sketch is not None:
            small = np.uint8(sketch.ink[::max(1, len(sketch.ink) // 64), ::max(1, sketch.ink.shape[1] // 64)] > 0.5)
            arrays["sketch"] = Array(small[:64, :64] * np.uint8(255), ("y", "x"))
        files = {f"shape-{k}.{form}": content for k, sample in enumerate(zip(all_points, colours, parts), 1)
                 for form, content in cloud_files(*sample).items()}
        return Result(arrays, {"width": float(np.ptp(all_points[..., 0]))}, recipe, ("This is a test double.",), files)
