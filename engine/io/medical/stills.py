"""Pictures and stacks of pictures as scans. Values of more than 8 bits are kept, to be windowed later."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageOps

from engine.errors import InputError
from engine.io.files import read_bytes
from engine.io.formats import damaged, picture_kind
from engine.io.medical.scan import EIGHT_BIT, Scan, made
from engine.io.pictures import load_picture
from engine.runtime.settings import limits

_WHITE_IS_ZERO = 0
_PHOTOMETRIC = 262
_ORIENTATION = 274
_DEEP = ("I", "F")
_PLAIN = ("1", "L", "LA", *_DEEP)


def load(files: Sequence[bytes], field: str = "picture") -> Scan:
    """One picture, the pages of a TIFF, or several pictures of one size as the slices of a stack, in this order.

    Grey pictures give (D, H, W) float32, of 8 bits with a window of 0 to 255; colour (D, H, W, 3) uint8. Raises
    InputError (field named) for what no picture is, differing sizes, and more than a stack may hold.
    """
    pages: list[np.ndarray] = []
    notes: list[str] = []
    deep = False
    for data in files:
        kept, is_deep = _pages(data, notes, field)
        pages, deep = pages + kept, deep or is_deep
        _check_stack(len(pages), sum(page.nbytes for page in pages), field)
    sizes = sorted({page.shape[:2] for page in pages})
    if len(sizes) > 1:
        (low, high) = sizes[0], sizes[-1]
        raise InputError(f"The pictures measure {low[1]} x {low[0]} to {high[1]} x {high[0]} px.",
                         "The slices of a stack must have one size.", "Give pictures of one size, or one at a time.",
                         field=field)
    if any(page.ndim == 3 for page in pages):
        if any(page.ndim == 2 for page in pages):
            raise InputError("The stack mixes grey and coloured slices.", "Its slices must be of one kind.",
                             "Save all as grey or all as colour.", field=field)
        return made(np.stack(pages), notes, field)
    if len(pages) > 1:
        notes.append(f"{len(pages)} pictures form a stack; the distance of its slices is not known.")
    return made(np.stack(pages), notes, field, window=None if deep else EIGHT_BIT)


def _check_stack(count: int, size: int, field: str) -> None:
    if count > limits().scan_files or size > limits().scan_bytes:
        number = f"more than {limits().scan_files}" if count > limits().scan_files else str(count)
        raise InputError(f"The stack has {number} pictures, {size / 1e6:.0f} MB and more.",
                         f"The limit is {limits().scan_files} pictures and {limits().scan_bytes / 1e6:.0f} MB.",
                         "Give fewer pictures.", field=field)


def _pages(data: bytes, notes: list[str], field: str) -> tuple[list[np.ndarray], bool]:
    """Pages of one file, (H, W) float32 or (H, W, 3) uint8, and whether their values have more than 8 bits."""
    name = picture_kind(data, field)
    try:
        image = Image.open(io.BytesIO(data), formats=(name.upper(),))
        several = name == "TIFF" and image.tag_v2.next != 0
        deep = image.mode.startswith(_DEEP)
    except Exception:  # `load_picture` says what is wrong
        several = deep = False
    if several or deep:
        read_bytes(data, limits().scan_bytes if several else limits().image_bytes, field)
        return _kept(image, name, notes, field), deep
    picture = load_picture(data, field)
    for note in picture.notes:
        _note(notes, note)
    pixels = picture.pixels
    grey = (pixels[..., :1] == pixels).all()
    return [pixels[..., 0].astype(np.float32) if grey else pixels], False


def _kept(image: Image.Image, name: str, notes: list[str], field: str) -> list[np.ndarray]:
    """All pages of a file with the values they have."""
    bounds, pages = limits(), []
    try:
        while True:
            width, height = image.size
            if min(width, height) < bounds.min_side_px or max(width, height) > bounds.max_side_px:
                raise InputError(f"The picture is {width} x {height} px.",
                                 f"Its sides must have {bounds.min_side_px} to {bounds.max_side_px} px.",
                                 "Crop or shrink it.", field=field)
            _check_stack(len(pages) + 1, width * height * 4 * (len(pages) + 1), field)
            pages.append(_page(image, notes))
            if name != "TIFF" or not image.tag_v2.next:
                return pages
            image.seek(len(pages))
    except (InputError, MemoryError):
        raise
    except Exception:  # decoders raise whatever they stumble over
        raise damaged(name, "it cannot be decoded to its end", field) from None


def _page(image: Image.Image, notes: list[str]) -> np.ndarray:
    white_is_zero = image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    if image.getexif().get(_ORIENTATION, 1) != 1:
        _note(notes, "The picture was turned as its EXIF data says.")
    upright = ImageOps.exif_transpose(image)
    if upright.mode not in _PLAIN and not upright.mode.startswith("I;16"):
        return np.array(upright.convert("RGB"))
    if not upright.mode.startswith(_DEEP):
        return np.array(upright.convert("L"), np.float32)
    values = np.array(upright)
    if white_is_zero and values.dtype.kind == "u":  # of 8-bit values PIL takes care itself
        _note(notes, "The file stores bright as dark; its values were mirrored.")
        values = np.iinfo(values.dtype).max - values
    return values.astype(np.float32)


def _note(notes: list[str], note: str) -> None:
    if note not in notes:
        notes.append(note)
