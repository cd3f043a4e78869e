"""What can be segmented: for each target its model, the size that it knows, and where its answer means anything."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.tasks.segmentation import vessels

VESSELS_PX = 282
"""Width of the photographs of the retina that the model was trained on."""


@dataclass(frozen=True)
class Target:
    """One kind of thing to be found.

    scale(picture (H, W, 3) uint8): how many times larger the picture should be for the model; view: where the picture
    shows anything, bool (H, W), or None for all of it; counted: whether single instances are told apart.
    """

    name: str
    title: str
    model: str
    scale: Callable[[np.ndarray], float]
    view: Callable[[np.ndarray], np.ndarray] | None = None
    counted: bool = False


def _as_it_is(picture: np.ndarray) -> float:
    return 1.0


def _retina(picture: np.ndarray) -> float:
    """The field of view as wide as in the training pictures."""
    columns = np.flatnonzero(vessels.field_of_view(picture).any(axis=0))
    return VESSELS_PX / (np.ptp(columns) + 1) if columns.size else VESSELS_PX / picture.shape[1]


def _whole(picture: np.ndarray) -> float:
    return 128 / max(picture.shape[:2])


TARGETS = {target.name: target for target in (
    Target("nuclei", "Nuclei in microscopy", "segmentation_nuclei", _as_it_is, counted=True),
    Target("vessels", "Vessels of the retina", "segmentation_vessels", _retina, vessels.field_of_view),
    Target("demo", "Optic cup, tumour, nodule (invented pictures)", "segmentation_demo", _whole),
)}
