"""The box for a person's own cloud. The page holds the points and sends them with a run: the server keeps nothing."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from engine.errors import InputError
from engine.io import inputs
from engine.runtime.settings import limits
from engine.tasks.base import InputSpec
from ui.assets import web
from ui.picture_input import Accepted
from ui.pointcloud.offers import Box, checked, constants
from ui.points import SHAPE_VIEWS, Cloud, even, packed, script, unpacked

if TYPE_CHECKING:
    from engine.io.clouds import CloudFile

MOST_POINTS = 200_000
"""Points that travel between page and server: with colours 2.4 MB of the 4 that a request may have."""
_ACCEPTED = Accepted(types=".ply,.obj,.stl,.glb,.off,.xyz,.csv,.pcd,.txt",
                     words="PLY, OBJ, STL, GLB, OFF, XYZ, CSV or PCD")


def cloud_box(value: Box | None, spec: InputSpec, elem_id: str, **more: Any) -> gr.HTML:
    """The component. Values: `shown`; what comes back is for `offered` and `cloud_of`."""
    code = constants(spec, _ACCEPTED, limits().mesh_bytes) + web("offer.js") + script("sketch_cloud.js", SHAPE_VIEWS)
    return gr.HTML(value, html_template=web("sketch_cloud.html"), js_on_load=code, apply_default_css=False,
                   elem_id=elem_id, padding=False, **more)


def shown(cloud: "CloudFile") -> Box:
    """The box's value for a checked cloud in [-1, 1], evenly thinned to MOST_POINTS."""
    seen = even(len(cloud.points), MOST_POINTS)
    return _holding(packed(cloud.points[seen], None if cloud.colours is None else cloud.colours[seen]))


def finished(cloud: Cloud, path: str | None, spec: InputSpec) -> Box:
    """The box's value for a result: from its file where there is one, else as the page has it."""
    if path is not None:
        try:
            return shown(inputs.read(spec, path, {})[0])
        except InputError as problem:
            return _holding(cloud) | {"note": f"Some points were left out. {problem}"}
    return _holding(cloud)


def offered(payload: Any, spec: InputSpec) -> Box:
    """The box's value after a file was offered."""
    return checked(payload, spec, shown)


def cloud_of(payload: Any, spec: InputSpec) -> "CloudFile | None":
    """The cloud in the box, None for an empty one. Raises InputError for what the page cannot have sent."""
    from engine.io.clouds import CloudFile

    cloud = payload.get("cloud") if isinstance(payload, Mapping) else None
    if not cloud:
        return None
    broken = InputError("The point cloud could not be read.", fix="Choose its file again.", field=spec.name)
    try:
        points, colours, _ = unpacked({name: cloud[name] for name in ("xyz", "rgb") if name in cloud})
    except (KeyError, TypeError, ValueError):
        raise broken from None
    if not 1 <= len(points) <= MOST_POINTS or not np.isfinite(points).all():
        raise broken
    return CloudFile(np.float32(points), colours, ())


def _holding(cloud: Cloud) -> Box:
    """Labels of parts are left out."""
    return {"cloud": {name: cloud[name] for name in ("xyz", "rgb") if name in cloud}, "note": "", "error": ""}
