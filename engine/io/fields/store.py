"""Zarr stores: a zip of one, or a folder. The zip is judged by its directory before anything is unpacked."""

import io
import stat
import zipfile
from pathlib import Path

import numpy as np

from engine.errors import InputError
from engine.runtime.settings import limits

_ENTRIES = 50_000
_MARKS = ("zarr.json", ".zgroup", ".zmetadata", ".zattrs")


def zipped(folder: Path, field: str) -> bytes:
    """The files of a folder as an uncompressed zip. Raises InputError when it is no store, or too large."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    if not any(path.name in _MARKS for path in paths):
        raise InputError("The folder is no Zarr store.", f"It has none of {', '.join(_MARKS)}.",
                         "Give the folder whose name usually ends in .zarr.", field=field)
    size, most = sum(path.stat().st_size for path in paths), limits().field_bytes
    if size > most or len(paths) > _ENTRIES:
        raise InputError(f"The store has {len(paths)} files of {size / 1e6:.0f} MB.",
                         f"The limit is {_ENTRIES} files of {most / 1e6:.0f} MB.", "Store a part of it.", field=field)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in paths:
            archive.write(path, path.relative_to(folder).as_posix())
    return out.getvalue()


def parse(data: bytes) -> dict[str, np.ndarray]:
    """The maps of a zipped Zarr store that nobody has checked, for `engine.io.child.parsed`."""
    import numcodecs.registry
    import xarray
    from zarr.core.buffer.cpu import Buffer
    from zarr.storage import MemoryStore

    from engine.io.fields import maps

    # This codec runs what the file says. Without it such a store is one that cannot be read.
    for registry in (numcodecs.registry.codec_registry, numcodecs.registry.entries):
        registry.pop("pickle", None)
    parts = {name: Buffer.from_bytes(content) for name, content in _unpacked(data).items()}
    with xarray.open_zarr(MemoryStore(parts, read_only=True), decode_times=False, chunks=None,
                          consolidated=False) as found:
        return maps.found(found)


def _unpacked(data: bytes) -> dict[str, bytes]:
    """Contents by name, names starting at the store's own root."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        _check(entries)
        roots = [entry.filename.rpartition("/")[0] for entry in entries
                 if entry.filename.rpartition("/")[2] in _MARKS]
        if not roots:
            raise InputError("The zip file holds no Zarr store.", f"It has none of {', '.join(_MARKS)}.",
                             "Zip the folder whose name usually ends in .zarr, or give the NetCDF file itself.")
        root = min(roots, key=len)
        start = f"{root}/" if root else ""
        return {entry.filename.removeprefix(start): archive.read(entry) for entry in entries
                if entry.filename.startswith(start)}


def _check(entries: list[zipfile.ZipInfo]) -> None:
    size, most = sum(entry.file_size for entry in entries), limits().field_bytes
    if len(entries) > _ENTRIES or size > most:
        raise InputError(f"The zip file holds {len(entries)} files of {size / 1e6:.0f} MB.",
                         f"The limit is {_ENTRIES} files of {most / 1e6:.0f} MB.", "Store a part of it.")
    for entry in entries:
        if ".." in entry.orig_filename.replace("\\", "/").split("/") or entry.orig_filename.startswith(("/", "\\")):
            raise InputError("A name in the zip file leads out of its folder.", "Such files can overwrite others.",
                             "Zip the store again.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError("The zip file holds a link.", "Only plain files are read.", "Zip the store itself.")
        if entry.flag_bits & 1:
            raise InputError("The zip file is encrypted.", "It cannot be read without its password.",
                             "Zip it without a password.")
