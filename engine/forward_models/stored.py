"""The toys' trained networks, small files in assets/forward_models that `python -m engine.forward_models` makes."""

from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from engine.errors import InputError
from engine.forward_models.toys import TOYS

ROOT = Path(__file__).resolve().parents[2] / "assets" / "forward_models"
_BYTES = 1_000_000


def load(name: str, root: Path = ROOT) -> nn.Module:
    """The trained network of a toy. Raises InputError when its file is missing or no such network."""
    path = root / f"{name}.safetensors"
    size = path.stat().st_size if path.is_file() else 0
    if not 0 < size <= _BYTES:
        raise _refused(name, "is missing" if not size else f"has {size} bytes, more than {_BYTES}")
    return _read(path, path.stat().st_mtime_ns)


def save(name: str, network: nn.Module, root: Path = ROOT) -> Path:
    """Store a toy's network in half precision, which is far finer than its errors."""
    root.mkdir(parents=True, exist_ok=True)
    path = root / f"{name}.safetensors"
    save_file({key: value.half().contiguous() for key, value in network.state_dict().items()}, path)
    return path


@lru_cache(maxsize=4)
def _read(path: Path, changed_ns: int) -> nn.Module:
    network = TOYS[path.stem].network()
    try:
        weights = {key: value.float() for key, value in load_file(path).items()}
        network.load_state_dict(weights)
    except (SafetensorError, OSError, RuntimeError):
        raise _refused(path.stem, "does not hold its weights") from None
    if not all(torch.isfinite(value).all() for value in weights.values()):
        raise _refused(path.stem, "holds numbers that are not finite")
    return network.eval().requires_grad_(False)


def _refused(name: str, what: str) -> InputError:
    return InputError(f"The file assets/forward_models/{name}.safetensors {what}.",
                      "Without it nothing is shown, as an untrained network answers nonsense.",
                      f"Make it with: python -m engine.forward_models {name}", "toy")
