"""From a picture of any size to the square that the model works on, and back.

A model has one resolution, `size`. Around each hole (or group of near holes) a square is cut out with some of its
surroundings and brought to that resolution; the model's answer is enlarged again and put into the hole, and only there.
Holes are bool, True = paint. A square wider than the model's resolution gives a coarser answer than the picture.
"""

import math
from dataclasses import dataclass

import numpy as np

from engine.errors import InputError

_MOST_COMPONENTS = 64


@dataclass(frozen=True, eq=False)
class Square:
    """Where the model works. top, left, side: in pixels of the picture; the square reaches beyond a smaller picture.

    size: the model's resolution, at most `side`. hole: bool (side, side), the pixels that this square paints.
    unknown: the same and what other squares paint; the model must look at neither.
    """

    top: int
    left: int
    side: int
    size: int
    hole: np.ndarray
    unknown: np.ndarray


def squares(hole: np.ndarray, size: int, context: float = 0.25, most: int = 8) -> list[Square]:
    """The squares that cover a hole, bool (H, W), for a model of `size` px; each painted pixel belongs to one of them.

    A square is the hole's bounding box, widened by `context` of its longer side on each side, at least `size` wide,
    kept inside the picture where that is large enough and reaching evenly beyond it (see `cut`) where it is not. Holes
    share a square unless it would be more than twice as wide as the widest of their own; beyond `most` squares they
    share whatever is the smallest.
    Raises InputError when nothing is painted.
    """
    if not hole.any():
        raise InputError("Nothing is painted.", "The mask marks the pixels to fill and has none.",
                         "Paint the area, or upload a mask with a white area.", field="mask")
    labels, boxes = _components(hole, size)
    groups = _merge(boxes, most, lambda box: _frame(box, size, context, hole.shape)[2])
    found = []
    for box, members in groups:
        top, left, side = _frame(box, size, context, hole.shape)
        own = _window(np.isin(labels, members), top, left, side)
        found.append(Square(top, left, side, size, own, _window(hole, top, left, side)))
    return found


def cut(picture: np.ndarray, square: Square) -> tuple[np.ndarray, np.ndarray]:
    """The square of a picture, uint8 (H, W, 3), at the model's resolution: uint8 (size, size, 3), bool (size, size).

    Shrunk by area averages; where a cell holds any unknown pixel, the whole cell is unknown (True in the second array)
    and its colour means nothing. Beyond the picture's border both are mirrored.
    """
    import cv2

    pixels = _window(picture, square.top, square.left, square.side)
    if square.side == square.size:
        return pixels.copy(), square.unknown.copy()
    shape = (square.size, square.size)
    share = cv2.resize(square.unknown.astype(np.float32), shape, interpolation=cv2.INTER_AREA)
    # Less than a thousandth of one pixel is rounding.
    touched = share > 1e-3 * (square.size / square.side) ** 2
    return cv2.resize(pixels, shape, interpolation=cv2.INTER_AREA), touched


def paste_back(picture: np.ndarray, square: Square, result: np.ndarray, seam_px: int | None = None) -> np.ndarray:
    """The picture, uint8 (H, W, 3), with the hole of the square filled from the model's result, uint8 (size, size, 3).

    The result is enlarged bicubically. Along the rim of the hole, over `seam_px` pixels inwards (by default one cell
    of the result and two pixels), it is shifted towards the colours outside by as much as it differs from them there.
    All pixels outside the square's hole are returned bit for bit.
    """
    import cv2

    scale = square.side / square.size
    grown = result
    if square.side != square.size:
        grown = cv2.resize(result, (square.side, square.side), interpolation=cv2.INTER_CUBIC)
    seam_px = math.ceil(scale) + 2 if seam_px is None else seam_px
    if seam_px > 0 and not square.unknown.all():
        part = _around(square.hole, seam_px + math.ceil(scale))
        pixels = _window(picture, square.top, square.left, square.side)
        grown = grown.copy()
        grown[part] = _joined(grown[part], pixels[part], square.unknown[part], seam_px, scale)

    height, width = picture.shape[:2]
    rows = slice(max(square.top, 0), min(square.top + square.side, height))
    columns = slice(max(square.left, 0), min(square.left + square.side, width))
    inside = (slice(rows.start - square.top, rows.stop - square.top),
              slice(columns.start - square.left, columns.stop - square.left))
    out = picture.copy()
    out[rows, columns][square.hole[inside]] = grown[inside][square.hole[inside]]
    return out


