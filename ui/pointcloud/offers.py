"""What the boxes of the tab share: a file is offered, and only what our reader lets through replaces what was there."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import InputError
from engine.io import inputs
from engine.tasks.base import InputSpec
from ui.picture_input import Accepted, picked

Box = dict[str, Any]


def constants(spec: InputSpec, accepted: Accepted, limit_bytes: int) -> str:
    """Script with SAYS, which the box's own script needs: its words, and the files that may be offered."""
    # Not as properties of the gr.HTML, which gradio 6.31 loses when it is filled while hidden.
    says = {"label": spec.label, "words": spec.help, "types": accepted.types, "formats": accepted.words,
            "limit_bytes": limit_bytes}
    return f"const SAYS = {json.dumps(says)};\n"


def checked(payload: Any, spec: InputSpec, show: Callable[[Any], Box]) -> Box:
    """A box's value after a file was offered: what `show` makes of the file, or all as it was with the reason."""
    before = {**(payload if isinstance(payload, Mapping) else {}), "offered": None, "error": ""}
    offered = picked(payload).offered
    if offered is None:
        return before
    try:
        value, notes = inputs.read(spec, offered, {})
        return before | show(value) | {"note": " ".join(notes)}
    except InputError as problem:
        return before | {"error": str(problem)}
