"""Line drawings of surfaces: silhouettes, borders between pieces and creases, drawn as by a hand; and drawn sketches.

A sketch is (64, 64) uint8, ink 255 on 0, its drawing centred with the longer side on 58 pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from engine.errors import InputError
from engine.tasks.pointcloud.shapes.surface import Surface

SIDE_PX = 64
DRAWN_PX = 58
_FINE = 96
_CREASE = np.cos(np.radians(48))
_JUMP = 0.11
"""A step in depth, in units of half the shape's longest side, that counts as an outline."""


@dataclass(frozen=True)
class View:
    """Where the shape is looked at from: degrees around it from the front to its left, and above the ground."""

    azimuth: float
    elevation: float


THREE_QUARTER = View(35.0, 20.0)
"""The view that people draw furniture in; examples and sheets use it."""


def random_view(rng: Generator) -> View:
    """Mostly three-quarter views from either side, some from the front or the side."""
    middle = rng.choice([35.0, -35.0, 0.0, 90.0, -90.0], p=[0.4, 0.3, 0.12, 0.09, 0.09])
    return View(float(middle + rng.uniform(-10, 10)), float(rng.uniform(8, 30)))


def seen(points: np.ndarray, view: View) -> np.ndarray:
    """Points (N, 3) as (right, up, towards the viewer)."""
    a, e = np.radians(view.azimuth), np.radians(view.elevation)
    around = np.array([[np.cos(a), 0, -np.sin(a)], [0, 1, 0], [np.sin(a), 0, np.cos(a)]])
    above = np.array([[1, 0, 0], [0, np.cos(e), -np.sin(e)], [0, np.sin(e), np.cos(e)]])
    return points @ np.float32(above @ around).T


def visible(turned: np.ndarray, pixel: np.ndarray, side: int, radius: int) -> np.ndarray:
    """Index (side, side) of the point nearest to the viewer in each pixel, -1 for none: a z-buffer of discs.

    turned (N, 3) as `seen` gives them, pixel (N, 2) integer places (x, y), radius of the discs in pixels. Gaps between
    discs, of up to 2 radius pixels, are closed: what is seen through them is behind a surface.
    """
    import cv2

    margin = radius + 1
    wide = side + 2 * margin
    order = np.argsort(turned[:, 2])
    place = (np.clip(pixel[:, 1], 0, side - 1) + margin) * wide + np.clip(pixel[:, 0], 0, side - 1) + margin
    centre = np.full(wide * wide, -1)
    centre[place[order]] = np.arange(len(order))
    centre, nearest = centre.reshape(wide, wide), np.full((side, side), -1)
    for dy in range(-radius, radius + 1):
        for dx in range(-radius, radius + 1):
            if dx * dx + dy * dy <= radius * radius + 0.5:
                shifted = centre[margin + dy:margin + dy + side, margin + dx:margin + dx + side]
                np.maximum(nearest, shifted, out=nearest)
    # Ranks grow towards the viewer, so closing their grey values takes a neighbour's point for a far one in a gap.
    nearest = np.int64(cv2.morphologyEx(np.float32(nearest), cv2.MORPH_CLOSE, np.ones((2 * radius + 1,) * 2)))
    return np.where(nearest < 0, -1, order[nearest])


def lines(surface: Surface, view: View, radius: int = 1) -> np.ndarray:
    """Outlines and creases (96, 96) uint8, 255 on 0. radius: of a point's disc, in pixels."""
    turned, facing = seen(surface.points, view), seen(surface.normals, view)
    low, high = turned[:, :2].min(0), turned[:, :2].max(0)
    scale = DRAWN_PX / SIDE_PX * _FINE / (high - low).max()
    flat = (turned[:, :2] - (low + high) / 2) * scale * (1, -1) + _FINE / 2
    nearest = visible(turned, flat.astype(np.int64), _FINE, radius)
    depth = np.where(nearest < 0, -9, turned[nearest, 2])
    piece = np.where(nearest < 0, -2, surface.piece[nearest])
    normal = facing[nearest]
    ink = np.zeros((_FINE, _FINE), bool)
    for there, here in ((np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1])):
        bend = np.abs(np.einsum("yxc,yxc->yx", normal[there], normal[here])) < _CREASE
        ink[here] |= ((piece[there] != piece[here]) | (np.abs(depth[there] - depth[here]) > _JUMP)
                      | (bend & (depth[here] > -9)))
    return np.uint8(ink) * 255


