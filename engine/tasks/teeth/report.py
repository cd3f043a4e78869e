"""One page about an arrangement, as HTML with everything inside: pictures, movements, measurements, how it was made."""

import base64
import io
from collections.abc import Sequence
from html import escape

import numpy as np

from engine.tasks.base import Result
from engine.tasks.teeth import anatomy
from engine.tasks.teeth.dentition import Teeth
from engine.tasks.teeth.movement import QUANTITIES
from engine.tasks.teeth.rendering import Surface, picture

NOTICE = "Research use, not for treatment."
_SIDE, _ARCH = (96, 264), (248, 264)
_VIEWS = {"right": ("Right", _SIDE), "front": ("Front", _SIDE), "left": ("Left", _SIDE), "upper": ("Upper arch", _ARCH),
          "lower": ("Lower arch", _ARCH)}
_MM_PER_PX = 0.27
_PAPER = (255, 255, 255)
_MOST_FACES, _CELL_MM = 60_000, 0.5
_STYLE = """
@page { size: A4; margin: 9mm }
body { font: 8pt/1.25 system-ui, sans-serif; color: #111; background: #fff; max-width: 192mm; margin: 4mm auto }
header { display: flex; justify-content: space-between; align-items: center }
h1 { font-size: 13pt; margin: 0 } h2 { font-size: 9pt; margin: 2mm 0 .5mm }
.notice { font-weight: 700; border: 1px solid #111; padding: .5mm 2mm; margin: 0 }
.halves { display: grid; grid-template-columns: 1fr 1fr; gap: 0 5mm }
.pictures { display: grid; grid-template-columns: repeat(6, 1fr); gap: 0 1mm }
figure { margin: 0; grid-column: span 2; text-align: center; font-size: 7pt } figure.arch { grid-column: span 3 }
img { width: 100%; display: block } figure.arch img { width: 72%; margin: auto }
table { border-collapse: collapse; width: 100%; font-size: 7pt }
th, td { padding: 0 1mm; border-bottom: 1px solid #ccc; white-space: nowrap; text-align: left }
td + td, th + th { text-align: right } small { color: #444 } ul { margin: 0; padding-left: 4mm }
code { font-size: 5.5pt; overflow-wrap: anywhere }
"""


def page(before: Teeth, after: Teeth, result: Result) -> bytes:
    """The report of one patient; `before` and `after` keep their meshes. Prints on one page of A4."""
    arrays = {name: array.values for name, array in result.arrays.items()}
    parts = [f'<header><h1>Tooth arrangement</h1><p class="notice">{NOTICE}</p></header>', _pictures(before, after),
             "<h2>Movement of each tooth</h2>", _movements(arrays), '<div class="halves"><div><h2>Measurements</h2>',
             _facts(arrays), "</div><div><h2>Summary</h2>", _summary(result), _notes(result.notes),
             f"<p><code>{escape(result.recipe.write())}</code></p></div></div>"]
    return ("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Tooth arrangement</title>"
            f"<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n").encode()


def _pictures(before: Teeth, after: Teeth) -> str:
    halves = []
    centre = before.centres[0][before.present[0]].mean(0).double().numpy()
    for teeth, when in ((before, "Before"), (after, "After")):
        jaws = {jaw: [thinned(one) for one in teeth.meshes(0, jaw=jaw)] for jaw in ("upper", "lower")}
        figures = []
        for view, (title, size) in _VIEWS.items():
            shown = jaws.get(view, [*jaws["upper"], *jaws["lower"]])
            pixels = picture(shown, view, size, centre, _MM_PER_PX, _PAPER) if shown else np.full((*size, 3), 255, "u1")
            figures.append(f'<figure{" class=arch" if size == _ARCH else ""}><img alt="{title}, {when.lower()}" '
                           f'src="data:image/png;base64,{_png(pixels)}">{title}</figure>')
        halves.append(f'<div><h2>{when}</h2><div class="pictures">{"".join(figures)}</div></div>')
    return f'<div class="halves">{"".join(halves)}</div>'


def thinned(surface: Surface, most: int = _MOST_FACES // 32) -> Surface:
    """The surface with about so many triangles at most: vertices in one cell of a grid become one, coarser as needed.
    """
    cell = _CELL_MM
    while len(surface.faces) > most:
        _, inverse, counts = np.unique(np.floor(surface.vertices / cell), axis=0, return_inverse=True,
                                       return_counts=True)
        middle = np.zeros((len(counts), 3))
        np.add.at(middle, inverse.ravel(), surface.vertices)
        faces = inverse.ravel()[surface.faces]
        whole = (faces != np.roll(faces, 1, axis=1)).all(1)
        surface = Surface(middle / counts[:, None], faces[whole], surface.colour)
        cell *= 1.3
    return surface


def _png(pixels: np.ndarray) -> str:
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(pixels).convert("P", palette=Image.Palette.ADAPTIVE, colors=64).save(out, "PNG", optimize=True)
    return base64.b64encode(out.getvalue()).decode()


def _movements(arrays: dict[str, np.ndarray]) -> str:
    heads = ["Tooth", *(f"{name.removesuffix(f' {unit}').capitalize()} ({unit})" for name, unit in QUANTITIES.items())]
    rows = []
    for fdi, values, spread in zip(arrays["fdi"].tolist(), arrays["movement"], arrays["movement_spread"]):
        cells = [_number(value, "mm" not in unit, not name.startswith("total"))
                 + (f" <small>± {around:.1f}</small>" if np.isfinite(around) else "")
                 for value, around, (name, unit) in zip(values, spread, QUANTITIES.items())]
        rows.append([f"{fdi} <small>{escape(anatomy.name_of(fdi))}</small>", *cells])
    return _table(heads, rows)


def _facts(arrays: dict[str, np.ndarray]) -> str:
    rows = [[escape(f"{name} ({unit})"), _number(before), _number(after)] for name, unit, (before, after)
            in zip(arrays["fact_names"].tolist(), arrays["fact_units"].tolist(), arrays["facts"])]
    return _table(["Measurement", "Before", "After"], rows)


def _summary(result: Result) -> str:
    return _table(["Figure", "Value"], [[escape(name), f"{value:g}"] for name, value in result.metrics.items()])


def _notes(notes: Sequence[str]) -> str:
    return f"<h2>Notes</h2><ul>{''.join(f'<li>{escape(note)}</li>' for note in notes)}</ul>" if notes else ""


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; heads are texts, cells are HTML."""
    head = "".join(f"<th>{escape(text)}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _number(value: float, coarse: bool = True, signed: bool = False) -> str:
    """One digit after the point where `coarse`, else two; a dash for what is not known."""
    if not np.isfinite(value):
        return "–"
    return f"{value:{'+' if signed else ''}.{1 if coarse else 2}f}".replace("-", "−")
