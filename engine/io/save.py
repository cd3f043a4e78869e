"""Results to files and back: pictures that carry their recipe, and the recipe out of any of them.

Names of files are ours: task, hash of recipe and content, and what is shown. The same result gives the same files, byte
for byte.
"""

import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.errors import InputError
from engine.io.files import Source, read_bytes, write_whole
from engine.io.formats import kind, png_chunks
from engine.recipe import TEXT_BYTES, Recipe

if TYPE_CHECKING:
    from engine.tasks.base import Result

KEYWORD = "diffuscope"
_FILE_BYTES = 64_000_000
"""A lossless picture of the largest allowed size may have 50 MB."""
_DESCRIPTION = 0x010E
_FORMATS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}


def encode(pixels: np.ndarray, recipe: Recipe, form: str = "PNG") -> bytes:
    """A picture file (PNG, JPEG or lossless WEBP) that carries its recipe. pixels: (H, W, 3) or (H, W) uint8."""
    assert form in _FORMATS, form
    image, out = Image.fromarray(pixels), io.BytesIO()
    if form == "PNG":
        text = PngInfo()
        text.add_text(KEYWORD, recipe.write())
        image.save(out, "PNG", pnginfo=text, compress_level=6)
    else:
        exif = Image.Exif()
        exif[_DESCRIPTION] = f"{KEYWORD} {recipe.write()}"
        options = {"quality": 95} if form == "JPEG" else {"lossless": True}
        image.save(out, form, exif=exif, **options)
    return out.getvalue()


def jpeg_frame(pixels: np.ndarray, longest: int = 256, quality: int = 80) -> bytes:
    """A small JPEG for the live view, its longest side at most `longest` px. pixels: (H, W, 3) or (H, W) uint8."""
    height, width = pixels.shape[:2]
    scale = min(1.0, longest / max(height, width))
    image = Image.fromarray(pixels)
    if scale < 1:
        image = image.resize((max(1, round(width * scale)), max(1, round(height * scale))), Image.Resampling.BILINEAR,
                             reducing_gap=2.0)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    return out.getvalue()


def save_result(result: "Result", folder: Path | str) -> list[Path]:
    """Write a result's pictures as PNG with the recipe inside, its further files, and one JSON beside; gives the paths.

    uint8 arrays (sample, y, x, channel) give one file per sample, (y, x, channel) and (y, x) one file; others only
    stand in the JSON. Raises InputError when the folder cannot be written; no half file is left.
    """
    folder = Path(folder)
    stem = f"{result.recipe.task}-{_digest(result)}"
    files = {}
    for name, array in result.arrays.items():
        if array.values.dtype != np.uint8 or not _pictured(array.axes):
            continue
        many = array.axes[0] == "sample"
        for number, pixels in enumerate(array.values if many else array.values[None], start=1):
            label = f"{name}-{number}" if many else name
            files[f"{stem}-{label}.png"] = encode(np.ascontiguousarray(pixels), result.recipe)
    files |= {f"{stem}-{name}": content for name, content in result.files.items()}
    files[f"{stem}.json"] = _sheet(result, list(files))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [write_whole(folder / name, data) for name, data in files.items()]
    except OSError as error:
        raise InputError("The result could not be saved.", f"{error.strerror or 'The system refused it'}.",
                         "Choose another folder or free some space.", field="out") from None


def _pictured(axes: tuple[str, ...]) -> bool:
    return axes in (("y", "x"), ("y", "x", "channel"), ("sample", "y", "x", "channel"))


def _digest(result: "Result") -> str:
    digest = hashlib.sha256(result.recipe.write().encode())
    for name, array in sorted(result.arrays.items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array.values).data)
    return digest.hexdigest()[:10]


def _sheet(result: "Result", files: list[str]) -> bytes:
    arrays = {name: {"axes": list(a.axes), "shape": list(a.values.shape), "unit": a.unit}
              for name, a in result.arrays.items()}
    metrics = {name: float(value) if np.isfinite(value) else None for name, value in result.metrics.items()}
    sheet = {"recipe": json.loads(result.recipe.write()), "metrics": metrics, "notes": list(result.notes),
             "arrays": arrays, "files": files}
    return (json.dumps(sheet, indent=1, sort_keys=True) + "\n").encode()


def read_recipe(source: Source) -> tuple[Recipe, tuple[str, ...]]:
    """The recipe inside a PNG, JPEG, WebP or JSON file that this program saved, with notes; nothing is decoded or run.

    Raises InputError when the file holds none or the recipe cannot be used.
    """
    data = read_bytes(source, _FILE_BYTES, "recipe")
    form = kind(data)
    if form == "PNG":
        text = _text_in_png(data)
    elif form in ("JPEG", "WebP"):
        text = _text_in_exif(data, form)
    elif form in ("JSON", "text"):
        return Recipe.read(_unwrapped(data))
    else:
        raise _none(f"The file is {form}." if form != "unknown" else "The file is of no known kind.")
    if text is None:
        raise _none(f"The {form} file carries no recipe.")
    return Recipe.read(text)


def _none(what: str) -> InputError:
    return InputError(what, "Settings are read from PNG, JPEG, WebP and JSON files that this program saved.",
                      "Choose one of those.", field="recipe")


def _text_in_png(data: bytes) -> bytes | None:
    for chunk, content, right in png_chunks(data):
        if chunk == b"tEXt" and right and bytes(content[:len(KEYWORD) + 1]) == KEYWORD.encode() + b"\0":
            return bytes(content[len(KEYWORD) + 1:][:TEXT_BYTES + 1])
    return None


def _text_in_exif(data: bytes, form: str) -> str | None:
    try:
        with Image.open(io.BytesIO(data), formats=(form.upper(),)) as image:
            text = image.getexif().get(_DESCRIPTION)
    except Exception:  # the header and EXIF parsers raise whatever they stumble over
        raise InputError(f"The {form} file is damaged.", "Its header cannot be read.", "Choose another file.",
                         field="recipe") from None
    if not isinstance(text, str) or not text.startswith(KEYWORD + " "):
        return None
    return text.removeprefix(KEYWORD + " ").rstrip("\0")


def _unwrapped(data: bytes) -> bytes | str:
    """The recipe of a JSON file that holds it beside metrics and notes, or the file itself."""
    if len(data) > TEXT_BYTES:
        return data
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return data
    if isinstance(value, dict) and isinstance(value.get("recipe"), dict):
        return json.dumps(value["recipe"])
    return data
