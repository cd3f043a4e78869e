"""Models by name: shipped ones, a person's own folder, or the hub.

`load(name)` gives a Model; names are those of `names()`, "local:FOLDER" or "hub:owner/name". Folders may be in our
format (model.safetensors, card.json) or in diffusers' (a pipeline around a UNet2DModel). Only safetensors are read.
"""

import threading
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import InputError
from engine.models.card import Architecture, Card, ScheduleSpec, Training
from engine.models.shelf import card, folder, names

if TYPE_CHECKING:
    from torch import nn

    from engine.models.model import Model

__all__ = ["Architecture", "Card", "ScheduleSpec", "Training", "card", "load", "loading", "names", "save"]

_KEPT = 4
_loaded: "OrderedDict[tuple, Model]" = OrderedDict()
_lock = threading.Lock()


def load(name: str) -> "Model":
    """The model of that name, with checked weights. The last four stay in memory and are shared by all runs.

    Raises InputError naming what is missing or wrong; what was loaded before stays usable.
    """
    source, place = _located(name)
    with _lock:
        key = (name, *_fingerprint(place))
        if key in _loaded:
            _loaded.move_to_end(key)
        else:
            _loaded[key] = source(place, name)
            while len(_loaded) > _KEPT:
                _loaded.popitem(last=False)
        return _loaded[key]


def loading() -> bool:
    """Whether weights are being read now, by any run."""
    return _lock.locked()


def save(network: "nn.Module", card: Card, folder: Path | str) -> Card:
    """Store weights and card in `folder`; gives the card with the weights' hash and the number of parameters."""
    from engine.models.model import save as store

    return store(network, card, folder)


def _located(name: str):
    """The function that builds the model, and its folder on disk."""
    from engine.models import model, outside

    if not isinstance(name, str) or len(name) > 4096 or not name.isprintable():
        raise InputError("The model's name is not usable.", "It must be one line of text.", field="model")
    if name.startswith("hub:"):
        return outside.restore, outside.fetched(name.removeprefix("hub:"))
    if name == "local" or name.startswith("local:"):
        place = outside.local(name.removeprefix("local").removeprefix(":"))
        return (model.restore if (place / "card.json").is_file() else outside.restore), place
    return model.restore, folder(name)


def _fingerprint(place: Path) -> tuple:
    """What changes when a file of the model does."""
    files = sorted(f for f in place.rglob("*") if f.suffix in (".json", ".safetensors"))[:50]
    return tuple((str(f), f.stat().st_mtime_ns, f.stat().st_size) for f in files)
