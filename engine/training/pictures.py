"""Training pictures: read once, split by file, cropped at random."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from engine.errors import InputError

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp"}


def files(folder: Path, names: Sequence[str]) -> list[Path]:
    """Pictures under folder/NAME for every name that exists, sorted. Raises InputError when there are none."""
    found = [p for name in names for p in sorted((folder / name).rglob("*")) if p.suffix.lower() in SUFFIXES]
    if not found:
        raise InputError("There are no training pictures.", f"Looked for the folders {', '.join(names)}.",
                         "Give --data the folder that holds them.", field="data")
    return found


def held_out(path: Path) -> bool:
    """Whether this file belongs to validation: one in twenty, decided by its name alone."""
    return hashlib.blake2b(path.name.encode(), digest_size=1).digest()[0] < 13


def read(paths: Sequence[Path]) -> list[np.ndarray]:
    """Decode to uint8 (H, W, 3)."""
    from PIL import Image

    return [np.asarray(Image.open(p).convert("RGB")) for p in paths]


def crop(picture: np.ndarray, side: int, rng: Generator) -> np.ndarray:
    """A random square of `side` px (the whole short side when the picture is smaller), mirrored at random."""
    height, width = picture.shape[:2]
    side = min(side, height, width)
    y, x = rng.integers(height - side + 1), rng.integers(width - side + 1)
    square = picture[y:y + side, x:x + side]
    return square[:, ::-1] if rng.random() < 0.5 else square


def shrunk_crop(picture: np.ndarray, side: int, rng: Generator) -> np.ndarray:
    """A random square brought to `side` px: in half of the cases one of that size, else any larger one, shrunk.

    So a network sees both the grain of a picture and whole scenes.
    """
    import cv2

    room = min(picture.shape[:2]) / side
    if room <= 1 or rng.random() < 0.5:
        return crop(picture, side, rng)
    square = crop(picture, round(side * room ** rng.random()), rng)
    return cv2.resize(np.ascontiguousarray(square), (side, side), interpolation=cv2.INTER_AREA)


def centre(picture: np.ndarray, side: int) -> np.ndarray:
    """The central square of `side` px."""
    height, width = picture.shape[:2]
    y, x = (height - side) // 2, (width - side) // 2
    return picture[y:y + side, x:x + side]


def to_tensor(crops: Sequence[np.ndarray]) -> Tensor:
    """uint8 (H, W, 3) pictures to (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1


def sheet(*columns: Tensor) -> np.ndarray:
    """A sheet (H, W, 3) uint8: one row per sample, one column per tensor (B, 3, h, w) in [-1, 1]."""
    grid = torch.cat([torch.cat(list(c), dim=-2) for c in columns], dim=-1).clamp(-1, 1)
    return np.uint8(grid.permute(1, 2, 0).numpy() * 127.5 + 128)
