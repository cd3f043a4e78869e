"""What the page asks of a mask that it shows: another slice, or a file of everything that was corrected."""

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.errors import InputError
from ui.picture_input import MASK_SIDE_PX
from ui.segmentation import kept
from ui.segmentation.correction import Corrected, corrected
from ui.segmentation.kept import Kept

_PAINTED, _ERASED = 1, 2


@dataclass(frozen=True, eq=False)
class Work:
    """All slices of a scan that a person worked on, by index; `runs` says whose run each comes from. shown: the one in
    sight."""

    slices: Mapping[int, Corrected]
    runs: Mapping[int, Kept]
    shown: int
    threshold: float

    @property
    def current(self) -> Kept:
        """The run of the slice in sight."""
        return self.runs[self.shown]


def work(sent: Any) -> Work:
    """The corrected masks in {run, slice, threshold, slices: [[index, run, [w, h], edits], ...]}, [w, h] being the size
    of the edits, which `unpacked` explains.

    Raises InputError for anything else, for slices of several scans, and when nothing is left of all masks.
    """
    current, threshold = kept.find(sent.get("run") if isinstance(sent, Mapping) else None), sent.get("threshold")
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 < threshold < 1:
        raise InputError("The threshold is no number between 0 and 1.", fix="Move the slider and save again.")
    entries = _entries(sent.get("slices"), len(current.scan.values))
    by_key = {key: _run(key, current) for _, key, *_ in entries}
    slices = {index: _corrected(by_key[key], index, shape, edits, float(threshold))
              for index, key, shape, edits in entries}
    shown = sent.get("slice")
    if type(shown) is not int or shown not in slices:
        raise _unreadable()
    if not any(found.mask.any() for found in slices.values()):
        raise InputError("The corrected mask is empty.", "There is nothing to save.",
                         "Lower the threshold, or paint at least one pixel.")
    return Work(dict(sorted(slices.items())), {index: by_key[key] for index, key, *_ in entries}, shown,
                float(threshold))


def _run(key: str, current: Kept) -> Kept:
    run = kept.find(key)
    if run.scan_id != current.scan_id:
        raise InputError("The slices belong to several scans.", "They are no single mask.",
                         "Load the page again and run the scan again.")
    return run


def _corrected(run: Kept, index: int, shape: tuple[int, int], edits: str, threshold: float) -> Corrected:
    probability = run.found("probability", index)
    edited = _resized(unpacked(edits, shape), probability.shape)
    return corrected(probability, run.found("instances", index), threshold, edited == _PAINTED, edited == _ERASED)


def unpacked(text: str, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 out of base64 of deflated bytes: 1 where painted, 2 where erased; zeros for an empty text.

    Raises InputError when it is not exactly that many bytes.
    """
    if not text:
        return np.zeros(shape, np.uint8)
    size = shape[0] * shape[1]
    try:
        values = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
    except (binascii.Error, ValueError, zlib.error):
        raise _unreadable() from None
    if len(values) != size:
        raise _unreadable()
    return np.frombuffer(values, np.uint8).reshape(shape)


def _entries(listed: Any, depth: int) -> list[tuple[int, str, tuple[int, int], str]]:
    """(index, key of a run, (height, width), edits) of each slice, whose index appears once."""
    if not isinstance(listed, list) or not 1 <= len(listed) <= depth:
        raise _unreadable()
    found = []
    for entry in listed:
        match entry:
            case [int(index), str(key), [int(width), int(height)], str(edits)] if (
                    1 <= width <= MASK_SIDE_PX and 1 <= height <= MASK_SIDE_PX):
                found.append((index, key, (height, width), edits))
            case _:
                raise _unreadable()
    if len({index for index, *_ in found}) < len(found):
        raise _unreadable()
    return found


def _resized(values: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Each pixel of the shape takes the nearest one."""
    if values.shape == shape:
        return values
    rows, columns = (((np.arange(new) + 0.5) * old / new).astype(int) for new, old in zip(shape, values.shape))
    return values[rows[:, None], columns]


def _unreadable() -> InputError:
    return InputError("The corrections could not be read.", fix="Load the page again and run the scan again.")
