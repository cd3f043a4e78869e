"""Pictures and masks: checked from the header on, converted to plain RGB, with notes on what was changed.

Behind this module nobody sees a path, a PIL image or another number type.
"""

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from engine.errors import InputError
from engine.io.files import Source, read_bytes
from engine.io.formats import damaged, picture_kind
from engine.runtime.settings import limits

if TYPE_CHECKING:
    from torch import Tensor

Image.MAX_IMAGE_PIXELS = limits().image_pixels
# Between one and two times that number PIL only warns; the exact limit is checked here, with a sentence for people.
warnings.simplefilter("ignore", Image.DecompressionBombWarning)

_ICC_BYTES = 4_000_000
_BOX = re.compile(r"(?:box:)?\s*(-?\d{1,6})\s*,\s*(-?\d{1,6})\s*,\s*(-?\d{1,6})\s*,\s*(-?\d{1,6})\s*")
_ORIENTATION = 0x0112


@dataclass(frozen=True, eq=False)
class Picture:
    """A checked picture. pixels: (H, W, 3) uint8 sRGB. notes: what was converted, a sentence each.

    deep: (H, W) or (H, W, 3) uint16, what the file itself holds where it has 16 bits and needs no turning, else None.
    """

    pixels: np.ndarray
    notes: tuple[str, ...] = ()
    deep: np.ndarray | None = field(default=None, kw_only=True)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.pixels.shape[:2]

    def tensor(self) -> "Tensor":
        """(1, 3, H, W) float32 in [-1, 1]."""
        import torch

        return torch.from_numpy(self.pixels.astype(np.float32)).permute(2, 0, 1)[None].contiguous() / 127.5 - 1


@dataclass(frozen=True, eq=False)
class Mask:
    """A checked mask. area: (H, W) bool, True = paint. notes: what was converted."""

    area: np.ndarray
    notes: tuple[str, ...] = ()


