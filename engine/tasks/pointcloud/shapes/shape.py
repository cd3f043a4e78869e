"""What an invented shape is: named parts made of triangles, and the words that are true of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.random import Generator

from engine.tasks.pointcloud.shapes.primitives import Mesh

PARTS = ("seat", "back", "legs", "arms", "top", "shelf", "base", "stand", "shade", "cushions", "frame", "mattress",
         "headboard", "pillows", "body", "wings", "tail", "engines", "cabin", "wheels", "handle", "saucer", "walls",
         "roof", "balcony", "door", "trunk", "crown", "fruit")
"""Names of parts; a label is a place in this list."""


@dataclass(frozen=True, eq=False)
class Shape:
    """A shape whose bounding box is centred at 0 and whose longest side goes from -1 to 1; y up, front +z.

    points (V, 3) float32; faces (F, 3) int; part, piece (F,) int: label of each triangle, and the primitive it is of.
    adjectives: of the whole; details: adjectives of its parts, those without any being just there.
    """

    name: str
    family: str
    points: np.ndarray
    faces: np.ndarray
    part: np.ndarray
    piece: np.ndarray
    adjectives: tuple[str, ...]
    details: Mapping[str, tuple[str, ...]]

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the parts that it has."""
        return tuple(PARTS[i] for i in np.unique(self.part))


@dataclass
class Builder:
    """Gathers the pieces of a shape, with the words for them."""

    pieces: list[tuple[str, Mesh]] = field(default_factory=list)
    adjectives: list[str] = field(default_factory=list)
    details: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, part: str, *meshes: Mesh) -> None:
        """Pieces of a part."""
        self.pieces += [(part, mesh) for mesh in meshes]

    def say(self, *words: str) -> None:
        """Adjectives of the whole; empty ones are left out."""
        self.adjectives += [word for word in words if word]

    def tell(self, part: str, *words: str) -> None:
        """Adjectives of a part; empty ones are left out."""
        self.details[part] = tuple(word for word in words if word)

    def build(self, name: str, family: str) -> Shape:
        """The shape, brought to its place and size."""
        points = np.concatenate([mesh[0] for _, mesh in self.pieces])
        low, high = points.min(0), points.max(0)
        points = (points - (low + high) / 2) * (2 / (high - low).max())
        starts = np.cumsum([0] + [len(mesh[0]) for _, mesh in self.pieces])
        counts = [len(mesh[1]) for _, mesh in self.pieces]
        return Shape(name, family, np.float32(points),
                     np.concatenate([mesh[1] + start for (_, mesh), start in zip(self.pieces, starts)]),
                     np.repeat([PARTS.index(part) for part, _ in self.pieces], counts),
                     np.repeat(np.arange(len(counts)), counts), tuple(self.adjectives), dict(self.details))


def graded(rng: Generator, lowest: float, low: float, high: float, highest: float, words: tuple[str, str]
           ) -> tuple[float, str]:
    """A number between lowest and highest, with the first word when it is under `low`, the second when over `high`."""
    value = rng.uniform(lowest, highest)
    return value, words[0] if value < low else words[1] if value > high else ""


def chance(rng: Generator, probability: float) -> bool:
    """True with this probability."""
    return bool(rng.random() < probability)


def one_of(rng: Generator, *words: str) -> str:
    """One of the words, all alike."""
    return words[rng.integers(len(words))]


NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
