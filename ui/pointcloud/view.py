"""What a finished run shows: the clouds side by side, and the sketch that the model saw."""

import base64
import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from gradio.components import Component
from PIL import Image

from engine.tasks.base import Result
from ui.pointcloud.entry import PARTS
from ui.points import SHAPE_VIEWS
from ui.points_view import PointsView

USE = "Use as my cloud"


class CloudView(PointsView):
    """The result part of a tab; see `ui.points_view.PointsView`, which does the work."""

    def __init__(self, name: str):
        super().__init__(name, SHAPE_VIEWS, together=True, use=USE)

    def show(self, result: Result, files: list[str], inputs: Mapping[str, Any]) -> dict[Component, Any]:
        """Updates that fill the view. inputs: what the task was given."""
        updates = super().show(result, files, inputs)
        if result.recipe.options.get("mode") == PARTS:
            updates[self.cloud] |= {"paint": "part"}
        return updates

    def heading(self, result: Result) -> str:
        """The title with the sketch of 64 x 64 pixels beside it, where there was one."""
        title = super().heading(result)
        if "sketch" not in result.arrays:
            return title
        sketch = result.arrays["sketch"].values
        words = f"The sketch as the model saw it, {sketch.shape[1]} x {sketch.shape[0]} pixels"
        return (f"<div class='cloud-title'><div>{title}</div><figure><figcaption>{words}</figcaption>"
                f"<img src='{_uri(255 - sketch)}' alt='{words}'></figure></div>")


def _uri(pixels: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
