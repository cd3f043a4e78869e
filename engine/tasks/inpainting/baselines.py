"""Classical inpainting that ours is measured against. picture: uint8 (H, W, 3); hole: bool (H, W), True = paint.

Each returns uint8 (H, W, 3) with the known pixels unchanged, and raises InputError when no pixel is known.
"""

import numpy as np

from engine.errors import InputError


def biharmonic(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The smoothest surface through the known pixels (scikit-image `inpaint_biharmonic`). Seconds for large holes."""
    from skimage.restoration import inpaint_biharmonic

    filled = inpaint_biharmonic(picture, _partial(hole), channel_axis=-1)
    return _keep_known(picture, hole, np.clip(filled * 255, 0, 255).round().astype(np.uint8))


def telea(picture: np.ndarray, hole: np.ndarray, radius_px: float = 3.0) -> np.ndarray:
    """Fast marching from the rim inwards (Telea 2004, OpenCV `INPAINT_TELEA`). Milliseconds."""
    import cv2

    mask = _partial(hole).astype(np.uint8)
    return _keep_known(picture, hole, cv2.inpaint(np.ascontiguousarray(picture), mask, radius_px, cv2.INPAINT_TELEA))


BASELINES = {"biharmonic": biharmonic, "telea": telea}


def _partial(hole: np.ndarray) -> np.ndarray:
    if hole.all():
        raise InputError("The mask covers the whole picture.", "Classical inpainting needs known pixels around it.",
                         "Leave a part of the picture unpainted.", field="mask")
    return hole


def _keep_known(picture: np.ndarray, hole: np.ndarray, filled: np.ndarray) -> np.ndarray:
    return np.where(hole[..., None], filled, picture)
