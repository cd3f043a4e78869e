"""What a finished run shows: before and after, all samples, numbers, notes and files."""

from collections.abc import Mapping
from typing import Any

import gradio as gr
from gradio.components import Component

from engine.tasks.base import Array, Result
from ui import figures

_PLACED = {"input", "mean", "reference"}
"""Pictures that have a place of their own; a task's further ones stand at the end of the gallery."""


class ResultView:
    """The result part of a tab; hidden until there is one. Build it where it should stand.

    components: what `show` updates.
    """

    def __init__(self, name: str):
        with gr.Column(visible=False, elem_classes="result", elem_id=f"{name}-result") as self.box:
            self.title = gr.HTML(padding=False)
            lossless = {"format": "png", "interactive": False, "show_label": False, "buttons": ["fullscreen"]}
            self.slider = gr.ImageSlider(label="Before and after", max_height=460, elem_id=f"{name}-slider", **lossless)
            self.gallery = gr.Gallery(label="Samples", columns=4, object_fit="contain", height="auto", visible=False,
                                      elem_id=f"{name}-samples", **lossless)
            self.numbers = gr.HTML(padding=False)
            self.files = gr.File(label="Files: pictures carry their settings", file_count="multiple", interactive=False,
                                 elem_id=f"{name}-files")
        self.components: list[Component] = [self.box, self.title, self.slider, self.gallery, self.numbers, self.files]

    def show(self, result: Result, files: list[str], inputs: Mapping[str, Any]) -> dict[Component, Any]:
        """Updates that fill the view. inputs: what the task was given."""
        samples = figures.pictures(result.arrays["samples"])
        before = figures.pictures(result.arrays["input"])[0] if "input" in result.arrays else samples[0]
        what = f"first of {len(samples)} samples" if len(samples) > 1 else "result"
        title = f"<h2>Before and after</h2><p>Left the input, right the {what}.</p>"
        gallery = _gallery(result, samples)
        return {self.box: gr.update(visible=True), self.title: title,
                self.slider: gr.update(value=(before, samples[0]), visible=before.shape == samples[0].shape),
                self.gallery: gr.update(value=gallery, visible=len(gallery) > 1),
                self.numbers: _numbers(result), self.files: files}


def _gallery(result: Result, samples: list[Any]) -> list[tuple[Any, str]]:
    entries = [(sample, f"Sample {i}") for i, sample in enumerate(samples, 1)] if len(samples) > 1 else []
    if entries and "mean" in result.arrays:
        entries.append((figures.pictures(result.arrays["mean"])[0], "Mean"))
    if entries and "spread" in result.arrays:
        entries.append((figures.spread_map(result.arrays["spread"])[0], "Spread"))
    further = [(figures.pictures(array)[0], name.capitalize()) for name, array in result.arrays.items()
               if name not in _PLACED and array.axes == ("y", "x", "channel")]
    if further or "reference" in result.arrays:
        entries = entries or [(samples[0], "Result")]
    if "reference" in result.arrays:
        entries = [(figures.pictures(result.arrays["reference"])[0], "Reference"), *entries]
    return entries + further


def _numbers(result: Result) -> str:
    rows = {name: float(value) for name, value in result.metrics.items()}
    title = "Against the clean reference" if "reference" in result.arrays else "Measured"
    measured = f"<h3>{title}</h3>" + figures.pairs(rows) if rows else ""
    legend = _legend(result.arrays["spread"]) if "spread" in result.arrays else ()
    return measured + figures.bullets([*legend, *result.notes])


def _legend(spread: Array) -> tuple[str, ...]:
    top = figures.spread_map(spread)[1]
    return (f"Spread is the standard deviation over the samples. Yellow is {figures.number(top)} {spread.unit}, "
            "violet is none.",) if top > 0 else ()
