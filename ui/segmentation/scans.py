"""The scans that pages work on: read once, kept beside their preview in the upload folder, and for a while in memory.

A page gets a preview of one slice and knows the folder of it, whose name cannot be guessed. What is kept is what our
reader let through, so no field of a patient lies there.
"""

import io
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gradio.context import LocalContext
from gradio.utils import get_upload_folder
from PIL import Image

from engine.errors import InputError
from engine.io.files import read_bytes, write_whole
from engine.io.medical import Scan, slice_picture
from engine.io.medical.reader import read
from engine.runtime.settings import limits
from ui.shelf import Shelf

KEPT_S = 3600
_SCAN = f"{secrets.token_hex(16)}.npz"
"""Uploads keep the names that people give them; none can pass for this file, whose name never leaves the process."""
_TEXTS = ("modality", "kind")
_NUMBERS = ("spacing_mm", "window", "affine")
_shelf: Shelf[Scan] = Shelf(limits().scan_bytes, KEPT_S)


def read_files(paths: Sequence[str], field: str = "picture") -> Scan:
    """The scan in the files that were sent. Raises InputError."""
    files, left = [], limits().scan_bytes
    for path in paths:
        files.append(read_bytes(path, left, field))
        left -= len(files[-1])
    return read(files[0] if len(files) == 1 else files, field)


def new_folder() -> Path:
    """A new folder below that of the uploads, whose name cannot be guessed."""
    folder = Path(get_upload_folder()) / secrets.token_hex(20)
    folder.mkdir(parents=True)
    return folder


def register(*paths: Path) -> None:
    """Let files be deleted like uploads, an hour after they were made."""
    served = LocalContext.blocks.get(None)
    if served is not None:
        served.upload_file_set.update(map(str, paths))


def keep(scan: Scan) -> Path:
    """Write a scan into a folder of its own, which is deleted like uploads; gives the folder."""
    folder = new_folder()
    numbers = {name: np.array(getattr(scan, name)) for name in _NUMBERS if getattr(scan, name) is not None}
    texts = {name: np.array(getattr(scan, name)) for name in _TEXTS}
    lines = {name: np.array(getattr(scan, name), str) for name in ("notes", "consent")}
    source = {f"source.{name}": np.array(value) for name, value in scan.source.items()}
    np.savez(folder / _SCAN, values=scan.values, **numbers, **texts, **lines, **source)
    register(folder / _SCAN)
    _shelf.put(scan, scan.values.nbytes, str(folder))
    return folder


def kept(folder: Path) -> Scan:
    """The scan in a folder that `keep` made. Raises InputError when it has been deleted."""
    path = folder / _SCAN
    if not path.is_file():
        raise InputError("The picture is no longer here.", "Pictures are deleted one hour after they were sent.",
                         "Choose it again.", field="picture")
    scan = _shelf.get(str(folder))
    if scan is None:
        with np.load(path, allow_pickle=False) as found:
            scan = _restored(dict(found))
        _shelf.put(scan, scan.values.nbytes, str(folder))
    return scan


def preview(scan: Scan, folder: Path, number: int, centre: float, width: float) -> tuple[Path, tuple[int, int]]:
    """A slice as a PNG in the folder, and its (width, height). number: from 1, 0 for the middle one; a width of 0
    takes the scan's own window. Raises InputError."""
    index = number - 1 if number else len(scan.values) // 2
    path = folder / f"slice-{index}-{centre:g}-{width:g}.png"
    if not path.is_file():
        pixels = slice_picture(scan, index, *((centre, width) if width else (None, None))).pixels
        write_whole(path, encoded(pixels))
        register(path)
    return path, (scan.size[2], scan.size[1])


def encoded(pixels: np.ndarray) -> bytes:
    """(H, W, 3) or (H, W) uint8 as a PNG that says nothing else."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _restored(found: Mapping[str, np.ndarray]) -> Scan:
    given: dict[str, Any] = {name: str(found[name]) for name in _TEXTS}
    given |= {name: tuple(map(str, found[name])) for name in ("notes", "consent")}
    given |= {name: tuple(map(float, found[name])) for name in ("spacing_mm", "window") if name in found}
    source = {name.partition(".")[2]: found[name].item() for name in found if name.startswith("source.")}
    return Scan(found["values"], affine=found.get("affine"), source=source, **given)
