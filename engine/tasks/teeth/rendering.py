"""Shaded pictures of teeth, drawn triangle by triangle from the farthest to the nearest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

VIEWS = {"front": ((1, 0, 0), (0, 1, 0), (0, 0, 1)), "upper": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
         "lower": ((1, 0, 0), (0, 0, -1), (0, 1, 0)), "right": ((0, 0, 1), (0, 1, 0), (-1, 0, 0)),
         "left": ((0, 0, -1), (0, 1, 0), (1, 0, 0))}
"""Directions of the jaws' frame that point to the picture's right, up, and to the viewer."""
IVORY = (236, 226, 204)
_FINER = 2
_LIGHT = np.array((-0.35, 0.45, 0.82)) / np.linalg.norm((-0.35, 0.45, 0.82))


@dataclass(frozen=True)
class Surface:
    """One mesh: vertices (V, 3) in mm, faces (F, 3) outward, its colour as (red, green, blue) in 0 to 255."""

    vertices: np.ndarray
    faces: np.ndarray
    colour: tuple[int, int, int] = IVORY


def picture(surfaces: Sequence[Surface], view: str, size: tuple[int, int], centre: np.ndarray, mm_per_px: float,
            background: tuple[int, int, int] = (34, 36, 42)) -> np.ndarray:
    """Parallel projection of the surfaces, (H, W, 3) uint8.

    view: a name in VIEWS. size: (H, W). centre (3,): the point of the jaws' frame in the middle of the picture.
    """
    import cv2

    height, width = (n * _FINER for n in size)
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = background
    turn = np.array(VIEWS[view], float)
    corners, depth, colours = (np.concatenate(parts) for parts in zip(*(_seen(s, turn, centre) for s in surfaces)))
    pixels = corners * (_FINER / mm_per_px) * (1, -1) + (width / 2, height / 2)
    # cv2 takes whole sixteenths of a pixel.
    pixels = np.int32(np.round(pixels * 16))
    for index in np.argsort(depth):
        cv2.fillConvexPoly(canvas, pixels[index], colours[index].tolist(), cv2.LINE_AA, 4)
    return cv2.resize(canvas, size[::-1], interpolation=cv2.INTER_AREA)


def _seen(surface: Surface, turn: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangles that face the viewer: corners (F, 3, 2) in mm, height towards the viewer (F,), colours (F, 3)."""
    vertices = (surface.vertices - centre) @ turn.T
    corners = vertices[surface.faces]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, surface.faces[:, corner], across)
    smooth = normals[surface.faces].sum(1)
    smooth /= np.linalg.norm(smooth, axis=1, keepdims=True) + 1e-12
    front = across[:, 2] > 0
    corners, smooth = corners[front], smooth[front]
    light = 0.25 + 0.70 * np.clip(smooth @ _LIGHT, 0, 1) + 0.15 * np.clip(smooth[:, 2], 0, 1) ** 8
    colours = np.clip(light[:, None] * np.array(surface.colour), 0, 255)
    return corners[..., :2], corners[..., 2].mean(1), colours
