"""A forward-model study as the page draws it: what was measured, the samples, and how they fit."""

import base64
import io
import math
from typing import Any

import numpy as np
import torch
from gradio.components.plot import PlotData
from PIL import Image, ImageDraw
from torch import Tensor

from engine.forward_models import Seen, shadows
from engine.forward_models.study import Found, Moment, Study
from ui import figures, viewer
from ui.laboratory import charts

CHART = "forward-chart"
_SIDE, _REACH = 264, 2.0
_GROUND, _LAW, _AXIS, _SAMPLE, _GIVEN, _TRUTH = "#f6f8f9", "#c3ced5", "#6f8797", "#d8703c", "#2a8fa0", "#111111"
_BETWEEN = 110
_SHOWN = 4
LEGENDS = {
    "shadows": ["Grey dots: where points lie, which training never saw. A shadow is a place on a grey axis; it leaves "
                "the point on the blue line, with noise in the blue band. Orange: samples, black: the truth."],
    "motion": ["Training saw pictures of things that had moved, never a motion. The picture halfway was not given, and "
               "no noise was removed from it: it follows from the motion that was found."],
}
_MADE = {
    "shadows": "The network has 20 000 weights and was trained for a minute on triples of shadows of points drawn "
               "afresh.",
    "motion": "The network has 95 000 weights and was trained for a minute on triples of pictures drawn afresh. Known "
              "failure: of a noisy second picture it makes less than could be made, so too many samples go other ways.",
}
_SHAPED = {"shadows": "the points that follow from it", "motion": "second pictures that follow from the motions found"}
_UNITS = {"shadows": ("°", "in units of the plane"), "motion": ("", "in grey levels, black and white are 2 apart")}
Cell = dict[str, Any]


def sheet(run: str, found: Found) -> dict[str, Any]:
    """The value of the sheet: the problem, then the samples."""
    rows = _of_points(found) if found.study.toy == "shadows" else _of_pictures(found)
    cells = [{"index": [0, r, c], "name": name, "picture": picture, "words": words, "reason": ""}
             for r, (_, row) in enumerate(rows) for c, (name, picture, words) in enumerate(row)]
    return {"run": run, "legend": LEGENDS[found.study.toy], "cells": cells,
            "layout": {"blocks": [""], "rows": [title for title, _ in rows],
                       "columns": [[name for name, _, _ in row] for _, row in rows]}}


def steps(run: str, found: Found, at: int) -> dict[str, Any]:
    """The slider's value: words, picture and shares of every step; `at` is shown first."""
    return {"run": run, "chart": CHART, "traces": [0], "at": at,
            "steps": [{"words": words(found.study, moment), "picture": _uri(_estimates(found.study, moment)),
                       "y": [found.shares(moment.signal).tolist()]} for moment in found.moments]}


def words(study: Study, moment: Moment) -> str:
    """A step in a few words."""
    step = moment.step
    left = f"noise {step.sigma:.2f} is left" if step.sigma > 0 else "no noise is left"
    return f"Step {step.index} of {step.total}: {left} in the second observation. Shown: {_SHAPED[study.toy]}."


def drawn(study: Study, found: Found | None, at: int = -1) -> PlotData:
    """Shares of the samples' signals after a step beside the exact ones."""
    x, model = list(study.model.bins), study.model
    own = [0.0] * len(x) if found is None else found.shares(found.moments[at].signal).tolist()
    exact = [] if found is None else study.answer.shares.tolist()
    traces = [charts.bar(i, name, x, shares) for i, (name, shares) in enumerate((("Samples", own),
                                                                                 ("Exact answer", exact)))]
    title = "Place on the blue line" if model.name == "shadows" else "Way of the motion"
    return charts.figure(traces, title, "Share", height=320, bargap=0.15)


def numbers(found: Found) -> str:
    """How the samples fit what was measured and the truth, as HTML."""
    study, answer = found.study, found.study.answer
    sign, unit = _UNITS[study.toy]
    told = ("given", "never given" if study.noise is None else f"given with noise {study.noise:g}", "never given")
    rows = [(title, f"{_degrees(study, fit.view):.3g}{sign}", how, "" if fit.miss is None else f"{fit.miss:.3f}",
             f"{fit.error:.3f}") for title, how, fit in zip(("First", "Second", "Halfway"), told, found.fits())]
    head = ("Observation", "Angle" if study.toy == "shadows" else "Time", "Part in the run",
            "Samples differ from the measured one by", "Samples differ from the true one by")
    compared = [("Spread", f"{found.spread:.3f}", f"{answer.spread:.3f}"),
                ("Distance from the truth", f"{found.error:.3f}", f"{answer.error:.3f}"),
                ("Share that lies elsewhere", f"{100 * found.moved:.0f} %", "0 %")]
    notes = [f"Observations are compared by root mean squares {unit}. A sample that is right misses what was measured "
             "by about its noise.",
             "Spread and distance are those of points in the plane." if study.toy == "shadows" else
             "Spread and distance are those of motions, in px per unit of time; of each sample's the one with the "
             "largest share.",
             "The exact answer is known because the law is. Of a few samples some lie elsewhere by chance.",
             _MADE[study.toy]]
    return (f"<div class='result'>{figures.table(head, rows)}"
            f"{figures.table(('', 'Samples', 'Exact answer'), compared)}{figures.bullets(notes)}</div>")


