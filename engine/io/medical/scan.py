"""A scan: a picture, a stack or a volume with its units and its place in the patient, and nothing about the patient."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from engine.errors import InputError
from engine.io.pictures import Picture

EIGHT_BIT = (127.5, 255.0)
"""The window (centre, width) that shows 8-bit values as they are."""
_LUMA = (0.299, 0.587, 0.114)
_SAMPLE = 2_000_000
_LISTED = 6


@dataclass(frozen=True, eq=False)
class Scan:
    """A checked scan.

    values: (D, H, W) float32 in the file's units, all finite; or (D, H, W, 3) uint8 for colour.
    spacing_mm: distance of neighbouring slices, rows and columns, or None. z of a single slice is its thickness, 1
    when that is unknown.
    affine: (4, 4) float64 from (column, row, slice) to mm right, anterior, superior (RAS) of the patient, or None.
    window: (centre, width) that the file proposes, in units of `values`, or None.
    modality: DICOM's code ("CT", "MR", ...), "" when unknown. kind: "picture", "dicom", "series" or "nifti".
    notes: what was converted or is special, a sentence each. consent: what a person must confirm before the scan is
    worked on. source: technical fields that exports need: "axes" (directions of the file's own grid, such as "RAS"),
    "units" ("HU" or ""), "thickness_mm". Unique identifiers are not among them: exports make new ones.
    """

    values: np.ndarray
    spacing_mm: tuple[float, float, float] | None = None
    affine: np.ndarray | None = None
    window: tuple[float, float] | None = None
    modality: str = ""
    kind: str = "picture"
    notes: tuple[str, ...] = ()
    consent: tuple[str, ...] = ()
    source: Mapping[str, str | float] = field(default_factory=dict)

    @property
    def is_colour(self) -> bool:
        return self.values.ndim == 4

    @property
    def size(self) -> tuple[int, int, int]:
        """(slices, rows, columns)."""
        return self.values.shape[:3]


def made(values: np.ndarray, notes: Iterable[str] = (), field: str = "picture", **rest) -> Scan:
    """A Scan of (D, H, W) numbers or (D, H, W, 3) uint8, with what is special about its values in the notes.

    Values that are not finite become the least finite one. Empty slices stay as they are and are named. Raises
    InputError (field named) when no value is finite. rest: further fields of the Scan.
    """
    notes = list(notes)
    if values.ndim == 3:
        values = _finite(values.astype(np.float32, copy=False), notes, field)
    empty = [number for number, page in enumerate(values, 1) if (page == page[0, 0]).all()]
    if len(empty) == len(values):
        notes.append("All values of the scan are the same; there is nothing to find in it." if values.ndim == 3
                     else "Every slice has a single colour; there is nothing to find in it.")
    elif len(empty):
        notes.append(f"{slices(empty)} {'are' if len(empty) > 1 else 'is'} empty (one value throughout).")
    return Scan(values, notes=tuple(notes), **rest)


def _finite(values: np.ndarray, notes: list[str], field: str) -> np.ndarray:
    good = np.isfinite(values)
    bad = good.size - int(np.count_nonzero(good))
    if not bad:
        return values
    if bad == good.size:
        raise InputError("No value of the scan is a finite number.", "There is nothing to show.", "Give another file.",
                         field=field)
    least = values.min(where=good, initial=np.inf)
    notes.append(f"{bad} values that are not finite numbers were set to the least value, {least:g}.")
    return np.where(good, values, least)


def slices(numbers: Iterable[int]) -> str:
    """Numbers of slices in words: "Slices 3 and 40 to 43"; ascending, at most six stretches."""
    stretches: list[list[int]] = []
    for number in map(int, numbers):
        if stretches and number == stretches[-1][1] + 1:
            stretches[-1][1] = number
        else:
            stretches.append([number, number])
    return named_stretches(stretches)


def named_stretches(stretches: Iterable[Iterable[int]]) -> str:
    """Like `slices`, of (first, last) pairs."""
    stretches = [tuple(pair) for pair in stretches]
    words = [str(first) if first == last else f"{first} to {last}" for first, last in stretches[:_LISTED]]
    if len(stretches) > _LISTED:
        words.append("others")
    single = len(stretches) == 1 and stretches[0][0] == stretches[0][1]
    return ("Slice " if single else "Slices ") + " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def window_of(scan: Scan) -> tuple[float, float]:
    """The (centre, width) to show a scan with at first: the file's, else from the 1st to the 99th percentile."""
    if scan.is_colour:
        return EIGHT_BIT
    if scan.window is not None:
        return scan.window
    flat = scan.values.reshape(-1)
    sample = flat[::max(1, flat.size // _SAMPLE)]
    low, high = (float(v) for v in np.percentile(sample, (1, 99)))
    if not high > low:
        low, high = float(flat.min()), float(flat.max())
    return (low + high) / 2, (high - low) or 1.0


def windowed(scan: Scan, centre: float | None = None, width: float | None = None) -> np.ndarray:
    """(D, H, W, 3) uint8: black at centre - width / 2 and below, white at centre + width / 2 and above.

    In DICOM's terms this is LINEAR_EXACT (PS3.3 C.11.2.1.3). What is not given comes from `window_of`. Raises
    InputError for numbers that are not finite and a width that is not above 0.
    """
    return _shown(scan.values, *_window(scan, centre, width))


def slice_picture(scan: Scan, index: int, centre: float | None = None, width: float | None = None) -> Picture:
    """Slice `index` (from 0) as a picture, windowed like `windowed`, with the scan's notes.

    Raises InputError for a slice that is not there.
    """
    depth = len(scan.values)
    if not 0 <= index < depth:
        raise InputError(f"Slice {index + 1} is not there.", f"The scan has {depth}.", f"Choose one from 1 to {depth}.",
                         field="slice")
    return Picture(_shown(scan.values[index], *_window(scan, centre, width)), scan.notes)


def _window(scan: Scan, centre: float | None, width: float | None) -> tuple[float, float]:
    if centre is None or width is None:
        default = window_of(scan)
        centre, width = (default[0] if centre is None else centre), (default[1] if width is None else width)
    if not (math.isfinite(centre) and math.isfinite(width) and width > 0):
        raise InputError(f"The window has centre {centre:g} and width {width:g}.",
                         "Both must be numbers and the width above 0.", "Change the window.", field="window")
    return float(centre), float(width)


def _shown(values: np.ndarray, centre: float, width: float) -> np.ndarray:
    colour = values.dtype == np.uint8
    if colour and (centre, width) == EIGHT_BIT:
        return values.copy()
    levels = (values.astype(np.float32) - np.float32(centre - width / 2)) * np.float32(255 / width)
    shown = np.rint(levels.clip(0, 255)).astype(np.uint8)
    return shown if colour else np.repeat(shown[..., None], 3, axis=-1)


def grey(scan: Scan) -> Scan:
    """The scan where grey values are expected: colours become their brightness (ITU-R BT.601), with a note."""
    if not scan.is_colour:
        return scan
    values = np.stack([page.astype(np.float32) @ np.array(_LUMA, np.float32) for page in scan.values])
    note = "Colours were turned into grey values; what they tell apart by hue alone is lost."
    return replace(scan, values=values, window=EIGHT_BIT, notes=(*scan.notes, note))


def inverted(scan: Scan) -> Scan:
    """The scan with dark and bright exchanged: v becomes least + largest - v, and its window follows.

    Colours and 8-bit windows are mirrored within 0..255.
    """
    note = "Dark and bright were exchanged."
    if scan.is_colour:
        return replace(scan, values=255 - scan.values, notes=(*scan.notes, note))
    total = 255.0 if scan.window == EIGHT_BIT else float(scan.values.min()) + float(scan.values.max())
    window = scan.window and (total - scan.window[0], scan.window[1])
    return replace(scan, values=np.float32(total) - scan.values, window=window, notes=(*scan.notes, note),
                   source={**scan.source, "units": ""})
