"""Twelve named colours, colours for the parts of a shape, and the name of a colour that is seen."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from engine.tasks.pointcloud.shapes.shape import PARTS, Shape

COLOURS: Mapping[str, tuple[float, float, float]] = {
    "red": (0.80, 0.12, 0.12), "orange": (0.95, 0.52, 0.10), "yellow": (0.95, 0.85, 0.15), "green": (0.18, 0.58, 0.20),
    "blue": (0.13, 0.28, 0.80), "purple": (0.50, 0.18, 0.65), "pink": (0.96, 0.60, 0.75), "brown": (0.45, 0.27, 0.12),
    "black": (0.07, 0.07, 0.07), "grey": (0.50, 0.50, 0.50), "white": (0.94, 0.94, 0.94),
    "turquoise": (0.20, 0.75, 0.75)}
"""Red, green, blue in [0, 1] (sRGB)."""

NAMES = tuple(COLOURS)

MAIN: Mapping[str, tuple[str, ...]] = {
    "chair": ("seat", "back"), "table": ("top",), "lamp": ("shade",), "sofa": ("seat", "back", "arms", "cushions"),
    "bed": ("frame", "headboard", "legs"), "airplane": ("body", "wings", "tail"), "car": ("body", "cabin"),
    "mug": ("body", "handle"), "tower": ("walls", "base"), "tree": ("crown",)}
"""The parts that a colour said of the whole is about: "a red chair with black legs" has a red seat and back."""

_USUAL = {"crown": ("green", "green", "orange", "red"), "trunk": ("brown", "brown", "grey"),
          "wheels": ("black", "black", "grey")}


@dataclass(frozen=True)
class Palette:
    """The colours of a shape's parts. names: part to colour name; plain: all parts alike; rgb (len(PARTS), 3)."""

    names: Mapping[str, str]
    plain: bool
    rgb: np.ndarray


def drawn(shape: Shape, rng: Generator) -> Palette:
    """Random colours: the main parts mostly alike, the others each with their own, now and then all the same."""
    parts, plain = shape.parts, bool(rng.random() < 0.12)
    main = _pick(rng, MAIN[shape.family][0])
    names = {part: main if plain or (part in MAIN[shape.family] and rng.random() < 0.8) else _pick(rng, part)
             for part in parts}
    names[MAIN[shape.family][0]] = main
    rgb = np.full((len(PARTS), 3), 0.5, np.float32)
    tints = {name: jittered(name, rng) for name in set(names.values())}
    for part, name in names.items():
        rgb[PARTS.index(part)] = tints[name]
    return Palette(names, len(set(names.values())) == 1, rgb)


def _pick(rng: Generator, part: str) -> str:
    usual = _USUAL.get(part)
    return usual[rng.integers(len(usual))] if usual and rng.random() < 0.5 else NAMES[rng.integers(len(NAMES))]


def jittered(name: str, rng: Generator) -> np.ndarray:
    """A colour (3,) in [0, 1] that still goes by the name: up to 8 % brighter or 10 % darker, and 0.02 a channel."""
    return np.clip(np.array(COLOURS[name]) * rng.uniform(0.9, 1.08) + rng.uniform(-0.02, 0.02, 3), 0, 1)


def painted(part: np.ndarray, palette: Palette, rng: Generator) -> np.ndarray:
    """Colours (N, 3) float32 in [0, 1] of points with labels part (N,): the part's, with 2 % of grain."""
    grain = rng.normal(0, 0.02, (len(part), 1)).astype(np.float32)
    return np.clip(palette.rgb[part] + grain, 0, 1)


def named(colours: np.ndarray) -> np.ndarray:
    """Index into NAMES of the colour nearest in CIELAB to each of colours (..., 3) in [0, 1]."""
    flat = _lab(np.asarray(colours, np.float32).reshape(-1, 3))
    known = _lab(np.float32(list(COLOURS.values())))
    return np.argmin(((flat[:, None] - known) ** 2).sum(-1), axis=1).reshape(np.shape(colours)[:-1])


def _lab(colours: np.ndarray) -> np.ndarray:
    import cv2

    return cv2.cvtColor(np.clip(colours, 0, 1)[None], cv2.COLOR_RGB2Lab)[0]