def _of_points(found: Found) -> list[tuple[str, list[tuple[str, str, list[str]]]]]:
    study, scene = found.study, found.study.scene
    given = [_shadow(scene.given.observation, scene.given.view)]
    second = ["never given", "the run draws it"] if study.second is None else [
        _shadow(study.second, scene.second.view), f"noise {study.noise:g}"]
    none = scene.truth[:0]
    count = f"{len(found.signal)} point{'' if len(found.signal) == 1 else 's'}"
    cells = [("Given shadow", _plane(study, none, none, axis=scene.given), given),
             ("Second shadow", _plane(study, none, none, axis=scene.second), second),
             ("Samples", _plane(study, found.signal, none), [count, f"spread {found.spread:.2f}"]),
             ("Truth", _plane(study, none, scene.truth),
              ["at " + ", ".join(f"{value:.2f}" for value in scene.truth[0].tolist())])]
    return [("", [(name, _uri(picture), words) for name, picture, words in cells])]


def _of_pictures(found: Found) -> list[tuple[str, list[tuple[str, str, list[str]]]]]:
    study, scene = found.study, found.study.scene
    time, half = float(scene.second.view), float(scene.between.view)
    empty = torch.zeros_like(scene.given.observation)
    second = ("Second picture", empty, ["never given", "the run draws it"]) if study.second is None else (
        "Second picture", study.second / (1 + study.noise), [f"time {time:g}", f"noise {study.noise:g}"])
    problem = [("First picture", scene.given.observation, ["time 0"]), second,
               ("True second picture", scene.second.observation, [_way(study, scene.truth)]),
               ("True picture halfway", scene.between.observation, [f"time {half:g}"])]
    signal = found.signal[:_SHOWN]
    render = study.model.render(scene, len(signal))
    rows = [("The problem", problem)]
    for title, view in ((f"Samples, time {time:g}", time), (f"The same halfway, time {half:g}", half)):
        pictures = render(signal, torch.full((len(signal), 1), view))
        rows.append((title, [(f"Sample {i + 1}", pictures[i:i + 1], [_way(study, signal[i:i + 1])])
                             for i in range(len(signal))]))
    return [(title, [(name, _uri(_grey(picture)), words) for name, picture, words in row]) for title, row in rows]


def _estimates(study: Study, moment: Moment) -> Image.Image:
    """What a step expects: the points, or the second pictures of the first few samples."""
    if study.toy == "shadows":
        return _plane(study, moment.signal, study.scene.truth)
    return _grey(moment.step.x0[:_SHOWN])


def _plane(study: Study, points: Tensor, truth: Tensor, axis: Seen | None = None) -> Image.Image:
    """The law, what the observations leave open, and points (B, 2). axis: a line on which a shadow falls; what follows
    from the other observation is left out."""
    picture = Image.new("RGB", (2 * _SIDE, 2 * _SIDE), _GROUND)
    pen = ImageDraw.Draw(picture, "RGBA")
    scene = study.scene
    if axis is not scene.given and study.second is not None:
        pen.polygon(_strip(study.second, scene.second.view, study.noise), fill=_GIVEN + "44")
    _dots(pen, study.model.law(), _LAW, 2)
    if axis is not None:
        pen.line(_strip(torch.zeros(1), axis.view + math.pi / 2, 0.0)[:2], fill=_AXIS, width=3)
    if axis is not scene.second:
        pen.line(_strip(scene.given.observation, scene.given.view, 0.0)[:2], fill=_GIVEN, width=4)
    if axis is scene.given:
        _dots(pen, scene.given.observation * shadows.direction(axis.view), _GIVEN, 11)
    _dots(pen, points, _SAMPLE + "88", 7)
    for x, y in _pixels(truth):
        for reach in (-14, 14):
            pen.line([(x - 14, y - reach), (x + 14, y + reach)], fill=_TRUTH, width=6)
    # Few colours make a quarter of the bytes, and every step is sent.
    return picture.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS).quantize(64, Image.Quantize.FASTOCTREE)


def _strip(seen: Tensor, view: Tensor, width: float) -> list[tuple[float, float]]:
    """Corners of what a shadow leaves open, `width` to each side of it."""
    along = shadows.direction(view)[0]
    across = torch.stack([-along[1], along[0]])
    corners = [(float(seen) + side * width) * along + end * 2 * _REACH * across
               for side, end in ((-1, -1), (-1, 1), (1, 1), (1, -1))]
    return _pixels(torch.stack(corners))


def _dots(pen: ImageDraw.ImageDraw, points: Tensor, colour: str, radius: int) -> None:
    for x, y in _pixels(points):
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def _pixels(points: Tensor) -> list[tuple[float, float]]:
    return [(_SIDE * (1 + x / _REACH), _SIDE * (1 - y / _REACH)) for x, y in points.tolist()]


def _grey(pictures: Tensor) -> Image.Image:
    """Pictures (B, 1, H, W) in [-1, 1], one or several in two columns, with sharp pixels."""
    tiles = [np.pad(tile, ((1, 1), (1, 1), (0, 0)), constant_values=_BETWEEN) for tile in viewer.to_pixels(pictures)]
    if len(tiles) > 1:
        tiles = [*tiles, *[np.full_like(tiles[0], _BETWEEN)] * (len(tiles) % 2)]
        whole = np.concatenate([np.concatenate(tiles[i:i + 2], 1) for i in range(0, len(tiles), 2)])
    else:
        whole = tiles[0][1:-1, 1:-1]
    scale = max(1, _SIDE // len(whole))
    return Image.fromarray(whole.repeat(scale, 0).repeat(scale, 1))


def _way(study: Study, signal: Tensor) -> str:
    dx, dy = study.model.points(signal)[0].tolist()
    name = study.model.bins[int(study.model.bin(study.scene, signal))]
    return f"{name}, {math.hypot(dx, dy):.1f} px per time"


def _shadow(seen: Tensor, view: Tensor) -> str:
    return f"{float(seen):.2f} at {math.degrees(float(view)):.0f}°"


def _degrees(study: Study, view: float) -> float:
    return math.degrees(view) if study.toy == "shadows" else view


def _uri(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=3)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
