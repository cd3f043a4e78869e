"""A corrected mask: what the page's brush changed, laid over the probability, with its objects counted anew."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Corrected:
    """mask: (H, W) bool. labels: (H, W) int32 of the objects in it, None where single objects are not told apart.
    edited: pixels that differ from the program's mask."""

    mask: np.ndarray
    labels: np.ndarray | None
    edited: int = 0


def corrected(probability: np.ndarray, instances: np.ndarray | None, threshold: float, painted: np.ndarray,
              erased: np.ndarray) -> Corrected:
    """The mask of a threshold with painted pixels added and erased ones taken away.

    probability: (H, W) in [0, 1]. instances: (H, W) labels or None. painted, erased: (H, W) bool, never both.
    """
    automatic = probability > threshold
    mask = (automatic & ~erased) | painted
    edited = int((mask != automatic).sum())
    if instances is None:
        return Corrected(mask, None, edited)
    labels = np.where(mask, instances, 0).astype(np.int32)
    following = _join(labels, mask & (instances == 0), instances, painted)
    _split(labels, np.unique(instances[automatic & erased & (instances > 0)]), following)
    return Corrected(mask, labels, edited)


# assets/web/mask.js counts by the same rules while a person draws.


def _join(labels: np.ndarray, loose: np.ndarray, instances: np.ndarray, painted: np.ndarray) -> int:
    """Give parts without a label that of the object that they touch most, or one of their own when they were painted.

    Other parts are specks that were too small to count before, and stay so. Returns the next free label.
    """
    from scipy.ndimage import find_objects, label

    following = int(instances.max()) + 1
    parts, _ = label(loose)
    for part, box in enumerate(find_objects(parts), 1):
        own = parts[box] == part
        name = _most_touched(parts, part, box, instances, labels)
        if not name and painted[box][own].any():
            name, following = following, following + 1
        labels[box][own] = name
    return following


def _most_touched(parts: np.ndarray, part: int, box: tuple[slice, slice], instances: np.ndarray,
                  labels: np.ndarray) -> int:
    """The label that most borders of a part lead to, the smaller of equal ones; 0 for none."""
    around = tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
    inside, names = parts[around] == part, np.where(instances[around] > 0, labels[around], 0)
    touched = [names[there][inside[here]] for here, there in (
        (np.s_[1:], np.s_[:-1]), (np.s_[:-1], np.s_[1:]), (np.s_[:, 1:], np.s_[:, :-1]), (np.s_[:, :-1], np.s_[:, 1:]))]
    counts = np.bincount(np.concatenate(touched))
    counts[:1] = 0
    return int(counts.argmax()) if counts.any() else 0


def _split(labels: np.ndarray, cut: np.ndarray, following: int) -> None:
    """Objects that the eraser cut apart count as several: the first part in reading order keeps the label."""
    from scipy.ndimage import label

    for name in cut:
        parts, count = label(labels == name)
        for part in range(2, count + 1):
            labels[parts == part], following = following, following + 1
