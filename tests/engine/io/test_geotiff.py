"""GeoTIFF in and out: places, units and masks that survive, and files that are refused with a reason."""

import io

import numpy as np
import pytest
from PIL import Image
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile
from rasterio.transform import Affine, from_origin

from engine.errors import InputError
from engine.io import load_picture
from engine.io.geotiff import GeoPicture, Georeference, encode, is_georeferenced

UTM, PLACE = "EPSG:32633", from_origin(500_000, 5_400_000, 10, 10)


def bands(count=3, dtype=np.uint8, top=255, height=24, width=30):
    return np.random.default_rng(0).integers(0, top, (count, height, width)).astype(dtype)


def written(values, change=lambda target: None, crs=UTM, transform=PLACE, **options) -> bytes:
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", count=len(values), height=values.shape[1], width=values.shape[2],
                         dtype=values.dtype, crs=crs, transform=transform, **options) as target:
            target.write(values)
            change(target)
        return memory.read()


def corner(transform, column: float, row: float) -> tuple[float, float]:
    a, b, c, d, e, f = tuple(transform)[:6]
    return a * column + b * row + c, d * column + e * row + f


def opened(data: bytes):
    with MemoryFile(data) as memory, memory.open() as source:
        return source.crs, source.transform, source.read(), source.dataset_mask() > 0, source.scales, source.offsets


def test_eight_bit_colours_come_unchanged_with_their_place():
    values = bands()
    picture = load_picture(written(values))
    assert isinstance(picture, GeoPicture) and picture.notes == ()
    assert np.array_equal(picture.pixels, np.moveaxis(values, 0, -1))
    assert picture.georeference.transform == tuple(PLACE)[:6] and "UTM zone 33N" in picture.georeference.crs
    assert picture.georeference.valid is None and picture.georeference.scale == 1


def test_a_finer_result_covers_the_same_area():
    place = load_picture(written(bands())).georeference.finer(4)
    pixels = np.zeros((96, 120, 3), np.uint8)
    crs, transform, values, valid, _, _ = opened(encode(pixels, place))
    assert crs == UTM and values.shape == (3, 96, 120) and valid.all()
    assert corner(transform, 0, 0) == corner(PLACE, 0, 0)
    assert corner(transform, 120, 96) == pytest.approx(corner(PLACE, 30, 24), abs=1e-6)
    assert encode(pixels, place) == encode(pixels, place)


def test_a_turned_grid_keeps_its_corners():
    turned = Affine(8, -6, 500_000, -6, -16, 5_400_000)
    place = load_picture(written(bands(), transform=turned)).georeference.finer(4)
    assert corner(place.transform, 120, 96) == pytest.approx(corner(turned, 30, 24), abs=1e-6)


def test_deep_values_are_scaled_and_the_way_back_is_written():
    values = bands(dtype=np.uint16, top=9000)
    picture = load_picture(written(values))
    low, high = np.quantile(values, (0.02, 0.98))
    place = picture.georeference
    assert place.offset == pytest.approx(low) and place.scale == pytest.approx((high - low) / 255)
    inside = (values > low) & (values < high)
    back = np.moveaxis(picture.pixels, -1, 0) * place.scale + place.offset
    # Half an 8-bit level is lost by rounding.
    assert np.abs(back - values)[inside].max() <= place.scale * 0.51
    assert any("2nd to 98th percentile" in note for note in picture.notes)
    again = load_picture(encode(picture.pixels, place))
    assert again.georeference.scale == pytest.approx(place.scale) and np.array_equal(again.pixels, picture.pixels)


def test_units_of_the_file_are_kept_and_different_ones_united():
    def reflectance(target):
        target.scales, target.offsets = (1e-4,) * 3, (-0.1,) * 3

    place = load_picture(written(bands(dtype=np.uint16, top=9000), reflectance)).georeference
    assert place.offset == pytest.approx(-0.08, abs=0.02)
    assert place.scale * 255 + place.offset == pytest.approx(0.78, abs=0.02)

    def unequal(target):
        target.scales = 1.0, 2.0, 1.0

    values = np.full((3, 24, 30), 50, np.uint8)
    values[:, :12] = 100
    picture = load_picture(written(values, unequal))
    assert (picture.pixels[..., 1] > picture.pixels[..., 0])[12:].all()


