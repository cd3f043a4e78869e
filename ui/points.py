"""Point clouds as small messages for the scripts of the page, and the directions from which they are looked at.

Points travel as base64: int16 in 1/8000 of a unit, colours as three uint8. A point of which a coordinate is not finite
travels as -32768 and is not drawn.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from ui.assets import web

UNIT = 8000
REACH = 32767 / UNIT
"""Points farther out than this many units are drawn at this distance."""
MISSING = -32768
LIVE_BYTES = 140_000
"""Most base64 of one live message; what is above is left out by an even thinning."""
_POINT_BYTES, _COLOUR_BYTES = 6, 3
Cloud = dict[str, str]


@dataclass(frozen=True)
class View:
    """A button that turns all clouds. From the front, yaw 90 looks from +x, pitch 90 from above.

    first, last: which of the points are seen, as shares of their order, such as the upper jaw of two.
    """

    title: str
    yaw_deg: float
    pitch_deg: float
    first: float = 0.0
    last: float = 1.0


SHAPE_VIEWS = (View("Three-quarter", 35, 20), View("Front", 0, 0), View("Left", -90, 0), View("Top", 0, 90))
TEETH_VIEWS = (View("Frontal", 0, 0), View("Right", -90, 0), View("Left", 90, 0),
               View("Upper arch", 0, -90, 0.0, 0.5), View("Lower arch", 0, 90, 0.5, 1.0))
"""Named from the patient's side. For the two arches the upper teeth are the first half of the points."""


def turned(views: Sequence[View], *names: str) -> str:
    """These scripts of assets/web after those for what people turn, with the views, of which the first is where the
    camera starts, as the constant VIEWS.
    """
    # Not as properties of the gr.HTML, which gradio 6.31 loses when it is filled while hidden.
    constants = f"const VIEWS = {json.dumps([astuple(view) for view in views])};\n"
    return constants + "".join(map(web, ("pixels.js", "turntable.js", *names)))


def script(name: str, views: Sequence[View], what: str = "shape") -> str:
    """The script `name` of assets/web after that of the point clouds. what: the noun for what is shown."""
    return f"const WHAT = {json.dumps(what)};\n" + turned(views, "points.js", name)


def is_cloud(x: Tensor) -> bool:
    """Whether a state holds points (B, N, 3) or coloured points (B, N, 6), and no pictures."""
    return x.ndim == 3 and x.shape[-1] in (3, 6)


def live(x: Tensor, samples: int) -> list[Cloud]:
    """Points (B, N, 3), or (B, N, 6) with red, green, blue in [-1, 1], of the first samples for one live message.

    It holds an estimate and a state, so each may take half of LIVE_BYTES. Which points are left out depends on the
    shape alone, so that every step shows the same ones.
    """
    values = x[:samples].detach().cpu().float().numpy()
    count, coloured = len(values), values.shape[-1] == 6
    most = int(LIVE_BYTES * 3 / 4 / 2 / count / (_POINT_BYTES + _COLOUR_BYTES * coloured))
    values = values[:, even(values.shape[1], most)]
    colours = to_bytes(values[..., 3:]) if coloured else [None] * count
    return [packed(points, rgb) for points, rgb in zip(values[..., :3], colours)]


def even(count: int, most: int) -> np.ndarray:
    """Indices of at most `most` of `count` points, evenly over their order."""
    return np.linspace(0, count - 1, min(count, most)).round().astype(int)


def to_bytes(colours: np.ndarray) -> np.ndarray:
    """Colours in [-1, 1] as uint8."""
    return ((np.nan_to_num(colours, nan=0.0).clip(-1, 1) + 1) * 127.5).round().astype(np.uint8)


def packed(points: np.ndarray, colours: np.ndarray | None = None, parts: np.ndarray | None = None) -> Cloud:
    """One cloud for the page. points: (N, 3) floats; colours: (N, 3) uint8; parts: (N,) numbers below 256."""
    whole = (points.clip(-REACH, REACH) * UNIT).round()
    whole[~np.isfinite(points).all(-1)] = MISSING
    cloud = {"xyz": _text(whole.astype("<i2"))}
    if colours is not None:
        cloud["rgb"] = _text(colours.astype(np.uint8))
    if parts is not None:
        cloud["part"] = _text(parts.astype(np.uint8))
    return cloud


def unpacked(cloud: Cloud) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """What `packed` was given: points at 1/8000 of a unit, NaN where missing. Raises ValueError for anything else."""
    whole = _numbers(cloud["xyz"], "<i2").reshape(-1, 3)
    points = np.where((whole == MISSING).any(-1, keepdims=True), np.nan, whole / UNIT)
    colours = _numbers(cloud["rgb"], np.uint8).reshape(len(points), 3) if "rgb" in cloud else None
    parts = _numbers(cloud["part"], np.uint8).reshape(len(points)) if "part" in cloud else None
    return points, colours, parts


def _text(values: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(values).data).decode()


def _numbers(text: str, kind: Any) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text, validate=True), kind)
