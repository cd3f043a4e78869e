"""What a finished run of a task with point clouds shows: the clouds to turn, the model, numbers, notes and files."""

import colorsys
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component
from gradio.components.plot import PlotData
from gradio.events import Dependency

from engine.tasks.base import Array, Result
from ui import figures
from ui.assets import web
from ui.events import QUIET
from ui.points import SHAPE_VIEWS, View, even, packed, script, unpacked

MOST_POINTS = 8 * 8192
"""Points of all samples that the page gets; files hold all."""
PLOTLY_POINTS = 4096
"""Points of one sample that Plotly draws: without a GPU it takes about a second for 4000."""
# Okabe and Ito's colours, which most people with a colour vision deficiency tell apart; black and yellow are softened.
_PARTS = ((0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167), (86, 180, 233), (213, 94, 0), (216, 200, 60),
          (96, 104, 112))

# Between the two themes, so that white and black models stand out in both.
_BEHIND_MODEL = (0.42, 0.47, 0.5, 1.0)
_BEHIND_PLOT = "rgb({},{},{})".format(*(round(255 * c) for c in _BEHIND_MODEL[:3]))
_MENU = {"x": 0.01, "xanchor": "left", "y": 0.99, "yanchor": "top", "bgcolor": "#e9edef", "font": {"color": "#1f2a30"}}


def _renderers() -> list[str]:
    return sorted(path.name for path in (Path(gr.__file__).parent / "templates/frontend/assets").glob("Canvas3D-*.js"))


_RENDERER_FIRST = f"""async (...values) => {{
  for (const name of {_renderers()}) await import(`${{window.gradio_config.root}}/assets/${{name}}`).catch(() => {{}});
  return values;
}}"""
_NAMED = re.compile(r"([a-z]+)-(\d+)\.glb$", re.IGNORECASE)
_CLOUD_FILE = "shape-{}.ply"


class PointsView:
    """The result part of a tab; hidden until there is one. Build it where it should stand.

    components: what `show` updates. views: the directions that get a button. together: all samples stand side by side
    at first, and turn together. use: words of a button for each sample; pressing one is an event of `cloud`, which
    `used` connects.

    Of the result's arrays it shows "points" (sample, point, axis) in about [-1, 1], x right, y up, z to the viewer, and
    where they exist "colours" (sample, point, channel) uint8 and "parts" (sample, point) of whole numbers, at most 256
    different ones. "part_names" (part,) of text names part 0, 1 and so on; without it parts go by their numbers.
    """

    def __init__(self, name: str, views: Sequence[View] = SHAPE_VIEWS, together: bool = False, use: str = ""):
        self._looks = {"together": together, "use": use}
        with gr.Column(visible=False, elem_classes="result", elem_id=f"{name}-result") as self.box:
            self.title = gr.HTML(padding=False)
            self.cloud = gr.HTML(None, html_template=web("cloud.html"), js_on_load=script("cloud.js", views),
                                 apply_default_css=False, elem_id=f"{name}-shapes")
            with gr.Accordion("Look at the model (GLB)", open=False, visible=False,
                              elem_id=f"{name}-solid") as self.solid:
                self.which = gr.Radio(label="Which model", elem_id=f"{name}-which")
                self.model = gr.Model3D(show_label=False, height=380, interactive=False, clear_color=_BEHIND_MODEL,
                                        elem_id=f"{name}-glb")
            with gr.Accordion("Look closer with Plotly", open=False, elem_id=f"{name}-closer") as self.closer:
                self.plot = gr.Plot(show_label=False, elem_id=f"{name}-plot")
            self.numbers = gr.HTML(padding=False)
            self.files = gr.File(label="Files: the JSON holds the settings", file_count="multiple", interactive=False,
                                 elem_id=f"{name}-files")
        self.components: list[Component] = [self.box, self.title, self.cloud, self.solid, self.which, self.model,
                                            self.closer, self.plot, self.numbers, self.files]
        # Both are heavy in the browser, so they are built when opened, from what the page has: the server keeps no
        # results. (gradio 6.31's Model3D stays empty when its value comes again, as it may, while its renderer is still
        # being fetched; so that is fetched first.)
        shown = {"fn": model, "inputs": [self.files, self.which], "outputs": self.model}
        self.solid.expand(**shown, js=_RENDERER_FIRST, **QUIET)
        self.which.input(**shown, trigger_mode="always_last", **QUIET)
        self.closer.expand(plot, self.cloud, self.plot, **QUIET)

    def show(self, result: Result, files: list[str], inputs: Mapping[str, Any]) -> dict[Component, Any]:
        """Updates that fill the view. inputs: what the task was given."""
        found = [model_name(path) for path in models(files)]
        which = gr.update(choices=[(name, i) for i, name in enumerate(found)], value=0, visible=len(found) > 1)
        return {self.box: gr.update(visible=True), self.title: self.heading(result),
                self.cloud: clouds(result) | self._looks, self.solid: gr.update(open=False, visible=bool(found)),
                self.which: which, self.model: None, self.closer: gr.update(open=False), self.plot: None,
                self.numbers: _numbers(result), self.files: files}

    def heading(self, result: Result) -> str:
        """What stands above the clouds, as HTML."""
        return _title(result.arrays["points"])

    def used(self, handle: Callable[..., Any], inputs: Sequence[Component], outputs: Sequence[Component]) -> Dependency:
        """Call handle(cloud, path, *inputs) when the button of a sample is pressed. cloud: `packed`, as the page has
        it; path: the PLY file with all points where the page has only some, else None."""

        def call(pressed: gr.EventData, value: Any, files: list[str] | None, *given: Any) -> Any:
            name = _CLOUD_FILE.format(pressed.index + 1)
            path = next((path for path in files or () if path.endswith(name)), None) if value["thinned"] else None
            return handle(value["samples"][pressed.index], path, *given)

        return self.cloud.select(call, [self.cloud, self.files, *inputs], outputs, **QUIET)


