"""What a finished arrangement shows: both jaws in 3-D from before to after, tables, notes and files."""

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from engine.tasks.base import Result
from ui.assets import web
from ui.points import TEETH_VIEWS, turned
from ui.teeth import facts, scene


def script(*names: str) -> str:
    """These scripts of assets/web after those that draw teeth, and the views that get a button."""
    return turned(TEETH_VIEWS, "teeth_paint.js", "teeth_stage.js", *names)


class ArrangementView:
    """The result part of a tab; hidden until there is one. Build it where it should stand.

    components: what `show` updates. The result's arrays are those of the task "teeth".
    """

    def __init__(self, name: str):
        with gr.Column(visible=False, elem_classes="result", elem_id=f"{name}-result") as self.box:
            gr.HTML(f"<h2>Proposed arrangement</h2><p>{facts.NOTICE}</p>", padding=False)
            self.view = gr.HTML(None, html_template=web("teeth_view.html"), apply_default_css=False, padding=False,
                                js_on_load=script("teeth_track.js", "teeth_view.js"), elem_id=f"{name}-arrangement")
            self.facts = gr.HTML(padding=False, elem_classes="teeth-facts", elem_id=f"{name}-facts")
            self.files = gr.File(label="Files: the JSON holds the settings", file_count="multiple", interactive=False,
                                 elem_id=f"{name}-files")
        self.components: list[Component] = [self.box, self.view, self.facts, self.files]

    def show(self, result: Result, files: list[str], inputs: Mapping[str, Any]) -> dict[Component, Any]:
        """Updates that fill the view. inputs: what the task was given."""
        parts = (part(result) for part in (facts.facts, facts.contacts, facts.stages, facts.measured))
        return {self.box: gr.update(visible=True), self.view: scene.of_result(result), self.files: files,
                self.facts: "".join(f"<section>{part}</section>" for part in parts)}