def test_pixels_without_data_stay_masked_out():
    values = bands()
    values[:, :6] = 7
    picture = load_picture(written(values, nodata=7))
    valid = picture.georeference.valid
    assert not valid[:6].any() and valid[6:].mean() > 0.97 and any("hold no data" in note for note in picture.notes)
    fine = picture.georeference.finer(2)
    assert np.array_equal(opened(encode(np.zeros((48, 60, 3), np.uint8), fine))[3], valid.repeat(2, 0).repeat(2, 1))
    assert fine.top_left(10, 60).valid.shape == (10, 60)


def test_numbers_that_are_not_finite_are_no_data():
    values = bands(dtype=np.float32)
    values[0, 3, 4], values[1, 5, 5] = np.nan, np.inf
    picture = load_picture(written(values))
    assert picture.georeference.valid.sum() == values[0].size - 2 and not picture.georeference.valid[3, 4]


def test_bands_are_chosen_by_what_they_say():
    values = bands(4)

    def blue_first(target):
        target.colorinterp = ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined

    picture = load_picture(written(values, blue_first))
    assert np.array_equal(picture.pixels, np.moveaxis(values[[2, 1, 0]], 0, -1)) and picture.notes == ()

    def silent(target):
        target.colorinterp = (ColorInterp.undefined,) * 4

    picture = load_picture(written(values, silent, photometric="MINISBLACK"))
    assert np.array_equal(picture.pixels, np.moveaxis(values[:3], 0, -1)) and "Bands 1, 2, 3 of 4" in picture.notes[0]
    grey = load_picture(written(values[:1]))
    assert np.array_equal(grey.pixels, np.moveaxis(values[[0, 0, 0]], 0, -1))


def test_colour_tables_are_resolved():
    def table(target):
        target.write_colormap(1, {index: (index, 255 - index, 7, 255) for index in range(256)})

    values = bands(1)
    picture = load_picture(written(values, table, photometric="PALETTE"))
    assert np.array_equal(picture.pixels[..., 1], 255 - values[0]) and (picture.pixels[..., 2] == 7).all()


def _points(target):
    target.gcps = [GroundControlPoint(0, 0, 10, 50), GroundControlPoint(0, 30, 11, 50),
                   GroundControlPoint(24, 0, 10, 49)], UTM


@pytest.mark.parametrize(("options", "words"), [
    ({"crs": None}, "no coordinate system"), ({"transform": None}, "no georeference"),
    ({"crs": "EPSG:4326"}, "longitude 500300 and latitude"), ({"transform": Affine(1, 1, 5, 1, 1, 5)}, "no area"),
    ({"transform": None, "change": _points}, "control points")])
def test_odd_georeferences_are_refused_by_name(options, words):
    options = {"values": bands()} | options
    with pytest.raises(InputError, match=words) as caught:
        load_picture(written(**options))
    assert caught.value.field == "picture" and "PNG" in caught.value.fix


@pytest.mark.parametrize(("values", "options", "words"), [
    (bands(height=4), {}, "smaller than 8 px"), (bands(1, width=5000), {}, "limit is 4096"),
    (bands(1).astype(np.complex64), {}, "complex"),
    (np.full((1, 24, 30), 3, np.uint8), {"nodata": 3}, "no valid pixel"),
])
def test_files_that_cannot_be_shown_are_refused_by_name(values, options, words):
    with pytest.raises(InputError, match=words):
        load_picture(written(values, **options))


def test_damaged_files_are_refused():
    data = written(bands(height=200, width=200), compress="deflate")
    for bad in (data[:-len(data) // 2], data[:300], data[:8] + b"\xff" * 40 + data[48:]):
        with pytest.raises(InputError):
            load_picture(bad)


def test_a_plain_tiff_is_a_plain_picture():
    out = io.BytesIO()
    Image.fromarray(np.moveaxis(bands(), 0, -1)).save(out, "TIFF")
    assert not is_georeferenced(out.getvalue()) and not isinstance(load_picture(out.getvalue()), GeoPicture)
    for data in (b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff", b"\x89PNG"):
        assert not is_georeferenced(data)


def test_without_a_mask_a_part_is_like_the_whole():
    place = Georeference(UTM, (10, 0, 0, 0, -10, 0))
    assert place.top_left(3, 3) is place
