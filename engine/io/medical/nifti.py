"""NIfTI volumes (.nii, .nii.gz), judged by their header before anything is unpacked, parsed in a child process."""

import gzip
import io
import math
import zlib
from typing import TYPE_CHECKING

import numpy as np

from engine.errors import InputError
from engine.io import child
from engine.io.medical.orientation import axes_of, regridded, spacing_of, told
from engine.io.medical.scan import Scan, made
from engine.runtime.settings import limits

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Header

_HEADER_BYTES = 540
"""Of the longer second version; the first has 348."""
_MAGICS = {(344, b"n+1\0"): 1, (344, b"ni1\0"): 0, (4, b"n+2\0\r\n\x1a\n"): 2, (4, b"ni2\0\r\n\x1a\n"): 0}
_MM = {1: 1000.0, 3: 0.001}
"""Millimetres of the header's unit of length (metre, micrometre); all other codes are taken as mm."""
_PLANES = {"S": "LPS", "A": "LIP", "R": "PIR"}
"""Directions of columns, rows and slices for slices along each axis: axial, coronal and sagittal, right-handed."""
_COARSER = 1.5
"""Slices lie along the axis whose voxels are so many times longer than the next longest, else along the body."""
_AGAIN = "Save the volume again with the program that made it."
_SECONDS = 120


def is_nifti(data: bytes) -> bool:
    """Whether these are the bytes of a NIfTI file, plain or within gzip. Unpacks the header at most."""
    return _version(_head(data)) is not None


def load(data: bytes, field: str = "picture") -> Scan:
    """The volume in a NIfTI file, its axes turned to slices as radiologists look at them; no value is interpolated.

    `source["axes"]` remembers the file's own directions, so that an exported mask has the grid and the affine of the
    file. Raises InputError (field named) for headers that promise what the file does not hold or more than a volume
    may have, that place it nowhere, or that describe more than one volume.
    """
    found = child.parsed(parse, data, "NIfTI", field, seconds=_SECONDS)
    placed = "affine" in found
    return made(found["values"], tuple(map(str, found["notes"])), field, kind="nifti",
                spacing_mm=tuple(map(float, found["spacing"])), affine=found.get("affine"),
                source={"axes": str(found["axes"])} if placed else {})


def parse(data: bytes) -> dict[str, np.ndarray]:
    """The arrays that `load` makes its scan from. Runs in the child process."""
    import nibabel
    from nibabel.arrayproxy import ArrayProxy

    head = _head(data)
    version = _version(head)
    if not version:
        raise InputError("The NIfTI file is one of a pair (.hdr and .img)." if version == 0 else
                         "The NIfTI file is damaged.", "Header and values must be in one file.",
                         "Save the volume as .nii or .nii.gz.")
    try:
        kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
        # Without the extensions that may follow: they can be long, and hold names.
        header = kind.header_class(head[:kind.header_class.sizeof_hdr], check=False)
    except Exception:  # the parser raises whatever it stumbles over
        raise _bad("cannot be read", "It ends early or its fields contradict each other.") from None
    shape, colour = _checked_shape(header)
    affine, notes = _place(header, shape)
    whole = _unpacked(data, _promised(header))
    try:
        stored = np.asanyarray(ArrayProxy(io.BytesIO(whole), header))
    except Exception:
        raise _bad("cannot be used", "The values cannot be read as it says.") from None
    stored = stored.reshape(shape)
    values = np.stack([stored[part] for part in "RGB"], axis=-1) if colour else stored.astype(np.float32)
    return _arranged(values, affine, header, notes)


def _head(data: bytes) -> bytes:
    if data[:2] != b"\x1f\x8b":
        return data[:_HEADER_BYTES]
    try:
        return zlib.decompressobj(31).decompress(data[:1 << 16], _HEADER_BYTES)
    except zlib.error:
        return b""


def _version(head: bytes) -> int | None:
    """1 or 2; 0 for the header of a pair; None for no NIfTI."""
    return next((version for (place, magic), version in _MAGICS.items() if head[place:place + len(magic)] == magic),
                None)


def _bad(what: str, why: str, fix: str = _AGAIN) -> InputError:
    return InputError(f"The header of the NIfTI file {what}.", why, fix)


def _checked_shape(header: "Nifti1Header") -> tuple[tuple[int, int, int], bool]:
    """(columns, rows, slices) of the one volume, and whether it holds colours."""
    dims = [int(v) for v in header["dim"]]
    if not 1 <= dims[0] <= 7:
        raise _bad(f"says {dims[0]} dimensions", "There must be 2 or 3.")
    sizes = dims[1:dims[0] + 1]
    if min(sizes) < 1:
        raise _bad(f"has a dimension of {min(sizes)}", "All must be 1 or more.")
    volumes = math.prod(sizes[3:])
    if volumes > 1:
        raise InputError(f"The NIfTI file holds {volumes} volumes.", "Only one can be worked on at a time.",
                         "Save the one you want by itself.")
    shape = tuple([*sizes, 1, 1][:3])
    try:
        kind = header.get_data_dtype()
    except Exception:  # an unknown code
        raise _bad("names an unknown type of numbers", "Whole and real numbers and RGB colours are known.") from None
    colour = kind.fields is not None and "R" in kind.fields
    if not colour and kind.kind not in "iuf":
        raise _bad("says that the values are complex or of no known type", "They must be real numbers.")
    size = math.prod(shape) * (3 if colour else 4)
    if size > limits().scan_bytes:
        raise _bad(f"promises {size / 1e9:.3g} GB", f"The limit is {limits().scan_bytes / 1e9:.3g} GB.",
                   "Give a part of it.")
    if sorted(shape)[1] < 2:
        raise _bad(f"says {' x '.join(map(str, shape))} voxels", "That is no picture.")
    return shape, colour


