"""A contest's outcome in words and files: which figures there are, whose is best, a contact sheet, JSON."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine import models
from engine.recipe import libraries
from engine.tasks.inverse import judging, measurements
from engine.tasks.laboratory import sheet
from engine.tasks.laboratory.inverse.compare import SPREAD_TOP, Cell, Scene
from engine.tasks.laboratory.inverse.contest import BUDGETS, Contest

HIGH, LOW = math.inf, -math.inf


@dataclass(frozen=True)
class Figure:
    """A figure of merit. wanted: the value that is worth most, HIGH or LOW for as much or little as possible, None for
    a figure that is neither good nor bad."""

    title: str
    wanted: float | None
    digits: int


FIGURES = {
    "psnr_mean_db": Figure("PSNR of the mean (dB)", HIGH, 2), "psnr_db": Figure("PSNR of one (dB)", HIGH, 2),
    "ssim_mean": Figure("SSIM of the mean", HIGH, 3), "ssim": Figure("SSIM of one", HIGH, 3),
    "spectral_error": Figure("Spectral error", LOW, 3), "consistency": Figure("Misfit", 0.0, 3),
    "spread": Figure("Spread", None, 3), "coverage": Figure("In 90 % interval", judging.INTERVAL, 3),
}
"""The figures of `judging.figures` in the order of the tables. With noise the misfit that is worth most is 1."""


def best(contest: Contest, cells: Sequence[Cell]) -> dict[str, frozenset[int]]:
    """By figure, the indices of the methods whose value is worth most; {} of figures for which none is."""
    found = {}
    for name, figure in FIGURES.items():
        wanted = 1.0 if name == "consistency" and contest.noise else figure.wanted
        values = {cell.index: round(cell.figures[name], figure.digits) for cell in cells
                  if math.isfinite(cell.figures.get(name, math.nan))}
        if wanted is None or len(values) < 2:
            continue
        gaps = {index: _gap(value, wanted) for index, value in values.items()}
        found[name] = frozenset(index for index, gap in gaps.items() if gap == min(gaps.values()))
    return found


def _gap(value: float, wanted: float) -> float:
    return abs(value - wanted) if math.isfinite(wanted) else value if wanted == LOW else -value


def contact_sheet(contest: Contest, scene: Scene, cells: Sequence[Cell]) -> np.ndarray:
    """Everything in one labelled picture (H, W, 3) uint8: truth and measurement, then a row per method."""
    rows = ["The problem", *(headline(cell.title, cell.steps) for cell in cells)]
    columns = max([2, *(len(cell.pictures) for cell in cells)])
    entries = {(0, 0): (scene.truth, "Truth"), (0, 1): (scene.measured, "What was measured")}
    for row, cell in enumerate(cells, start=1):
        if cell.reason:
            entries[row, 0] = (None, cell.reason)
        for column, (name, picture) in enumerate(cell.pictures.items()):
            entries[row, column] = (picture, "\n".join((name, *words(cell, name))))
    return sheet.draw(["", ""], [rows, [""] * columns], entries, _heading(contest))


def headline(name: str, steps: int) -> str:
    """A method with its steps, where it has some."""
    return f"{name}, {steps} step{'' if steps == 1 else 's'}" if steps else name


def words(cell: Cell, picture: str) -> tuple[str, ...]:
    """What stands under one of a cell's pictures: the figures that are about it."""
    known = cell.figures
    if picture == "Spread":
        honest = known.get("coverage", math.nan)
        told = [f"90 % interval: {100 * honest:.0f} %"] if math.isfinite(honest) else []
        return (f"mean {known['spread']:.2f}", *told)
    if picture in ("Mean", "Result"):
        which = "_mean" if picture == "Mean" else ""
        calls = f"{cell.calls} call{'' if cell.calls == 1 else 's'}, " if cell.calls else ""
        return (f"PSNR {known[f'psnr{which}_db']:.1f} dB", f"SSIM {known[f'ssim{which}']:.2f}",
                f"{calls}{cell.seconds:.1f} s")
    # The first sample, of particles the one that counts most, is the one that is judged.
    if picture == list(cell.pictures)[1]:
        return f"PSNR {known['psnr_db']:.1f} dB", f"SSIM {known['ssim']:.2f}"
    return ()


def _heading(contest: Contest) -> str:
    source = "a given picture" if contest.picture else f"a picture that the prior draws (seed {contest.draw})"
    return (f"{measurements.kind(contest.measurement).title}: {source}, {contest.samples} samples, "
            f"{BUDGETS[contest.budget][:1].lower()}{BUDGETS[contest.budget][1:]}, seed {contest.seed}. Spread: yellow "
            f"is a standard deviation of {SPREAD_TOP:g}, violet none.")


def to_json(contest: Contest, cells: Sequence[Cell]) -> str:
    """The contest's settings and the numbers of all cells as JSON text, without pictures."""
    settings = {name: getattr(contest, name) for name in ("measurement", "noise", "draw", "model", "label", "guidance",
                                                          "budget", "steps", "samples", "seed")}
    settings["picture"] = "given" if contest.picture else "drawn"
    values = {"version": 1, "task": "inverse", "settings": settings | {"methods": contest.methods},
              "model_sha256": models.card(contest.model).sha256, "libraries": libraries(),
              "cells": [{"method": cell.method, "steps": cell.steps, "calls": cell.calls,
                         "seconds": round(cell.seconds, 4), "notes": cell.notes, "reason": cell.reason}
                        | {name: _finite(cell.figures.get(name)) for name in FIGURES} for cell in cells]}
    return json.dumps(values, indent=1, allow_nan=False)


def _finite(value: float | None) -> float | None:
    return round(value, 6) if value is not None and math.isfinite(value) else None
