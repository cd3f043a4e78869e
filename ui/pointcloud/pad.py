"""The drawing pad: strokes stay in the page and travel as one PNG when a run starts; sketches can be put on it."""

import base64
import binascii
import io
import secrets
from collections.abc import Mapping
from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from engine.errors import InputError
from engine.io import inputs
from engine.io.sketches import Sketch
from engine.runtime.settings import limits
from engine.tasks.base import InputSpec
from ui.assets import web
from ui.picture_input import PICTURES
from ui.pointcloud.offers import Box, checked, constants

_PREFIX = "data:image/png;base64,"
_MOST_CHARACTERS = 2_000_000
"""Of a drawing on its way; a pad full of scribbles has a tenth of it."""


def pad(value: Box | None, spec: InputSpec, elem_id: str, **more: Any) -> gr.HTML:
    """The component. Values: `laid`; what comes back is for `offered` and `sketch_of`."""
    script = constants(spec, PICTURES, limits().image_bytes) + web("offer.js") + web("sketch.js")
    return gr.HTML(value, html_template=web("sketch.html"), js_on_load=script, apply_default_css=False,
                   elem_id=elem_id, padding=False, **more)


def laid(sketch: Sketch | None) -> Box:
    """The pad's value that puts a sketch on it in place of the drawing, None an empty sheet."""
    # A value is taken over once, so each one is marked as new.
    return {"ink": "" if sketch is None else _PREFIX + base64.b64encode(_png(sketch.ink)).decode(),
            "fresh": secrets.token_hex(6), "note": "" if sketch is None else " ".join(sketch.notes), "error": ""}


def offered(payload: Any, spec: InputSpec) -> Box:
    """The pad's value after a picture file was offered."""
    return checked(payload, spec, laid)


def sketch_of(payload: Any, spec: InputSpec) -> Sketch | None:
    """The checked drawing on the pad, None for an empty one. Raises InputError."""
    ink = payload.get("ink") if isinstance(payload, Mapping) else None
    if not ink:
        return None
    broken = InputError("The drawing could not be read.", fix="Undo the last stroke, or clear the pad and draw again.",
                        field=spec.name)
    if not isinstance(ink, str) or not ink.startswith(_PREFIX) or len(ink) > _MOST_CHARACTERS:
        raise broken
    try:
        data = base64.b64decode(ink[len(_PREFIX):], validate=True)
    except (binascii.Error, ValueError):
        raise broken from None
    return inputs.read(spec, data, {})[0]


def _png(ink: np.ndarray) -> bytes:
    """Ink (H, W) in [0, 1] as black on nothing."""
    layer = np.zeros((*ink.shape, 4), np.uint8)
    layer[..., 3] = (ink * 255).round()
    buffer = io.BytesIO()
    Image.fromarray(layer).save(buffer, "PNG")
    return buffer.getvalue()
