"""Weights on disk: safetensors only, checked from the header to the last number before a network sees them.

Pickle executes code when it is read, so files that may be pickles are refused unread. The header is parsed here and not
by the library, so that a refusal can say which tensor is wrong.
"""

import hashlib
import json
import math
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import InputError
from engine.io.files import write_whole

if TYPE_CHECKING:
    from torch import Tensor, nn

FILE = "model.safetensors"
_FILE_BYTES = 4 * 2**30
_HEADER_BYTES = 4_000_000
_TENSORS = 20_000
_WIDTH = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
_PICKLE_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".npy", ".npz", ".h5")
_HALF_LARGEST = 65504.0


def _refused(what: str, why: str = "The file is damaged or was made to harm.",
             fix: str = "Fetch the weights again from their source.") -> InputError:
    return InputError(what, why, fix, field="model")


def refuse_pickle(path: Path) -> None:
    """Raise InputError for a file whose name says that it may be a pickle. It is not opened."""
    if path.suffix.lower() in _PICKLE_SUFFIXES:
        raise _refused(f"Weights of the kind {path.suffix.lower()} are not read.",
                       "Such files can run code when they are opened.", "Give the weights as safetensors.")


def check_header(data: bytes) -> dict[str, dict[str, Any]]:
    """Tensor name -> {"dtype", "shape", "data_offsets"} of a safetensors file, after checking the whole header.

    Refuses, naming the tensor: headers longer than the file or 4 MB, more than 20 000 tensors, unknown number types,
    shapes that do not fill their bytes, offsets that overlap, leave gaps or leave the file.
    """
    # A safetensors header opens with a brace behind its length; the length itself may begin with any byte.
    if data[8:9] != b"{" and data[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        raise _refused("The weights are a pickle under another name.", "Such files can run code when they are opened.",
                       "Give the weights as safetensors.")
    if len(data) < 10:
        raise _refused(f"The weights' file has {len(data)} bytes.", "It is empty or cut off.")
    length, = struct.unpack_from("<Q", data)
    if length > min(len(data) - 8, _HEADER_BYTES):
        raise _refused(f"The weights' header claims {length} bytes.",
                       f"The file has {len(data)} bytes and a header may have at most {_HEADER_BYTES}.")
    try:
        header = json.loads(data[8:8 + length])
    except (ValueError, RecursionError):
        raise _refused("The weights' header is not readable.") from None
    if not isinstance(header, dict):
        raise _refused("The weights' header lists no tensors.")
    header.pop("__metadata__", None)
    if not 0 < len(header) <= _TENSORS:
        raise _refused(f"The weights' header lists {len(header)} tensors.", f"It may list 1 to {_TENSORS}.")
    for name, entry in header.items():
        _check_entry(name, entry)
    _check_layout(header, len(data) - 8 - length)
    return header


def _check_entry(name: str, entry: Any) -> None:
    label = repr(name[:80])
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise _refused(f"The tensor {label} has no proper header entry.")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _WIDTH:
        raise _refused(f"The tensor {label} has the unknown number type {str(dtype)[:20]!r}.")
    if not _naturals(shape) or len(shape) > 8:
        raise _refused(f"The tensor {label} has an impossible shape.")
    if not _naturals(offsets) or len(offsets) != 2:
        raise _refused(f"The tensor {label} has impossible offsets.")
    held, needed = offsets[1] - offsets[0], math.prod(shape) * _WIDTH[dtype]
    if held != needed:
        raise _refused(f"The tensor {label} of shape {shape} needs {needed} bytes and has {held}.")


def _naturals(values: Any) -> bool:
    return isinstance(values, list) and all(type(v) is int and v >= 0 for v in values)


def _check_layout(header: Mapping[str, Mapping[str, Any]], data_bytes: int) -> None:
    end = 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, stop = entry["data_offsets"]
        if begin != end:
            problem = "overlaps the one before it" if begin < end else "leaves a gap before it"
            raise _refused(f"The tensor {name[:80]!r} {problem}.")
        if stop > data_bytes:
            raise _refused(f"The tensor {name[:80]!r} ends at byte {stop} of {data_bytes}.", "The file is cut off.")
        end = stop
    if end != data_bytes:
        raise _refused(f"The weights' file holds {data_bytes - end} bytes that belong to no tensor.")


def read(path: Path, expected: Mapping[str, tuple[int, ...]], sha256: str = "") -> tuple[dict[str, "Tensor"], str]:
    """Tensors of a safetensors file in float32 (whole numbers stay as they are), and the file's SHA-256.

    expected: name -> shape of everything the network needs. sha256: the hash that the file must have, "" for any.
    Raises InputError for a missing file, a wrong hash, a bad header, and a tensor that is missing, extra, of another
    shape or holds NaN or Inf.
    """
    data = _bytes(path)
    digest = hashlib.sha256(data).hexdigest()
    if sha256 and digest != sha256:
        raise _refused(f"The weights' SHA-256 is {digest[:12]}... and the card says {sha256[:12]}...",
                       "The file is not the one that the card describes.")
    header = check_header(data)
    _check_shapes({name: tuple(entry["shape"]) for name, entry in header.items()}, expected)

    from safetensors.torch import load

    tensors = {name: value.float() if value.is_floating_point() else value for name, value in load(data).items()}
    for name, value in tensors.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise _refused(f"The tensor {name[:80]!r} holds values that are not finite numbers.",
                           "The network would give nothing but noise.")
    return tensors, digest


def _bytes(path: Path) -> bytes:
    refuse_pickle(path)
    try:
        size = path.stat().st_size
        if size > _FILE_BYTES:
            raise _refused(f"The weights' file has {size / 2**30:.1f} GB.",
                           f"The limit is {_FILE_BYTES / 2**30:.0f} GB.", "Choose a smaller model.")
        return path.read_bytes()
    except OSError:
        raise _refused("The model's weights are missing.", f"They belong in {'/'.join(path.parts[-4:])}.",
                       "Put the file there or choose another model.") from None


def _check_shapes(found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
    fix = "Give the weights that belong to this architecture."
    for name, shape in expected.items():
        if name not in found:
            raise _refused(f"The tensor {name[:80]!r} is missing.", "The network needs it.", fix)
        if found[name] != tuple(shape):
            raise _refused(f"The tensor {name[:80]!r} has the shape {list(found[name])}.",
                           f"The network needs {list(shape)}.", fix)
    extra = next((name for name in found if name not in expected), None)
    if extra is not None:
        raise _refused(f"The tensor {extra[:80]!r} belongs to no part of the network.", "", fix)


def write(network: "nn.Module", folder: Path) -> str:
    """Store a network's tensors in `folder`/model.safetensors and give the file's SHA-256.

    Matrices and kernels go to float16 (bfloat16 where float16 would overflow). Vectors (norms, biases, spectra) keep 32
    bits: they are few and their rounding matters most. The file appears whole or not at all.
    """
    from safetensors.torch import save

    tensors = {name: _stored(name, value) for name, value in network.state_dict().items()}
    data = save(tensors)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / FILE, data)
    return hashlib.sha256(data).hexdigest()


def _stored(name: str, value: "Tensor") -> "Tensor":
    import torch

    value = value.detach().cpu().contiguous()
    if not value.is_floating_point():
        return value.clone()
    assert bool(value.isfinite().all()), f"{name} holds values that are not finite"
    if value.dim() < 2:
        return value.float().clone()
    fits = bool((value.abs() <= _HALF_LARGEST).all())
    return value.to(torch.float16 if fits else torch.bfloat16).clone()