def _joined(grown: np.ndarray, pixels: np.ndarray, unknown: np.ndarray, seam_px: int, scale: float) -> np.ndarray:
    """`grown` with its rim shifted by what it lacks at the nearest known pixel, a mean over one cell of the result."""
    import cv2

    distance, nearest = cv2.distanceTransformWithLabels(unknown.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5,
                                                        labelType=cv2.DIST_LABEL_PIXEL)
    rim = unknown & (distance <= seam_px)
    # Each known pixel has a label of its own; this finds the known pixel that a label stands for.
    known_at = np.flatnonzero(~unknown)
    at_label = np.zeros(nearest.max() + 1, np.int64)
    at_label[nearest.ravel()[known_at]] = known_at
    source = at_label[nearest[rim]]
    fade = 0.5 + 0.5 * np.cos(np.pi * distance[rim] / (seam_px + 1))

    cell = (2 * round(scale / 2) + 1,) * 2
    known = (~unknown).astype(np.float32)
    share = cv2.blur(known, cell).ravel()[source]
    out = grown.copy()
    for c in range(grown.shape[-1]):
        lacking = cv2.blur((pixels[..., c].astype(np.float32) - grown[..., c]) * known, cell).ravel()[source] / share
        out[..., c][rim] = np.clip(grown[..., c][rim] + fade * lacking, 0, 255).round()
    return out


def _around(hole: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The hole's bounding box, widened by `margin`."""
    rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
    return (slice(max(rows[0] - margin, 0), rows[-1] + margin + 1),
            slice(max(columns[0] - margin, 0), columns[-1] + margin + 1))


def _components(hole: np.ndarray, size: int) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """Labels 1.. of the hole's parts, (H, W), 0 outside, and their boxes (top, left, bottom, right).

    Parts nearer than about size / 8 count as one; scattered dots are gathered more coarsely, so that they stay few.
    """
    import cv2
    from scipy.ndimage import find_objects

    height, width = hole.shape
    cell = max(1, size // 8)
    while True:
        rows, columns = -(-height // cell), -(-width // cell)
        padded = np.zeros((rows * cell, columns * cell), bool)
        padded[:height, :width] = hole
        coarse = padded.reshape(rows, cell, columns, cell).any((1, 3)).astype(np.uint8)
        count, labels = cv2.connectedComponents(coarse, connectivity=8)
        if count - 1 <= _MOST_COMPONENTS:
            break
        cell *= 2
    labels = labels.repeat(cell, 0).repeat(cell, 1)[:height, :width] * hole
    return labels, [(r.start, c.start, r.stop, c.stop) for r, c in find_objects(labels)]


def _merge(boxes, most: int, side_of) -> list[tuple[tuple[int, int, int, int], list[int]]]:
    """Join the two groups whose joint square is the smallest, until none may be joined. Groups are (box, labels)."""
    groups = [(box, [label]) for label, box in enumerate(boxes, 1)]
    alone = [side_of(box) for box in boxes]

    def cost(i: int, k: int) -> tuple[bool, int]:
        joint = side_of(_joint(groups[i][0], groups[k][0]))
        return joint > 2 * max(alone[label - 1] for label in groups[i][1] + groups[k][1]), joint

    while len(groups) > 1:
        (too_wide, _), i, k = min((cost(i, k), i, k) for i in range(len(groups)) for k in range(i))
        if too_wide and len(groups) <= most:
            break
        groups[k] = (_joint(groups[i][0], groups[k][0]), groups[i][1] + groups[k][1])
        del groups[i]
    return groups


def _joint(a, b) -> tuple[int, int, int, int]:
    return min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3])


def _frame(box, size: int, context: float, shape: tuple[int, int]) -> tuple[int, int, int]:
    """(top, left, side) of the square around one box."""
    longer, shorter = max(box[2] - box[0], box[3] - box[1]), min(shape)
    side = max(size, math.ceil(longer * (1 + 2 * context)))
    if side > shorter:
        side = max(size, longer, shorter)
    return _place(box[0], box[2], side, shape[0]), _place(box[1], box[3], side, shape[1]), side


def _place(start: int, stop: int, side: int, length: int) -> int:
    """Where a square begins along one axis: centred on the box but inside, or on a picture that is narrower."""
    if side >= length:
        return -((side - length) // 2)
    return min(max((start + stop - side) // 2, 0), length - side)


def _window(array: np.ndarray, top: int, left: int, side: int) -> np.ndarray:
    """The square of an (H, W) or (H, W, C) array, mirrored beyond its border."""
    height, width = array.shape[:2]
    before = max(-top, 0), max(-left, 0)
    after = max(top + side - height, 0), max(left + side - width, 0)
    inside = array[max(top, 0):top + side, max(left, 0):left + side]
    if not any(before + after):
        return inside
    padding = [*zip(before, after, strict=True)] + [(0, 0)] * (array.ndim - 2)
    return np.pad(inside, padding, mode="reflect")
