"""Files of an arrangement: moved teeth stage by stage, matrices, a table and a report. The same result, the same bytes.

Meshes and matrices come in the coordinates and the unit of the files that were read. Names of files are FDI numbers;
nothing that a person's files were called, or held beside teeth, goes into them.
"""

import csv
import io
import json
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from engine.io.dental import Dentition
from engine.runtime.settings import limits
from engine.tasks.base import Result
from engine.tasks.teeth import anatomy, report
from engine.tasks.teeth.dentition import Teeth
from engine.tasks.teeth.movement import QUANTITIES

CONVENTION = (
    "Each matrix is 4 x 4, row by row, and carries a tooth from where it is before: p_after = M p_before, points being "
    "columns (x, y, z, 1). Those under 'file' act on the coordinates of the files that were given, in their unit; "
    "those under 'anatomy' on millimetres with x to the patient's left, y up, z forward.")
_FACET, _HEADER = 50, 84
_DATE = (1980, 1, 1, 0, 0, 0)


class Deferred(Mapping[str, bytes]):
    """Contents that are made when they are asked for, the same each time: all of them may take 100 MB."""

    def __init__(self, makers: Mapping[str, Callable[[], bytes]]):
        self._makers = dict(makers)

    def __getitem__(self, name: str) -> bytes:
        return self._makers[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._makers)

    def __len__(self) -> int:
        return len(self._makers)


def files(dentition: Dentition, before: Teeth, after: Teeth, result: Result) -> Deferred:
    """stages.zip (stage-NN/FDI.stl), goal.zip (FDI.stl), movement.csv, motions.json and report.html of a result."""
    fdi, goal, stages = (result.arrays[name].values for name in ("fdi", "goal", "stages"))
    numbers = fdi.tolist()
    return Deferred({
        "stages.zip": lambda: zipped(_staged(dentition, numbers, stages)),
        "goal.zip": lambda: zipped((f"{name}.stl", data) for name, data in _moved(dentition, numbers, goal)),
        "movement.csv": lambda: movement_csv(result),
        "motions.json": lambda: motions_json(dentition, result),
        "report.html": lambda: report.page(before, after, result)})


def stride(dentition: Dentition, count: int) -> int:
    """Every how many stages one can be written, counted back from the last, within the limit of a volume's bytes."""
    size = sum(_HEADER + _FACET * len(faces) for _, faces in dentition.meshes.values())
    return max(1, -(-count * size // limits().scan_bytes))


def in_file(dentition: Dentition, fdi: int, matrix: np.ndarray) -> np.ndarray:
    """A motion (4, 4) in the frame of `anatomy` as one of the coordinates in the tooth's file."""
    return dentition.to_file(fdi) @ np.float64(matrix) @ dentition.from_file(fdi)


def movement_csv(result: Result) -> bytes:
    """One line per tooth: number, name, and each quantity with its spread over the samples, empty where there is
    none."""
    arrays = {name: array.values for name, array in result.arrays.items()}
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\r\n")
    heads = [f"{name.removesuffix(f' {unit}')} ({unit})" for name, unit in QUANTITIES.items()]
    table.writerow(["tooth", "name", *(column for head in heads for column in (head, f"{head} spread"))])
    for fdi, values, spread in zip(arrays["fdi"].tolist(), arrays["movement"], arrays["movement_spread"]):
        cells = ["" if np.isnan(number) else f"{round(float(number), 3) + 0.0:.3f}"  # no minus before nought
                 for pair in zip(values, spread) for number in pair]
        table.writerow([fdi, anatomy.name_of(fdi), *cells])
    return out.getvalue().encode()


def motions_json(dentition: Dentition, result: Result) -> bytes:
    """Goal and stages of each tooth as matrices in both frames, the convention in words, and the recipe."""
    arrays = {name: array.values for name, array in result.arrays.items()}
    teeth = []
    for index, fdi in enumerate(arrays["fdi"].tolist()):
        steps = arrays["stages"][:, index]
        teeth.append({"fdi": fdi, "name": anatomy.name_of(fdi),
                      "goal": {"file": _rows(in_file(dentition, fdi, arrays["goal"][index])),
                               "anatomy": _rows(arrays["goal"][index])},
                      "stages": {"file": [_rows(in_file(dentition, fdi, step)) for step in steps],
                                 "anatomy": [_rows(step) for step in steps]}})
    sheet = {"notice": report.NOTICE, "convention": CONVENTION, "file unit": dentition.unit or "mm", "teeth": teeth,
             "recipe": json.loads(result.recipe.write())}
    return (json.dumps(sheet, indent=None, separators=(",", ":")) + "\n").encode()


def stl(vertices: np.ndarray, faces: np.ndarray) -> bytes:
    """A binary STL of vertices (V, 3) and triangles (F, 3)."""
    corner = np.float32(vertices)[faces]
    normal = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    rows = np.zeros(len(faces), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    rows["normal"] = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-30)
    rows["corners"] = corner
    return b"Diffuscope: research use".ljust(80, b"\0") + np.uint32(len(faces)).tobytes() + rows.tobytes()


def zipped(named: Iterable[tuple[str, bytes]]) -> bytes:
    """A zip of named contents that depends on nothing else."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in named:
            info = zipfile.ZipInfo(name, _DATE)
            info.external_attr = 0o644 << 16
            # A higher level halves the speed for one per cent: coordinates hardly repeat.
            archive.writestr(info, data, zipfile.ZIP_DEFLATED, 1)
    return out.getvalue()


def _staged(dentition: Dentition, numbers: list[int], stages: np.ndarray) -> Iterator[tuple[str, bytes]]:
    digits, step = max(2, len(str(len(stages)))), stride(dentition, len(stages))
    for index in range(len(stages)):
        if (len(stages) - 1 - index) % step == 0:
            for name, data in _moved(dentition, numbers, stages[index]):
                yield f"stage-{index + 1:0{digits}d}/{name}.stl", data


def _moved(dentition: Dentition, numbers: list[int], motions: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """(FDI, STL) of each tooth after its motion, in the coordinates of its file."""
    for fdi, motion in zip(numbers, motions):
        vertices, faces = dentition.meshes[fdi]
        matrix = dentition.to_file(fdi) @ np.float64(motion)
        yield fdi, stl(vertices @ matrix[:3, :3].T + matrix[:3, 3], faces)


def _rows(matrix: np.ndarray) -> list[list[float]]:
    return np.round(matrix, 6).tolist()
