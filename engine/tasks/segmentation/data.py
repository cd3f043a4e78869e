"""Annotated pictures: what is common to all sources of masks, and how training crops are cut from them."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

LOWEST_SPAN = 16 / 255
"""A picture whose brightness varies less than this is not stretched further: that would only show its noise."""


@dataclass(frozen=True)
class Case:
    """One annotated picture. picture (H, W, 3) float32 in [0, 1], as `normalised` gives it.

    masks: one bool (H, W) per annotator; weight (H, W) float32: how much a pixel's error counts in training;
    counted (H, W) bool or None: pixels that are judged at all, such as the field of view.
    """

    name: str
    picture: np.ndarray
    masks: tuple[np.ndarray, ...]
    weight: np.ndarray
    counted: np.ndarray | None = None


def normalised(picture: np.ndarray, counted: np.ndarray | None = None) -> np.ndarray:
    """A picture (H, W, 3) uint8, uint16 or float in [0, 1] stretched to float32 in [0, 1], all channels alike.

    The darkest and brightest half per cent (of the counted pixels) become 0 and 1.
    """
    full = np.iinfo(picture.dtype).max if picture.dtype.kind == "u" else 1
    values = np.float32(picture) / full
    low, high = np.percentile(values if counted is None else values[counted], (0.5, 99.5))
    return np.float32(np.clip((values - low) / max(high - low, LOWEST_SPAN), 0, 1))


def window(case: Case, side: int, zoom: float, rng: Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A square of `side` px cut at random: picture (side, side, 3), mask bool and weight (side, side).

    Turned by any angle, mirrored, and enlarged `zoom` times on average (0.75 to 1.33 of it). Every second one is
    centred near the foreground of the annotator that is drawn. Beyond the border the picture is mirrored.
    """
    import cv2

    mask = case.masks[rng.integers(len(case.masks))]
    scale = zoom * np.exp(rng.uniform(-0.29, 0.29))
    angle = rng.uniform(0, 2 * np.pi) if rng.random() < 0.5 else rng.integers(4) * np.pi / 2
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
    if rng.random() < 0.5:
        turn[:, 0] *= -1
    centre = _centre(mask if rng.random() < 0.5 else case.counted, mask.shape, side / scale, rng)
    place = np.column_stack((turn, centre - turn @ np.full(2, (side - 1) / 2)))

    def cut(values: np.ndarray) -> np.ndarray:
        return cv2.warpAffine(values, place, (side, side), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                              borderMode=cv2.BORDER_REFLECT_101)

    weight = case.weight if case.counted is None else case.weight * case.counted
    return cut(case.picture), cut(np.float32(mask)) > 0.5, cut(weight)


def _centre(wanted: np.ndarray | None, shape: tuple[int, int], extent: float, rng: Generator) -> np.ndarray:
    """(x, y) of a window's middle: one of the wanted pixels or any, moved so that the window leaves little outside."""
    height, width = shape
    chosen = np.array([rng.uniform(0, height - 1), rng.uniform(0, width - 1)])
    if wanted is not None and wanted.any():
        pixels = np.flatnonzero(wanted)
        chosen = np.array(divmod(pixels[rng.integers(len(pixels))], width)) + rng.normal(0, extent / 8, 2)
    half = np.minimum(extent, (height, width)) / 2
    return np.clip(chosen, half - 0.5, np.array(shape) - half - 0.5)[::-1]
