"""What headers promise, held against the size of the file before anything is parsed or memory is taken."""

import json
import re
import struct
from typing import Any

from engine.errors import InputError
from engine.runtime.settings import limits

_HEADER = 65536
_SIZES = {"char": 1, "uchar": 1, "int8": 1, "uint8": 1, "short": 2, "ushort": 2, "int16": 2, "uint16": 2, "int": 4,
          "uint": 4, "int32": 4, "uint32": 4, "float": 4, "float32": 4, "double": 8, "float64": 8}
_STL_HEADER, _TRIANGLE = 84, 50
_GLTF_NODES = 10_000
_COMPONENTS = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
_NUMBERS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_PACKED = {"KHR_draco_mesh_compression", "EXT_meshopt_compression"}
_AGAIN = "Save or copy it again."


def check(name: str, data: bytes) -> None:
    """Raises InputError when a file of kind `name` promises more than it holds or than the limits allow."""
    {"PLY": _ply, "STL": _stl, "GLB": _glb, "OFF": _off, "PCD": _pcd}.get(name, lambda data: None)(data)


def is_stl(data: bytes) -> bool:
    """Whether these are the bytes of an STL file; binary ones may begin with "solid" as well."""
    if len(data) >= _STL_HEADER and len(data) == _promised_stl(data):
        return True
    head = data[:_HEADER].lstrip().lower()
    return head.startswith(b"solid") and (b"facet" in head or b"\0" in head or b"endsolid" in head)


def _promised_stl(data: bytes) -> int:
    return _STL_HEADER + _TRIANGLE * struct.unpack_from("<I", data, 80)[0]


def _stl(data: bytes) -> None:
    if b"\0" not in data[:_HEADER]:
        return
    if len(data) < _STL_HEADER or len(data) != _promised_stl(data):
        count = (_promised_stl(data) - _STL_HEADER) // _TRIANGLE if len(data) >= _STL_HEADER else 0
        raise InputError(f"The header of the STL file promises {count} triangles.",
                         f"They would take {_STL_HEADER + _TRIANGLE * count} bytes, the file has {len(data)}.", _AGAIN)
    _few_faces(struct.unpack_from("<I", data, 80)[0])


def _ply(data: bytes) -> None:
    end = re.search(rb"end_header[ \t]*\r?\n?", data[:_HEADER])
    if end is None:
        raise InputError("The PLY file is damaged.", "Its header has no end.", _AGAIN)
    lines = [line.split() for line in data[:end.start()].decode("latin-1").splitlines()]
    text = any(words[:2] == ["format", "ascii"] for words in lines)
    if not text and not any(words[:1] == ["format"] for words in lines):
        raise InputError("The PLY file is damaged.", "Its header names no format.", _AGAIN)
    # Numbers in a text take a digit and a blank; the last one may end the file.
    least, elements = 0, []
    for words in lines:
        if words[:1] == ["element"] and len(words) == 3:
            elements.append([words[1], _count(words[2], "PLY"), 0])
        elif words[:1] == ["property"] and len(words) >= 3 and elements:
            kinds = words[2:3] if words[1] == "list" else words[1:2]
            if not _SIZES.keys() >= set(kinds):
                raise InputError("The PLY file is damaged.", f"Its header names the type {kinds[0][:20]!r}.", _AGAIN)
            elements[-1][2] += 2 if text else sum(_SIZES[kind] for kind in kinds)
    for name, count, least_of_one in elements:
        least += count * least_of_one
        if name == "face":
            _few_faces(count)
    _holds("PLY", ", ".join(f"{count} {name[:20]} entries" for name, count, _ in elements), least - text,
           len(data) - end.end())


def _off(data: bytes) -> None:
    numbers = re.findall(rb"[^\s#]+", re.sub(rb"#[^\n]*", b"", data[:_HEADER]))
    first = 0 if numbers and numbers[0].upper().endswith(b"OFF") else -1
    counts = [_count(word.decode("latin-1"), "OFF") for word in numbers[first + 1:first + 3]]
    if len(counts) < 2:
        raise InputError("The OFF file is damaged.", "Its numbers of points and faces are missing.", _AGAIN)
    _few_faces(counts[1])
    _holds("OFF", f"{counts[0]} points and {counts[1]} faces", 6 * counts[0] + 4 * counts[1] - 1, len(data))


