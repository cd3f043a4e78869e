"""Which tooth a file is: from its name, from a table of names, or vertex by vertex from a JSON file of labels."""

import csv
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.errors import InputError
from engine.io.dental.arch import PLACES, is_upper, teeth

_AFTER_WORD = re.compile(r"(?:fdi|tooth|zahn|dent|dente|diente)[ _.-]*(\d{1,3})(?!\d)", re.IGNORECASE)
_TWO_DIGITS = re.compile(r"(?<!\d)(\d{2})(?!\d)")
_GUM = re.compile(r"gum|gingiv", re.IGNORECASE)
_TABLE_BYTES, _LABELS = 1_000_000, 4_000_000
_SHARE = 0.1
"""A second instance of a tooth counts from this share of its vertices on; less are slips of the brush."""
_TABLE = 'A table says "file,fdi" line by line.'


@dataclass(frozen=True, eq=False)
class Labels:
    """fdi (V,) int16: the tooth of each vertex of a mesh, 0 for gum."""

    fdi: np.ndarray


def stem(name: str) -> str:
    """The name of a file without folders and ending, in small letters."""
    return re.split(r"[/\\]", name)[-1].rpartition(".")[0].casefold() or name.casefold()


def number_in(name: str) -> int | None:
    """The tooth's number in a file name, None without any: after a word such as "tooth", else the last that is one.

    It need not be one of the FDI scheme.
    """
    text = stem(name)
    told = _AFTER_WORD.findall(text)
    found = [int(number) for number in told or _TWO_DIGITS.findall(text)]
    known = [number for number in found if number in PLACES]
    return (known or found or [None])[-1]


def is_gum(name: str) -> bool:
    """Whether the file's name says that it is the gum."""
    return bool(_GUM.search(stem(name)))


def table(data: bytes, field: str) -> dict[str, int]:
    """Numbers by the `stem` of file names, from CSV (file,fdi in any order) or a JSON object. Raises InputError."""
    if len(data) > _TABLE_BYTES:
        raise InputError(f"The table has {len(data) / 1e6:.1f} MB.", f"The limit is {_TABLE_BYTES / 1e6:.0f} MB.",
                         _TABLE, field=field)
    text = data.decode("utf-8-sig", "replace")
    rows = _json_rows(text, field) if text.lstrip().startswith("{") else _csv_rows(text, field)
    found: dict[str, int] = {}
    for name, fdi in rows:
        if found.setdefault(stem(name), fdi) != fdi:
            raise InputError("The table gives one file two numbers.", f"They are {found[stem(name)]} and {fdi}.",
                             "Keep one of them.", field=field)
    return found


def _json_rows(text: str, field: str) -> list[tuple[str, int]]:
    rows = [(name, _number(value)) for name, value in _parsed(text, field).items()]
    if not rows or any(fdi is None for _, fdi in rows):
        raise InputError("The JSON file is no table of teeth.", "It must give each file name a number.",
                         'Write {"a.stl": 11}.', field=field)
    return rows


def _csv_rows(text: str, field: str) -> list[tuple[str, int]]:
    separator = max(",;\t", key=text.count)
    rows = []
    for line, cells in enumerate(csv.reader(text.splitlines(), delimiter=separator), 1):
        cells = [cell.strip() for cell in cells if cell.strip()]
        numbers = [_number(cell) for cell in cells[:2]]
        if not cells or (line == 1 and numbers == [None] * len(numbers)):
            continue  # an empty line, or the header
        if len(cells) < 2 or numbers.count(None) != 1:
            raise InputError(f"Line {line} of the table cannot be read.", _TABLE, "Correct this line.", field=field)
        first = numbers[0] is None
        rows.append((cells[0 if first else 1], numbers[1 if first else 0]))
    return rows


def _number(value: object) -> int | None:
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,3}", str(value)):
        return None
    return int(str(value))


def is_labels(data: bytes) -> bool:
    """Whether a JSON file holds labels of vertices, and is no table."""
    return b'"labels"' in data


def labels(data: bytes, field: str) -> Labels:
    """The labels of one jaw in the JSON format of the 3DTeethSeg challenge: jaw, labels, instances (optional).

    Raises InputError for lists that are none or differ in length, a tooth that is there twice, and teeth of one jaw in
    a file of the other.
    """
    told = _parsed(data.decode("utf-8-sig", "replace"), field)
    fdi = _whole(told.get("labels"), "labels", field)
    if "instances" in told:
        _check_instances(fdi, _whole(told["instances"], "instances", field), field)
    jaw = str(told.get("jaw", "")).casefold()
    present = [int(number) for number in np.unique(fdi) if number in PLACES]
    foreign = [number for number in present if jaw in ("upper", "lower") and is_upper(number) != (jaw == "upper")]
    if foreign:
        raise InputError(f"The labels say {jaw} jaw.", f"They name {teeth(foreign)} of the other jaw.",
                         "Correct the labels or the jaw.", field=field)
    return Labels(fdi.astype(np.int16))


def _parsed(text: str, field: str) -> Mapping[str, object]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise InputError("The JSON file cannot be read.", "It must be one object.", "Save it again.", field=field)
    return told


def _whole(values: object, name: str, field: str) -> np.ndarray:
    right = isinstance(values, list) and 0 < len(values) <= _LABELS and set(map(type, values)) == {int}
    if not right or min(values) < -1 or max(values) > 999:
        raise InputError(f"The list {name} of the JSON file cannot be used.",
                         "It must hold one whole number from 0 to 999 per vertex.", "Save it again.", field=field)
    return np.array(values, np.int64)


def _check_instances(fdi: np.ndarray, instances: np.ndarray, field: str) -> None:
    if len(instances) != len(fdi):
        raise InputError(f"The JSON file has {len(fdi)} labels and {len(instances)} instances.",
                         "Both need one entry per vertex.", "Save it again.", field=field)
    pairs = np.stack((fdi, instances))[:, (fdi > 0)]
    found, counts = np.unique(pairs, axis=1, return_counts=True)
    total = Counter({int(number): int((fdi == number).sum()) for number in np.unique(fdi)})
    large = Counter(int(number) for number, count in zip(found[0], counts) if count > _SHARE * total[int(number)])
    check_single([number for number, times in large.items() for _ in range(times)], field)


def check_single(numbers: Sequence[int], field: str) -> None:
    """Raises InputError naming numbers that are given more than once."""
    double = sorted(number for number, times in Counter(numbers).items() if times > 1)
    if double:
        raise InputError(f"{teeth(double).capitalize()} {'is' if len(double) == 1 else 'are'} there more than once.",
                         "Each FDI number may stand for one tooth; a supernumerary tooth has none.",
                         "Correct the numbers, or leave out what is too much.", field=field)
