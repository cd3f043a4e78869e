"""Slices before and after contrast: read, brought onto one grey scale, and marked where contrast shows.

The files hold every channel stretched by itself to 8 bits, so that after minus before means nothing as it stands. A
patient's slices after contrast are therefore standardised on those before, with figures of the whole head that a few
per cent of enhancing pixels hardly move. Only then comes the one scale per pair, from the slice before contrast.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from engine.errors import InputError

FOLDER = "brain_mri_contrast"
HELD_OUT = "brats_gli_00001"
"""The patient that is never trained on: the one with a ring-shaped tumour, which is what one wants to see judged."""
BRIGHTEST = 1.6
"""Slices end here, in units of the 99.5th percentile of the slice before contrast."""
LEAST_UPTAKE = 0.2
"""Least smoothed uptake, in the same units, of what counts as enhancing."""
LEAST_REGION_PX = 10
_CHANNELS = ("T1", "T1c", "T2", "FLAIR")
_DECILES = tuple(range(10, 91, 10))
_HEAD_BEFORE, _HEAD_AFTER = 20, 5
_FAR = 1000.0
_FIELD_PX = 12
_FIELD_LIMIT = 0.3
_SMOOTH_PX = 0.7


@dataclass(frozen=True, eq=False)
class Case:
    """One slice (H, W): before and after float32 in [0, BRIGHTEST], region bool.

    region: where contrast shows. No expert drew it: it is found in the true difference, see `enhancing`.
    """

    before: np.ndarray
    after: np.ndarray
    region: np.ndarray


def split(data: Path) -> tuple[list[Case], list[Case]]:
    """Slices of the patients to learn from, and those of `HELD_OUT`. Raises InputError where files are missing."""
    folder = data / FOLDER if (data / FOLDER).is_dir() else data
    paths = sorted(folder.glob("*.npz"))
    learned = [path for path in paths if path.stem != HELD_OUT]
    kept = [path for path in paths if path.stem == HELD_OUT]
    if not learned or not kept:
        raise InputError(f"The folder has {len(paths)} npz files of patients.",
                         f"Training and measuring need {HELD_OUT}.npz and at least one other patient.",
                         f"Give --data the folder that holds {FOLDER}.", field="data")
    return [case for path in learned for case in read(path)], [case for path in kept for case in read(path)]


def read(path: Path) -> list[Case]:
    """All slices of one patient: an npz with slices (N, 4, H, W) uint8 of T1, T1 after contrast, T2, FLAIR."""
    try:
        with np.load(path, allow_pickle=False) as file:
            slices = file["slices"]
    except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(f"{path.name[:60]} cannot be read.", "It must be an npz file with an array named slices.",
                         "Take it out of the folder.", field="data") from error
    if slices.ndim != 4 or slices.shape[1] != len(_CHANNELS) or slices.dtype != np.uint8:
        raise InputError(f"The slices in {path.name[:60]} are {slices.dtype} {slices.shape}.",
                         "They must be uint8 of N x 4 x height x width.", "Take the file out of the folder.",
                         field="data")
    return cases(np.float32(slices))


def cases(slices: np.ndarray) -> list[Case]:
    """The slices (N, 4, H, W), any positive units, of one patient, standardised and scaled; empty ones are left out."""
    before, after = slices[:, 0], standardised(slices[:, 0], slices[:, 1])
    found = []
    for i in range(len(slices)):
        low, high = levels(before[i])
        if high - low < _HEAD_BEFORE:
            continue
        pair = [np.float32(scaled(values[i], low, high)) for values in (before, after)]
        found.append(Case(*pair, enhancing(*pair)))
    return found


def standardised(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """`after` (N, H, W) on the grey scale of `before`, both of one patient, with 0 staying 0.

    First the deciles of the head are matched, piecewise linearly, and beyond the highest one the scale is that of the
    medians (Nyul and Udupa, 1999); then the smooth ratio of the two, which is the coils' and not the agent's, is
    divided out of each slice: its logarithm is clipped, so that a vessel does not lower its surroundings.
    """
    from scipy.ndimage import gaussian_filter

    head = (before > _HEAD_BEFORE) & (after > _HEAD_AFTER)
    if not head.any():
        raise InputError("The slices hold no head.", "All pixels are black before or after contrast.", field="data")
    wanted, found = (np.percentile(values[head], _DECILES) for values in (before, after))
    scale = np.median(before[head]) / np.median(after[head])
    matched = np.interp(after, [0, *found, found[-1] + _FAR], [0, *wanted, wanted[-1] + _FAR * scale])
    ratio = np.log(np.maximum(matched, 1) / np.maximum(before, 1)).clip(-_FIELD_LIMIT, _FIELD_LIMIT) * head
    width = (0, _FIELD_PX, _FIELD_PX)
    share = np.maximum(gaussian_filter(np.float64(head), width), 1e-3)
    return matched * np.exp(-gaussian_filter(ratio, width) / share)


def levels(before: np.ndarray) -> tuple[float, float]:
    """The 0.5th and the 99.5th percentile of a slice."""
    low, high = np.percentile(before, (0.5, 99.5))
    return float(low), float(high)


def scaled(values: np.ndarray, low: float, high: float, most: float = BRIGHTEST) -> np.ndarray:
    """Values with `low` at 0 and `high` at 1, clipped to [0, most]. low = high gives 0 and `most`."""
    return np.clip((values - low) / max(high - low, 1e-6), 0, most)


def enhancing(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where contrast shows, bool (H, W): smoothed uptake of at least `LEAST_UPTAKE`, thin specks removed.

    The true difference smoothed by 0.7 px and opened by 2 x 2 px. It holds vessels, dura and plexus as well as tumour;
    nobody has checked it. Regions under 10 px a slice count as none.
    """
    from scipy.ndimage import binary_opening, gaussian_filter

    region = binary_opening(gaussian_filter(after - before, _SMOOTH_PX) >= LEAST_UPTAKE, np.ones((2, 2)))
    return region if region.sum() >= LEAST_REGION_PX else np.zeros_like(region)


def clipped_share(cases: Sequence[Case], limit: float) -> float:
    """Share of the pixels of heads whose uptake lies beyond +-limit."""
    beyond = [np.abs(case.after - case.before)[case.before > 0] > limit for case in cases]
    return float(np.concatenate(beyond).mean())
