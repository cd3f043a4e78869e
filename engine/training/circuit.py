"""Learning the circuit that stands beside a model which makes pictures from noise; see `engine.circuits`."""

from pathlib import Path

import numpy as np
from torch import Tensor

from engine.circuits import learning
from engine.errors import InputError
from engine.training import pictures

_CROPS = 4
"""Random crops of each picture, half of them mirrored."""
_ROOM = 9 / 8
"""The short side is shrunk to this many times the crop, as for the model itself, so that random crops differ."""


def prepare_model(name: str, data: Path, folder: Path | None = None, *, seed: int = 0,
                  on_progress: learning.Progress | None = None, **options) -> tuple[Path, float]:
    """Learn the circuit of the pictures under `data` at a shipped model's size, and store it beside its weights.

    folder: where the file goes, the model's own by default. options: of `learning.fit`. Gives the file and the mean
    log-likelihood of the held-out pictures, in nats per number. About 2 minutes on one core for 2000 pictures at 32 px.
    Raises InputError for an unknown model, or one that needs a degraded picture.
    """
    from engine import circuits
    from engine.models import shelf

    home, card = shelf.folder(name), shelf.card(name)
    if card.prediction in ("resnoise", "reverting", "regression", "logits", "plain_logits"):
        raise InputError(f"The model {name} works on a picture that it is given.",
                         "A circuit belongs to a model that makes pictures from noise alone.",
                         "Give such a model.", field="model")
    train, kept = split(data, card.resolution_px, seed)
    found = learning.fit(train, seed=seed, on_progress=on_progress, **options)
    path = circuits.write(found.circuit, (home if folder is None else folder) / circuits.FILE,
                          circuits.data_digest(card))
    return path, float(circuits.read(path).log_likelihood(kept).mean()) / kept[0].numel()


def split(data: Path, side: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Crops to learn from and the middles of the held-out pictures, (N, 3, side, side) in [-1, 1]."""
    paths = pictures.files(data, (".",))
    small = [_shrunk(p, round(side * _ROOM)) for p in pictures.read([p for p in paths if not pictures.held_out(p)])]
    kept = [_shrunk(p, round(side * _ROOM)) for p in pictures.read([p for p in paths if pictures.held_out(p)])]
    if not small or not kept:
        raise InputError(f"There are {len(paths)} pictures.", "About one in twenty is held out, the rest is learned.",
                         "Give a folder with more pictures.", field="data")
    rng = np.random.default_rng(seed)
    crops = [pictures.crop(picture, side, rng) for picture in small for _ in range(_CROPS)]
    return pictures.to_tensor(crops), pictures.to_tensor([pictures.centre(picture, side) for picture in kept])


def _shrunk(picture: np.ndarray, side: int) -> np.ndarray:
    """The middle of a picture, its short side shrunk to `side` px: (side, side, 3)."""
    import cv2

    height, width = picture.shape[:2]
    scale = side / min(height, width)
    small = cv2.resize(picture, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
    return pictures.centre(small, side)