def clouds(result: Result) -> dict[str, Any]:
    """The result's clouds as the script takes them, evenly thinned to MOST_POINTS in all."""
    points = result.arrays["points"].values
    seen = even(points.shape[1], MOST_POINTS // len(points))
    colours, parts = (result.arrays[name].values[:, seen] if name in result.arrays else [None] * len(points)
                      for name in ("colours", "parts"))
    legend = []
    if "parts" in result.arrays:
        numbers, parts = _counted(parts)
        legend = [{"name": part_name(result, number), "rgb": part_colour(i)} for i, number in enumerate(numbers)]
    samples = [packed(*sample) for sample in zip(points[:, seen], colours, parts)]
    return {"samples": samples, "parts": legend, "thinned": len(seen) < points.shape[1]}


def models(files: Sequence[str] | None) -> list[str]:
    """The GLB files, the only model format that the page shows without fetching anything."""
    return [path for path in files or () if path.lower().endswith(".glb")]


def model(files: Sequence[str] | None, which: int | None = 0) -> str | None:
    """The GLB file with this place among them, None where there is none."""
    return dict(enumerate(models(files))).get(which or 0)


def model_name(path: str) -> str:
    """A file's name for people: "Surface 2" of ".../task-0123-surface-2.glb"."""
    named = _NAMED.search(path)
    return f"{named[1].capitalize()} {named[2]}" if named else "Model"


def _counted(parts: np.ndarray) -> tuple[list[int], np.ndarray]:
    numbers, places = np.unique(parts, return_inverse=True)
    assert len(numbers) <= 256, len(numbers)
    return numbers.tolist(), places.reshape(parts.shape)


def part_name(result: Result, number: int) -> str:
    """The name of a part, from "part_names" where it has one."""
    names = result.arrays["part_names"].values if "part_names" in result.arrays else ()
    return str(names[number]) if 0 <= number < len(names) else f"Part {number}"


def part_colour(index: int) -> list[int]:
    """A colour for each part: eight that are easily told apart, then hues as far as possible from the last ones."""
    if index < len(_PARTS):
        return list(_PARTS[index])
    golden = 0.618034 * index % 1
    return [round(255 * c) for c in colorsys.hls_to_rgb(golden, (0.42, 0.62)[index % 2], 0.55)]


def plot(value: Any) -> PlotData | None:
    """The clouds that the page holds as a Plotly figure; None for anything else. One button for each sample."""
    try:
        traces = [_trace(*unpacked(sample), i) for i, sample in enumerate(value["samples"])]
    except (KeyError, TypeError, ValueError):
        return None
    hidden = {"visible": False}
    camera = {"up": {"x": 0, "y": 1, "z": 0}, "eye": {"x": 1.1, "y": 0.7, "z": 1.6}}
    scene = {"aspectmode": "data", "xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "camera": camera}
    layout = {"height": 460, "margin": {"l": 0, "r": 0, "t": 0, "b": 0}, "uirevision": "keep", "showlegend": False,
              "paper_bgcolor": _BEHIND_PLOT, "scene": scene}
    if len(traces) > 1:
        layout["updatemenus"] = [_MENU | {"buttons": [_button(i, len(traces)) for i in range(len(traces))]}]
    figure = {"data": traces, "layout": layout, "config": {"displaylogo": False}}
    return PlotData(type="plotly", plot=json.dumps(figure))


def _trace(points: np.ndarray, colours: np.ndarray | None, parts: np.ndarray | None, index: int) -> dict[str, Any]:
    seen = even(len(points), PLOTLY_POINTS)
    seen = seen[np.isfinite(points[seen]).all(-1)]
    x, y, z = points[seen].round(4).T.tolist()
    if colours is not None:
        paint = [f"rgb({r},{g},{b})" for r, g, b in colours[seen].tolist()]
    elif parts is not None:
        paint = ["rgb({},{},{})".format(*part_colour(part)) for part in parts[seen].tolist()]
    else:
        paint = y
    marker = {"size": 2.5, "color": paint, "colorscale": "Viridis"}
    return {"type": "scatter3d", "mode": "markers", "x": x, "y": y, "z": z, "marker": marker, "visible": index == 0,
            "name": f"Sample {index + 1}", "hovertemplate": "x %{x:.2f}, y %{y:.2f}, z %{z:.2f}<extra></extra>"}


def _button(shown: int, count: int) -> dict[str, Any]:
    visible = [index == shown for index in range(count)]
    return {"label": f"Sample {shown + 1}", "method": "restyle", "args": ["visible", visible]}


def _title(points: Array) -> str:
    samples, count = points.values.shape[:2]
    thinned = len(even(count, MOST_POINTS // samples))
    words = f"{count} points" if samples == 1 else f"{samples} samples of {count} points"
    less = f" {thinned} of each are drawn; the files hold all." if thinned < count else ""
    return f"<h2>Finished shape{'s' if samples > 1 else ''}</h2><p>{words}.{less}</p>"


def _numbers(result: Result) -> str:
    rows = {name: float(value) for name, value in result.metrics.items()}
    return ("<h3>Measured</h3>" + figures.pairs(rows) if rows else "") + figures.bullets(result.notes)
