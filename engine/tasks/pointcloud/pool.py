"""Examples, always the same for a name, and the pool that training draws from, which grows with every batch."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from engine.tasks.pointcloud import captions, palette, sketch
from engine.tasks.pointcloud.kaykit import Prop
from engine.tasks.pointcloud.shapes import Shape, make, names
from engine.tasks.pointcloud.shapes.surface import Surface, sampled

POINTS = 2048
TRAINING = 6000
"""Invented shapes of the training part that a model may see, and that retrieval chooses from."""

_DENSE = 16000
_VIEWS = 2
_PROP_RADIUS = 3


@dataclass(frozen=True, eq=False)
class Example:
    """One shape or thing with what was said and drawn of it. points (2048, 3), in [-1, 1]; part (2048,), -1 unknown.

    rgb (2048, 3) in [0, 1]; sketch (64, 64) uint8; named: part to the name of the colour that the text gives it.
    """

    name: str
    points: np.ndarray
    part: np.ndarray
    rgb: np.ndarray
    sketch: np.ndarray
    text: str
    named: dict[str, str]


def example(name: str, view: sketch.View | None = None) -> Example:
    """An invented shape by name with colours, text and sketch, always the same; view: random unless given."""
    shape, rng = make(name), np.random.default_rng(hash_of(name))
    cloud, dense = sampled(shape, POINTS, rng), sampled(shape, _DENSE, rng)
    colours = palette.drawn(shape, rng)
    said = captions.caption(shape, colours, rng)
    drawn = sketch.drawn(dense, view or sketch.random_view(rng), rng)
    return Example(name, cloud.points, cloud.part, palette.painted(cloud.part, colours, rng), drawn, said.text,
                   dict(said.colours))


def example_of_prop(prop: Prop, view: sketch.View | None = None) -> Example:
    """The same of a thing from the second source, whose parts are unknown."""
    rng = np.random.default_rng(hash_of(prop.name))
    drawn = sketch.drawn(prop.surface, view or sketch.random_view(rng), rng, _PROP_RADIUS)
    return Example(prop.name, prop.surface.points, prop.surface.part, prop.rgb, drawn,
                   captions.of_prop(prop.noun, prop.colours, rng), {})


def hash_of(name: str) -> int:
    """A number that goes with a name, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big")


@dataclass(frozen=True, eq=False)
class Entry:
    """What training draws from. points (2048, 3) float16; part (2048,) int8; sketches (2, 64, 64) uint8."""

    about: Shape | Prop
    points: np.ndarray
    part: np.ndarray
    sketches: np.ndarray


class Pool:
    """Entries of `first` shapes, one more with every `grow` up to `most`, and of the given things."""

    def __init__(self, first: int, most: int = TRAINING, props: Sequence[Prop] = (), seed: int = 0):
        self._rng = np.random.default_rng(seed)
        self._coming = iter(names(most))
        self.props = [self._entry(prop, prop.surface, prop.surface, _PROP_RADIUS) for prop in props]
        self.shapes: list[Entry] = []
        for _ in range(first):
            self.grow()

    def grow(self) -> None:
        """One more shape of the training part, while there is room."""
        name = next(self._coming, None)
        if name is not None:
            shape = make(name)
            clouds = (sampled(shape, count, self._rng) for count in (POINTS, _DENSE))
            self.shapes.append(self._entry(shape, *clouds, radius=1))

    def draw(self, count: int, share_of_props: float, rng: Generator) -> list[Entry]:
        """`count` entries at random, a given share of them things."""
        share = share_of_props if self.props else 0.0
        sources = (self.props if rng.random() < share else self.shapes for _ in range(count))
        return [source[rng.integers(len(source))] for source in sources]

    def _entry(self, about: Shape | Prop, cloud: Surface, dense: Surface, radius: int) -> Entry:
        drawn = [sketch.drawn(dense, sketch.random_view(self._rng), self._rng, radius) for _ in range(_VIEWS)]
        return Entry(about, np.float16(cloud.points), np.int8(cloud.part), np.stack(drawn))
