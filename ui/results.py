"""What a finished run shows: before and after, all samples, numbers, notes and files."""

from typing import Any

import gradio as gr
from gradio.components import Component

from engine.tasks.base import Result
from ui import figures


class ResultView:
    """The result part of a tab; hidden until there is one. Build it where it should stand."""

    def __init__(self, name: str):
        with gr.Column(visible=False, elem_classes="result", elem_id=f"{name}-result") as self.box:
            self.title = gr.HTML(padding=False)
            self.slider = gr.ImageSlider(show_label=False, label="Before and after", format="png", interactive=False, max_height=460,
                                         buttons=["fullscreen"], elem_id=f"{name}-slider")
            self.gallery = gr.Gallery(label="Samples", format="png", columns=4, object_fit="contain", visible=False,
                                      interactive=False, buttons=["fullscreen"], height="auto", elem_id=f"{name}-samples")
            self.numbers = gr.HTML(padding=False)
            self.files = gr.File(label="Files: pictures carry their settings", file_count="multiple", interactive=False,
                                 elem_id=f"{name}-files")

    def show(self, result: Result, files: list[str]) -> dict[Component, Any]:
        """Updates that fill the view."""
        samples = figures.pictures(result.arrays["samples"])
        after = samples[0]
        before = figures.pictures(result.arrays["input"])[0] if "input" in result.arrays else after
        what = f"first of {len(samples)} samples" if len(samples) > 1 else "result"
        gallery = _gallery(result, samples)
        return {self.box: gr.update(visible=True), self.title: f"<h2>Before and after</h2><p>Left the input, right the {what}.</p>",
                self.slider: gr.update(value=(before, after), visible=before.shape == after.shape),
                self.gallery: gr.update(value=gallery, visible=len(gallery) > 1),
                self.numbers: _numbers(result), self.files: files}


def _gallery(result: Result, samples: list[Any]) -> list[tuple[Any, str]]:
    entries = [(sample, f"Sample {i}") for i, sample in enumerate(samples, 1)] if len(samples) > 1 else []
    if entries and "mean" in result.arrays:
        entries.append((figures.pictures(result.arrays["mean"])[0], "Mean"))
    if entries and "spread" in result.arrays:
        colours, top = figures.spread_map(result.arrays["spread"])
        unit = result.arrays["spread"].unit
        entries.append((colours, f"Spread, yellow = {figures.number(top)}{' ' + unit if unit else ''}"))
    if "reference" in result.arrays:
        clean = figures.pictures(result.arrays["reference"])[0]
        entries = [(clean, "Reference"), *(entries or [(samples[0], "Result")])]
    return entries


def _numbers(result: Result) -> str:
    rows = {name: float(value) for name, value in result.metrics.items()}
    measured = "<h3>Against the clean reference</h3>" + figures.pairs(rows) if rows else ""
    return measured + figures.bullets(result.notes)
