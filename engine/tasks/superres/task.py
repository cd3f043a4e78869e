"""Super-resolution: satellite pictures and photographs made finer, and photographs in the dark brightened as well."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from engine import samplers
from engine.io.pictures import Picture
from engine.models import shelf
from engine.recipe import Recipe
from engine.solvers import row
from engine.step import Step
from engine.tasks import base, photographs, pictures
from engine.tasks.base import Example, InputSpec, Result, Setting
from engine.tasks.superres import dark, natural, satellite, scene
from engine.tasks.superres.satellite import MODELS
from engine.tasks.superres.scaling import shrunk

SATELLITE, PHOTOGRAPH, DARK = "satellite", "photograph", "dark"
_TITLES = {SATELLITE: "Satellite picture", PHOTOGRAPH: "Photograph", DARK: "Photograph in the dark"}
_NEEDED = {SATELLITE: tuple(MODELS.values()), PHOTOGRAPH: (natural.UPSAMPLER, natural.PRIOR), DARK: (dark.MODEL,)}
_RUNS = {SATELLITE: satellite.run, PHOTOGRAPH: natural.run, DARK: dark.run}
_PLAY = Setting("play", "Make a sharp picture small first",
                "Takes a sharp picture, makes it small, and dark where that is asked for, and compares the result "
                "with it.", False)


def kinds() -> tuple[str, ...]:
    """The kinds of picture whose models are shipped, and satellite pictures."""
    shipped = set(shelf.names())
    return tuple(kind for kind, needed in _NEEDED.items() if kind == SATELLITE or shipped.issuperset(needed))


def _seen_from_above(seed: int, sharp: bool):
    def make() -> dict[str, Picture]:
        picture = scene.aerial(256, seed)
        return {"picture": Picture(picture if sharp else shrunk(picture))}

    return make


def _photograph(loader: str):
    return lambda: {"picture": Picture(np.uint8(photographs.photograph(loader) * 255 + 0.5))}


_EXAMPLES = (
    Example("Fields by a river", _seen_from_above(1, sharp=False),
            {"kind": SATELLITE, "method": "diffusion", "play": False}),
    Example("Sharp fields to shrink", _seen_from_above(7, sharp=True),
            {"kind": SATELLITE, "method": "diffusion", "play": True}),
    Example("Cat to shrink", _photograph("chelsea"), {"kind": PHOTOGRAPH, "way": natural.LEARNED, "play": True}),
    Example("Coffee in the dark", _photograph("coffee"), {"kind": DARK, "play": True, "stops": 3.0}),
)


class SuperResolution:
    """One task of three kinds of picture, each with its own module: `satellite`, `natural` and `dark`.

    EDiffSR (TGRS 2024) runs on the mean-reverting schedule, the others on the residual one, both in shifted
    coordinates, so that every solver can run them. Networks whose attention pools over the picture see squares of the
    size that they were trained on; larger pictures are made of overlapping ones.
    """

    name = "superres"
    title = "Super-resolution"
    summary = ("Makes a satellite picture or a photograph two to four times finer. Several samples show which details "
               "are sure.")
    warning = "Added detail is plausible, not measured. Research use, not for decisions about what a picture shows."
    inputs = (InputSpec("picture", "Picture", "picture",
                        "A satellite picture of about 10 m a pixel, such as Sentinel-2 (a GeoTIFF keeps its place), or "
                        "a photograph."),)
    defaults = Recipe(task="superres", model=MODELS["diffusion"], solver="dpmpp_2m", steps=15, spacing="quadratic",
                      options={"kind": SATELLITE, "method": "diffusion", "start": satellite.RANDOM, "play": False,
                               "diversity": 1.0})
    guidance_range = (1.0, 1.0)
    steps_range = (1, 200)
    samples_range = (1, 16)
    samplers = tuple(dict.fromkeys((*pictures.unshifted_solver_names(), *pictures.solver_names(), *natural.STEERERS)))

    @property
    def models(self) -> tuple[str, ...]:
        """Models of all kinds that can run."""
        return tuple(name for kind in kinds() for name in _NEEDED[kind])

    @property
    def examples(self) -> tuple[Example, ...]:
        """Of the kinds that can run."""
        return tuple(example for example in _EXAMPLES if example.options["kind"] in kinds())

    @property
    def settings(self) -> tuple[Setting, ...]:
        """Of all kinds; only those that can run are offered."""
        offered = kinds()
        kind = Setting("kind", "Kind of picture", "What it shows decides which model enlarges it.", SATELLITE, offered,
                       tuple(_TITLES[name] for name in offered))
        return kind, _PLAY, *satellite.SETTINGS, *natural.SETTINGS, *dark.SETTINGS

    def relevant(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the settings that have an effect."""
        kind = options.get("kind", SATELLITE)
        if kind == PHOTOGRAPH:
            return ("kind", "play", *natural.relevant(options))
        if kind == DARK:
            return ("kind", "play", *(("stops",) if options.get("play") else ("values", "brightness")), "texture")
        return (*(("kind",) if len(kinds()) > 1 else ()), "play", *satellite.relevant(options))

    def ignored(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Names of the common settings without effect: a regression is one call."""
        return ("steps", "spacing", "samples", "seed", "random") if self._regresses(options) else ()

    def solvers(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Those that need nothing of their own and suit the kind's schedule; for a regression DDIM."""
        kind = options.get("kind", SATELLITE)
        if kind == PHOTOGRAPH:
            return natural.solvers(options)
        if kind == DARK:
            return pictures.solver_names()
        return ("ddim",) if self._regresses(options) else pictures.unshifted_solver_names()

    def calls(self, recipe: Recipe) -> int:
        """Network calls for each tile; a picture up to 16 px wide and high is one of a satellite's."""
        if self._regresses(recipe.options):
            return 1
        return samplers.calls(recipe) if recipe.solver in natural.STEERERS else row(recipe.solver).calls(recipe.steps)

    def _regresses(self, options: Mapping[str, Any]) -> bool:
        return options.get("kind", SATELLITE) == SATELLITE and satellite.regresses(options)

    def run(self, inputs: Mapping[str, Any], recipe: Recipe) -> Iterator[Step | Result]:
        """Yield the steps and at last a Result with arrays input (enlarged), samples, and mean, spread, reference.

        inputs: "picture", a `Picture`. The steps' x and x0 are pictures (B, 3, H, W) of the result's size. Raises
        InputError.
        """
        recipe = base.check(self, recipe)
        options = {setting.name: setting.default for setting in self.settings} | dict(recipe.options)
        yield from _RUNS[options["kind"]](inputs["picture"], recipe, options)

    def evaluate(self, data: str, limit: int | None = None) -> list[dict[str, Any]]:
        """A row per kind and method: classical ones, networks of equal size, ours; see `evaluate` and `comparing`."""
        from engine.tasks.superres import comparing, evaluate

        def upscale(low: np.ndarray, method: str, samples: int, seed: int) -> np.ndarray:
            solver = {"solver": "ddim"} if method == "regression" else {}
            return self._samples(low, samples, seed, {"method": method}, **solver)

        sharp = evaluate.pictures_of(data, limit)
        rows = [{"kind": SATELLITE} | found for found in evaluate.evaluate(upscale, sharp)]
        rows += comparing.of_starts(sharp)
        if PHOTOGRAPH in kinds():
            rows += comparing.of_photographs(self._enlarge, data, limit)
        if DARK in kinds():
            rows += comparing.of_darkness(data, limit)
        return rows

    def _enlarge(self, low: np.ndarray, options: Mapping[str, Any], samples: int, seed: int,
                 **fields: Any) -> np.ndarray:
        return self._samples(low, samples, seed, {"kind": PHOTOGRAPH} | dict(options), **fields)

    def _samples(self, low: np.ndarray, samples: int, seed: int, options: Mapping[str, Any],
                 **fields: Any) -> np.ndarray:
        """uint8 (samples, H, W, 3) of the defaults with these options and fields."""
        recipe = self.defaults.replace(samples=samples, seed=seed, options=dict(options), **fields)
        with torch.no_grad():
            *_, result = self.run({"picture": Picture(low)}, recipe)
        return result.arrays["samples"].values


TASK = SuperResolution()