def by_hand(ink: np.ndarray, rng: Generator) -> np.ndarray:
    """Lines (96, 96) as a hand draws them, (64, 64): wavering, with gaps, thinner or thicker, not all in full black."""
    import cv2

    waver = np.float32(rng.normal(0, rng.uniform(0.3, 1.2), (6, 6, 2)))
    shift = cv2.resize(waver, (_FINE, _FINE), interpolation=cv2.INTER_CUBIC)
    line = np.arange(_FINE, dtype=np.float32)
    moved = cv2.remap(ink, line[None, :] + shift[..., 0], line[:, None] + shift[..., 1], cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        moved = cv2.dilate(moved, np.ones((2, 2), np.uint8))
    kept = cv2.resize(np.float32(rng.normal(size=(14, 14))), (_FINE, _FINE), interpolation=cv2.INTER_LINEAR)
    moved = np.where(kept > rng.uniform(-2.5, -1.0), moved, 0)
    small = cv2.resize(moved.astype(np.float32), (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return np.uint8(np.clip(small * rng.uniform(1.3, 2.2), 0, 255))


def drawn(surface: Surface, view: View, rng: Generator, radius: int = 1) -> np.ndarray:
    """A sketch (64, 64) uint8 of a surface from one side."""
    return by_hand(lines(surface, view, radius), rng)


def prepared(ink: np.ndarray) -> np.ndarray:
    """A person's drawing (H, W) float in [0, 1], ink 1, cut out, centred and brought to a sketch (64, 64) uint8.

    Raises InputError for an empty canvas, a single dot and a filled one.
    """
    import cv2

    marked = ink > 0.25
    if marked.sum() < 12:
        raise InputError(f"The sketch has {int(marked.sum())} drawn pixels.", "At least 12 are needed.",
                         "Draw at least one stroke, or leave the sketch out.", "sketch")
    if marked.mean() > 0.6:
        raise InputError(f"{100 * marked.mean():.0f} % of the sketch is ink.", "A line drawing has at most 60 %.",
                         "Draw outlines in dark ink on a light ground.", "sketch")
    rows, columns = np.flatnonzero(marked.any(1)), np.flatnonzero(marked.any(0))
    cut = np.float32(ink[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1])
    longest = max(cut.shape)
    if longest < 8:
        raise InputError(f"The drawing is {cut.shape[1]} x {cut.shape[0]} px.", "It must be 8 px long at least.",
                         "Draw at least one stroke, or leave the sketch out.", "sketch")
    scale = DRAWN_PX / longest
    # Thin lines would fade when shrunk; those of a felt pen are as thick as they should be.
    missing = max(1, round(1.2 / scale + 2 - _width_px(cut > 0.25)))
    cut = cv2.dilate(cut, np.ones((missing, missing), np.uint8)) if scale < 0.5 else cut
    size = tuple(max(1, round(n * scale)) for n in cut.shape[::-1])
    small = cv2.resize(cut, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    page = np.zeros((SIDE_PX, SIDE_PX), np.float32)
    top, left = (SIDE_PX - size[1]) // 2, (SIDE_PX - size[0]) // 2
    page[top:top + size[1], left:left + size[0]] = small
    return np.uint8(np.clip(page * 1.5, 0, 1) * 255)


def _width_px(marked: np.ndarray) -> float:
    """Width of the strokes in a mask (H, W), at least 2: twice their area over the length of their borders."""
    import cv2

    area = np.uint8(np.pad(marked, 1))
    border = area - cv2.erode(area, np.ones((3, 3), np.uint8))
    return 2 * float(area.sum()) / float(border.sum())
