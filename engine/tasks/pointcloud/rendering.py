"""Small pictures of clouds for sheets: shaded points from one side."""

import numpy as np

from engine.tasks.pointcloud.sketch import THREE_QUARTER, View, seen, visible

_GROUND = np.array([250, 250, 250], np.float32)


def picture(points: np.ndarray, colours: np.ndarray | None = None, side: int = 128, view: View = THREE_QUARTER
            ) -> np.ndarray:
    """A cloud (N, 3), shape coordinates in [-1, 1], as (side, side, 3) uint8; colours (N, 3) in [0, 1], grey if None.

    Near points are brighter and cover far ones; where depth jumps, the far side is shaded.
    """
    import cv2

    fine = 2 * side
    turned = seen(np.float32(points), view)
    flat = (turned[:, :2] * (1, -1) / 1.5 + 1) / 2 * fine
    nearest = visible(turned, flat.astype(np.int64), fine, max(1, round(fine / 90 * (2048 / len(points)) ** 0.5)))
    colours = np.full((len(points), 3), 0.62) if colours is None else colours
    depth = np.where(nearest < 0, -1.5, turned[nearest, 2]).astype(np.float32)
    smooth = cv2.GaussianBlur(depth, (0, 0), fine / 40)
    shade = np.clip(0.9 + 0.55 * (depth - smooth) + 0.1 * depth, 0.35, 1.15)
    shown = np.where((nearest < 0)[..., None], _GROUND, colours[nearest] * 255 * shade[..., None])
    return cv2.resize(np.uint8(np.clip(shown, 0, 255)), (side, side), interpolation=cv2.INTER_AREA)


def of_sketch(sketch: np.ndarray, side: int = 128) -> np.ndarray:
    """A sketch (64, 64) uint8 as dark ink on white, (side, side, 3)."""
    import cv2

    return np.repeat(255 - cv2.resize(sketch, (side, side))[..., None], 3, axis=2)
