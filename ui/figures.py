"""Arrays of a result as pictures and tables for the page."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.tasks.base import Array

# Anchors of the viridis scale (perceptually uniform, readable without colour vision), 0 to 1 in equal steps.
_VIRIDIS = np.array([(68, 1, 84), (71, 44, 122), (59, 81, 139), (44, 113, 142), (33, 144, 141), (39, 173, 129),
                     (92, 200, 99), (170, 220, 50), (253, 231, 37)], float)


def picture(values: np.ndarray) -> np.ndarray:
    """One picture (y, x, channel) as uint8 (y, x, 3); floats are taken as [0, 1]."""
    if values.dtype != np.uint8:
        values = (np.clip(np.nan_to_num(values), 0, 1) * 255).round().astype(np.uint8)
    values = values[..., None] if values.ndim == 2 else values
    return np.repeat(values, 3, -1) if values.shape[-1] == 1 else values[..., :3]


def pictures(array: Array) -> list[np.ndarray]:
    """The samples of an array as uint8 pictures; an array without a sample axis gives one."""
    values = array.values if "sample" in array.axes else array.values[None]
    return [picture(sample) for sample in values]


def spread_map(array: Array) -> tuple[np.ndarray, float]:
    """A spread (y, x) or (y, x, channel) in viridis colours, and the value that the brightest colour stands for."""
    values = np.nan_to_num(np.asarray(array.values, float))
    if "sample" in array.axes:
        values = values.mean(array.axes.index("sample"))
    values = values.mean(-1) if values.ndim == 3 else values
    top = float(values.max())
    place = values / top * (len(_VIRIDIS) - 1) if top > 0 else values
    low = np.floor(place).astype(int).clip(0, len(_VIRIDIS) - 2)
    part = (place - low)[..., None]
    colours = _VIRIDIS[low] * (1 - part) + _VIRIDIS[low + 1] * part
    return colours.round().astype(np.uint8), top


def number(value: Any) -> str:
    """A number at reading precision, other values as text."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ")
    return f"{value:.2f}" if abs(value) >= 10 else f"{value:.4g}"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """An HTML table; every cell is escaped."""
    titles = "".join(f"<th scope='col'>{html.escape(title)}</th>" for title in head)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(number(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    body = f"<thead><tr>{titles}</tr></thead><tbody>{lines}</tbody>"
    return f"<div class='scroll'><table class='plain'>{body}</table></div>"


def pairs(entries: Mapping[str, Any]) -> str:
    """A list of named values as HTML; names and values are escaped."""
    lines = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(number(entry))}</dd>"
                    for name, entry in entries.items())
    return f"<dl class='pairs'>{lines}</dl>"


def bullets(lines: Sequence[str], kind: str = "notes") -> str:
    """A plain list as HTML, escaped; nothing for no lines."""
    return f"<ul class='{kind}'>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>" if lines else ""
