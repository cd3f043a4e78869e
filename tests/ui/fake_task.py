"""Tasks without weights, so that the page can be tested in seconds: what all of them share, one that restores pictures
with the closed-form denoiser of a Gaussian law, and one that forms clouds."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine import grids, schedules
from engine.io.pictures import Picture, to_pixels
from engine.recipe import Recipe
from engine.rng import Rng
from engine.solvers import row, solve
from engine.step import Step
from engine.tasks.base import Array, Example, InputSpec, Result, Setting

SIDE_PX = 64


def stripes(side_px: int = SIDE_PX) -> np.ndarray:
    """A colourful picture, (side, side, 3) uint8."""
    y, x = np.mgrid[:side_px, :side_px] / side_px
    picture = np.stack([x, y, 0.5 + 0.5 * np.sin(20 * x + 9 * y)], -1)
    return (255 * picture).astype(np.uint8)


@dataclass
class Fake:
    """What the fake tasks share. A class says its inputs, settings and examples, and runs.

    delay_s: how long each network call takes. trace: a file that gets a line for each network call and each ended run.
    """

    name: str = ""
    title: str = ""
    summary: str = ""
    warning: str = ""
    models: tuple[str, ...] = ()
    guidance_range: tuple[float, float] = (1.0, 1.0)
    steps_range: tuple[int, int] = (1, 50)
    samples_range: tuple[int, int] = (1, 8)
    delay_s: float = 0.0
    trace: Path | None = None

    inputs = ()
    settings = ()
    examples = ()
    samplers = ("ddpm", "ddim", "heun", "spndm", "dpmpp_2m", "unipc_2")

    @property
    def defaults(self) -> Recipe:
        """A short run of four samples."""
        options = {setting.name: setting.default for setting in self.settings}
        return Recipe(task=self.name, solver="ddim", steps=6, samples=4, options=options)

    def relevant(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """All settings."""
        return tuple(setting.name for setting in self.settings)

    def takes_model(self, options: Mapping[str, Any]) -> bool:
        """It has no network."""
        return False

    def solvers(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """All of its samplers."""
        return self.samplers

    def calls(self, recipe: Recipe) -> int:
        """One a step, whatever the solver."""
        return recipe.steps

    def evaluate(self, data: str, limit: int | None = None) -> list[dict[str, Any]]:
        """Nothing to measure."""
        return []

    def _call(self) -> None:
        self._say("call")
        time.sleep(self.delay_s)

    def _say(self, word: str) -> None:
        if self.trace is not None:
            with self.trace.open("a") as file:
                file.write(f"{self.name} {word}\n")


@dataclass
class FakeTask(Fake):
    """Samples from N(picture, 0.1^2): every run ends near the given picture. With a mask only inside it."""

    name: str = "restoration"
    title: str = "Restoration"
    summary: str = "Repairs a picture with the exact denoiser of a Gaussian law."
    guidance_range: tuple[float, float] = (0.0, 10.0)
    steps_range: tuple[int, int] = (1, 200)
    paints: bool = False

    @property
    def inputs(self) -> tuple[InputSpec, ...]:
        picture = InputSpec("picture", "Picture", "picture", "The picture to repair.")
        mask = InputSpec("mask", "Mask", "mask", "The area to fill.")
        return (picture, mask) if self.paints else (picture,)

    settings = (Setting("damage", "Damage", "What is wrong with the picture.", "auto", ("auto", "noise", "blur"),
                        ("Find out", "Noise", "Blur")),
                Setting("strength", "Strength", "Of the damage.", 0.5, minimum=0.0, maximum=1.0, step=0.05),
                Setting("fine", "Fine detail", "Keep more.", True, advanced=True))

    @property
    def examples(self) -> tuple[Example, ...]:
        def make() -> dict[str, Any]:
            inputs: dict[str, Any] = {"picture": Picture(stripes())}
            if self.paints:
                inputs["mask"] = np.zeros((SIDE_PX, SIDE_PX), bool)
                inputs["mask"][20:44, 24:40] = True
            return inputs

        def other() -> dict[str, Any]:
            return make() | {"picture": Picture(np.ascontiguousarray(stripes()[::-1]))}

        return Example("Stripes", make), Example("Upside down", other, {"damage": "noise"})

    @property
    def defaults(self) -> Recipe:
        return Recipe(task=self.name, solver="dpmpp_2m", steps=20, options={"damage": "auto", "strength": 0.5})

    def relevant(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Strength has no effect when the damage is found automatically."""
        return ("damage", "fine") if options["damage"] == "auto" else ("damage", "strength", "fine")

    def takes_model(self, options: Mapping[str, Any]) -> bool:
        """For noise only, so that both cases are there."""
        return options["damage"] == "noise"

    def solvers(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """All, but blur leaves out DDPM."""
        return tuple(name for name in self.samplers if options.get("damage") != "blur" or name != "ddpm")

    def calls(self, recipe: Recipe) -> int:
        """Network calls of a run."""
        return row(recipe.solver).calls(recipe.steps)

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        """Solve from noise with the exact denoiser."""
        mean = inputs["picture"].tensor()
        schedule = schedules.cosine()
        rng = Rng(recipe.seed, recipe.samples)

        def denoise(x: torch.Tensor, t: Any, **_: Any) -> torch.Tensor:
            self._call()
            alpha, sigma = (torch.as_tensor(v, dtype=torch.float32).reshape(-1, 1, 1, 1) for v in schedule(t))
            gain = alpha * 0.01 / (alpha**2 * 0.01 + sigma**2)
            return mean + gain * (x - alpha * mean)

        times = grids.make(recipe.spacing, schedule, recipe.steps)
        options = {o.name: recipe.options[o.name] for o in row(recipe.solver).options if o.name in recipe.options}
        step = None
        try:
            for step in solve(recipe.solver, denoise, rng.normal(*mean.shape[1:]), times, schedule, rng=rng, **options):
                yield step
            yield self._result(inputs, to_pixels(step.x0), recipe)
        finally:
            self._say("closed")

    def _result(self, inputs: Mapping[str, Any], samples: np.ndarray, recipe: Recipe) -> Result:
        picture, axes = inputs["picture"].pixels, ("sample", "y", "x", "channel")
        if "mask" in inputs:
            samples = np.where(inputs["mask"][None, ..., None], samples, picture)
        arrays = {"samples": Array(samples, axes), "input": Array(picture, axes[1:])}
        if recipe.samples > 1:
            arrays["mean"] = Array(samples.mean(0).round().astype(np.uint8), axes[1:])
            arrays["spread"] = Array(samples.std(0).mean(-1), axes[1:3], "8-bit levels")
        error = np.mean((samples[0].astype(float) - picture) ** 2)
        return Result(arrays, {"PSNR of the result (dB)": float(10 * np.log10(255**2 / max(error, 1e-9)))}, recipe,
                      ("This is a test double.",))


def torus(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of a torus (count, 3) in [-1, 1] that lies almost flat, and colours (count, 3) in [-1, 1] by the angle."""
    i = np.arange(count)
    around, across = 2 * np.pi * i * 0.6180339887 % (2 * np.pi), 2 * np.pi * i / count
    ring = 0.68 + 0.3 * np.cos(across)
    points = np.stack([ring * np.cos(around), 0.3 * np.sin(across), ring * np.sin(around)], -1)
    colours = np.cos(around[:, None] - np.array([0.0, 2.1, 4.2]))
    return points.astype(np.float32), colours.astype(np.float32)


@dataclass
class FakePointsTask(FakeTask):
    """Noise that contracts to a torus, whose points are coloured and belong to an upper and a lower part."""

    name: str = "points"
    title: str = "Points"
    count: int = 2048

    def calls(self, recipe: Recipe) -> int:
        """One a step, whatever the solver."""
        return recipe.steps

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        """The exact flow of x = a + sigma * noise, from sigma 3 to 0."""
        places, colours = torus(self.count)
        clean = torch.from_numpy(np.concatenate([places, colours], -1))
        noise = Rng(recipe.seed, recipe.samples).normal(*clean.shape)
        try:
            for index in range(1, recipe.steps + 1):
                self._call()
                sigma = 3 * (1 - index / recipe.steps)
                x, x0 = clean + sigma * noise, clean + 0.2 * sigma * noise
                yield Step(index, recipe.steps, sigma / 3, sigma, x, x0, index)
            yield self._cloud(np.stack([places * (1 - 0.08 * i) for i in range(recipe.samples)]), colours, recipe)
        finally:
            self._say("closed")

    def _cloud(self, points: np.ndarray, colours: np.ndarray, recipe: Recipe) -> Result:
        import trimesh

        samples = len(points)
        painted = np.repeat(((colours + 1) * 127.5).astype(np.uint8)[None], samples, 0)
        arrays = {"points": Array(points, ("sample", "point", "axis")),
                  "colours": Array(painted, ("sample", "point", "channel")),
                  "parts": Array((points[..., 1] < 0).astype(np.int32), ("sample", "point")),
                  "part_names": Array(np.array(["upper half", "lower half"]), ("part",))}
        mesh = trimesh.creation.torus(0.68, 0.3, major_sections=24, minor_sections=12)
        mesh.visual.vertex_colors = (mesh.vertices * 120 + 128).astype(np.uint8)
        files = {"shape-1.glb": trimesh.Scene(mesh).export(file_type="glb")}
        return Result(arrays, {"Extent": float(np.ptp(points))}, recipe, ("This is a test double.",), files)
