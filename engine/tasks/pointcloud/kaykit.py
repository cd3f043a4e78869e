"""Clouds of real coloured models (KayKit, CC0): a second source, of which only a noisy category is known."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from engine.errors import InputError
from engine.tasks.pointcloud import palette
from engine.tasks.pointcloud.shapes.surface import Surface

FILE = Path("shapes_kaykit") / "shapes.npz"
NOUNS = {"wall_floor": "wall", "building": "building", "other": "thing", "tableware_food": "dish", "table": "table",
         "frame_banner": "banner", "tree_plant": "tree", "barrel_crate": "crate", "lamp": "lamp", "rock": "rock",
         "shelf_cabinet": "shelf", "chair": "chair", "grave": "grave", "car": "car", "weapon_tool": "tool",
         "bed": "bed", "armchair_couch": "sofa"}
"""Category to the word that captions use for it."""

_NEIGHBOURS = 12
_COMMON = 0.2


@dataclass(frozen=True, eq=False)
class Prop:
    """One thing. surface: its points, part -1 throughout; rgb (N, 3) float32 in [0, 1]; colours: the common ones."""

    name: str
    noun: str
    surface: Surface
    rgb: np.ndarray
    colours: tuple[str, ...]


def held_out(name: str) -> bool:
    """Whether it is kept from training: one in ten, by its name without the letter of the variant."""
    return hashlib.blake2b(name.rstrip("ABCD_").encode(), digest_size=8).digest()[0] % 10 == 0


def props(data: Path, kept: bool = False) -> list[Prop]:
    """The things of the training part, or those kept from it; none where the file is missing.

    Raises InputError for a file that is not such a set.
    """
    if not (data / FILE).is_file():
        return []
    with np.load(data / FILE, allow_pickle=False) as stored:
        try:
            points, rgb = stored["pts"], stored["rgb"]
            names, kinds = (stored[key].tolist() for key in ("name", "category"))
        except KeyError as error:
            raise InputError(f"{FILE.name} lacks {error.args[0]}.", "It needs pts, rgb, name and category.",
                             "Give --data the folder that holds shapes_kaykit.", "data") from None
    return [_prop(names[i], kinds[i], points[i], rgb[i]) for i in range(len(names)) if held_out(names[i]) == kept]


def _prop(name: str, kind: str, stored: np.ndarray, rgb: np.ndarray) -> Prop:
    points, colours = np.float32(stored) / 32767, np.float32(rgb) / 255
    low, high = points.min(0), points.max(0)
    points = (points - (low + high) / 2) * (2 / (high - low).max())
    unknown = np.full(len(points), -1, np.int16)
    counts = np.bincount(palette.named(colours), minlength=len(palette.NAMES))
    common = [palette.NAMES[i] for i in np.argsort(-counts)[:3] if counts[i] >= _COMMON * len(points)]
    return Prop(name, NOUNS.get(kind, "thing"), Surface(points, normals(points), unknown, unknown), colours,
                tuple(common))


def normals(points: np.ndarray) -> np.ndarray:
    """Unit normals (N, 3), of unknown sign, of the planes through each point's 12 nearest."""
    from scipy.spatial import cKDTree

    near = points[cKDTree(points).query(points, _NEIGHBOURS)[1]]
    centred = near - near.mean(1, keepdims=True)
    return np.float32(np.linalg.eigh(np.einsum("nki,nkj->nij", centred, centred))[1][:, :, 0])
