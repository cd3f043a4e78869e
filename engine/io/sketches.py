"""Sketches out of pictures: drawings on white or transparent paper, photographs of paper, chalk on a board."""

import contextlib
import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from engine.errors import InputError
from engine.io.files import Source, read_bytes
from engine.io.pictures import load_picture
from engine.runtime.settings import limits

MOST_PX = 1024
"""Longest side of the ink: more would only slow the search for lines, which are brought to 58 px later."""

_SEE_THROUGH = 0.3
_CLEAN = 0.5
_TONE = 0.02
_FAINTEST = 0.12
_NOISE = 4.0
_DRAW = "Draw at least one stroke, or leave the sketch out."


@dataclass(frozen=True, eq=False)
class Sketch:
    """A checked drawing. ink: (H, W) float32 in [0, 1], 1 where the pen went. notes: what was done to the picture."""

    ink: np.ndarray
    notes: tuple[str, ...] = ()


def read_sketch(source: Source, field: str = "sketch") -> Sketch:
    """The lines of a drawing in a picture file (PNG, JPEG, WebP, TIFF, BMP) or its bytes.

    On transparent paper what is opaque is ink, else what is darker than the paper around it; a picture that is mostly
    dark is taken as chalk on a board. Shadows on photographed paper are taken out. Raises InputError (field named) as
    `load_picture` does, and for a canvas that is empty, all black, or holds one dot.
    """
    data = read_bytes(source, limits().image_bytes, field)
    picture = load_picture(data, field)
    notes = [note for note in picture.notes if "same value" not in note and "laid over white" not in note]
    grey = np.float32(picture.pixels @ np.float32([0.299, 0.587, 0.114])) / 255
    cover = _cover(data, picture.size)
    if cover is not None and (cover < 0.5).mean() > _SEE_THROUGH and _one_tone(grey, cover):
        ink = _smaller(cover, notes)
    else:
        ink = _on_paper(_smaller(grey, notes), notes)
    return Sketch(_checked(ink, field), tuple(notes))


def _cover(data: bytes, size: tuple[int, int]) -> np.ndarray | None:
    """How opaque each pixel is, (H, W) in [0, 1], None for a picture without transparency."""
    with Image.open(io.BytesIO(data)) as image:
        if "A" not in image.getbands() and "transparency" not in image.info:
            return None
        whole = image.convert("RGBA")
        # The EXIF parser raises whatever it stumbles over; `load_picture` tells of it.
        with contextlib.suppress(Exception):
            whole = ImageOps.exif_transpose(whole)
    cover = np.float32(whole.getchannel("A")) / 255
    return cover if cover.shape == tuple(size) else None


def _one_tone(grey: np.ndarray, cover: np.ndarray) -> bool:
    """Whether what is opaque is a pen's and not a painting with lines of its own. Colours of pens may differ a bit."""
    opaque = grey[cover > 0.9]
    return opaque.size == 0 or float(np.subtract(*np.quantile(opaque, [0.9, 0.1]))) < 0.35


def _smaller(values: np.ndarray, notes: list[str]) -> np.ndarray:
    import cv2

    scale = MOST_PX / max(values.shape)
    if scale >= 1:
        return values
    notes.append(f"The sketch of {values.shape[1]} x {values.shape[0]} px was read at {MOST_PX} px.")
    size = tuple(max(1, round(n * scale)) for n in values.shape[::-1])
    return cv2.resize(values, size, interpolation=cv2.INTER_AREA)


def _on_paper(grey: np.ndarray, notes: list[str]) -> np.ndarray:
    """Ink from brightness (H, W) in [0, 1]."""
    paper = float(np.median(grey))
    if paper < 0.5 and np.ptp(grey) > _FAINTEST:
        notes.append("Light lines on a dark ground were taken as ink.")
        grey, paper = 1 - grey, 1 - paper
    if (abs(grey - paper) < _TONE).mean() > _CLEAN:
        depth = np.clip(paper - grey, 0, None)
    else:
        notes.append("The paper is uneven: lines are what is darker than the paper around them.")
        depth = _below_paper(grey)
    deepest = float(np.quantile(depth[depth > _FAINTEST], 0.9)) if (depth > _FAINTEST).any() else 1.0
    # Pale pencil and dark ink both come out as ink; what is fainter than a fifth of it is smudge.
    return np.float32(np.clip((depth / deepest - 0.2) / 0.6, 0, 1) * (depth > _FAINTEST / 2))


def _below_paper(grey: np.ndarray) -> np.ndarray:
    """How far each pixel is darker than the paper, 0 where that is no more than the grain of the paper.

    The paper's brightness is found by closing: brighter neighbours cover lines of up to a twelfth of the page.
    """
    import cv2

    width = max(3, max(grey.shape) // 12) | 1
    smooth = cv2.GaussianBlur(grey, (0, 0), max(0.6, max(grey.shape) / 700))
    closed = cv2.morphologyEx(smooth, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width)))
    depth = cv2.GaussianBlur(closed, (0, 0), width / 4) - smooth
    usual = float(np.median(depth))
    grain = 1.4826 * float(np.median(abs(depth - usual)))
    return np.where(depth > usual + max(_FAINTEST / 2, _NOISE * grain), np.clip(depth - usual, 0, None), 0)


def _checked(ink: np.ndarray, field: str) -> np.ndarray:
    """The ink itself, where there is a stroke."""
    import cv2

    marked = np.uint8(ink > 0.25)
    if not marked.any():
        raise InputError("The sketch is empty.", "No line was found on the paper.", _DRAW, field=field)
    if marked.mean() > 0.95:
        raise InputError(f"{100 * marked.mean():.0f} % of the sketch is ink.", "No line can be told apart.", _DRAW,
                         field=field)
    rows, columns = (np.flatnonzero(marked.any(axis)) for axis in (1, 0))
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    blobs, longest = cv2.connectedComponents(marked)[0] - 1, max(height, width)
    # A disc fills pi / 4 of its box; no stroke does, unless it is as short as it is wide.
    compact = blobs == 1 and marked.sum() > 0.6 * height * width and min(height, width) > 0.5 * longest
    if longest < 0.03 * max(ink.shape) or (compact and longest < 0.15 * max(ink.shape)):
        raise InputError(f"The sketch is one dot of {width} x {height} px.", "A shape needs lines.", _DRAW, field=field)
    return ink
