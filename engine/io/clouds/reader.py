"""One door for all files of points: told from their content, judged by their header, parsed in a child process."""

import re

from engine.errors import InputError
from engine.io import child
from engine.io.clouds import parsing, promises
from engine.io.clouds.cloud import CloudFile
from engine.io.files import Source, read_bytes
from engine.io.formats import kind
from engine.runtime.settings import limits

PLY, OBJ, STL, GLB, OFF, PCD, TABLE = KINDS = ("PLY", "OBJ", "STL", "GLB", "OFF", "PCD", "CSV")
_ACCEPTED = "Clouds must be PLY, OBJ, STL, GLB, OFF, PCD, XYZ or CSV."
_OBJ = re.compile(rb"^\s*(?:v|vn|vt|f|o|g|mtllib|usemtl)\s+\S", re.MULTILINE)
_OFF = re.compile(rb"^\s*(?:#[^\n]*\n\s*)*(?:ST)?C?N?4?n?OFF\b")
_PCD = re.compile(rb"^\s*(?:#[^\n]*\n\s*)*VERSION\s+[.\d]+|^# \.PCD", re.MULTILINE)
_SECONDS = 60


def read_cloud(source: Source, field: str = "cloud") -> CloudFile:
    """The points of a file (PLY, OBJ, STL, GLB, OFF, PCD, XYZ, CSV) or its bytes; a mesh is sampled evenly by area.

    Materials and textures in files beside it are not read. Raises InputError (field named) for an unknown kind, a
    header that promises more than the file holds, glTF that points to other files, faces without corners, damage, no or
    one point, all points in one place, and more than the limits. Points that are no numbers or lie absurdly far out are
    left out with a note; many points are thinned with a note.
    """
    data = read_bytes(source, limits().mesh_bytes, field)
    name = _kind(data, field)
    try:
        promises.check(name, data)
    except InputError as error:
        raise InputError(error.what, error.why, error.fix, field=field) from None
    found = child.parsed(getattr(parsing, f"parse_{name.lower()}"), data, name, field, seconds=_SECONDS)
    return CloudFile(found["points"], found.get("colours"), tuple(map(str, found["notes"])), found["centre"],
                     float(found["half"]))


def _kind(data: bytes, field: str) -> str:
    """Which of KINDS the bytes are. Raises InputError for another one, named where it is known."""
    if not data.strip():
        raise InputError("The file is empty.", _ACCEPTED, "Give another file.", field=field)
    head = data[:65536]
    for start, name in ((b"ply", PLY), (b"glTF", GLB)):
        if head.startswith(start):
            return name
    if promises.is_stl(data):
        return STL
    known = kind(data)
    if known in ("text", "unknown"):
        if _PCD.search(head[:2048]):
            return PCD
        if _OFF.match(head):
            return OFF
    if known == "text" or (known == "JSON" and head.lstrip()[:1] == b"["):
        return OBJ if _OBJ.search(head) else TABLE
    if known == "JSON" and b'"asset"' in data:
        raise InputError("The file is a glTF file in text form.", "Such files point to others, which are not read.",
                         "Save it as GLB, which holds everything.", field=field)
    if known == "unknown" and _utf16(head):
        return TABLE
    what = f"The file is a {known} file." if known != "unknown" else "The file is of no kind that is known here."
    raise InputError(what, _ACCEPTED, "Export it as PLY and try again.", field=field)


def _utf16(head: bytes) -> bool:
    return head[:2] in (b"\xff\xfe", b"\xfe\xff")
