"""What a file is, told from its content, and whether it is whole. Nothing is decoded here.

Decoders forgive much: a PNG with a wrong checksum or a JPEG cut in half still gives a picture, partly grey. A picture
that is worked on must be whole, so the containers are walked before a decoder sees them.
"""

import struct
import zlib
from collections.abc import Iterator

from engine.errors import InputError

PICTURES = ("PNG", "JPEG", "WebP", "TIFF", "BMP")
_ACCEPTED = "Pictures must be " + ", ".join(PICTURES[:-1]) + " or " + PICTURES[-1] + "."
_PNG = b"\x89PNG\r\n\x1a\n"
_STARTS = (
    (_PNG, "PNG"), (b"\xff\xd8\xff", "JPEG"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"), (b"BM", "BMP"),
    (b"II+\0", "BigTIFF"), (b"MM\0+", "BigTIFF"), (b"GIF8", "GIF"), (b"8BPS", "Photoshop (PSD)"), (b"%PDF", "PDF"),
    (b"%!PS", "EPS"), (b"\xc5\xd0\xd3\xc6", "EPS"), (b"SIMPLE  =", "FITS"), (b"\0\0\1\0", "ICO"),
    (b"PK\3\4", "ZIP"), (b"\x1f\x8b", "gzip"), (b"\0\0\0\x0cjP  ", "JPEG 2000"), (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"), (b"\0\0\0\x0cJXL ", "JPEG XL"), (b"\x89HDF", "HDF5"), (b"CDF", "NetCDF"),
    (b"\x7fELF", "program"), (b"MZ", "program"))
_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC", b"avif": "AVIF", b"avis": "AVIF"}
_CHUNKS = 100_000


def kind(data: bytes) -> str:
    """Name of the file's format by its first bytes: one of PICTURES, another known one, "text" or "unknown"."""
    for start, name in _STARTS:
        if data.startswith(start):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "video")
    if data[128:132] == b"DICM":
        return "DICOM"
    return _kind_of_text(data[:4096])


def _kind_of_text(head: bytes) -> str:
    lowered = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if lowered.startswith((b"<?xml", b"<svg", b"<!")) and b"<svg" in lowered:
        return "SVG"
    if lowered.startswith((b"{", b"[")):
        return "JSON"
    printable = sum(32 <= byte < 127 or byte in b"\t\r\n" or byte >= 128 for byte in head)
    return "text" if head and printable == len(head) and b"\0" not in head else "unknown"


def picture_kind(data: bytes, field: str) -> str:
    """Like `kind`, for a whole picture. Raises InputError naming the format that is not supported, or the damage."""
    if len(data) < 2:
        raise InputError("The file is empty." if not data else "The file has 1 byte.", _ACCEPTED, "Give another file.",
                         field=field)
    name = kind(data)
    if name not in PICTURES:
        known = name != "unknown"
        raise InputError(f"The file is {'a ' + name + ' file' if known else 'no picture that is known here'}.",
                         _ACCEPTED, "Save it as PNG and try again.", field=field)
    whole = {"PNG": _whole_png, "JPEG": _whole_jpeg, "WebP": _whole_webp}.get(name)
    problem = whole(data) if whole else ""
    if problem:
        raise damaged(name, problem, field)
    return name


def damaged(name: str, problem: str, field: str) -> InputError:
    """The error for a picture that is not whole."""
    return InputError(f"The {name} file is damaged.", f"{problem[:1].upper()}{problem[1:]}.", "Save or copy it again.",
                      field=field)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview, bool]]:
    """(type, content, checksum is right) of each chunk of a PNG up to its end or the first that leaves the file."""
    view, place = memoryview(data), len(_PNG)
    for _ in range(_CHUNKS):
        if place + 12 > len(data):
            return
        length, = struct.unpack_from(">I", data, place)
        end = place + 12 + length
        if end > len(data):
            return
        checksum, = struct.unpack_from(">I", data, end - 4)
        yield data[place + 4:place + 8], view[place + 8:end - 4], zlib.crc32(view[place + 4:end - 4]) == checksum
        place = end


def _whole_png(data: bytes) -> str:
    length, last = len(_PNG), b""
    for chunk, content, right in png_chunks(data):
        if not right:
            return f"the checksum of its {chunk.decode('latin-1')} part is wrong"
        length, last = length + 12 + len(content), chunk
        if chunk == b"IEND":
            break
    if last != b"IEND":
        return "it ends before its last part"
    return "something follows its end" if length < len(data) else ""


def _whole_webp(data: bytes) -> str:
    length, = struct.unpack_from("<I", data, 4)
    if length + 8 > len(data):
        return f"it promises {length + 8} bytes and has {len(data)}"
    return "something follows its end" if length + 8 + length % 2 < len(data) else ""


def _whole_jpeg(data: bytes) -> str:
    """Walk the markers; inside compressed data only stuffed bytes and restart markers may follow a 0xFF."""
    place, size = 2, len(data)
    while place + 2 <= size:
        if data[place] != 0xFF:
            return "its parts do not join"
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker == 0xD9:
            return "" if _harmless(data[place + 2:]) else "something follows its end"
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            return "its compressed data is broken"
        else:
            if place + 4 > size:
                break
            length, = struct.unpack_from(">H", data, place + 2)
            place += 2 + length
            if marker == 0xDA:
                place = _end_of_scan(data, place)
    return "it ends before its last part"


def _end_of_scan(data: bytes, place: int) -> int:
    while (place := data.find(b"\xff", place)) >= 0:
        if place + 1 < len(data) and data[place + 1] != 0 and not 0xD0 <= data[place + 1] <= 0xD7:
            return place
        place += 2
    return len(data)


def _harmless(tail: bytes) -> bool:
    """What cameras put behind a JPEG: padding, further JPEGs (previews, gain maps), a film clip, a maker's trailer."""
    stripped = tail.strip(b"\0\xff\r\n ")
    return (not stripped or tail.lstrip(b"\0").startswith(b"\xff\xd8\xff") or tail[4:8] == b"ftyp"
            or tail.endswith(b"SEFT"))
