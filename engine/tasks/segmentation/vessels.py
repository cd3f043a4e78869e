"""Blood vessels of the retina: NAME.png with vessel mask and field of view (NAME_vessel.png, NAME_fov.png)."""

from pathlib import Path

import numpy as np

from engine.tasks.segmentation.data import Case, normalised
from engine.training import pictures

FOLDER = "vessels_drive"
_DARK = 0.12
"""Share of the brightest red below which a pixel lies outside the camera's circular view."""


def paths(data: Path) -> list[Path]:
    """The pictures that have both masks, sorted."""
    return [p for p in pictures.files(data, (FOLDER,))
            if all(_beside(p, kind).is_file() for kind in ("vessel", "fov"))]


def case(path: Path) -> Case:
    """One picture with its vessels, judged inside the field of view."""
    picture, = pictures.read([path])
    view = _mask(_beside(path, "fov"))
    return Case(path.stem, normalised(picture, view), (_mask(_beside(path, "vessel")),),
                np.ones(view.shape, np.float32), view)


def field_of_view(picture: np.ndarray) -> np.ndarray:
    """Where a retina picture (H, W, 3) uint8 shows the retina, bool (H, W): bright in red, without holes or specks."""
    from scipy.ndimage import binary_fill_holes, binary_opening

    red = picture[..., 0]
    bright = binary_opening(red > _DARK * np.percentile(red, 99), iterations=2)
    return binary_fill_holes(bright)


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f"{path.stem}_{kind}.png")


def _mask(path: Path) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(path).convert("L")) > 127
