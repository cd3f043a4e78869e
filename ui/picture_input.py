"""The picture box: a picture is checked by our loader before it is taken, and a mask can be painted over it.

A stock image component decodes what it gets before we can look at it, answers a bad file with a developer's message
and drops the picture that was there. Here the browser offers a file, the server checks it (`check_offer`), and only
a good file replaces the old one, as the PNG of its decoded pixels, so that every format can be shown. Of a GeoTIFF the
file itself is kept beside, because a PNG cannot say where on Earth it lies.
"""

import base64
import binascii
import io
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder
from PIL import Image

from engine.errors import InputError
from engine.io.geotiff import GeoPicture
from engine.io.pictures import Picture, load_mask, load_picture
from engine.runtime.settings import limits
from ui.assets import web

MASK_SIDE_PX = 2048
"""Longest side of a mask on its way between page and server; the script of the page knows the same number."""
_MASK_BYTES = 3_000_000
_PREFIX = "data:image/png;base64,"
_ORIGINAL = "original.tif"
_COLOUR = (224, 96, 63)


@dataclass(frozen=True)
class Picked:
    """What the box holds when an event starts. Paths are files that the server itself has checked or been sent.

    picture: the picture's file. mask: PNG with alpha, "" for none. offered, kind: a file to check, "picture" or "mask";
    of several files the first, all of them in `files`. value: all that was sent.
    """

    picture: str | None = None
    mask: str = ""
    offered: str | None = None
    kind: str = "picture"
    value: Mapping[str, Any] | None = None
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Accepted:
    """What files a box takes. types: of the file chooser, "" for all; words: the same for people; total_bytes: of
    several files that may be given at once, 0 for one file only."""

    types: str = "image/png,image/jpeg,image/webp,image/tiff,image/bmp"
    words: str = "PNG, JPEG, WebP, TIFF or BMP"
    total_bytes: int = 0


PICTURES = Accepted()


def picture_input(value: Any = None, *, paint: bool = False, label: str = "Picture", words: str = "",
                  elem_id: str | None = None, accepted: Accepted = PICTURES) -> gr.HTML:
    """The box; with a mask over the picture when `paint` is true. `words` is its help. Values: `shown`, `picked`."""
    return gr.HTML(value, html_template=web("picture.html"), js_on_load=web("picture.js"), apply_default_css=False,
                   label=label, words=words, paint=paint, limit_bytes=limits().image_bytes, accept=accepted.types,
                   formats=accepted.words, many=accepted.total_bytes > 0, total_bytes=accepted.total_bytes,
                   elem_id=elem_id, elem_classes="picture-input", container=True, padding=True)


def picked(payload: Any) -> Picked:
    """What the page sent. Gradio has proven that a file entry lies in its upload folder; all else is distrusted."""
    if not isinstance(payload, Mapping):
        return Picked()
    mask, offered = payload.get("mask"), payload.get("offered")
    paths = [_path(file) for file in (offered if isinstance(offered, list) else [offered])]
    files = tuple(path for path in paths if path is not None)
    return Picked(_path(payload.get("picture")), mask if isinstance(mask, str) else "", files[0] if files else None,
                  "mask" if payload.get("kind") == "mask" else "picture", payload, files)


def shown(pixels: np.ndarray, mask: np.ndarray | None = None, note: str = "") -> dict[str, Any]:
    """The box's value for a picture, (H, W, 3) uint8, and a mask, (H, W) bool. The file's folder cannot be guessed."""
    path = Path(get_upload_folder()) / secrets.token_hex(20) / "picture.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(pixels).save(path, compress_level=1)
    height, width = pixels.shape[:2]
    return {"picture": {"path": str(path), "orig_name": "picture.png", "meta": {"_type": "gradio.FileData"}},
            "mask": "" if mask is None else encode_mask(mask), "size": [width, height], "note": note, "error": ""}


def check_offer(payload: Any) -> dict[str, Any]:
    """The box's value after a file was offered: the new picture or mask, or the old value with the reason."""
    box = picked(payload)
    before = {**(box.value or {}), "offered": None, "error": ""}
    if box.offered is None:
        return before
    try:
        if box.kind == "mask":
            return {**before, "mask": encode_mask(load_mask(box.offered, picture_of(box).size))}
        loaded = load_picture(box.offered)
        value = shown(loaded.pixels, note=" ".join(loaded.notes))
        if isinstance(loaded, GeoPicture):
            shutil.copyfile(box.offered, Path(value["picture"]["path"]).with_name(_ORIGINAL))
        return value
    except InputError as error:
        return {**before, "error": str(error)}


def picture_of(box: Picked, field: str = "picture") -> Picture:
    """The checked `Picture` in the box. Raises InputError when there is none."""
    if box.picture is None:
        raise InputError("There is no picture.", fix="Choose a picture or one of the examples.", field=field)
    if not Path(box.picture).is_file():
        raise InputError("The picture is no longer here.", "Pictures are deleted one hour after they were sent.",
                         "Choose it again.", field=field)
    original = Path(box.picture).with_name(_ORIGINAL)
    return load_picture(original if original.is_file() else box.picture, field=field)


def mask_of(box: Picked, size: tuple[int, int], field: str = "mask") -> np.ndarray:
    """The painted mask as bool (H, W) of this size. Raises InputError when nothing is painted."""
    mask = decode_mask(box.mask, size, field) if box.mask else np.zeros(size, bool)
    if not mask.any():
        raise InputError("No area is painted.", "The program fills the painted area only.",
                         "Paint over what you want to replace.", field=field)
    return mask


def encode_mask(mask: np.ndarray) -> str:
    """A bool mask (H, W) as the data URI that the page draws: painted pixels coloured, the rest transparent."""
    height, width = mask.shape
    scale = min(1.0, MASK_SIDE_PX / max(height, width))
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[mask] = (*_COLOUR, 255)
    layer = Image.fromarray(rgba)
    if scale < 1:
        layer = layer.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    layer.save(buffer, "PNG")
    return _PREFIX + base64.b64encode(buffer.getvalue()).decode()


def decode_mask(text: str, size: tuple[int, int], field: str = "mask") -> np.ndarray:
    """The bool mask (H, W) in a data URI from the page. Raises InputError for anything but a small PNG with alpha."""
    broken = InputError("The painted mask could not be read.", fix="Clear the mask and paint it again.", field=field)
    if not text.startswith(_PREFIX) or len(text) > _MASK_BYTES:
        raise broken
    try:
        data = base64.b64decode(text[len(_PREFIX):], validate=True)
        with Image.open(io.BytesIO(data), formats=("PNG",)) as layer:
            if layer.mode != "RGBA" or max(layer.size) > MASK_SIDE_PX:
                raise broken
            alpha = layer.getchannel("A").resize((size[1], size[0]), Image.Resampling.NEAREST)
    except (binascii.Error, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise broken from None
    return np.asarray(alpha) > 127


def _path(file: Any) -> str | None:
    if isinstance(file, Mapping) and isinstance(file.get("path"), str):
        meta = file.get("meta")
        if isinstance(meta, Mapping) and meta.get("_type") == "gradio.FileData":
            return file["path"]
    return None
