"""Slices in space: their order, their distance and what is missing between them. Nothing is filled in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import InputError
from engine.io.medical.orientation import LPS_TO_RAS
from engine.io.medical.scan import named_stretches, slices

_SAME_PLACE = 1e-3
"""Two slices closer than this, in mm, lie at the same place."""
_ROUNDING_MM = 0.1
_UNEVEN = 0.1, 0.2
"""Slices may lie 0.1 mm off equal distances, as files round positions; but at least and at most so many distances."""
_TILT_DEGREES = 0.5
_WHOLE_SERIES = "Give the whole series, or a part of it without gaps."


@dataclass(frozen=True, eq=False)
class Stack:
    """order: indices of the slices to keep, from the first to the last. step: (3,) mm from a slice to the next, or
    None when the places are not known. notes: what is special."""

    order: np.ndarray
    step: np.ndarray | None
    notes: tuple[str, ...] = ()


def by_number(numbers: Sequence[int], same: Callable[[int, int], bool]) -> Stack:
    """The order of slices that do not say where they lie. same(i, j): whether two slices show the same.

    Raises InputError when numbers are missing or given twice; without any numbers the given order stays.
    """
    numbers = np.asarray(numbers)
    if len(numbers) == 1:
        return Stack(np.zeros(1, int), None)
    note = "The file does not say where its slices lie; they stand in the order of their numbers."
    if not numbers.any():
        return Stack(np.arange(len(numbers)), None, ("The slices have neither places nor numbers; they stand in the "
                                                     "order given.",))
    order, notes = _without_doubles(np.argsort(numbers, kind="stable"), numbers, 0.5, numbers, same)
    _refuse_gaps(np.diff(numbers[order]), numbers[order])
    return Stack(order, None, (note, *notes))


def by_place(positions: np.ndarray, directions: Sequence[float], numbers: Sequence[int],
             same: Callable[[int, int], bool]) -> Stack:
    """The order of slices along their common normal.

    positions: (N, 3) mm of each slice's first pixel. directions: (6,) unit vectors along a row and along a column.
    numbers: by which people call the slices. Raises InputError for missing slices (named by number), different slices
    at one place, and unequal distances.
    """
    normal = normal_of(directions)
    along, numbers = positions @ normal, np.asarray(numbers)
    order, notes = _without_doubles(np.argsort(along, kind="stable"), along, _SAME_PLACE, numbers, same)
    if len(order) == 1:
        return Stack(order, None, tuple(notes))
    along, places = along[order], positions[order]
    gaps = np.diff(along)
    typical = float(np.percentile(gaps, 50, method="lower"))
    counts = np.rint(gaps / typical)
    index = np.concatenate([[0.0], np.cumsum(counts)])
    distance = (along[-1] - along[0]) / max(index[-1], 1)
    slack = np.clip(_ROUNDING_MM, *(part * distance for part in _UNEVEN))
    if counts.min() < 1 or np.abs(along - along[0] - index * distance).max() > slack:
        raise InputError(f"The slices are {gaps.min():.3g} to {gaps.max():.3g} mm apart.",
                         "Volumes need equal distances, and no slices are made up.",
                         "Give a part with equal distances.")
    _refuse_gaps(counts, _names(index, numbers[order]))
    step = (places[-1] - places[0]) / index[-1]
    if np.abs(places - places[0] - index[:, None] * step).max() > 2 * slack:
        raise InputError("The slices are shifted against each other.", "Their first pixels do not lie on one line.",
                         "Give slices of one acquisition.")
    return Stack(order, step, (*notes, *_tilt(step, normal)))


def normal_of(directions: Sequence[float]) -> np.ndarray:
    """(3,) unit normal of the slices. Raises InputError when the directions are not perpendicular unit vectors."""
    row, column = np.reshape(directions, (2, 3))
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(lengths[0] - 1), abs(lengths[1] - 1), abs(float(row @ column))) > 0.01:
        raise InputError("The DICOM field ImageOrientationPatient cannot be used.",
                         "It must hold two perpendicular directions of length 1.",
                         "Export the picture again from the system that made it.")
    normal = np.cross(row, column)
    return normal / np.linalg.norm(normal)


def affine_of(position: np.ndarray, directions: Sequence[float], spacing: tuple[float, float],
              step: np.ndarray) -> np.ndarray:
    """(4, 4) from (column, row, slice) to RAS mm. position: LPS mm of the first pixel. spacing: (y, x) mm."""
    row, column = np.reshape(directions, (2, 3))
    affine = np.eye(4)
    affine[:3] = np.column_stack([row * spacing[1], column * spacing[0], step, position])
    return LPS_TO_RAS @ affine


def _names(index: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """What people call the slices: the file's numbers where they count along the stack, else 1, 2, ... along it."""
    for along in (index, -index):
        if np.ptp(numbers - along) == 0:
            return numbers
    return index.astype(int) + 1


def _without_doubles(order: np.ndarray, place: np.ndarray, least: float, numbers: np.ndarray,
                     same: Callable[[int, int], bool]) -> tuple[np.ndarray, list[str]]:
    kept = [order[0]]
    for candidate in order[1:]:
        if place[candidate] - place[kept[-1]] > least:
            kept.append(candidate)
        elif not same(kept[-1], candidate):
            pair = sorted({int(numbers[kept[-1]]), int(numbers[candidate])})
            twice = "lie at the same place" if len(pair) > 1 else "is there twice"
            raise InputError(f"{slices(pair)} {twice}, with different values.",
                             "They belong to several volumes (phases, echoes or times).",
                             "Give the files of one of them.")
    doubles = len(order) - len(kept)
    return np.array(kept), [f"Slices there twice were taken once: {doubles} dropped."] if doubles else []


def _refuse_gaps(counts: np.ndarray, names: np.ndarray) -> None:
    holes = [sorted((int(names[i] + sign), int(names[i + 1] - sign)))
             for i in np.flatnonzero(counts > 1) for sign in (1 if names[i + 1] > names[i] else -1,)]
    if holes:
        single = len(holes) == 1 and holes[0][0] == holes[0][1]
        raise InputError(f"{named_stretches(sorted(holes))} {'is' if single else 'are'} missing.",
                         "No slices are made up between the others.", _WHOLE_SERIES)


def _tilt(step: np.ndarray, normal: np.ndarray) -> list[str]:
    degrees = float(np.degrees(np.arccos(np.clip(step @ normal / np.linalg.norm(step), -1, 1))))
    if degrees < _TILT_DEGREES:
        return []
    return [f"The slices are tilted by {degrees:.1f} degrees (gantry tilt). They are shown as stored; the affine "
            "carries the shear."]
