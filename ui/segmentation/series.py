"""A row of pictures through one task: from the files that were given to rows of figures and files named by us."""

import shutil
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import InputError
from engine.io.files import read_bytes, write_whole
from engine.io.formats import kind
from engine.io.medical import archive, exports
from engine.io.save import encode
from engine.recipe import Recipe
from engine.runtime.execution import Event, Failed, Finished, Working
from engine.runtime.settings import limits
from engine.tasks.base import Result, Task
from ui import runs
from ui.segmentation import scans

MOST = 50
"""Pictures in one row."""
WAITS, WORKS, DONE = "waits", "works", "done"
HEAD = ("Picture", "Count", "Area (px)", "Area (mm²)", "Mean doubt", "Seconds", "State")
_FIGURES = ("Count", "Area (px)", "Area (mm2)")
_ZIP = "ZIP"


@dataclass(frozen=True)
class Row:
    """A picture of the table. number: its place, from 1. state: a word, or why it failed. doubt: mean over the mask."""

    number: int
    state: str = WAITS
    metrics: Mapping[str, float] | None = None
    doubt: float | None = None
    seconds: float | None = None

    def cells(self) -> list[Any]:
        """In the order of HEAD; a dash for what is not known."""
        known = self.metrics or {}
        numbers = [*(known.get(name) for name in _FIGURES), self.doubt, self.seconds]
        return [self.number, *("–" if value is None else _read(value) for value in numbers), self.state]


def _read(value: float) -> float | int:
    """Four digits; whole numbers without decimals."""
    return int(value) if float(value).is_integer() else float(f"{value:.4g}")


def sources(given: Sequence[str] | None, folder: Path) -> list[Path]:
    """One file for each picture. Those of a zip are unpacked into `folder`. Raises InputError."""
    paths = [Path(path) for path in given or ()]
    if not paths:
        raise InputError("There are no pictures.", fix="Choose some files, or one zip.", field="given")
    if len(paths) == 1:
        data = read_bytes(paths[0], limits().scan_bytes, "given")
        if kind(data) == _ZIP:
            paths = _unpacked(data, folder / "given")
    if len(paths) > MOST:
        raise InputError(f"There are {len(paths)} pictures.", f"The limit is {MOST}.", "Give them in several parts.",
                         field="given")
    return paths


def _unpacked(data: bytes, folder: Path) -> list[Path]:
    files = archive.unpack(data, "given")
    folder.mkdir()
    return [write_whole(folder / f"{number:03}", content) for number, content in enumerate(files, 1)]


def results(task: Task, paths: Sequence[Path], recipe: Recipe, consent: bool, folder: Path) -> Iterator[Event | Row]:
    """Rows as they change and the events of their runs. A picture that fails says so in its row and the rest goes on.

    consent: whether a person has looked for names in the pictures. What is found is written into `folder`.
    """
    write_whole(folder / "recipe.json", recipe.write().encode())
    for number, path in enumerate(paths, 1):
        row, started = Row(number, WORKS), time.monotonic()
        yield row
        try:
            with closing(_one(task, path, recipe, consent)) as events:
                for event in events:
                    if isinstance(event, Finished):
                        _write(event.result, number, folder)
                        row = _found(row, event.result)
                    elif isinstance(event, Failed):
                        row = replace(row, state=event.message)
                    elif isinstance(event, Working) and event.total:
                        before, total = (number - 1) * event.total, len(paths) * event.total
                        yield replace(event, finished=before + event.finished, total=total)
                    else:
                        yield event
        except InputError as problem:
            row = replace(row, state=str(problem))
        except Exception:
            row = replace(row, state=str(runs.bug("A picture of a row", runs.new_id())))
        yield replace(row, seconds=time.monotonic() - started)
    shutil.rmtree(folder / "given", ignore_errors=True)


def _one(task: Task, path: Path, recipe: Recipe, consent: bool) -> Iterator[Event]:
    field = task.inputs[0].name
    scan = scans.read_files([str(path)], field)
    if scan.consent and not consent:
        raise InputError(" ".join(scan.consent), "Names must not go into results.",
                         "Look at the picture and tick the box above.", field="consent")
    yield from runs.events(task, {field: scan}, recipe)


def _found(row: Row, result: Result) -> Row:
    doubt, mask = result.arrays.get("doubt"), result.arrays["mask"].values > 0
    mean = float(doubt.values[mask].mean()) if doubt is not None and mask.any() else None
    return replace(row, state=DONE, metrics=result.metrics, doubt=mean)


def _write(result: Result, number: int, folder: Path) -> None:
    files = {"mask.png": encode(np.ascontiguousarray(result.arrays["mask"].values), result.recipe)} | dict(result.files)
    for name, data in files.items():
        scans.register(write_whole(folder / f"picture-{number:02}-{name}", data))


def packed(folder: Path, rows: Sequence[Row]) -> Path:
    """All files of the folder and the table of the rows as one zip, which replaces an earlier one."""
    lines = [dict(zip(HEAD, (None if cell == "–" else cell for cell in row.cells()))) for row in rows]
    write_whole(folder / "table.csv", exports.measurements_csv(lines))
    path = folder / "segmentation-results.zip"
    path.unlink(missing_ok=True)
    files = sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as whole:
        for file in files:
            whole.write(file, file.name)
    scans.register(path, folder / "table.csv", folder / "recipe.json")
    return path
