"""The frames of a DICOM file whose header was checked, as numbers in the file's units."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.errors import InputError
from engine.io.medical import codecs
from engine.io.medical.fields import Fields, bad_field
from engine.io.medical.headers import PALETTE, Header


@dataclass(frozen=True, eq=False)
class Frame:
    """pixels: (H, W) float32 in the file's units, or (H, W, 3) uint8. position: (3,) LPS mm of the first pixel, and
    directions: (6,) along a row and along a column, or both None. number: in the order of its series.
    window: (centre, width) that the file proposes, or None."""

    pixels: np.ndarray
    position: np.ndarray | None
    directions: np.ndarray | None
    number: int
    window: tuple[float, float] | None


def decoded(head: Header) -> Iterator[Frame]:
    """The frames of a file, one after the other. Raises InputError when its pixel data cannot be decoded."""
    try:
        raw = codecs.pixels(head.dataset, raw=not head.is_colour or head.photometric == PALETTE)
    except MemoryError:
        raise
    except Exception:  # decoders raise whatever they stumble over
        raise InputError("The picture in the DICOM file is damaged.",
                         f"Its data do not decode to Rows x Columns = {head.rows} x {head.columns}.",
                         "Copy or export the DICOM file again.") from None
    for index, page in enumerate(raw if head.frames > 1 else raw[None]):
        fields = Fields(head.dataset, index)
        place = fields.numbers("ImagePositionPatient", 3), fields.numbers("ImageOrientationPatient", 6)
        position, directions = (None, None) if None in place else map(np.array, place)
        pixels, window = (_colours(page, head), None) if head.is_colour else _values(page, fields, head)
        yield Frame(pixels, position, directions, index + 1 if head.frames > 1 else head.number, window)


def _values(page: np.ndarray, fields: Fields, head: Header) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Values in the file's units. Bits beside the stored ones, where old files keep overlays, are dropped."""
    from pydicom.pixels import apply_modality_lut

    allocated = page.dtype.itemsize * 8
    stored = fields.integer("BitsStored", 1, allocated)
    top = allocated - 1 - fields.integer("HighBit", stored - 1, allocated - 1, stored - 1)
    signed = fields.integer("PixelRepresentation", 0, 1, 0) == 1
    bits = page.astype(f"u{page.dtype.itemsize}") << top
    numbers = bits.view(f"{'i' if signed else 'u'}{page.dtype.itemsize}") >> (allocated - stored)
    low = -(1 << (stored - 1)) if signed else 0
    ends = np.array([low, low + (1 << stored) - 1], np.float64)
    if head.dataset.get("ModalityLUTSequence"):
        values = apply_modality_lut(numbers, head.dataset).astype(np.float32)
        ends = np.array([values.min(), values.max()], np.float64)
    else:
        slope, intercept = fields.number("RescaleSlope"), fields.number("RescaleIntercept") or 0.0
        if slope == 0:
            raise bad_field("RescaleSlope", "is 0", "All values would be the same.")
        slope = 1.0 if slope is None else slope
        values, ends = (numbers * slope + intercept).astype(np.float32), ends * slope + intercept
    centre, width = fields.number("WindowCenter"), fields.number("WindowWidth")
    window = (centre, width) if centre is not None and width is not None and width > 0 else None
    if head.photometric != "MONOCHROME1":
        return values, window
    total = ends.sum()
    return np.float32(total) - values, window and (float(total - window[0]), window[1])


def _colours(page: np.ndarray, head: Header) -> np.ndarray:
    from pydicom.pixels import apply_color_lut

    if head.photometric == PALETTE:
        page = apply_color_lut(page, head.dataset)[..., :3]
        stored = page.dtype.itemsize * 8
    else:
        stored = int(Fields(head.dataset).number("BitsStored"))
    return page.astype(np.uint8) if stored == 8 else np.rint(page * (255 / (2**stored - 1))).astype(np.uint8)
