"""What a person gives, as named files, and what each of them is for: teeth, the gum, labels, a table of numbers."""

import re
from collections.abc import Sequence
from pathlib import Path

from engine.errors import InputError
from engine.io import formats
from engine.io.clouds import promises
from engine.io.dental import naming
from engine.io.dental.arch import PLACES, listed
from engine.io.dental.parsing import Source
from engine.io.files import read_bytes
from engine.io.medical import archive
from engine.runtime.settings import limits

Named = tuple[str, bytes]
ACCEPTED = "Teeth must be STL, PLY or OBJ, one file per tooth or one with labels, or a zip of them."
_OBJ = re.compile(rb"^\s*(?:v|vn|vt|f|o|g|mtllib|usemtl)\s+\S", re.MULTILINE)
_LIBRARY = re.compile(rb"^\s*mtllib\s+(.*)$", re.MULTILINE)
_ELSEWHERE = re.compile(rb"^/|\\|\.\.|:|^~")


def named(source: str | Path | bytes | Sequence[Named], field: str) -> list[Named]:
    """The files of a path, a folder, a zip, bytes, or (name, bytes) pairs, without hidden ones.

    Raises InputError for what is missing, empty or above the limits of `engine.runtime.settings`.
    """
    if isinstance(source, (str, Path)) and Path(source).is_dir():
        files = _in_folder(Path(source), field)
    elif isinstance(source, (str, Path, bytes)):
        name = Path(source).name if isinstance(source, (str, Path)) else ""
        files = [(name, read_bytes(source, limits().mesh_bytes, field))]
    else:
        files = [(str(name), bytes(data)) for name, data in source]
    if len(files) == 1 and formats.kind(files[0][1]) == "ZIP":
        files = list(archive.entries(files[0][1], field))
    if not files or not any(data for _, data in files):
        raise InputError("There is no file." if not files else "The file is empty." if len(files) == 1 else
                         "All files are empty.", ACCEPTED, "Give another file.", field=field)
    if len(files) > limits().scan_files:
        raise InputError(f"There are {len(files)} files.", f"The limit is {limits().scan_files}.", "Give fewer.",
                         field=field)
    size = sum(len(data) for _, data in files)
    if size > limits().mesh_bytes:
        raise InputError(f"The files have {size / 1e6:.0f} MB.", f"The limit is {limits().mesh_bytes / 1e6:.0f} MB.",
                         "Simplify the meshes.", field=field)
    return files


def _in_folder(folder: Path, field: str) -> list[Named]:
    """Plain files in a folder and in the folders in it, without links and hidden ones."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()
             and not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if len(paths) > limits().scan_files:
        raise InputError(f"There are {len(paths)} files.", f"The limit is {limits().scan_files}.", "Give fewer.",
                         field=field)
    return [(str(path.relative_to(folder)), read_bytes(path, limits().mesh_bytes, field)) for path in paths]


def planned(files: Sequence[Named], field: str) -> tuple[list[Source], list[str]]:
    """What the child is to read, and what is to be told. Raises InputError for files that cannot be used.

    A tooth's number comes from a table where there is one, else from its file's name. A mesh without a number is one
    with labels, of the JSON file of the same name or of the only one, or in itself.
    """
    kinds = [_kind(data) for _, data in files]
    meshes = [(*file, kind) for file, kind in zip(files, kinds) if kind in ("STL", "PLY", "OBJ")]
    if not meshes:
        raise _unsupported(kinds[0], field)
    tables, labels, skipped = {}, {}, 0
    for (name, data), kind in zip(files, kinds):
        if kind == "JSON" and naming.is_labels(data):
            labels[naming.stem(name)] = naming.labels(data, field)
        elif kind == "JSON" or (kind == "text" and name.casefold().endswith((".csv", ".txt", ".tsv"))):
            tables |= naming.table(data, field)
        elif (name, data, kind) not in meshes:
            skipped += 1
    notes = [f"Files that hold no mesh were passed over: {skipped}."] if skipped else []
    found, foreign, unnamed = [], [], 0
    for name, data, kind in meshes:
        _check(kind, data, notes, field)
        fdi = tables.get(naming.stem(name), naming.number_in(name))
        told = next(iter(labels.values())) if len(labels) == len(meshes) == 1 else labels.get(naming.stem(name))
        if naming.is_gum(name):
            found.append(Source(kind, data, 0))
        elif told is not None:
            found.append(Source(kind, data, labels=told.fdi))
        elif fdi in PLACES:
            found.append(Source(kind, data, fdi))
        elif fdi is not None:
            foreign.append(fdi)
        elif _has_labels(kind, data):
            found.append(Source(kind, data))
        else:
            unnamed += 1
    if foreign:
        notes.append(f"No permanent tooth has these numbers, so their meshes were left out: {listed(sorted(foreign))}.")
    return _numbered(found, unnamed, notes, field), notes


def _numbered(found: list[Source], unnamed: int, notes: list[str], field: str) -> list[Source]:
    if not found:
        raise InputError("The teeth have no numbers." if unnamed else "No mesh is one of a permanent tooth.",
                         "FDI numbers, 11 to 48, stand in file names (11.stl), a table, or labels of vertices.",
                         "Name the files, or add teeth.csv or a JSON file of labels.", field=field)
    if unnamed:
        notes.append(f"Meshes without a tooth's number in their names were left out: {unnamed}.")
    naming.check_single([file.fdi for file in found if file.fdi], field)
    return found


def _kind(data: bytes) -> str:
    """STL, PLY, OBJ, or the name of another format, from the content."""
    if data.startswith(b"ply"):
        return "PLY"
    if promises.is_stl(data):
        return "STL"
    if data.startswith(b"glTF"):
        return "glTF"
    known = formats.kind(data)
    return "OBJ" if known == "text" and _OBJ.search(data[:65536]) else known


def _check(kind: str, data: bytes, notes: list[str], field: str) -> None:
    """Raises InputError for what a header promises in vain, and for OBJ files that name files elsewhere."""
    try:
        promises.check(kind, data)
    except InputError as error:
        raise InputError(error.what, error.why, error.fix, field=field) from None
    for library in _LIBRARY.findall(data) if kind == "OBJ" else ():
        if _ELSEWHERE.search(library.strip()):
            raise InputError("The OBJ file names a file of materials elsewhere.", "Files beside it are not read.",
                             "Export it without materials.", field=field)
        text = "Files of materials, which OBJ files name, are not read."
        notes += [text] if text not in notes else []


def _has_labels(kind: str, data: bytes) -> bool:
    """Whether a PLY file's header has a property that labels its vertices."""
    head = data[:65536].partition(b"end_header")[0]
    return kind == "PLY" and bool(re.search(rb"property\s+\w+\s+(?:labels?|fdi|tooth|class)\s", head))


def _unsupported(kind: str, field: str) -> InputError:
    what = f"The file is a {kind} file."
    if kind in ("unknown", "text"):
        what = "The file is of no kind that is known here."
    return InputError(what, ACCEPTED, "Export the teeth as STL or PLY.", field=field)
