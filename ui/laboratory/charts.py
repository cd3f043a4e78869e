"""Charts as the page's own plotly draws them: plain JSON, so that nothing is validated twice and no colour is forced.

Text and grid take the page's colours from its style sheet; traces differ by marker and dash as well as by colour.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import gradio as gr
from gradio.components.plot import PlotData

COLOURS = ("#2a8fa0", "#d8703c", "#7a6fd0", "#b0932b", "#3f9a56", "#c2558f", "#6f8797", "#c24444")
"""Readable on white and on the dark ground (contrast above 3)."""
_SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "star", "x", "hexagon")
_DASHES = ("solid", "dash", "dot", "dashdot")
_CONFIG = {"displayModeBar": False, "scrollZoom": False}
Trace = dict[str, Any]


def chart(elem_id: str, label: str, start: PlotData | None = None) -> gr.Plot:
    """A place for a chart; its value is what `figure` gives."""
    return gr.Plot(start, label=label, show_label=False, elem_id=elem_id, elem_classes="chart", container=True)


def figure(traces: Sequence[Trace], x: str, y: str, *, log: str = "", height: int = 420,
           reach: tuple[float, float] | None = None, **layout: Any) -> PlotData:
    """The traces over axes with these titles. log: "x", "y", "xy" or "" for logarithmic axes, with few round ticks.

    reach: lowest and highest value of the vertical axis, which then stays as it is when the page changes the traces.
    """
    plain = {"zeroline": False, "linecolor": "#8a96a0", "ticks": "outside", "tickcolor": "#8a96a0"}
    whole = {"xaxis": plain | _axis(x, "x" in log, [value for trace in traces for value in trace["x"]]),
             "yaxis": plain | _axis(y, "y" in log, reach or [value for trace in traces for value in trace["y"]]),
             "height": height, "paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)",
             "margin": {"l": 72, "r": 14, "t": 14, "b": 54}, "font": {"size": 13, "family": "system-ui, sans-serif"},
             "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}, "showlegend": True,
             "uirevision": "keep", "dragmode": False, **layout}
    if reach:
        whole["yaxis"]["range"] = [math.log10(value) if "y" in log else value for value in reach]
    return PlotData(type="plotly", plot=json.dumps({"data": list(traces), "layout": whole, "config": _CONFIG}))


def line(number: int, name: str, x: Sequence[float | str], y: Sequence[float | None], **more: Any) -> Trace:
    """A line with markers, distinct by its number."""
    return {"type": "scatter", "mode": "lines+markers", "name": name, "x": list(x), "y": [_known(v) for v in y],
            "marker": {"symbol": _SYMBOLS[number % len(_SYMBOLS)], "size": 8, "color": COLOURS[number % len(COLOURS)]},
            "line": {"dash": _DASHES[number // len(COLOURS) % len(_DASHES)], "width": 2,
                     "color": COLOURS[number % len(COLOURS)]}, **more}


def bar(number: int, name: str, x: Sequence[float | str], y: Sequence[float]) -> Trace:
    """One layer of stacked bars (with `barmode="stack"` in the layout)."""
    pattern = ("", "/", ".", "x")[number % 4]
    return {"type": "bar", "name": name, "x": list(x), "y": [_known(v) for v in y],
            "marker": {"color": COLOURS[number % len(COLOURS)],
                       "pattern": {"shape": pattern, "size": 6, "fillmode": "overlay"}}}


def _axis(title: str, log: bool, values: Sequence[float | str | None]) -> Mapping[str, Any]:
    axis: dict[str, Any] = {"title": {"text": title, "font": {"size": 13}, "standoff": 12}, "automargin": True,
                            "type": "log" if log else "linear"}
    known = [value for value in values if value is not None and value > 0] if log else []
    if not known:
        return axis
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    # Up to two decades are read at 1, 2, 5; more at their powers of ten.
    factors = (1, 2, 5) if high - low < 3 else (1,)
    ticks = [factor * 10.0**power for power in range(low, high + 1) for factor in factors]
    return axis | {"tickvals": ticks, "ticktext": [_tick(tick) for tick in ticks], "tickangle": 0}


def _tick(value: float) -> str:
    return f"{value:g}" if 0.001 <= value < 10_000 else f"10<sup>{round(math.log10(value))}</sup>"


def _known(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
