"""What a finished run gives: clouds with colours and parts, the sketch as it was seen, figures and files."""

from collections.abc import Sequence

import numpy as np

from engine.errors import InputError
from engine.recipe import Recipe
from engine.tasks.base import Array, Result
from engine.tasks.pointcloud import exports, surfaces
from engine.tasks.pointcloud.shapes import PARTS
from engine.tasks.pointcloud.stages import Clouds
from engine.tasks.pointcloud.surfaces import Surface
from engine.tasks.pointcloud.wishes import Wish

# Okabe and Ito's colours, which most people with a colour vision deficiency tell apart.
_CODES = np.uint8([(0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0),
                   (240, 228, 66), (96, 104, 112)])
_CLOUD = ("sample", "point", "axis")
_LEAST_SHARE = 1.0
"""Per cent of the points below which a part is a few mistaken points rather than a part."""


def result(clouds: Clouds, wish: Wish, words: Sequence[str], surface: str, recipe: Recipe) -> Result:
    """Arrays: points (sample, point, axis) float32 in about [-1, 1], y up; colours (sample, point, channel) uint8;
    parts (sample, point) int32 with part_names (part,); sketch (y, x) uint8, ink 255, as the model saw it.

    Files of sample K: shape-K.glb, shape-K.ply, shape-K.csv, and surface-K.glb, .obj, .stl, .ply with a surface. Where
    parts alone were asked for, colours tell the parts. Metrics: extent along the axes in shape units (shapes are made
    with a longest side of 2) and share of each part in per cent, means over the samples. words: those that the network
    knows.
    """
    notes = wish.told(words)
    colours = clouds.colours
    if colours is None:
        colours = _coded(clouds.part)
        notes = (*notes, "The colours tell the parts apart; those of the file are in the file.")
    arrays = {"points": Array(clouds.points, _CLOUD),
              "colours": Array(colours, ("sample", "point", "channel"), "sRGB"),
              "parts": Array(clouds.part, _CLOUD[:2]), "part_names": Array(np.array(PARTS), ("part",))}
    if wish.sketch is not None:
        arrays["sketch"] = Array(wish.sketch, ("y", "x"))
    wrapped, problem = _wrapped(clouds.points, colours, surface)
    files = {f"surface-{k}.{form}": content for k, one in wrapped.items()
             for form, content in exports.surface_files(one).items()}
    for k, cloud in enumerate(zip(clouds.points, colours, clouds.part), start=1):
        files |= {f"shape-{k}.{form}": content for form, content in exports.cloud_files(*cloud).items()}
    return Result(arrays, _figures(clouds, wrapped), recipe, (*notes, *problem), files)


def _coded(part: np.ndarray) -> np.ndarray:
    """A colour for each part that there is, in the order of PARTS."""
    places = np.unique(part, return_inverse=True)[1]
    return _CODES[places.reshape(part.shape) % len(_CODES)]


def _wrapped(points: np.ndarray, colours: np.ndarray, method: str) -> tuple[dict[int, Surface], tuple[str, ...]]:
    """Surfaces by the number of their sample, and what to tell of those that did not come out."""
    if method == surfaces.NONE:
        return {}, ()
    try:
        found = surfaces.around(points, colours, method)
    except InputError:
        # A run's clouds are worth more than the surface that could not be laid around them.
        return {}, ("The surface could not be made around these points. The clouds themselves are complete.",)
    made = {k: one for k, one in enumerate(found, start=1) if len(one.faces)}
    empty = [str(k) for k in range(1, len(found) + 1) if k not in made]
    return made, ((f"No surface came out for sample {', '.join(empty)}.",) if empty else ())


def _figures(clouds: Clouds, wrapped: dict[int, Surface]) -> dict[str, float]:
    extent = np.ptp(clouds.points, axis=1).mean(0)
    figures = {f"{name} (shape units)": round(float(value), 3)
               for name, value in zip(("width", "height", "depth"), extent)}
    there, counts = np.unique(clouds.part, return_counts=True)
    for i in np.argsort(-counts, kind="stable"):
        share = round(100 * float(counts[i]) / clouds.part.size, 1)
        if share >= _LEAST_SHARE:
            figures[f"{PARTS[there[i]]} (% of the points)"] = share
    if wrapped:
        figures["triangles of the surface"] = float(np.mean([len(one.faces) for one in wrapped.values()]))
    return figures
