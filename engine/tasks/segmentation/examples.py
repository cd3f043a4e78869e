"""Example pictures of the segmentation task: invented ones, and a retina that scikit-image ships."""

import numpy as np

from engine.io.medical.scan import Scan
from engine.tasks.segmentation import cells, procedural

SIDE_PX = 256


def nuclei() -> dict[str, Scan]:
    """Invented fluorescent nuclei, some of which touch."""
    return {"picture": Scan(cells.fluorescent(SIDE_PX, seed=3)[0][None])}


def stained() -> dict[str, Scan]:
    """Invented purple nuclei on a pale ground."""
    return {"picture": Scan(cells.stained(SIDE_PX, seed=5)[0][None])}


def retina() -> dict[str, Scan]:
    """A photograph of a healthy retina (from scikit-image), 564 px wide."""
    from skimage import data

    return {"picture": Scan(_smaller(data.retina(), 564)[None])}


def tumour() -> dict[str, Scan]:
    """An invented slice of a head with a tumour."""
    case = procedural.tumour(np.random.default_rng(2))
    return {"picture": Scan(np.uint8(case.picture * 255 + 0.5)[None])}


def _smaller(picture: np.ndarray, side_px: int) -> np.ndarray:
    import cv2

    height, width = picture.shape[:2]
    scale = side_px / max(height, width)
    return cv2.resize(picture[..., :3], (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