def to_pixels(x: "Tensor") -> np.ndarray:
    """(B, 3, H, W) in [-1, 1] as (B, H, W, 3) uint8, clipped and rounded: the inverse of `Picture.tensor`."""
    import torch

    scaled = ((x.detach().float() + 1) * 127.5).round_().clamp_(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def load_picture(source: Source, field: str = "picture") -> Picture:
    """A picture from a file or its bytes (PNG, JPEG, WebP, TIFF, BMP; told from the content).

    Raises InputError (field named) for what is empty, damaged, of another format, too large or too small, animated, or
    holds values that are not numbers. Turned, palette, CMYK, 16-bit, float and transparent pictures and other colour
    profiles are converted with a note. A TIFF with a georeference gives a `GeoPicture` (`engine.io.geotiff.load`).
    """
    from engine.io import geotiff

    data = read_bytes(source, limits().image_bytes, field)
    if geotiff.is_georeferenced(data):
        return geotiff.load(data, field)
    image, name = _open(data, field)
    notes: list[str] = []
    deep = _is_deep(image)  # asked first: reading the EXIF data of a PNG decodes it
    orientation = _oriented(image, notes)
    pixels = _decoded(lambda: _rgb(orientation(image), deep, notes, field), name, field)
    if pixels.min() == pixels.max():
        notes.append("All pixels of the picture have the same value.")
    full = _full_depth(data, pixels.shape[:2]) if deep or image.mode.startswith("I;16") else None
    return Picture(pixels, tuple(notes), deep=full)


def load_mask(source: Source, size: tuple[int, int], field: str = "mask") -> np.ndarray:
    """(H, W) bool, True = paint: `read_mask` without its notes."""
    return read_mask(source, size, field).area


def read_mask(source: Source, size: tuple[int, int], field: str = "mask") -> Mask:
    """The mask for a picture of `size` (height, width) from a file, its bytes, or a box "x0,y0,x1,y1" in pixels.

    In a file, painted means opaque where there is transparency, else bright. Raises InputError for an empty mask or
    another size.
    """
    if isinstance(source, str) and (corners := _BOX.fullmatch(source)):
        return Mask(_box(tuple(int(v) for v in corners.groups()), size, field))
    image, name = _open(source, field, least_px=1)
    notes: list[str] = []
    orientation = _oriented(image, notes)
    bands = _decoded(lambda: _bands(orientation(image), notes, field), name, field)
    found = mask_of(bands, size, field)
    return Mask(found.area, (*notes, *found.notes))


def mask_of(bands: np.ndarray, size: tuple[int, int], field: str = "mask") -> Mask:
    """The mask in an array (H, W), (H, W, 3) or (H, W, 4), uint8 or bool. Rules and errors as in `read_mask`."""
    if bands.shape[:2] != tuple(size):
        raise InputError(f"The mask is {bands.shape[1]} x {bands.shape[0]} px.",
                         f"The picture is {size[1]} x {size[0]} px and both must agree.",
                         "Paint the mask on this picture, or give one of its size.", field=field)
    level = _level(bands)
    if level.max() == 1:  # masks of other programs often hold 0 and 1
        level = level * 255
    area = level > 127
    if not area.any():
        raise InputError("The mask is empty.", "Nothing is marked to be painted.", "Paint the area to fill.",
                         field=field)
    soft = int(((level > 0) & (level < 255)).sum())
    return Mask(area, (f"{soft} soft pixels of the mask were set to painted or kept, at half.",) if soft else ())


def _bands(image: Image.Image, notes: list[str], field: str) -> np.ndarray:
    """(H, W, 4) uint8, or (H, W, 3) of grey values that have more than 8 bits."""
    if image.mode[0] in "IF":
        return _rgb(image, False, notes, field)
    return np.asarray(image.convert("RGBA"))


def _level(bands: np.ndarray) -> np.ndarray:
    """How painted each pixel is, 0..255: opacity where it varies or is zero throughout, else brightness."""
    if bands.dtype == bool:
        bands = bands.astype(np.uint8) * 255
    if bands.ndim == 2:
        return bands
    if bands.shape[2] == 4 and bands[..., 3].min() < 255:
        return bands[..., 3]
    return np.asarray(Image.fromarray(np.ascontiguousarray(bands[..., :3])).convert("L"))


def _box(corners: tuple[int, ...], size: tuple[int, int], field: str) -> np.ndarray:
    x0, y0, x1, y1 = corners
    if not (0 <= x0 < x1 <= size[1] and 0 <= y0 < y1 <= size[0]):
        raise InputError(f"The box is {x0}, {y0} to {x1}, {y1} px.",
                         f"It must lie within 0, 0 to {size[1]}, {size[0]} with the upper left corner first.",
                         "Change the corners.", field=field)
    area = np.zeros(size, bool)
    area[y0:y1, x0:x1] = True
    return area


def _open(source: Source, field: str, least_px: int | None = None) -> tuple[Image.Image, str]:
    """The picture with its header read and nothing decoded, and the name of its format."""
    bounds = limits()
    data = read_bytes(source, bounds.image_bytes, field)
    name = picture_kind(data, field)
    try:
        image = Image.open(io.BytesIO(data), formats=(name.upper(),))
    except Image.DecompressionBombError:
        raise InputError(f"The picture has more than {2 * bounds.image_pixels / 1e6:.0f} million pixels.",
                         f"The limit is {bounds.max_side_px} x {bounds.max_side_px} px.", "Crop or shrink it.",
                         field=field) from None
    except Exception as error:  # decoders raise whatever they stumble over
        raise damaged(name, "its header cannot be read", field) from error
    _check_size(image, bounds.min_side_px if least_px is None else least_px, field)
    if _decoded(lambda: _has_second(image), name, field):
        raise InputError(f"The {name} file holds more than one picture.", "Only single pictures are supported.",
                         "Save the one you want as PNG.", field=field)
    return image, name


def _check_size(image: Image.Image, least_px: int, field: str) -> None:
    bounds, (width, height) = limits(), image.size
    found = f"The picture is {width} x {height} px."
    if min(width, height) < least_px:
        raise InputError(found, f"It is smaller than {least_px} px.", "Give a larger picture.", field=field)
    if max(width, height) > bounds.max_side_px or width * height > bounds.image_pixels:
        raise InputError(found, f"The limit is {bounds.max_side_px} x {bounds.max_side_px} px.", "Crop or shrink it.",
                         field=field)


def _has_second(image: Image.Image) -> bool:
    """Whether a second frame follows. Phones put previews and gain maps behind a JPEG; those are no second picture."""
    if image.format in ("JPEG", "MPO"):
        return False
    if image.format == "TIFF":
        return image.tag_v2.next != 0  # the place of a second page; n_frames would walk through all of them
    return getattr(image, "n_frames", 1) > 1


def _decoded(decode: Callable[[], np.ndarray], name: str, field: str):
    try:
        return decode()
    except (InputError, MemoryError):
        raise
    except Exception as error:  # decoders raise whatever they stumble over
        raise damaged(name, "it cannot be decoded to its end", field) from error


def _oriented(image: Image.Image, notes: list[str]) -> Callable[[Image.Image], Image.Image]:
    """What turns the decoded picture upright. Its EXIF data may be damaged while the picture is whole."""
    try:
        turned = image.getexif().get(_ORIENTATION, 1) in range(2, 9)
    except Exception:  # the EXIF parser raises whatever it stumbles over
        notes.append("The picture's EXIF data is damaged and was ignored.")
        turned = False
    if not turned:
        return lambda decoded: decoded
    notes.append("The picture was turned as its EXIF data says.")
    return ImageOps.exif_transpose


def _is_deep(image: Image.Image) -> bool:
    """Whether the decoder itself cuts 16-bit colours down to 8 bits."""
    layouts = [tile[3] if isinstance(tile[3], str) else str(tile[3][0]) for tile in image.tile if tile[3]]
    return image.mode in ("RGB", "RGBA", "LA") and any(";16" in layout for layout in layouts)


def _full_depth(data: bytes, size: tuple[int, int]) -> np.ndarray | None:
    """The 16-bit values of a file that was read as a picture of this size, without transparency; None where it was
    turned or the second decoder cannot read it."""
    import cv2

    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.shape[:2] != size:
        return None
    return values if values.ndim == 2 else np.ascontiguousarray(values[..., 2::-1])


def _rgb(image: Image.Image, deep: bool, notes: list[str], field: str) -> np.ndarray:
    """(H, W, 3) uint8 of any PIL mode."""
    image.load()
    if deep or image.mode.startswith("I;16"):
        notes.append("16-bit values were scaled to 8 bits.")
    if image.mode.startswith("I;16"):
        grey = np.asarray(image).astype(np.float64) / 257
    elif image.mode in ("I", "F"):
        grey = _normalised(np.asarray(image, np.float64), notes, field)
    else:
        return np.array(_opaque(_in_srgb(image, notes), notes))
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)


