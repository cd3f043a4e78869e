"""Training batches of both stages, with conditions left out at random so that guidance can weigh each by itself."""

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from engine.tasks.pointcloud import captions, palette, tokens
from engine.tasks.pointcloud.pool import Entry, Pool
from engine.tasks.pointcloud.shapes import PARTS, Shape
from engine.training.spec import Batch

SPREAD = 0.42
"""Root mean square of the coordinates of shapes in [-1, 1]: networks see points divided by it."""

COUNT, POINTS, SURFACE = 32, 256, 768
CLOUDS, COLOURINGS, COLOURED = 16, 3, 384
NO_SKETCH, NO_TEXT, NEITHER = 0.10, 0.15, 0.05
_PROPS = 0.12
_COLOURLESS = 0.3


def geometry(pool: Pool, words: tuple[str, ...], rng: Generator, progress: float) -> Batch:
    """32 shapes of 256 points in units of SPREAD, each with a sketch and a sentence, or one of them, or none.

    The condition `surface` (32, 768, 3) is for the loss alone: more of the cloud, the 256 points first.
    """
    pool.grow()
    entries = pool.draw(COUNT, _PROPS, rng)
    surface = _some(np.stack([entry.points for entry in entries]), _places(COUNT, rng, SURFACE)) / SPREAD
    drawn = np.stack([entry.sketches[rng.integers(len(entry.sketches))] for entry in entries])
    flipped = rng.random(COUNT) < 0.5
    surface[flipped, :, 0] *= -1
    drawn[flipped] = drawn[flipped, :, ::-1]
    said = np.stack([_said(entry, words, rng) for entry in entries])
    lot = rng.random(COUNT)
    drawn[(lot < NO_SKETCH) | (lot > 1 - NEITHER)] = 0
    said[((lot > NO_SKETCH) & (lot < NO_SKETCH + NO_TEXT)) | (lot > 1 - NEITHER)] = tokens.EMPTY
    cloud = torch.from_numpy(surface)
    return Batch(cloud[:, :POINTS].contiguous(), conditions={
        "surface": cloud, "sketch": as_tensor(shaken(drawn, rng)), "tokens": torch.from_numpy(said)})


def colour(pool: Pool, words: tuple[str, ...], rng: Generator, progress: float) -> Batch:
    """16 clouds of 384 points, bent and shaken as made ones are, each coloured and described anew three times.

    x0 (48, N, 3): the three of a cloud follow each other. conditions: points (16, N, 3) in [-1, 1]; tokens (48, 40);
    and for the loss alone the labels part (16, N) int64, -1 unknown, and the share that each named colour has in each
    part, shares (48, parts, 12), 0 for parts that are not there.
    """
    pool.grow()
    entries = pool.draw(CLOUDS, _PROPS, rng)
    places = _places(CLOUDS, rng, COLOURED)
    points = _some(np.stack([entry.points for entry in entries]), places)
    points = bent(points, rng)
    points[rng.random(CLOUDS) < 0.5, :, 0] *= -1
    part = np.take_along_axis(np.stack([entry.part for entry in entries]), places, axis=1)
    looks = [_look(entry, part[i], places[i], words, rng) for i, entry in enumerate(entries) for _ in range(COLOURINGS)]
    rgb, said, shares = (np.stack(values) for values in zip(*looks))
    said[rng.random(len(said)) < NO_TEXT] = tokens.EMPTY
    return Batch(torch.from_numpy(rgb * 2 - 1), conditions={
        "points": torch.from_numpy(np.float32(points)), "tokens": torch.from_numpy(said),
        "part": torch.from_numpy(np.int64(part)), "shares": torch.from_numpy(np.float32(shares))})


def bent(points: np.ndarray, rng: Generator) -> np.ndarray:
    """Clouds (B, N, 3) stretched by up to 12 %, bent by slow waves of up to 0.05, with up to 0.06 of noise a point."""
    shape = (len(points), 1, 3)
    waves = np.sin((points @ rng.normal(0, 2, (len(points), 3, 3))) + rng.uniform(0, 2 * np.pi, shape))
    noise = rng.normal(0, 0.06, points.shape) * rng.random((len(points), 1, 1)) ** 2
    return points * rng.uniform(0.88, 1.12, shape) + waves * rng.uniform(0, 0.05, shape) + noise


def _look(entry: Entry, part: np.ndarray, places: np.ndarray, words: tuple[str, ...], rng: Generator
          ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colours (N, 3) in [0, 1] of some points, the tokens of what is said of them, and the parts' colours.

    A shape's are new. Of a thing no parts are known, so each has all its colours.
    """
    about, shares = entry.about, np.zeros((len(PARTS), len(palette.NAMES)))
    if isinstance(about, Shape):
        colours = palette.drawn(about, rng)
        rgb, text = palette.painted(part, colours, rng), captions.caption(about, colours, rng).text
        for name, colour in colours.names.items():
            shares[PARTS.index(name), palette.NAMES.index(colour)] = 1
    else:
        rgb, text = about.rgb[places], captions.of_prop(about.noun, about.colours, rng)
        shares[:] = np.bincount(palette.named(rgb), minlength=len(palette.NAMES)) / len(rgb)
    return rgb, tokens.encode(text, words).ids, shares


def as_tensor(sketches: np.ndarray) -> Tensor:
    """Sketches (B, 64, 64) uint8 as networks take them, (B, 1, 64, 64) in [0, 1]."""
    return torch.from_numpy(np.float32(sketches) / 255)[:, None]


def shaken(sketches: np.ndarray, rng: Generator) -> np.ndarray:
    """The drawings a little elsewhere: moved by up to 3 pixels, up to 6 % larger or smaller, turned by 3 degrees."""
    import cv2

    side, moved = sketches.shape[-1], np.empty_like(sketches)
    for i, page in enumerate(sketches):
        turn = cv2.getRotationMatrix2D((side / 2, side / 2), rng.uniform(-3, 3), rng.uniform(0.94, 1.06))
        turn[:, 2] += rng.uniform(-3, 3, 2)
        moved[i] = cv2.warpAffine(page, turn, (side, side))
    return moved


def _places(count: int, rng: Generator, points: int, of: int = 2048) -> np.ndarray:
    """Places (count, points) in random order of different points for every sample; of: points that a cloud has."""
    start, stride = rng.integers(of, size=(count, 1)), 2 * rng.integers(of // 2, size=(count, 1)) + 1
    return (start + stride * np.arange(points)) % of


def _some(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    return np.take_along_axis(np.float32(values), places[..., None], axis=1)


def _said(entry: Entry, words: tuple[str, ...], rng: Generator) -> np.ndarray:
    about = entry.about
    if isinstance(about, Shape):
        colours = None if rng.random() < _COLOURLESS else palette.drawn(about, rng)
        return tokens.encode(captions.caption(about, colours, rng).text, words).ids
    return tokens.encode(captions.of_prop(about.noun, about.colours, rng), words).ids
