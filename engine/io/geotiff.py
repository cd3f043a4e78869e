"""GeoTIFF: pictures that know where on Earth they lie, read and written with rasterio."""

import struct
import warnings
from dataclasses import dataclass, replace

import numpy as np

from engine.errors import InputError
from engine.io import child
from engine.io.pictures import Picture
from engine.runtime.settings import limits

_GEO_TAGS = frozenset({33550, 33922, 34264, 34735})
"""Pixel scale, tie points, transformation, and the keys of the coordinate system."""
_QUANTILES = 0.02, 0.98
_CHANNELS = 3


@dataclass(frozen=True, eq=False)
class Georeference:
    """Where the pixels lie, and what their values mean.

    crs: coordinate system as WKT. transform: (a, b, c, d, e, f); the corner of column i, row j lies at
    x = a i + b j + c, y = d i + e j + f. scale, offset: value in the file's own unit = scale * 8-bit value + offset.
    valid: (H, W) bool where there are data, None for everywhere.
    """

    crs: str
    transform: tuple[float, float, float, float, float, float]
    scale: float = 1.0
    offset: float = 0.0
    valid: np.ndarray | None = None

    def finer(self, factor: int) -> "Georeference":
        """The same area in pixels a `factor` smaller."""
        a, b, c, d, e, f = self.transform
        valid = None if self.valid is None else self.valid.repeat(factor, 0).repeat(factor, 1)
        return replace(self, transform=(a / factor, b / factor, c, d / factor, e / factor, f), valid=valid)

    def top_left(self, height: int, width: int) -> "Georeference":
        """Of the upper left part of so many rows and columns."""
        return self if self.valid is None else replace(self, valid=self.valid[:height, :width])


@dataclass(frozen=True, eq=False)
class GeoPicture(Picture):
    """A checked picture that has a place on Earth."""

    georeference: Georeference | None = None


def is_georeferenced(data: bytes) -> bool:
    """Whether these are the bytes of a TIFF whose first directory has any of the tags that georeference it."""
    if data[:4] not in (b"II*\0", b"MM\0*") or len(data) < 8:
        return False
    order = "<" if data[:2] == b"II" else ">"
    start, = struct.unpack_from(order + "I", data, 4)
    if start + 2 > len(data):
        return False
    count, = struct.unpack_from(order + "H", data, start)
    places = range(start + 2, min(start + 2 + 12 * count, len(data) - 1), 12)
    return any(struct.unpack_from(order + "H", data, place)[0] in _GEO_TAGS for place in places)


def load(data: bytes, field: str = "picture") -> GeoPicture:
    """The picture in a GeoTIFF with its georeference, parsed in a child process.

    Red, green and blue are the bands that say so, else the first three; one band is grey. Values of more than 8 bits
    are scaled from their 2nd to 98th percentile, which the georeference remembers. Raises InputError (field named) for
    a file without or with an unusable georeference, without valid pixels, damaged, too large or too small.
    """
    found = child.parsed(parse, data, "GeoTIFF", field)
    valid = found["valid"]
    place = Georeference(str(found["crs"]), tuple(map(float, found["transform"])), float(found["scale"]),
                         float(found["offset"]), None if valid.all() else valid)
    return GeoPicture(found["pixels"], tuple(map(str, found["notes"])), place)


def encode(pixels: np.ndarray, place: Georeference) -> bytes:
    """An 8-bit RGB GeoTIFF of pixels (H, W, 3) uint8 that lie at `place`; pixels that are not valid are masked out."""
    from rasterio import Env
    from rasterio.io import MemoryFile
    from rasterio.transform import Affine

    height, width = pixels.shape[:2]
    with Env(GDAL_TIFF_INTERNAL_MASK=True), MemoryFile() as memory:
        with memory.open(driver="GTiff", height=height, width=width, count=_CHANNELS, dtype="uint8", crs=place.crs,
                         transform=Affine(*place.transform), photometric="RGB", compress="deflate") as target:
            target.write(np.moveaxis(pixels, -1, 0))
            if (place.scale, place.offset) != (1.0, 0.0):
                target.scales, target.offsets = (place.scale,) * _CHANNELS, (place.offset,) * _CHANNELS
            if place.valid is not None:
                target.write_mask(place.valid)
        return memory.read()


def parse(data: bytes) -> dict[str, np.ndarray]:
    """The arrays that `load` makes its picture from. Runs in the child process."""
    import rasterio
    from rasterio.errors import RasterioError
    from rasterio.io import MemoryFile

    warnings.simplefilter("ignore")
    # Only the GeoTIFF driver, and no files beside it: other formats can name files to read.
    with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR", GDAL_PAM_ENABLED=False):
        try:
            with MemoryFile(data) as memory, memory.open(driver="GTiff") as source:
                _check(source)
                return _content(source)
        except RasterioError:
            raise InputError("The GeoTIFF file is damaged.", "It cannot be read to its end.", "Save or copy it again."
                             ) from None


def _unusable(what: str, why: str) -> InputError:
    return InputError(what, why, "Assign a coordinate system and a transform in a GIS, or give the picture as PNG.")


