"""Styles made by the program: a photograph as dots, hatching, tiles, ink or brush strokes.

They stand in for paintings where none can be shipped, and add hands to those that training sees.
All take a picture (H, W, 3) float32 in [0, 1] and a random generator, and give the same shape.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

Picture = np.ndarray
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def pointillism(picture: Picture, rng: Generator, radius: float = 4.0) -> Picture:
    """Round dots of strong pure colour on warm paper, small ones over large ones."""
    import cv2

    canvas = np.full(picture.shape, (0.95, 0.92, 0.84), np.float32)
    vivid = _saturated(_smooth(picture, radius / 2), 1.6)
    for size in (1.5 * radius, radius, 0.6 * radius):
        places = _scattered(picture.shape, 1.15 * size, rng)
        colours = np.clip(vivid[places[:, 1], places[:, 0]] + rng.normal(0, 0.09, (len(places), 3)), 0, 1)
        for (x, y), colour in zip(places.tolist(), colours.tolist()):
            cv2.circle(canvas, (16 * x, 16 * y), round(16 * size * 0.62), colour, -1, cv2.LINE_AA, 4)
    return canvas


def hatching(picture: Picture, rng: Generator, spacing: float = 5.0) -> Picture:
    """Ink lines in four directions: the darker the place, the more of them cross and the thicker they are."""
    tone = _smooth(picture, 1.0) @ _LUMA
    rows, columns = np.mgrid[:picture.shape[0], :picture.shape[1]].astype(np.float32)
    waver = _smooth(rng.normal(0, 1, picture.shape[:2]).astype(np.float32), 6.0) * 12
    ink = np.zeros(picture.shape[:2], np.float32)
    for k, angle in enumerate((45, 135, 10, 80)):
        turn = np.deg2rad(angle)
        phase = (columns * np.cos(turn) + rows * np.sin(turn) + waver) / spacing
        line = np.abs(phase % 1 - 0.5) * 2
        dark = np.clip((0.92 - 0.21 * k - tone) / 0.45, 0, 1)
        ink = np.maximum(ink, np.clip((line - (1 - 0.62 * dark)) * spacing / 1.4, 0, 1) * (dark > 0.02))
    paper, black = np.array((0.96, 0.94, 0.88), np.float32), np.array((0.10, 0.10, 0.16), np.float32)
    return np.float32(paper + ink[..., None] * (black - paper))


def mosaic(picture: Picture, rng: Generator, tile: float = 8.0) -> Picture:
    """Stone tiles (Voronoi cells) of even colour with dark joints."""
    from scipy.spatial import cKDTree

    places = _scattered(picture.shape, tile, rng)
    rows, columns = np.mgrid[:picture.shape[0], :picture.shape[1]]
    distance, nearest = cKDTree(places).query(np.stack([columns.ravel(), rows.ravel()], 1), k=2)
    cell = nearest[:, 0]
    counts = np.maximum(np.bincount(cell, minlength=len(places)), 1)
    colours = np.stack([np.bincount(cell, picture[..., c].ravel(), len(places)) / counts for c in range(3)], 1)
    colours = np.clip(_saturated(colours[None], 1.25)[0] + rng.normal(0, 0.04, (len(places), 1)), 0, 1)
    joint = np.clip((distance[:, 1] - distance[:, 0]) / (0.22 * tile), 0, 1)[:, None]
    stone = colours[cell] * joint + np.array((0.13, 0.11, 0.10)) * (1 - joint)
    return stone.reshape(picture.shape).astype(np.float32)


def ink_wash(picture: Picture, rng: Generator, blur: float = 2.5) -> Picture:
    """A few tones of diluted ink that bleed into rough paper, with brushed dark edges."""
    soft = _smooth(picture, blur) @ _LUMA
    steps = 4
    tone = (np.floor(soft * steps) + _ramp((soft * steps) % 1)) / steps
    grain = _smooth(rng.normal(0, 1, soft.shape).astype(np.float32), 0.8)
    cloud = _smooth(rng.normal(0, 1, soft.shape).astype(np.float32), 9.0) * 9
    edges = np.hypot(*np.gradient(_smooth(soft, 1.0)))
    strength = np.clip(1 - tone + 0.06 * cloud, 0, 1) ** 1.2 + np.clip(edges * 9 - 0.25, 0, 0.7)
    strength = np.clip(_smooth(strength.astype(np.float32), 0.9) * (1 + 0.10 * grain), 0, 1)[..., None]
    paper, ink = np.array((0.95, 0.93, 0.86), np.float32), np.array((0.09, 0.10, 0.13), np.float32)
    return (paper + 0.02 * grain[..., None] + strength * (ink - paper)).clip(0, 1).astype(np.float32)


def brush(picture: Picture, rng: Generator, length: float = 12.0) -> Picture:
    """Thick strokes along the picture's own contours, wide ones first, each with streaks of its bristles."""
    import cv2

    soft = _smooth(picture, 2.0)
    canvas = _smooth(picture, 6.0).copy()
    down, across = np.gradient(_smooth(soft @ _LUMA, 2.5))
    flow = np.arctan2(down, across) + np.pi / 2
    for width in (0.5 * length, 0.3 * length, 0.18 * length):
        places = _scattered(picture.shape, 1.1 * width, rng)
        jitter = rng.normal(0, 1, (len(places), 4))
        for (x, y), (bend, *shade) in zip(places.tolist(), jitter.tolist()):
            angle = flow[y, x] + 0.25 * bend
            step = np.array((np.cos(angle), np.sin(angle)))
            colour = np.clip(soft[y, x] * (1 + 0.10 * shade[0]) + 0.04 * np.array(shade), 0, 1)
            for streak in (-0.3, 0.0, 0.3):
                start = np.array((x, y)) + streak * width * np.array((-step[1], step[0]))
                ends = [tuple(np.round(16 * (start + sign * step * width * 1.2)).astype(int).tolist())
                        for sign in (-1, 1)]
                lit = np.clip(colour * (1 + 0.18 * streak / 0.3 * np.sign(step[0] + 1e-6)), 0, 1)
                cv2.line(canvas, *ends, lit.tolist(), max(1, round(width / 2.4)), cv2.LINE_AA, 4)
    return canvas.clip(0, 1)


STYLES: dict[str, Callable[[Picture, Generator], Picture]] = {
    "pointillism": pointillism, "hatching": hatching, "mosaic": mosaic, "ink wash": ink_wash, "brush strokes": brush}


def _smooth(values: np.ndarray, sigma: float) -> np.ndarray:
    import cv2

    return cv2.GaussianBlur(np.ascontiguousarray(values), (0, 0), sigma)


def _saturated(picture: np.ndarray, factor: float) -> np.ndarray:
    grey = (picture @ _LUMA)[..., None]
    return np.clip(grey + factor * (picture - grey), 0, 1)


def _ramp(share: np.ndarray) -> np.ndarray:
    """Steep in the middle, flat at both ends: steps with soft borders."""
    return np.clip((share - 0.35) / 0.3, 0, 1)


def _scattered(shape: tuple[int, ...], distance: float, rng: Generator) -> np.ndarray:
    """Pixels (N, 2) as x, y: a grid of that distance, jittered, in random order."""
    height, width = shape[:2]
    rows, columns = np.mgrid[0:height:distance, 0:width:distance]
    places = np.stack([columns.ravel(), rows.ravel()], 1) + rng.uniform(-0.6, 0.6, (rows.size, 2)) * distance
    places = np.clip(np.round(places).astype(int), 0, (width - 1, height - 1))
    return places[rng.permutation(len(places))]
