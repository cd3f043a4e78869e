"""PCD files of the Point Cloud Library, version 0.7: plain text or plain numbers, as their header says."""

import re

import numpy as np

from engine.errors import InputError

_KINDS = {("F", 4): "<f4", ("F", 8): "<f8", ("U", 1): "u1", ("U", 2): "<u2", ("U", 4): "<u4", ("U", 8): "<u8",
          ("I", 1): "i1", ("I", 2): "<i2", ("I", 4): "<i4", ("I", 8): "<i8"}


def read(data: bytes) -> tuple[np.ndarray, np.ndarray | None]:
    """Points (N, 3) and colours (N, 3) uint8 or None. Raises InputError for a header that cannot be used."""
    found = re.search(rb"^DATA[ \t]+(\w+)[ \t]*\r?\n", data, re.MULTILINE)
    lines = (line.split() for line in data[:found.start()].decode("latin-1").splitlines())
    header = {words[0]: words[1:] for words in lines if len(words) > 1}
    try:
        names, count = header["FIELDS"], int(header["POINTS"][0])
        kinds = [_KINDS[kind, int(size)] for kind, size in zip(header["TYPE"], header["SIZE"], strict=True)]
        many = [int(n) for n in header.get("COUNT", ["1"] * len(names))]
        # Padding comes as several fields called "_", and a record needs names of its own.
        record = np.dtype([(name if name in "xyz" or name.startswith("rgb") else f"_{i}", kind, (n,))
                           for i, (name, kind, n) in enumerate(zip(names, kinds, many, strict=True))])
        if found[1] == b"binary":
            table = np.frombuffer(data, record, count, found.end())
        else:
            table = _of_text(data[found.end():], record, count)
        points = np.stack([table[axis][:, 0] for axis in "xyz"], axis=1)
    except (KeyError, ValueError, TypeError, IndexError):
        raise InputError("The PCD file is damaged.", "Its header and its values do not fit together.",
                         "Save or copy it again.") from None
    packed = next((name for name in ("rgb", "rgba") if name in (record.names or ())), None)
    return np.float64(points), None if packed is None else _unpacked(table[packed][:, 0])


def _of_text(data: bytes, record: np.dtype, count: int) -> np.ndarray:
    rows = np.loadtxt(data.decode("latin-1").splitlines()[:count], np.float64, ndmin=2)
    if len(rows) != count:
        raise ValueError("rows are missing")
    table, place = np.zeros(count, record), 0
    for name in record.names:
        width = table[name].shape[1]
        table[name] = rows[:, place:place + width]
        place += width
    return table


def _unpacked(values: np.ndarray) -> np.ndarray:
    """Red, green, blue of colours packed into the bits of one number, which is often called a float."""
    whole = values.view("<u4") if values.dtype.kind == "f" and values.itemsize == 4 else values
    whole = np.ascontiguousarray(whole).astype(np.uint32)
    return np.stack([np.uint8(whole >> shift & 255) for shift in (16, 8, 0)], axis=1)