def _normalised(values: np.ndarray, notes: list[str], field: str) -> np.ndarray:
    """Grey values 0..255 of numbers without a natural range.

    Those within 0..1 or 0..255 are taken as such, others from their least to their largest.
    """
    bad = int((~np.isfinite(values)).sum())
    if bad:
        raise InputError(f"{bad} values of the picture are not finite numbers.", "They cannot be shown or worked on.",
                         "Fill them and save the picture again.", field=field)
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        notes.append("Values from 0 to 1 were scaled to 8 bits.")
        return values * 255
    if low >= 0 and high <= 255:
        return values
    notes.append(f"Values from {low:g} to {high:g} were scaled to 8 bits.")
    # Halves, so that the difference of two huge numbers stays finite.
    return (values / 2 - low / 2) / max(high / 2 - low / 2, np.finfo(np.float64).tiny) * 255


def _in_srgb(image: Image.Image, notes: list[str]) -> Image.Image:
    """RGB or RGBA in sRGB, by the picture's colour profile where it has one."""
    if image.mode == "P" or image.mode == "PA":
        notes.append("The colour table was resolved.")
        image = image.convert("RGBA" if "transparency" in image.info or image.mode == "PA" else "RGB")
    profile = image.info.get("icc_profile")
    if profile and image.mode in ("RGB", "RGBA", "CMYK", "L"):
        converted = _by_profile(image, profile, notes)
        if converted is not None:
            return converted
    if image.mode not in ("RGB", "RGBA"):
        has_alpha = image.mode in ("LA", "La", "RGBa") or "transparency" in image.info
        if image.mode in ("CMYK", "LAB", "YCbCr", "HSV"):
            notes.append(f"{image.mode} colours were converted to RGB.")
        return image.convert("RGBA" if has_alpha else "RGB")
    return image.convert("RGBA") if image.mode == "RGB" and "transparency" in image.info else image


def _by_profile(image: Image.Image, profile: bytes, notes: list[str]) -> Image.Image | None:
    from PIL import ImageCms

    try:
        if len(profile) > _ICC_BYTES:
            raise ValueError("profile too large")
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(given).lower():
            return None
        alpha = image.getchannel("A") if image.mode == "RGBA" else None
        source = image.convert("RGB") if alpha is not None else image
        converted = ImageCms.profileToProfile(source, given, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except Exception:  # the profile library raises its own errors and others on crafted profiles
        notes.append("The colour profile could not be used and was ignored.")
        return None
    notes.append("The colours were converted from the picture's profile to sRGB.")
    if alpha is not None:
        converted.putalpha(alpha)
    return converted


def _opaque(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.getchannel("A").getextrema()[0] < 255:
        notes.append("Transparent parts were laid over white.")
    white = Image.new("RGBA", image.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, image).convert("RGB")
