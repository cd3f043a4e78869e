"""Zip files: judged by their directory before anything is unpacked, and unpacked in memory."""

import io
import re
import stat
import struct
import zipfile
import zlib

from engine.errors import InputError
from engine.runtime.settings import limits

_RATIO = 100
_ENTRIES = 4 * limits().scan_files
"""Folders, hidden files and what viewers leave beside the pictures count towards it."""
_DIRECTORY_BYTES = 512 * _ENTRIES
_END = b"PK\5\6"
_END_BYTES = 22
_COMMENT_BYTES = 65535
_PACKED = ((b"PK\3\4", "zip"), (b"PK\5\6", "zip"), (b"7z\xbc\xaf", "7z"), (b"Rar!", "rar"), (b"BZh", "bzip2"),
           (b"\xfd7zXZ", "xz"))
_SUFFIXES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".bz2", ".xz")
_PLAIN = "Zip the pictures themselves."


def unpack(data: bytes, field: str = "picture") -> tuple[bytes, ...]:
    """The files of a zip in the natural order of their names (2 before 10), without hidden and system files.

    Raises InputError as `entries` does.
    """
    return tuple(content for _, content in entries(data, field))


def entries(data: bytes, field: str = "picture") -> tuple[tuple[str, bytes], ...]:
    """The same files with their names in the zip.

    Raises InputError (field named) before unpacking: for too many entries or bytes, a ratio above 100, names that
    leave the folder, links, encryption, zips within the zip and unusual compression; and for damage.
    """
    try:
        _check_directory(data)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = archive.infolist()
            wanted = [entry for entry in listed if not entry.is_dir() and not _hidden(entry.filename)]
            _check_entries(listed, wanted)
            for entry in wanted:
                _check_not_packed(archive, entry)
            wanted.sort(key=lambda entry: _natural(entry.filename))
            return tuple((entry.filename, _content(archive, entry, entry.file_size)) for entry in wanted)
    except InputError as error:
        raise InputError(error.what, error.why, error.fix, field=field) from None
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError, RuntimeError, ValueError,
            OSError):
        raise InputError("The zip file is damaged.", "It cannot be unpacked to its end.", "Pack or copy it again.",
                         field=field) from None


def _check_directory(data: bytes) -> None:
    """Refuse a huge list of entries before it is read: reading it alone would take the memory."""
    place = data.rfind(_END, max(0, len(data) - _COMMENT_BYTES - _END_BYTES))
    if place < 0 or place + _END_BYTES > len(data):
        raise zipfile.BadZipFile
    count, size = struct.unpack_from("<HI", data, place + 10)
    if count > _ENTRIES or size > _DIRECTORY_BYTES:
        found = f"more than {_ENTRIES}" if count in (0xFFFF, *range(_ENTRIES + 1)) else str(count)
        raise InputError(f"The zip file has {found} entries.", f"The limit is {limits().scan_files} pictures.",
                         "Pack one series or fewer pictures.")


def _check_entries(entries: list[zipfile.ZipInfo], wanted: list[zipfile.ZipInfo]) -> None:
    if len(entries) > _ENTRIES:
        raise InputError(f"The zip file has {len(entries)} entries.", f"The limit is {limits().scan_files} pictures.",
                         "Pack one series or fewer pictures.")
    for entry in entries:
        if _leaves(entry.orig_filename):
            raise InputError("A name in the zip file leads out of its folder.", "Such files can overwrite others.",
                             "Pack the pictures again.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise InputError("The zip file holds a link.", "Only plain files are read.", _PLAIN)
        if entry.flag_bits & 1:
            raise InputError("The zip file is encrypted.", "It cannot be read without its password.",
                             "Pack it without a password.")
    if not wanted:
        raise InputError("The zip file is empty.", "It holds no file that is not hidden.", _PLAIN)
    unpacked, stored = (sum(getattr(entry, name) for entry in entries) for name in ("file_size", "compress_size"))
    if unpacked > limits().scan_bytes:
        raise InputError(f"The zip file unpacks to {unpacked / 1e6:.0f} MB.",
                         f"The limit is {limits().scan_bytes / 1e6:.0f} MB.", "Pack fewer pictures.")
    if unpacked > _RATIO * max(stored, 1):
        raise InputError(f"The zip file unpacks to {unpacked / max(stored, 1):.0f} times its size.",
                         f"The limit is {_RATIO} times.", "Give the pictures themselves.")
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in wanted):
        raise InputError("The zip file uses an unusual compression.", "Only stored and deflated files are read.",
                         "Pack it with the usual settings.")


def _check_not_packed(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    start = _content(archive, entry, 6)
    name = next((name for magic, name in _PACKED if start.startswith(magic)), "")
    if name or entry.filename.lower().endswith(_SUFFIXES):
        raise InputError(f"The zip file holds a packed file{f' ({name})' if name else ''}.",
                         "Archives within archives are not unpacked.", _PLAIN)


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> bytes:
    """The first bytes of an entry. Asked for a number of bytes, zipfile unpacks no more than that."""
    with archive.open(entry) as stream:
        return stream.read(most)


def _leaves(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or name.startswith(("/", "\\")) or bool(re.match(r"[A-Za-z]:", name)) or "\0" in name


def _hidden(name: str) -> bool:
    parts = name.replace("\\", "/").split("/")
    return any(part.startswith(".") or part == "__MACOSX" for part in parts) or parts[-1].lower() in (
        "thumbs.db", "desktop.ini", "dicomdir")


def _natural(name: str) -> list[tuple[int, str]]:
    """Numbers in names count as numbers; longer ones than 18 digits as text."""
    return [(int(part), "") if part.isdecimal() and part.isascii() and len(part) < 19 else (0, part)
            for part in re.split(r"([0-9]+)", name)]
