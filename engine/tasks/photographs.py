"""Photographs that scikit-image ships, as the examples of several tasks."""

import numpy as np

LONGEST_PX = 320


def photograph(loader: str) -> np.ndarray:
    """A picture of `skimage.data` by name, 320 px on its longer side, (H, W, 3) float32 in [0, 1]."""
    from skimage import data, transform

    picture = getattr(data, loader)()[..., :3]
    scale = LONGEST_PX / max(picture.shape[:2])
    shape = tuple(round(side * scale) for side in picture.shape[:2])
    return transform.resize(picture, shape, anti_aliasing=True).astype(np.float32)