def _check(source) -> None:
    bounds, (height, width) = limits(), source.shape
    found = f"The GeoTIFF is {width} x {height} px."
    if min(height, width) < bounds.min_side_px:
        raise InputError(found, f"It is smaller than {bounds.min_side_px} px.", "Give a larger picture.")
    if max(height, width) > bounds.max_side_px or height * width > bounds.image_pixels:
        raise InputError(found, f"The limit is {bounds.max_side_px} x {bounds.max_side_px} px.", "Crop or shrink it.")
    if source.subdatasets:
        raise InputError(f"The GeoTIFF holds {len(source.subdatasets)} pictures.",
                         "Only single pictures are supported.", "Save the one you want by itself.")
    if np.dtype(source.dtypes[0]).kind == "c":
        raise InputError("The GeoTIFF holds complex numbers.", "Only real ones can be shown.", "Save their magnitude.")
    _check_place(source)


def _check_place(source) -> None:
    transform = np.array(source.transform[:6])
    if source.transform.is_identity:
        kind = "control points" if source.gcps[0] else "a camera model" if source.rpcs else ""
        if kind:
            raise _unusable(f"The GeoTIFF is georeferenced by {kind}.", "Only an affine transform can be carried over.")
        raise _unusable("The GeoTIFF has no georeference.", "It does not say where its pixels lie.")
    if source.crs is None or not source.crs.to_wkt():
        raise _unusable("The GeoTIFF has no coordinate system.", "Its coordinates mean nothing without one.")
    if not np.isfinite(transform).all() or not abs(source.transform.determinant) > 0:
        raise _unusable("The GeoTIFF's transform cannot be used.", "Its pixels have no area.")
    if source.crs.is_geographic:
        corners = [(i * source.width, j * source.height, 1) for i in (0, 1) for j in (0, 1)]
        x, y = np.abs(transform.reshape(2, 3) @ np.transpose(corners)).max(axis=1)
        if x > 360 or y > 90.5:
            raise _unusable(f"The GeoTIFF reaches longitude {x:g} and latitude {y:g}.",
                            "Degrees end at 360 and 90; probably its coordinates are metres.")


def _content(source) -> dict[str, np.ndarray]:
    bands, notes = _bands(source)
    values, valid = source.read(bands), source.dataset_mask() > 0
    if values.dtype.kind == "f":
        valid &= np.isfinite(values).all(0)
    if not valid.any():
        raise InputError("The GeoTIFF has no valid pixel.", "All are marked as no data or are not finite numbers.",
                         "Give another part of it.")
    if not valid.all():
        notes.append(f"{100 * (1 - valid.mean()):.0f} % of the pixels hold no data; they stay masked out.")
    values, unit = _united(values, source, bands)
    scale, offset = 1.0, 0.0
    if source.colorinterp[0].name == "palette" and values.dtype == np.uint8:
        values = _coloured(values[0], source.colormap(1))
        notes.append("The colour table was resolved.")
    elif values.dtype != np.uint8:
        values, scale, offset = _scaled(values, valid, notes)
    # Masked pixels take the mean, so that their neighbours see no edge.
    filled = np.where(valid, values, np.uint8(np.rint(values[:, valid].mean())))
    pixels = np.ascontiguousarray(np.moveaxis(np.broadcast_to(filled, (_CHANNELS, *filled.shape[1:])), 0, -1))
    return {"pixels": pixels, "valid": valid, "crs": np.array(source.crs.to_wkt()),
            "transform": np.array(source.transform[:6]), "scale": np.array(unit[0] * scale),
            "offset": np.array(unit[0] * offset + unit[1]), "notes": np.array(notes, str)}


def _bands(source) -> tuple[list[int], list[str]]:
    """Numbers of the bands to show, one or three, counted from one; and what to tell about the choice."""
    kinds = [kind.name for kind in source.colorinterp]
    if all(name in kinds for name in ("red", "green", "blue")):
        return [kinds.index(name) + 1 for name in ("red", "green", "blue")], []
    shown = [number for number, kind in enumerate(kinds, 1) if kind != "alpha"] or [1]
    if len(shown) < _CHANNELS:
        return shown[:1], [f"Band {shown[0]} of {source.count} is shown."] if len(shown) > 1 else []
    chosen = shown[:_CHANNELS]
    return chosen, [f"Bands {', '.join(map(str, chosen))} of {source.count} are shown as red, green and blue."]


def _united(values: np.ndarray, source, bands: list[int]) -> tuple[np.ndarray, tuple[float, float]]:
    """Values of one unit, and the (scale, offset) that the file gives for it; bands of several units are converted."""
    units = [(source.scales[band - 1], source.offsets[band - 1]) for band in bands]
    if len(set(units)) == 1:
        return values, units[0]
    scales, offsets = (np.array(part)[:, None, None] for part in zip(*units))
    return values * scales + offsets, (1.0, 0.0)


def _coloured(indices: np.ndarray, table: dict[int, tuple[int, ...]]) -> np.ndarray:
    colours = np.zeros((256, _CHANNELS), np.uint8)
    for index, colour in table.items():
        colours[index] = colour[:_CHANNELS]
    return np.moveaxis(colours[indices], -1, 0)


def _scaled(values: np.ndarray, valid: np.ndarray, notes: list[str]) -> tuple[np.ndarray, float, float]:
    """8-bit values, and the scale and offset that lead back to the file's own."""
    known = values[:, valid].astype(np.float64)
    low, high = np.quantile(known, _QUANTILES)
    if not high > low:
        low, high = known.min(), known.max()
    scale = float(high - low) / 255 if high > low else 1.0
    notes.append(f"Values from {low:g} to {high:g} (2nd to 98th percentile) were scaled to 8 bits.")
    levels = np.nan_to_num((values.astype(np.float32) - np.float32(low)) / np.float32(scale))
    return np.rint(levels.clip(0, 255)).astype(np.uint8), scale, float(low)
