"""Nuclei in microscopy: pictures with instance masks (NAME.png, NAME_inst.png: 0 is background)."""

from pathlib import Path

import numpy as np

from engine.tasks.segmentation.data import Case, normalised
from engine.training import pictures

FOLDER = "nuclei_dsb2018"
_BORDER_WEIGHT = 2.0
_REACH_PX = 5


def paths(data: Path) -> list[Path]:
    """The pictures that have an instance mask, sorted."""
    return [p for p in pictures.files(data, (FOLDER,)) if instances_path(p).is_file()]


def instances_path(path: Path) -> Path:
    """The file of the ids that belongs to a picture."""
    return path.with_name(f"{path.stem}_inst.png")


def case(path: Path) -> Case:
    """One picture with its mask; pixels between neighbouring nuclei count more."""
    ids = instances(path)
    picture, = pictures.read([path])
    return Case(path.stem, normalised(picture), (ids > 0,), 1 + _BORDER_WEIGHT * borders(ids))


def instances(path: Path) -> np.ndarray:
    """The ids (H, W) int32 of a picture's nuclei, 0 for background."""
    from PIL import Image

    return np.asarray(Image.open(instances_path(path))).astype(np.int32)


def borders(ids: np.ndarray) -> np.ndarray:
    """1.0 where two nuclei lie within reach of each other (a window of 5 px), else 0.0; ids (H, W) to float32.

    Whether such a pixel belongs to a nucleus does not matter, so that weighing it leaves the network's chances right.
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    highest = maximum_filter(ids, _REACH_PX)
    lowest = minimum_filter(np.where(ids > 0, ids, np.iinfo(ids.dtype).max), _REACH_PX)
    return np.float32((highest > 0) & (highest != lowest))
