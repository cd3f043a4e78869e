"""What the evaluations of the picture tasks share: which pictures, how long something took, averages as rows."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.errors import InputError

_SUFFIXES = {".png", ".jpg", ".jpeg"}
_LEAST_PX = 32


def pictures_in(folder: Path, most: int | None = None, trained_on: Sequence[str] = ()) -> list[np.ndarray]:
    """Pictures under a folder as uint8 (H, W, 3), sorted by path; of more than `most`, evenly spaced ones.

    trained_on: names of folders of which only the files count that training holds out.
    Raises InputError where there is none, or one is damaged or under 32 px wide or high.
    """
    from engine.io import load_picture
    from engine.training.pictures import held_out

    paths = [p for p in sorted(folder.resolve().rglob("*"))
             if p.suffix.lower() in _SUFFIXES and (p.parent.name not in trained_on or held_out(p))]
    if not paths:
        raise InputError(f"The folder {folder.resolve().name[:60]} has no pictures to measure on.",
                         "PNG and JPEG files are looked for.", "Give --data another folder.", field="data")
    count = len(paths) if most is None else min(most, len(paths))
    found = []
    for path in (paths[i * len(paths) // count] for i in range(count)):
        pixels = load_picture(path, "data").pixels
        if min(pixels.shape[:2]) < _LEAST_PX:
            raise InputError(f"{path.name[:60]} is {pixels.shape[1]} x {pixels.shape[0]} px.",
                             f"Pictures to measure on need {_LEAST_PX} px on each side.", "Take it out of the folder.",
                             field="data")
        found.append(pixels)
    return found


def timed(job: Callable[..., Any], *given: Any) -> tuple[Any, float]:
    """What the job returns, and the seconds it took."""
    start = time.perf_counter()
    value = job(*given)
    return value, time.perf_counter() - start


def mean_picture(samples: np.ndarray) -> np.ndarray:
    """The rounded mean (H, W, 3) of uint8 samples (N, H, W, 3)."""
    return np.uint8(samples.mean(0, dtype=np.float32) + 0.5)


class Averages:
    """Figures gathered per key and averaged into rows, in the order in which the keys came."""

    def __init__(self, *names: str):
        self._names = names
        self._figures: dict[tuple[str, ...], list[Mapping[str, float]]] = {}

    def add(self, key: tuple[str, ...], figures: Mapping[str, float]) -> None:
        """One picture's figures. key: one text for each of the names."""
        self._figures.setdefault(key, []).append(figures)

    def rows(self, **same: float | str) -> list[dict[str, Any]]:
        """A dict per key: the names, the mean of each figure, the number of pictures, and what is the same in all.

        Of "seconds" it is the median, because the first call of a method also imports and loads. A picture that does
        not have a figure gives NaN, which is left out.
        """
        found = []
        for key, figures in self._figures.items():
            known = {name: [f[name] for f in figures if not np.isnan(f[name])] or [np.nan] for name in figures[0]}
            means = {name: round(float((np.median if name == "seconds" else np.mean)(values)), 4)
                     for name, values in known.items()}
            found.append(dict(zip(self._names, key)) | means | {"pictures": len(figures)} | same)
        return found
