"""A segmentation as one message that the page can work with alone: every threshold, sample and map without asking.

Arrays travel deflated, each row as differences from left to right, and not as PNG: browsers that protect their users
against recognition change what scripts read back from pictures.
"""

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.io.save import encode, jpeg_frame
from engine.tasks.base import Result
from ui.picture_input import MASK_SIDE_PX

MESSAGE_BYTES = 3_600_000
"""Largest message: a little below what a request may have."""
PER_ONE = 200
"""Steps of the probability; settings of two decimals fall on steps."""
LABELLED_ABOVE = 0.2
"""Instances cover the pixels above this probability; lower thresholds would show what no instance has."""
LEAST_THRESHOLD = 0.05
_THRESHOLDS = np.float32(np.arange(PER_ONE + 1) / PER_ONE)
_SIDES_PX = (MASK_SIDE_PX, 1536, 1024, 768, 512, 256)
_PICTURE_BYTES = 1_000_000
_SAMPLE_SHARE = 2
_NOUNS = {"nuclei": ("nucleus", "nuclei")}


def packed(values: np.ndarray) -> str:
    """(..., H, W) uint8 as base64 of deflated bytes, each row as its differences, wrapped at 256."""
    rows = values.copy()
    rows[..., 1:] = values[..., 1:] - values[..., :-1]
    return base64.b64encode(zlib.compress(rows.tobytes(), 6)).decode()


def message(result: Result, run: str, pixel_mm: Sequence[float] | None = None) -> dict[str, Any]:
    """The value of the mask view.

    run: an id that a correction comes back with. pixel_mm: (y, x) distances of the original's pixels. Large pictures
    are made smaller until all of it fits in MESSAGE_BYTES.
    """
    for side_px in _SIDES_PX:
        found = _message(result, side_px)
        if _bytes(found) <= MESSAGE_BYTES:
            break
    noun, nouns = _NOUNS.get(str(result.recipe.options.get("target", "")), ("object", "objects"))
    threshold = float(result.recipe.options.get("threshold", 0.5))
    least = LABELLED_ABOVE if "instances" in result.arrays else LEAST_THRESHOLD
    return found | {"run": run, "threshold": max(threshold, least), "least": least, "noun": noun, "nouns": nouns,
                    "pixel_mm": list(pixel_mm) if pixel_mm else None}


def _message(result: Result, side_px: int) -> dict[str, Any]:
    arrays = {name: array.values for name, array in result.arrays.items()}
    height, width = arrays["probability"].shape
    scale = max(1.0, max(height, width) / side_px)
    shape = (max(1, round(height / scale)), max(1, round(width / scale)))
    # How many thresholds lie below a pixel: it belongs to the mask when it is above the threshold, not on it.
    probability = np.searchsorted(_THRESHOLDS, np.nan_to_num(arrays["probability"]).clip(0, 1)).astype(np.uint8)
    small = (max(1, shape[0] // _SAMPLE_SHARE), max(1, shape[1] // _SAMPLE_SHARE)) if scale > 1 else shape
    samples = [_thinned(sample, small) for sample in arrays["samples"]]
    found = {"size": [shape[1], shape[0]], "scale": max(height / shape[0], width / shape[1]),
             "picture": _picture(arrays["input"], side_px, result),
             "probability": packed(_thinned(probability, shape)), "labels": None, "doubt": None,
             "samples": [{"size": [small[1], small[0]], "data": packed(sample)} for sample in samples]}
    if "instances" in arrays:
        labels = _thinned(arrays["instances"], shape).astype(np.uint16)
        found["labels"] = packed(np.stack([labels & 255, labels >> 8]).astype(np.uint8))
    if "doubt" in arrays:
        found["doubt"] = _doubt(_thinned(arrays["doubt"], shape))
    return found


def _doubt(values: np.ndarray) -> dict[str, Any]:
    """The map in 255ths of its own largest value, rounded up to tenths so that legends of two pictures are alike."""
    top = max(0.1, math.ceil(float(np.nan_to_num(values).max(initial=0.0)) * 10 - 1e-6) / 10)
    levels = (np.nan_to_num(values).clip(0, top) / top * 255).round().astype(np.uint8)
    return {"data": packed(levels), "top": top}


def _thinned(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Every n-th pixel, the same ones of every map, so that labels stay labels and maps stay in step."""
    rows, columns = (((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(shape, values.shape))
    return values[rows[:, None], columns]


def _picture(pixels: np.ndarray, side_px: int, result: Result) -> str:
    if max(pixels.shape[:2]) <= side_px:
        data = encode(np.ascontiguousarray(pixels), result.recipe)
        if len(data) <= _PICTURE_BYTES:
            return "data:image/png;base64," + base64.b64encode(data).decode()
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_frame(pixels, side_px, 90)).decode()


def _bytes(message: Mapping[str, Any]) -> int:
    texts = [message["picture"], message["probability"], message["labels"] or "",
             message["doubt"]["data"] if message["doubt"] else "", *(entry["data"] for entry in message["samples"])]
    return sum(map(len, texts))
