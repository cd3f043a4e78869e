"""Points as lines of text: XYZ and CSV, with or without names of columns, blanks, commas, semicolons or tabs between.
"""

import re

import numpy as np

from engine.errors import InputError

_MOST_COLUMNS = 64
_COLOURS = (("red", "green", "blue"), ("r", "g", "b"))
_COUNT = re.compile(r"\s*\d+\s*")
_NUMBER = re.compile(r"[-+]?(?:\d+[.,]?\d*|[.,]\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf(?:inity)?)", re.IGNORECASE)


def read(data: bytes, notes: list[str]) -> tuple[np.ndarray, np.ndarray | None]:
    """Points (N, 3) and colours (N, 3) uint8 or None: of columns named x, y, z, red, green, blue, else of the first 3
    and, if they can be colours, the 3 after them.

    Raises InputError naming line and column where something is no number, and for tables without three columns.
    """
    lines = _lines(data)
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line.strip(" \t,;")
                and not line.lstrip().startswith(("#", "//"))]
    if numbered and _COUNT.fullmatch(numbered[0][1]):
        numbered = numbered[1:]
    if not numbered:
        return np.zeros((0, 3)), None
    split = _splitter(numbered[0][1])
    first = [word.strip().strip('"').lower() for word in _words(numbered[0][1], split)]
    if len(first) > _MOST_COLUMNS:
        raise InputError(f"The table has {len(first)} columns.", f"At most {_MOST_COLUMNS} are read.",
                         "Save only x, y, z and the colours.")
    named = not all(_NUMBER.fullmatch(word) for word in first[:3])
    if named:
        numbered = numbered[1:]
    places, tints = _columns(first, named)
    table = _numbers(numbered, split, [*places, *tints])
    points, colours = table[:, :3], table[:, 3:]
    if not tints:
        return points, None
    found = _bytes(colours)
    if found is None and named:
        notes.append("The columns of the colours hold no colours and were left out.")
    return points, found


def _lines(data: bytes) -> list[str]:
    for coding in ("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig", "latin-1"):
        try:
            return data.decode(coding).splitlines()
        except UnicodeDecodeError:
            continue
    return []


def _splitter(line: str) -> str | None:
    """What stands between two columns; None for blanks. A comma beside a stronger sign is a decimal one."""
    return next((sign for sign in (";", "\t") if sign in line), "," if line.count(",") >= 2 and not
                re.fullmatch(r"\s*\S+,\d+\s+\S+,\d+\s+\S+.*", line) else None)


def _words(line: str, split: str | None) -> list[str]:
    return line.split(split) if split else line.split()


def _columns(first: list[str], named: bool) -> tuple[list[int], list[int]]:
    if not named:
        if len(first) < 3:
            raise InputError(f"The table has {len(first)} column{'s' if len(first) > 1 else ''}.",
                             "Points need three: x, y and z.", "Save the points as x, y, z, one a line.")
        return [0, 1, 2], [3, 4, 5] if len(first) >= 6 else []
    missing = [axis for axis in "xyz" if axis not in first]
    if missing:
        raise InputError(f"The table has no column {missing[0]}.",
                         "Its first line must name x, y and z, or hold the first point.",
                         "Name the columns x, y, z, red, green, blue.")
    tints = next(([first.index(name) for name in names] for names in _COLOURS if set(names) <= set(first)), [])
    return [first.index(axis) for axis in "xyz"], tints


def _numbers(numbered: list[tuple[int, str]], split: str | None, columns: list[int]) -> np.ndarray:
    lines = [line for _, line in numbered]
    if not lines:
        return np.zeros((0, len(columns)))
    if split != "," and any("," in line for line in lines[:100]):
        lines = [line.replace(",", ".") for line in lines]
    try:
        return np.loadtxt(lines, np.float64, delimiter=split, usecols=columns, ndmin=2, comments=None, quotechar='"')
    except ValueError:
        line, column = _first_bad(numbered, lines, split, columns)
        if line is None:
            raise InputError("The table cannot be read.", "Its lines do not fit together.",
                             "Save the points as x, y, z, one a line.") from None
        raise InputError(f"Line {line} has no number in column {column}." if column else
                         f"Line {line} has too few columns.", "All points need the same columns.",
                         "Mend that line.") from None


def _first_bad(numbered: list[tuple[int, str]], lines: list[str], split: str | None, columns: list[int]
               ) -> tuple[int | None, int]:
    """Number of the first line that is not as it must be, and of its bad column; 0 where it is too short."""
    for (number, _), line in zip(numbered, lines):
        words = _words(line, split)
        if len(words) <= max(columns):
            return number, 0
        for column in columns:
            if not _NUMBER.fullmatch(words[column].strip().strip('"')):
                return number, column + 1
    return None, 0


def _bytes(colours: np.ndarray) -> np.ndarray | None:
    """Colours as uint8, of numbers up to 1 or up to 255; None for what can be no colours, such as normals."""
    if not colours.size or not np.isfinite(colours).all() or colours.min() < 0 or colours.max() > 255:
        return None
    return np.uint8(np.rint(colours * (255 if colours.max() <= 1 and (colours % 1).any() else 1)))
