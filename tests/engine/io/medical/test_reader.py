"""What a file is, told from its content; pictures and stacks with their values; sets of files."""

import gzip
import io

import numpy as np
import pytest
from PIL import Image

from engine.errors import InputError
from engine.io.medical import grey, read, window_of, windowed
from tests.engine.io.medical.making import NAME, dicom, nifti, numbers, png, series, zipped

GREY = np.random.default_rng(1).integers(0, 256, (12, 16)).astype(np.uint8)
COLOUR = np.random.default_rng(2).integers(0, 256, (12, 16, 3)).astype(np.uint8)
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def stack(pages, **options) -> bytes:
    out = io.BytesIO()
    first, *rest = [Image.fromarray(page) for page in pages]
    first.save(out, "TIFF", save_all=True, append_images=rest, **options)
    return out.getvalue()


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP"])
def test_eight_bit_pictures_come_and_show_unchanged(form):
    scan = read(png(GREY, form))
    assert scan.kind == "picture" and scan.values.dtype == np.float32 and np.array_equal(scan.values[0], GREY)
    assert np.array_equal(windowed(scan)[0], np.repeat(GREY[..., None], 3, 2)) and scan.spacing_mm is None
    scan = read(png(COLOUR, form))
    assert scan.values.dtype == np.uint8 and np.array_equal(scan.values[0], COLOUR)
    assert np.array_equal(windowed(scan)[0], COLOUR)


def test_jpeg_colour_where_grey_is_expected():
    flat = np.zeros((16, 16, 3), np.uint8)
    flat[...] = (200, 40, 40)
    scan = grey(read(png(flat, "JPEG", quality=95)))
    # ITU-R BT.601: 0.299 * 200 + 0.701 * 40; JPEG at this quality is within 2 levels.
    assert scan.values[0] == pytest.approx(0.299 * 200 + 0.701 * 40, abs=2)
    assert any("turned into grey" in note for note in scan.notes) and grey(scan) is scan


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_values_are_kept(form):
    scan = read(png(numbers(), form))
    assert np.array_equal(scan.values[0], numbers()) and scan.window is None
    low, high = np.percentile(numbers(), (1, 99))
    assert window_of(scan) == pytest.approx(((low + high) / 2, high - low))


def test_float_pictures_have_defined_values():
    values = np.linspace(-3, 5, 192, dtype=np.float32).reshape(12, 16)
    values[0, 1] = np.nan
    scan = read(png(values, "TIFF"))
    assert scan.values[0, 0, 1] == -3 and any("1 values that are not finite" in note for note in scan.notes)


def test_white_is_zero_is_mirrored():
    inverted = png(numbers(), "TIFF", tiffinfo={262: 0})
    assert Image.open(io.BytesIO(inverted)).tag_v2[262] == 0
    scan = read(inverted)
    assert np.array_equal(scan.values[0], 65535 - numbers().astype(float)) and "mirrored" in scan.notes[0]


def test_pages_of_a_tiff_are_slices():
    pages = [numbers(seed=i) for i in range(4)]
    scan = read(stack(pages))
    assert np.array_equal(scan.values, pages) and any("4 pictures form a stack" in note for note in scan.notes)
    assert np.array_equal(read(stack([COLOUR, COLOUR[::-1]])).values, [COLOUR, COLOUR[::-1]])


def test_stacks_that_are_none_are_refused():
    with pytest.raises(InputError, match="12 x 12 to 16 x 12 px"):
        read(stack([GREY, GREY[:, :12]]))
    with pytest.raises(InputError, match="more than 500 pictures"):
        read(stack([GREY[:8, :8]] * 501))
    with pytest.raises(InputError, match="mixes grey and coloured"):
        read([png(GREY), png(COLOUR)])
    with pytest.raises(InputError, match="damaged"):
        read(stack([numbers(seed=i) for i in range(4)])[:-300])


def test_a_loop_of_pages_ends():
    data = bytearray(stack([GREY[:8, :8]] * 2))
    first = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[first:first + 2], "little")
    data[first + 2 + 12 * count:first + 6 + 12 * count] = first.to_bytes(4, "little")
    with pytest.raises(InputError):
        read(bytes(data))


def test_empty_pictures_are_stated():
    scan = read(png(np.zeros((12, 16), np.uint8)))
    assert any("All values of the scan are the same" in note for note in scan.notes) and not windowed(scan).any()
    assert "Every slice has a single colour" in read(png(np.full((9, 9, 3), (1, 2, 3), np.uint8))).notes[-1]


def test_zips_of_pictures_and_of_dicom():
    scan = read(zipped({f"{i}.png": png(np.roll(GREY, i)) for i in (10, 9, 2)}))
    assert np.array_equal(scan.values, [np.roll(GREY, i) for i in (2, 9, 10)])
    disc = {f"{NAME}/{i}": data for i, data in enumerate(series(3))} | {"viewer.exe": b"MZ", "logo.png": png(GREY)}
    scan = read(zipped(disc))
    assert scan.kind == "series" and scan.size == (3, 12, 16) and "skipped: 2" in scan.notes[0]
    assert NAME not in repr(scan)
    assert read(zipped({"volume.nii.gz": gzip.compress(nifti())})).kind == "nifti"


def test_kinds_are_told_from_content_and_named():
    for data, words in ((b"", "empty"), (b"hello", "text file"), (b"%PDF-1.7", "PDF file"),
                        (b"\0\1\2\3" * 40, "no kind"),
                        (b"MZ" + b"\0" * 126 + b"DICM" + b"\0" * 99, "program file"), (b"\x89PNG\r\n\x1a\n", "damaged"),
                        (gzip.compress(b"text"), "gzip file"), (b"<svg></svg>", "SVG file")):
        with pytest.raises(InputError, match=words) as caught:
            read(data, "scan")
        assert caught.value.field == "scan"


def test_a_tiff_preamble_before_dicom_is_dicom():
    data = dicom()
    assert read(b"II*\0" + data[4:]).kind == "dicom"


def test_sets_of_files():
    with pytest.raises(InputError, match="There is no file"):
        read([])
    with pytest.raises(InputError, match="1 of 2 files are empty"):
        read([png(GREY), b""])
    with pytest.raises(InputError, match=r"several kinds.*1 are DICOM"):
        read([png(GREY), dicom()])
    with pytest.raises(InputError, match="2 NIfTI files"):
        read([nifti(), nifti()])
    with pytest.raises(InputError, match=r"501 files.*limit is 500"):
        read([b"\x89PNG\r\n\x1a\n"] * 501)
    assert read([png(GREY)]).size == (1, 12, 16)
