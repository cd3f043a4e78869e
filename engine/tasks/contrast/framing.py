"""From a person's picture to the slice that the network sees, and its answer back to the picture's own size."""

from dataclasses import dataclass

import numpy as np

from engine.errors import InputError
from engine.io.pictures import Picture
from engine.metrics import luminance
from engine.tasks.contrast.data import BRIGHTEST, levels, scaled

SIDE_PX = 128
_LEAST_SPAN = 8
"""Grey levels of 255 between the 0.5th and the 99.5th percentile: with less there is nothing to see."""
_COLOUR = 4
_BORDER_SHARE = 0.04


@dataclass(frozen=True, eq=False)
class Framed:
    """A slice before contrast: `whole` (H, W) at its own size and `small` (128, 128), both in [0, BRIGHTEST].

    notes: what was converted or looks wrong, a sentence each.
    """

    whole: np.ndarray
    small: np.ndarray
    notes: tuple[str, ...]


def framed(picture: Picture) -> Framed:
    """The picture as one grey slice on the model's scale, shrunk to 128 px. Raises InputError for an empty slice."""
    pixels = picture.pixels.astype(np.int16)
    notes = list(picture.notes)
    if np.ptp(pixels, axis=2).max() > _COLOUR:
        notes.append("Colours were converted to grey: contrast synthesis works on grey slices.")
    grey = luminance(picture.pixels) * 255
    low, high = levels(grey)
    if high - low < _LEAST_SPAN:
        raise InputError(f"The slice's brightness varies by {high - low:.0f} of 255 levels.",
                         f"At least {_LEAST_SPAN} are needed to tell tissue from background.",
                         "Give a slice that shows a head.", field="picture")
    whole = np.float32(scaled(grey, low, high))
    if _border(whole) > whole.mean():
        notes.append("The border is brighter than the middle: the slice may be inverted. Background should be black.")
    return Framed(whole, shrunk(whole), tuple(notes))


def shrunk(values: np.ndarray) -> np.ndarray:
    """(H, W) padded with 0 to a square around its middle and brought to (128, 128), float32."""
    import cv2

    height, width = values.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    square = np.zeros((side, side), np.float32)
    square[top:top + height, left:left + width] = values
    filtering = cv2.INTER_AREA if side > SIDE_PX else cv2.INTER_LINEAR
    return cv2.resize(square, (SIDE_PX, SIDE_PX), interpolation=filtering)


def added(framed: Framed, after: np.ndarray) -> np.ndarray:
    """The slices after contrast (N, H, W) in [0, BRIGHTEST], from the network's (N, 128, 128).

    Only the change is enlarged, smoothly, and added: what the picture itself shows keeps its sharpness.
    """
    import cv2

    height, width = framed.whole.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    change = [cv2.resize(values - framed.small, (side, side), interpolation=cv2.INTER_LINEAR) for values in after]
    return np.clip(framed.whole + np.stack(change)[:, top:top + height, left:left + width], 0, BRIGHTEST)


def _border(values: np.ndarray) -> float:
    """Mean brightness of a frame of 4 % of each side."""
    rows, columns = (max(1, round(_BORDER_SHARE * n)) for n in values.shape)
    inner = np.zeros(values.shape, bool)
    inner[rows:-rows, columns:-columns] = True
    return float(values[~inner].mean())
