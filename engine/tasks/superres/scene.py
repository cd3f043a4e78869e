"""A made-up view from above, for the examples: fields, hedges, a river, a road and a village, 10 m a pixel."""

import numpy as np
from numpy.random import Generator

_CROPS = np.array([[74, 92, 62], [98, 112, 70], [122, 110, 84], [142, 128, 98], [60, 80, 62], [112, 124, 84],
                   [130, 106, 82], [46, 66, 56]], np.float64)
_HEDGE, _WATER, _ROAD, _ROOF = (np.array(colour, np.float64) for colour in
                                ([48, 62, 54], [44, 62, 78], [158, 152, 146], [186, 164, 152]))
_FIELD_PX = 26
"""Usual distance between the middles of two fields."""


def aerial(side: int, seed: int) -> np.ndarray:
    """A picture (side, side, 3) uint8; the same seed gives the same one."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side].astype(np.float64)
    picture = _fields(x, y, side, rng)
    bend = side * (0.3 + 0.1 * np.sin(x / side * 5 + seed) + 0.2 * x / side)
    picture = _painted(picture, np.abs(y - bend) - 2.5, _WATER)
    picture = _painted(picture, np.abs((x - 0.7 * side) + 0.35 * (y - 0.5 * side)) / 1.06 - 0.8, _ROAD)
    for _ in range(side // 3):
        centre = np.array([0.72, 0.6]) * side + rng.normal(scale=side / 12, size=2)
        size, turn = rng.uniform(0.8, 2.2, size=2), rng.choice([0.3, 1.9])
        u = np.cos(turn) * (x - centre[0]) + np.sin(turn) * (y - centre[1])
        v = np.cos(turn) * (y - centre[1]) - np.sin(turn) * (x - centre[0])
        picture = _painted(picture, np.maximum(np.abs(u) - size[0], np.abs(v) - size[1]),
                           _ROOF + rng.normal(scale=18, size=3))
    return np.uint8(np.clip(picture + rng.normal(scale=1.5, size=picture.shape), 0, 255))


def _fields(x: np.ndarray, y: np.ndarray, side: int, rng: Generator) -> np.ndarray:
    count = max(4, round((side / _FIELD_PX) ** 2))
    middles = rng.uniform(0, side, size=(count, 2))
    distance = np.hypot(x[..., None] - middles[:, 0], y[..., None] - middles[:, 1])
    nearest = distance.argmin(-1)
    first, second = np.moveaxis(np.partition(distance, 1, axis=-1)[..., :2], -1, 0)
    colours = _CROPS[rng.integers(len(_CROPS), size=count)] + rng.normal(scale=6, size=(count, 3))
    turn, width = rng.uniform(0, np.pi, count)[nearest], rng.uniform(2.5, 7, count)[nearest]
    rows = np.sin((x * np.cos(turn) + y * np.sin(turn)) * 2 * np.pi / width)
    crops = colours[nearest] + (rng.uniform(0, 5, count)[nearest] * rows)[..., None]
    return _painted(crops, (second - first) / 2 - 0.6, _HEDGE)


def _painted(picture: np.ndarray, outside_px: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """The picture with a shape over it, given by its signed distance (negative inside), its edge one pixel soft."""
    cover = np.clip(0.5 - outside_px, 0, 1)[..., None]
    return picture * (1 - cover) + colour * cover
