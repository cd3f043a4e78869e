"""What a finished forecast shows: maps of the ensemble to look into, a place over time, skill, numbers and files."""

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from engine.tasks.base import Result
from engine.tasks.forecast import coast
from ui import figures
from ui.assets import web
from ui.forecast import pack

_PARTS = ("_data", "_lines", "_map", "_charts", "_layers", "_place", "_skill", "")
SCRIPTS = tuple(f"forecast{part}.js" for part in _PARTS)
"""They make one script; the last one starts it."""
NOTICE = "Experimental, not a weather warning."


class ForecastView:
    """The result part of a tab; hidden until there is one. Build it where it should stand.

    components: what `show` updates.
    """

    def __init__(self, name: str):
        with gr.Column(visible=False, elem_classes="result", elem_id=f"{name}-result") as self.box:
            self.title = gr.HTML(padding=False)
            self.view = gr.HTML(None, html_template=web("forecast.html"), js_on_load="".join(map(web, SCRIPTS)),
                                apply_default_css=False, elem_id=f"{name}-map", padding=False)
            self.numbers = gr.HTML(padding=False, elem_id=f"{name}-numbers")
            self.files = gr.File(label="Files: the NetCDF holds all members and the settings", file_count="multiple",
                                 interactive=False, elem_id=f"{name}-files")
        self.components: list[Component] = [self.box, self.title, self.view, self.numbers, self.files]

    def show(self, result: Result, files: list[str], inputs: Mapping[str, Any]) -> dict[Component, Any]:
        """Updates that fill the view. inputs: what the task was given, a field as "field"."""
        message = pack.message(result)
        # Numbers without a unit are no weather of the earth.
        lines = coast.lines(message["lat"], message["lon"]) if message["unit"] != "1" else []
        invented = inputs.get("field") is None
        shown = message | {"coast": [line.round(2).tolist() for line in lines], "invented": invented}
        metrics = "<h3>Numbers</h3>" + figures.pairs(result.metrics) if result.metrics else ""
        notes = [*result.notes, *filter(None, [message["thinned"]])]
        return {self.box: gr.update(visible=True), self.title: _title(result, invented), self.view: shown,
                self.numbers: metrics + figures.bullets(notes), self.files: files}


def _title(result: Result, invented: bool) -> str:
    members, leads = result.arrays["members"].values.shape[:2]
    counted = f"{members} member{'' if members == 1 else 's'}, {leads} lead time{'' if leads == 1 else 's'}"
    start = " from an invented start" if invented else ""
    return f"<h2>Forecast</h2><p>{counted}{start}. <strong>{NOTICE}</strong></p>"