def _pcd(data: bytes) -> None:
    found = re.search(rb"^DATA[ \t]+(\w+)[ \t]*\r?\n", data[:_HEADER], re.MULTILINE)
    if found is None:
        raise InputError("The PCD file is damaged.", "Its header has no end.", _AGAIN)
    lines = dict(line.split(None, 1) for line in data[:found.start()].decode("latin-1").splitlines()
                 if len(line.split(None, 1)) == 2)
    count = _count(lines.get("POINTS", "").strip(), "PCD")
    sizes = [_count(word, "PCD") for word in lines.get("SIZE", "").split()]
    each = [_count(word, "PCD") for word in lines.get("COUNT", "").split()] or [1] * len(sizes)
    if found[1] == b"binary_compressed":
        raise InputError("The PCD file is compressed.", "Only plain ones are read.", "Save it as binary or ascii PCD.")
    one = 2 * sum(each) if found[1] == b"ascii" else sum(size * many for size, many in zip(sizes, each))
    _holds("PCD", f"{count} points", count * one - (found[1] == b"ascii"), len(data) - found.end())


def _glb(data: bytes) -> None:
    if len(data) < 20 or struct.unpack_from("<I", data, 8)[0] != len(data):
        promised = struct.unpack_from("<I", data, 8)[0] if len(data) >= 12 else 20
        raise InputError(f"The GLB file promises {promised} bytes.", f"It has {len(data)}.", _AGAIN)
    length, kind = struct.unpack_from("<II", data, 12)
    if 20 + length > len(data) or kind != 0x4E4F534A:
        raise InputError("The GLB file is damaged.", "Its description leaves the file.", _AGAIN)
    try:
        told = json.loads(data[20:20 + length])
    except (ValueError, RecursionError):
        raise InputError("The GLB file is damaged.", "Its description cannot be read.", _AGAIN) from None
    try:
        _gltf(told)
    except (TypeError, AttributeError, KeyError, IndexError):
        raise InputError("The GLB file is damaged.", "Its description contradicts itself.", _AGAIN) from None


def _gltf(told: dict[str, Any]) -> None:
    for entry in (*told.get("buffers", ()), *told.get("images", ())):
        if not str(entry.get("uri", "data:")).startswith("data:"):
            raise InputError("The GLB file points to another file.", "Files beside it are not read.",
                             "Save it with everything inside.")
    packed = _PACKED & set(told.get("extensionsRequired", ()))
    if packed:
        raise InputError("The GLB file is compressed.", f"It needs {sorted(packed)[0]}, which is not read.",
                         "Save it without compression.")
    if len(told.get("nodes", ())) > _GLTF_NODES:
        raise InputError(f"The GLB file has {len(told['nodes'])} nodes.", f"The limit is {_GLTF_NODES}.",
                         "Join its objects, or give one of them.")
    for accessor in told.get("accessors", ()):
        size = int(accessor["count"]) * _COMPONENTS[accessor["componentType"]] * _NUMBERS[accessor["type"]]
        # Without a view, or with few values of its own, it stands for zeros, of which there can be any number.
        held = told["bufferViews"][accessor["bufferView"]]["byteLength"] if "bufferView" in accessor else 0
        if size < 0 or size > max(int(held), 0 if "bufferView" in accessor else limits().mesh_bytes):
            raise InputError(f"The GLB file promises {accessor['count']} values.", "It does not hold as many.", _AGAIN)


def _count(text: str, name: str) -> int:
    if not re.fullmatch(r"\d{1,18}", text):
        raise InputError(f"The {name} file is damaged.", f"Its header says {text[:20]!r} where a number belongs.",
                         _AGAIN)
    return int(text)


def _holds(name: str, what: str, least: int, there: int) -> None:
    if least > there:
        raise InputError(f"The header of the {name} file promises {what}.",
                         f"They would take {least / 1e6:.3g} MB at least, the file has {there / 1e6:.3g} MB.", _AGAIN)


def _few_faces(count: int) -> None:
    most = limits().mesh_faces
    if count > most:
        raise InputError(f"The mesh has {count} faces.", f"The limit is {most}.", "Simplify it, or give its points.")
