"""How a change of brightness is shown: warm where it grew, blue where it fell, over the darkened slice."""

import numpy as np

from engine.tasks.contrast.data import BRIGHTEST

FULL_COLOUR = 0.5
"""Change, in units of the brightest tissue before contrast, that is shown at full colour."""
_UP, _DOWN = np.array([255.0, 190.0, 40.0]), np.array([60.0, 140.0, 255.0])
_DIMMED = 0.6


def grey(values: np.ndarray) -> np.ndarray:
    """Slices (..., H, W) in [0, BRIGHTEST] as pictures (..., H, W, 3) uint8, black to white."""
    level = np.uint8(np.clip(values / BRIGHTEST, 0, 1) * 255 + 0.5)
    return np.repeat(level[..., None], 3, axis=-1)


def difference(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The colour-coded change (H, W, 3) uint8: orange where `after` is brighter, blue where it is darker.

    Equal slices give the dimmed grey picture of `before`; colours differ in lightness too, not in hue alone.
    """
    change = np.clip((after - before) / FULL_COLOUR, -1, 1)[..., None]
    colour = np.where(change > 0, _UP, _DOWN)
    return np.uint8(_DIMMED * grey(before) * (1 - abs(change)) + colour * abs(change) + 0.5)
