"""What people give a task: from a file, or what stands for one, to the checked value, by the kind of the input."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.io.files import read_bytes
from engine.io.pictures import load_picture, read_mask
from engine.runtime.settings import limits

if TYPE_CHECKING:
    from engine.tasks.base import InputSpec

Reader = Callable[[Any, str, Mapping[str, Any]], tuple[Any, tuple[str, ...]]]


def read(spec: "InputSpec", source: Any, others: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """The value of one input and what there is to say about it.

    source: a path, the bytes of a file, or what the kind takes beside (a mask may be a box "x0,y0,x1,y1", a text is the
    words themselves). others: the inputs that were read before, in `order`. Raises InputError.
    """
    return _READERS[spec.kind](source, spec.name, others)


def order(specs: "tuple[InputSpec, ...]") -> "list[InputSpec]":
    """The inputs in the order in which they can be read: masks need the size of their picture."""
    return sorted(specs, key=lambda spec: spec.kind == "mask")


def _picture(source: Any, field: str, others: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    picture = load_picture(source, field)
    return picture, picture.notes


def _mask(source: Any, field: str, others: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    size = next(value.size for value in others.values() if hasattr(value, "size"))
    mask = read_mask(source, size, field)
    return mask.area, mask.notes


def _scan(source: Any, field: str, others: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """Source: a file, a folder whose files are one series, or the bytes of one or several files."""
    from engine.io.medical import read as read_scan

    if isinstance(source, (str, Path)) and Path(source).is_dir():
        paths = sorted(path for path in Path(source).iterdir() if path.is_file())
        source = [read_bytes(path, limits().scan_bytes, field) for path in paths]
    elif isinstance(source, (str, Path)):
        source = read_bytes(source, limits().scan_bytes, field)
    scan = read_scan(source, field)
    return scan, scan.notes


def _field_of_maps(source: Any, field: str, others: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """Source: a NetCDF, GRIB or zipped Zarr file, its bytes, or the folder of a Zarr store."""
    from engine.io.fields import read as read_field

    found = read_field(source, field)
    return found, found.notes


def _sketch(source: Any, field: str, others: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    from engine.io.sketches import read_sketch

    sketch = read_sketch(source, field)
    return sketch, sketch.notes


def _text(source: Any, field: str, others: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """Source: the words themselves, not a file."""
    from engine.io.texts import read_text

    return read_text(source, field), ()


def _cloud(source: Any, field: str, others: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    from engine.io.clouds import read_cloud

    cloud = read_cloud(source, field)
    return cloud, cloud.notes


def _dentition(source: Any, field: str, others: Mapping[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """Source: a file, a zip, a folder, bytes, or (name, bytes) pairs."""
    from engine.io import dental

    dentition = dental.read(source, field)
    return dentition, dentition.notes


_READERS: dict[str, Reader] = {"picture": _picture, "mask": _mask, "scan": _scan, "field": _field_of_maps,
                             "sketch": _sketch, "text": _text, "cloud": _cloud, "dentition": _dentition}
