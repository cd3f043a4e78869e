"""The shelf of shipped models: assets/models/NAME/{model.safetensors, card.json}."""

from pathlib import Path

from engine.errors import InputError
from engine.models import weights
from engine.models.card import FILE, Card

ROOT = Path(__file__).resolve().parents[2] / "assets" / "models"


def names() -> tuple[str, ...]:
    """Names of the shipped models whose weights and card are both there, in alphabetical order."""
    if not ROOT.is_dir():
        return ()
    return tuple(sorted(f.name for f in ROOT.iterdir() if (f / FILE).is_file() and (f / weights.FILE).is_file()))


def folder(name: str) -> Path:
    """The folder of a shipped model. Raises InputError for an unknown name or weights that are not there."""
    known = sorted(f.name for f in ROOT.iterdir() if (f / FILE).is_file()) if ROOT.is_dir() else []
    if name not in known:
        raise InputError(f"There is no model named {str(name)[:60]!r}.",
                         "Shipped models are " + (", ".join(known) or "missing here") + ".",
                         "Choose one of them, or local:FOLDER or hub:owner/name.", field="model")
    if not (ROOT / name / weights.FILE).is_file():
        raise InputError(f"The weights of {name} are missing.", f"They belong in assets/models/{name}/{weights.FILE}.",
                         "Copy the file there from the program's repository, or train the model.", field="model")
    return ROOT / name


def card(name: str) -> Card:
    """The card of a shipped model; its weights are not read."""
    return Card.read(folder(name))
