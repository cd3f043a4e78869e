"""Bytes in and out of files: bounded when read, whole or not at all when written."""

import os
import tempfile
from pathlib import Path

from engine.errors import InputError

Source = str | Path | bytes


def read_bytes(source: Source, limit: int, field: str) -> bytes:
    """The bytes of a file, or `source` itself.

    Raises InputError when it is missing, no plain file or above `limit` bytes.
    """
    path = None if isinstance(source, bytes) else Path(source)
    try:
        size = len(source) if path is None else path.stat().st_size if path.is_file() else -1
    except (OSError, ValueError):
        size = -1
    if size < 0:
        raise InputError("The file is not there.", "It was moved, deleted or is no plain file.", "Choose it again.",
                         field=field)
    if size > limit:
        raise InputError(f"The file has {size / 1e6:.1f} MB.", f"The limit is {limit / 1e6:.0f} MB.",
                         "Give a smaller file.", field=field)
    try:
        return source if path is None else path.read_bytes()
    except OSError:
        raise InputError("The file cannot be read.", "The system refused it.", "Choose it again.",
                         field=field) from None


def write_whole(path: Path, data: bytes) -> Path:
    """Write a file so that it is there in full or not at all."""
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=".partial-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.chmod(partial, 0o644)  # mkstemp makes files that only their owner reads
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    return path