def _promised(header: "Nifti1Header") -> int:
    """Bytes of the whole file, unpacked."""
    start = float(header["vox_offset"])
    if not (header.sizeof_hdr <= start <= limits().scan_bytes):
        raise _bad("says that the values start nowhere in the file", f"They must follow its {header.sizeof_hdr} bytes.")
    return int(start) + math.prod(int(v) for v in header["dim"][1:int(header["dim"][0]) + 1]
                                  ) * header.get_data_dtype().itemsize


def _unpacked(data: bytes, promised: int) -> bytes:
    """The first `promised` bytes of the file; what follows is not even unpacked."""
    if data[:2] == b"\x1f\x8b":
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
                data = stream.read(promised)
        except (OSError, EOFError, zlib.error):
            raise InputError("The gzip file is damaged.", "It cannot be unpacked to its end.", "Save or copy it again."
                             ) from None
    if len(data) < promised:
        raise _bad(f"promises {promised} bytes", f"The file has {len(data)}.", "Save or copy it again.")
    return data[:promised]


def _place(header: "Nifti1Header", shape: tuple[int, int, int]) -> tuple[np.ndarray | None, list[str]]:
    """The affine from (i, j, k) to RAS mm, and what is to be told of it; None when the file states none."""
    notes: list[str] = []
    scale = np.diag([*[_MM.get(int(header["xyzt_units"]) & 7, 1.0)] * 3, 1.0])
    stated = {}
    try:
        for name, code, read in (("sform", "sform_code", header.get_sform), ("qform", "qform_code", header.get_qform)):
            if int(header[code]) > 0:
                stated[name] = scale @ np.asarray(read(), np.float64)
    except Exception:  # quaternions that are none
        raise _bad("holds a qform that is no rotation", "The volume has no place in space.") from None
    for name, affine in stated.items():
        if not np.isfinite(affine).all():
            raise _bad(f"holds an {name} that is not finite" if name == "sform" else f"holds a {name} that is not "
                       "finite", "The volume has no place in space.")
        if not abs(np.linalg.det(affine[:3, :3])) > 1e-12:
            raise _bad(f"holds {'an' if name == 'sform' else 'a'} {name} without volume", "Its voxels have no size.")
    if len(stated) == 2:
        notes += _conflict(stated["sform"], stated["qform"], shape)
    return stated.get("sform", stated.get("qform")), notes


def _conflict(sform: np.ndarray, qform: np.ndarray, shape: tuple[int, int, int]) -> list[str]:
    if axes_of(sform) != axes_of(qform):
        raise _bad("places the volume in two ways", "Its sform and qform differ in what is left, front or up.",
                   "Decide which one holds and save the volume with it.")
    corners = np.array([[i, j, k, 1] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1) for k in (0, shape[2] - 1)])
    apart = float(np.linalg.norm((corners @ (sform - qform).T)[:, :3], axis=1).max())
    if apart <= 0.5 * min(spacing_of(sform)):
        return []
    return [f"Sform and qform of the file differ by up to {apart:.3g} mm; the sform is used."]


def _arranged(values: np.ndarray, affine: np.ndarray | None, header: "Nifti1Header", notes: list[str]
              ) -> dict[str, np.ndarray]:
    """Values (columns, rows, slices, ...) as (slices, rows, columns, ...) in the plane to look at."""
    found = {}
    if affine is None:
        spacing = tuple(float(abs(v)) if np.isfinite(v) and v else 1.0 for v in header["pixdim"][3:0:-1])
        notes.append("The file does not say how the volume lies in the patient; it is shown as stored.")
    else:
        axes = axes_of(affine)
        target = _plane(values.shape, affine)
        values, affine = regridded(values, affine, target)
        spacing = spacing_of(affine)
        found = {"affine": affine, "axes": np.array(axes)}
        notes.append(f"The file stores its voxels towards {axes}; its slices are turned without interpolation. "
                     f"{told(target)}")
    if not all(1e-6 < length < 1e4 for length in spacing):
        raise _bad("holds voxel sizes that cannot be", "They must lie from 0.000001 to 10000 mm.")
    return found | {"values": np.ascontiguousarray(np.swapaxes(values, 0, 2)), "spacing": np.array(spacing),
                    "notes": np.array(notes, str)}


def _plane(shape: tuple[int, ...], affine: np.ndarray) -> str:
    """Directions to show: slices along the only thin or clearly coarser axis of the grid, else along the body."""
    axes = axes_of(affine)
    lengths = [math.inf if count == 1 else length for count, length in
               zip(shape, np.linalg.norm(affine[:3, :3], axis=0))]
    longest, second = sorted(lengths)[:-3:-1]
    along = axes[lengths.index(longest)] if longest >= _COARSER * second and second < math.inf else "S"
    return _PLANES[{"I": "S", "P": "A", "L": "R"}.get(along, along)]
