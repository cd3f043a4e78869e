"""A circuit's file: safetensors beside a model, tied to the data that both were trained on and not to the weights."""

import hashlib
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from engine.circuits.mixture import Circuit, refused

if TYPE_CHECKING:
    from engine.models.card import Card

FILE = "circuit.safetensors"
_KIND = "circuit 1"
_FILE_BYTES = 16_000_000
_TENSORS = {"weights", "means", "variances", "mean", "directions", "rest", "shape"}


def data_digest(card: "Card") -> str:
    """A hash of the data that a model was trained on, as its card names them, and of their size in pixels.

    A circuit describes data; a model that is trained anew on the same data keeps it.
    """
    named = json.dumps([sorted(card.training.data), card.resolution_px])
    return hashlib.sha256(named.encode()).hexdigest()


def write(circuit: Circuit, path: Path, data_sha256: str) -> Path:
    """Store a circuit, whole or not at all: directions in 16 bits, the rest in 32."""
    from safetensors.torch import save

    from engine.io.files import write_whole

    tensors = {name: getattr(circuit, name).float() for name in ("weights", "means", "variances", "mean")}
    tensors["directions"] = circuit.directions.half()
    tensors["rest"] = torch.tensor([circuit.rest])
    tensors["shape"] = torch.tensor(circuit.shape)
    # One entry only: the library writes several in an order of chance, and equal files have equal bytes.
    metadata = {"diffuscope": f"{_KIND} {data_sha256}"}
    return write_whole(path, save({name: value.contiguous() for name, value in tensors.items()}, metadata))


def read(path: Path, data_sha256: str = "") -> Circuit:
    """The circuit in a file. data_sha256: of the data that it must describe (`data_digest`), "" for any.

    Raises InputError for a missing or damaged file and for the circuit of other data.
    """
    from safetensors.torch import load

    from engine.io.files import read_bytes
    from engine.models.weights import check_header

    data = read_bytes(path, _FILE_BYTES, "method")
    header = check_header(data)
    about = json.loads(data[8:8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
    kind, _, found = about.get("diffuscope", "").rpartition(" ")
    if kind != _KIND or header.keys() != _TENSORS:
        raise refused("The file holds no circuit that this program knows.",
                      "It is of another kind or from a newer program.")
    if data_sha256 and found != data_sha256:
        raise refused("The circuit describes other data.", f"It is for data {found[:12] or 'without a hash'}, the "
                      f"model was trained on {data_sha256[:12]}.")
    tensors = load(data)
    rest, shape = tensors.pop("rest"), tensors.pop("shape")
    if rest.numel() != 1 or shape.ndim != 1 or tensors["means"].ndim != 2 or math.prod(shape.tolist()) < 1:
        raise refused("The circuit's tensors do not fit together.", "The file is damaged.")
    return Circuit(**tensors, rest=float(rest), shape=tuple(shape.tolist()))
