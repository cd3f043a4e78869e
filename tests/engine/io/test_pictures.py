"""Pictures: bad files are refused with a sentence, good ones of every kind give the right RGB values."""

import contextlib
import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from engine.errors import InputError
from engine.io import load_picture, to_pixels
from engine.io.formats import kind
from engine.runtime import settings

# PIL warns of damaged EXIF data and large headers, which is what these tests hand it.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::PIL.Image.DecompressionBombWarning")


def scene(height=24, width=32) -> np.ndarray:
    """Smooth colour ramps, so that lossy formats stay close; no symmetry, so that turning shows."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 255 // (width - 1), y * 255 // (height - 1), (x + y) * 255 // (width + height - 2)],
                    axis=-1).astype(np.uint8)


def filed(image: Image.Image | np.ndarray, form: str, **options) -> bytes:
    out = io.BytesIO()
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(out, form, **options)
    return out.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    """A PNG that claims any size, with an empty picture unless chunks are given."""
    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks or (chunk(b"IDAT", b""),)) + chunk(b"IEND", b"")


def refused(data: bytes | str | Path, said: str) -> InputError:
    with pytest.raises(InputError, match=said) as caught:
        load_picture(data)
    error = caught.value
    assert error.field == "picture" and error.what and error.why and error.fix
    return error


# Row 1: empty and tiny
@pytest.mark.parametrize("data, said", [
    (b"", "empty"), (b"x", "1 byte"), (filed(scene()[:1, :1], "PNG"), "1 x 1 px. It is smaller than 8 px"),
    (filed(scene(24, 5), "PNG"), "5 x 24 px"), (png(0, 0), "damaged|smaller"),
])
def test_empty_and_tiny_files_are_refused(data, said):
    refused(data, said)


# Row 2: damaged
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_file_that_is_cut_off_is_refused(form, share):
    options = {"compression": "tiff_lzw"} if form == "TIFF" else {}
    data = filed(scene(64, 64), form, **options)
    refused(data[:int(len(data) * share)], "damaged")


def test_a_wrong_checksum_is_refused():
    data = bytearray(filed(scene(), "PNG"))
    data[data.index(b"IDAT") + 20] ^= 1
    refused(bytes(data), "checksum of its IDAT part is wrong")


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_garbage_behind_the_end_is_refused(form):
    refused(filed(scene(), form) + b"garbage" * 100, "Something follows its end")


def test_a_jpeg_with_a_broken_tail_is_refused():
    data = filed(np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8), "JPEG")
    broken = data[:len(data) // 2] + np.random.default_rng(1).bytes(len(data) // 2)
    refused(broken, "damaged")


def test_what_cameras_put_behind_a_jpeg_is_accepted():
    data = filed(scene(), "JPEG")
    for tail in (b"\0" * 64, data, b"\0\0\0\x18ftypmp42" + b"\0" * 50, b"trailerSEFT"):
        assert load_picture(data + tail).size == (24, 32)


def test_a_jpeg_with_a_preview_behind_it_gives_its_first_picture():
    data = filed(Image.fromarray(scene()), "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))], quality=95)
    assert load_picture(data).size == (24, 32)


@pytest.mark.parametrize("options", [{"progressive": True}, {"restart_marker_blocks": 1}, {"optimize": True}])
def test_every_kind_of_jpeg_is_walked_to_its_end(options):
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    data = filed(noise, "JPEG", quality=98, **options)
    assert load_picture(data).size == (64, 80)
    refused(data[:-2], "damaged")


# Row 3: the type comes from the content
def test_the_type_is_told_from_the_content(tmp_path):
    path = tmp_path / "picture.dcm"
    path.write_bytes(filed(scene(), "PNG"))
    assert np.array_equal(load_picture(path).pixels, scene())
    path = tmp_path / "picture.png"
    path.write_text("no picture at all")
    refused(path, "The file is a text file")
    refused(b"PK\3\4" + filed(scene(), "PNG"), "ZIP")


# Row 4: bombs, refused from the header
@pytest.mark.parametrize("data, said", [
    (png(20_000, 20_000), "more than 34 million pixels"),
    (png(9000, 2000), "9000 x 2000 px. The limit is 4096 x 4096 px"),
    (png(4097, 4097), "4097 x 4097 px"),
    (filed(Image.new("L", (40, 40)), "TIFF", save_all=True, append_images=[Image.new("L", (40, 40))] * 300),
     "more than one picture"),
    (filed(Image.new("L", (16, 16)), "WEBP", save_all=True, duration=10,
           append_images=[Image.new("L", (16, 16), i % 256) for i in range(500)]), "more than one picture"),
    (filed(Image.new("L", (16, 16)), "PNG", save_all=True, append_images=[Image.new("L", (16, 16), 9)]),
     "more than one picture"),
], ids=["400 Mpx", "wide", "just too large", "TIFF pages", "WebP frames", "PNG frames"])
def test_bombs_are_refused_before_decoding(data, said):
    tracemalloc.start()
    refused(data, said)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000  # the rule allows 50 MB; decoding the smallest of these would need 54 MB


def test_files_above_the_limit_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setenv("DIFFUSCOPE_IMAGE_BYTES", "1000")
    settings.limits.cache_clear()
    try:
        path = tmp_path / "large.png"
        path.write_bytes(bytes(1001))
        monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail("the file was read"))
        refused(path, "The limit is 0 MB")
    finally:
        settings.limits.cache_clear()


# Row 5: formats that are not read
@pytest.mark.parametrize("data, name", [
    (b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"), (b"  <svg onload='x()'/>", "SVG"),
    (b"%!PS-Adobe-3.0 EPSF", "EPS"), (b"%PDF-1.7", "PDF"), (b"SIMPLE  =                    T", "FITS"),
    (b"8BPS\0\1" + bytes(20), "PSD"), (b"\0\0\0\x18ftypheic" + bytes(20), "HEIC"), (b"GIF89a" + bytes(20), "GIF"),
    (b"\0\0\0\x1cftypavif" + bytes(20), "AVIF"), (bytes(128) + b"DICM", "DICOM"), (b"\x80\4\x95" + bytes(99), "known"),
])
def test_other_formats_are_refused_by_name(data, name):
    assert "PNG" in refused(data, name).fix


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    refused(tmp_path / "none.png", "not there")
    refused(tmp_path, "not there")
    refused("a\0b", "not there")


# Row 6: conversions
@pytest.mark.parametrize("form, options, tolerance", [
    ("PNG", {}, 0), ("BMP", {}, 0), ("TIFF", {}, 0), ("TIFF", {"compression": "tiff_deflate"}, 0),
    ("WEBP", {"lossless": True}, 0), ("JPEG", {"quality": 95, "subsampling": 0}, 6),
])
def test_every_accepted_format_is_read(form, options, tolerance):
    """tolerance: lossless formats are exact; JPEG at quality 95 rounds, which moves a smooth ramp by a few levels."""
    picture = load_picture(filed(scene(), form, **options))
    assert picture.notes == ()
    assert picture.pixels.dtype == np.uint8 and picture.size == (24, 32)
    assert np.abs(picture.pixels.astype(int) - scene()).max() <= tolerance


def test_a_palette_is_resolved():
    image = Image.fromarray(scene()).quantize(16)
    picture = load_picture(filed(image, "PNG"))
    assert np.array_equal(picture.pixels, np.asarray(image.convert("RGB")))
    assert picture.notes == ("The colour table was resolved.",)


def test_transparency_is_laid_over_white():
    alpha = np.full((24, 32, 1), 255, np.uint8)
    alpha[:, :16] = 0
    picture = load_picture(filed(np.concatenate([scene(), alpha], axis=2), "PNG"))
    assert (picture.pixels[:, :16] == 255).all() and np.array_equal(picture.pixels[:, 16:], scene()[:, 16:])
    assert picture.notes == ("Transparent parts were laid over white.",)


def test_sixteen_bits_are_scaled_over_their_whole_range():
    deep = np.linspace(0, 65535, 24 * 32).reshape(24, 32).astype(np.uint16)
    for form in ("PNG", "TIFF"):
        picture = load_picture(filed(Image.fromarray(deep), form))
        assert np.array_equal(picture.pixels[..., 0], np.rint(deep / 257).astype(np.uint8))
        assert picture.notes == ("16-bit values were scaled to 8 bits.",)


def test_sixteen_bit_colours_are_noted():
    rows = b"".join(b"\0" + (np.arange(8 * 3) * 2000).astype(">u2").tobytes() for _ in range(8))
    header = chunk(b"IHDR", struct.pack(">2I5B", 8, 8, 16, 2, 0, 0, 0))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    picture = load_picture(data)
    assert np.array_equal(picture.pixels[0].ravel(), (np.arange(24) * 2000) >> 8)
    assert picture.notes == ("16-bit values were scaled to 8 bits.",)


@pytest.mark.parametrize("low, high, note", [
    (0.0, 1.0, "Values from 0 to 1"), (-3.0, 5.0, "Values from -3 to 5"), (0.0, 255.0, None),
    (-3e38, 3e38, "Values from -3e\\+38"),
])
def test_float_pictures_are_scaled_by_a_stated_rule(low, high, note):
    values = np.linspace(0, 1, 24 * 32, dtype=np.float64).reshape(24, 32)
    picture = load_picture(filed(Image.fromarray((low * (1 - values) + high * values).astype(np.float32)), "TIFF"))
    # One level: the values were rounded to float32 before.
    assert np.abs(picture.pixels[..., 1] - values * 255).max() <= 1
    assert len(picture.notes) == (note is not None)
    if note:
        assert picture.notes[0].startswith(note.replace("\\", ""))


def test_cmyk_is_converted():
    picture = load_picture(filed(Image.fromarray(scene()).convert("CMYK"), "TIFF"))
    assert np.array_equal(picture.pixels, scene())  # without a profile the two are complements
    assert picture.notes == ("CMYK colours were converted to RGB.",)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(form, orientation):
    image = Image.fromarray(scene())
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 100, "subsampling": 0} if form == "JPEG" else {"lossless": True} if form == "WEBP" else {}
    picture = load_picture(filed(image, form, exif=exif, **options))
    image.info["exif"] = exif.tobytes()
    image.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(image))
    assert picture.pixels.shape == upright.shape
    assert np.abs(picture.pixels.astype(int) - upright).max() <= (4 if form == "JPEG" else 0)  # rounding of JPEG
    assert picture.notes == (() if orientation == 1 else ("The picture was turned as its EXIF data says.",))


def test_damaged_exif_is_ignored_with_a_note_or_silently():
    data = filed(scene(), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\xff" * 40)
    assert load_picture(data).size == (24, 32)


def test_a_colour_profile_is_followed():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert load_picture(filed(scene(), "PNG", icc_profile=lab)).notes == ()
    twisted = _swapped_primaries(lab)
    picture = load_picture(filed(scene(), "PNG", icc_profile=twisted))
    assert picture.notes == ("The colours were converted from the picture's profile to sRGB.",)
    # Red and blue are exchanged in the profile, so the picture's channels come out exchanged; tables have 8 bits.
    assert np.abs(picture.pixels.astype(int) - scene()[..., ::-1]).max() <= 3
    damaged = load_picture(filed(scene(), "PNG", icc_profile=b"no profile" * 20))
    assert np.array_equal(damaged.pixels, scene())
    assert damaged.notes == ("The colour profile could not be used and was ignored.",)


def _swapped_primaries(profile: bytes) -> bytes:
    """The profile with the tags of its red and blue primaries exchanged, under another description."""
    return (profile.replace(b"rXYZ", b"tmpX").replace(b"bXYZ", b"rXYZ").replace(b"tmpX", b"bXYZ")
            .replace("sRGB".encode("utf-16-be"), "swap".encode("utf-16-be")).replace(b"sRGB", b"swap"))


# Row 7: values
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(value):
    values = np.zeros((16, 16), np.float32)
    values[3, 4] = value
    refused(filed(Image.fromarray(values), "TIFF"), "1 values of the picture are not finite")


@pytest.mark.parametrize("level", [0, 128, 255])
def test_a_constant_picture_is_read_with_a_note(level):
    picture = load_picture(filed(np.full((16, 16, 3), level, np.uint8), "PNG"))
    assert (picture.pixels == level).all() and "same value" in picture.notes[0]


def test_a_constant_float_picture_has_finite_pixels():
    assert (load_picture(filed(Image.fromarray(np.full((16, 16), -7.5, np.float32)), "TIFF")).pixels == 0).all()


# Row 9: size
def test_the_largest_size_is_accepted_and_a_strip_refused():
    assert load_picture(filed(Image.new("L", (4096, 4096), 3), "PNG")).size == (4096, 4096)
    refused(filed(Image.new("L", (5000, 3)), "PNG"), "5000 x 3 px")
    refused(filed(Image.new("L", (5000, 16)), "PNG"), "The limit is 4096 x 4096 px")


# Row 32: names are only used to open the file
def test_messages_and_notes_never_hold_the_file_name(tmp_path):
    path = tmp_path / "Jane Doe 1970-01-01.png"
    path.write_bytes(filed(scene(), "PNG")[:-20])
    assert "Jane" not in str(refused(path, "damaged"))


def test_random_bytes_behind_a_true_start_never_do_more_than_refuse():
    rng = np.random.default_rng(0)
    for form in ("PNG", "JPEG", "WEBP", "TIFF", "BMP"):
        good = filed(scene(), form)
        for _ in range(40):
            data = bytearray(good)
            for place in rng.integers(2, len(data), 6):
                data[place] = rng.integers(256)
            with contextlib.suppress(InputError):
                assert load_picture(bytes(data)).pixels.dtype == np.uint8


def test_tensor_and_pixels_are_inverse():
    import torch

    values = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    tensor = load_picture(filed(values, "PNG")).tensor()
    assert tensor.shape == (1, 3, 16, 16) and tensor.dtype == torch.float32
    assert tensor.min() == -1 and tensor.max() == 1
    assert np.array_equal(to_pixels(tensor)[0], values)
    assert to_pixels(tensor * 9)[0].min() == 0


@pytest.mark.parametrize("data, name", [(b"", "unknown"), (b"{}", "JSON"), (b"\x7fELF", "program"),
                                        (b"RIFF0000WEBP", "WebP")])
def test_kinds(data, name):
    assert kind(data) == name
