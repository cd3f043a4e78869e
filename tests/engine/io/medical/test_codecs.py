"""Compressed DICOM pictures: each way to store them that is read, exact where it has no loss, and refusals by name."""

import io

import numpy as np
import pytest
from PIL import Image
from pydicom import uid

from engine.errors import InputError
from engine.io.medical import codecs, dicom, read
from tests.engine.io.medical.making import compressed, dataset, lossless_jpeg, numbers, png, written

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom complains about the files made here


def parsed(data: bytes) -> dict[str, np.ndarray]:
    return dicom.parse(dicom.packed([data]))


def smooth(bits: int, shape=(48, 64)) -> np.ndarray:
    y, x = np.mgrid[:shape[0], :shape[1]]
    values = (np.sin(x / 9) + np.cos(y / 7) + 2) / 4 * (2**bits - 1)
    return values.astype(np.uint8 if bits == 8 else np.uint16)


def stored(bits: int) -> dict[str, int]:
    return {"BitsStored": bits, "HighBit": bits - 1, "RescaleIntercept": 0}


def jpeg_2000(pixels: np.ndarray, **options) -> bytes:
    return png(pixels, "JPEG2000", no_jp2=True, **options)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize(("syntax", "predictor"), [
    (uid.JPEGLosslessSV1, 1), (uid.JPEGLossless, 1), (uid.JPEGLossless, 2), (uid.JPEGLossless, 4),
    (uid.JPEGLossless, 7)])
def test_lossless_jpeg_is_exact(syntax, predictor, bits):
    pixels = numbers((24, 32), top=2**bits).astype(np.uint8 if bits == 8 else np.uint16)
    found = parsed(compressed(syntax, lossless_jpeg(pixels, bits, predictor), pixels, **stored(bits)))
    assert np.array_equal(found["values"][0], pixels)


def test_signed_lossless_jpeg_is_exact_through_the_child_process():
    pixels = smooth(12).astype(np.int16) - 2048
    bits = (pixels & 0x0FFF).astype(np.uint16)
    data = compressed(uid.JPEGLosslessSV1, lossless_jpeg(bits, 12), pixels, PixelRepresentation=1, **stored(12))
    assert np.array_equal(read(data).values[0], pixels)


@pytest.mark.parametrize("left", [-100, 300])
def test_a_lossless_jpeg_that_ends_early_is_refused_and_not_filled_up(left):
    pixels = numbers((64, 64))
    with pytest.raises(InputError, match="do not decode"):
        parsed(compressed(uid.JPEGLosslessSV1, lossless_jpeg(pixels, 12)[:left] + b"\xff\xd9", pixels, **stored(12)))


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("syntax", [uid.RLELossless, uid.JPEGLSLossless])
def test_rle_and_jpeg_ls_are_exact(syntax, bits):
    pixels = smooth(bits)
    made = dataset(pixels, **stored(bits))
    made.compress(syntax)
    assert np.array_equal(parsed(written(made))["values"][0], pixels)


def test_near_lossless_jpeg_ls_keeps_its_promise():
    pixels = smooth(12)
    made = dataset(pixels, **stored(12))
    made.compress(uid.JPEGLSNearLossless, jls_error=3)
    assert 0 < np.abs(parsed(written(made))["values"][0] - pixels).max() <= 3


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEG2000])
def test_jpeg_2000_without_loss_is_exact(syntax, bits):
    pixels = smooth(bits)
    found = parsed(compressed(syntax, jpeg_2000(pixels, irreversible=False), pixels, **stored(bits)))
    assert np.array_equal(found["values"][0], pixels)


def test_jpeg_2000_with_loss_is_near():
    pixels = smooth(8)
    stream = jpeg_2000(pixels, irreversible=True, quality_mode="dB", quality_layers=[45])
    assert np.abs(parsed(compressed(uid.JPEG2000, stream, pixels, **stored(8)))["values"][0] - pixels).max() < 12


@pytest.mark.parametrize("syntax", [uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit])
def test_jpeg_of_8_bits_is_near_and_its_loss_is_told(syntax):
    pixels = smooth(8)
    found = parsed(compressed(syntax, png(pixels, "JPEG", quality=95), pixels, LossyImageCompression="01", **stored(8)))
    assert np.abs(found["values"][0] - pixels).max() <= 5
    assert "with loss" in " ".join(map(str, found["notes"]))


def test_colours_survive_their_compression():
    pixels = np.zeros((32, 40, 3), np.uint8)
    pixels[:, :20], pixels[:, 20:] = (200, 30, 90), (20, 160, 240)
    colour = stored(8) | {"SamplesPerPixel": 3, "PlanarConfiguration": 0}
    exact = parsed(compressed(uid.JPEG2000Lossless, jpeg_2000(pixels, irreversible=False, mct=1), pixels,
                              PhotometricInterpretation="YBR_RCT", **colour))
    assert np.array_equal(exact["values"][0], pixels)
    near = parsed(compressed(uid.JPEGBaseline8Bit, png(pixels, "JPEG", quality=95, subsampling=0), pixels,
                             PhotometricInterpretation="YBR_FULL", **colour))
    assert np.abs(near["values"][0].astype(int) - pixels)[:, 4:16].max() <= 4


@pytest.mark.parametrize(("syntax", "bits", "name"), [
    (uid.JPEGExtended12Bit, 12, "JPEG Extended.* with 12 bits"),
    (uid.HTJ2KLossless, 12, "High-Throughput JPEG 2000"), (uid.MPEG2MPML, 8, "MPEG2"), (uid.HEVCMP51, 8, "HEVC")])
def test_what_is_not_read_is_refused_by_name_with_what_to_do(syntax, bits, name):
    with pytest.raises(InputError, match=f"compressed as {name}") as caught:
        parsed(compressed(syntax, b"\0\0\1\xb3", smooth(bits), **stored(bits)))
    assert "JPEG Lossless" in caught.value.why and "uncompressed" in caught.value.fix


def test_a_missing_codec_is_named(monkeypatch):
    from pydicom.pixels.decoders.base import Decoder

    monkeypatch.setattr(Decoder, "is_available", False)
    with pytest.raises(InputError, match=r"compressed as JPEG Lossless.*no codec"):
        parsed(compressed(uid.JPEGLosslessSV1, b"\xff\xd8\xff\xd9"))


def test_careful_decoders_go_first():
    assert codecs.decoder_for(uid.JPEGLosslessSV1, 16) == "gdcm"
    assert codecs.decoder_for(uid.JPEG2000Lossless, 16) == codecs.decoder_for(uid.JPEGBaseline8Bit, 8) == "pillow"
    assert codecs.decoder_for(uid.ExplicitVRLittleEndian, 16) == ""


@pytest.mark.parametrize(("syntax", "stream"), [
    (uid.JPEGBaseline8Bit, png(np.full((8, 8), 90, np.uint8), "JPEG")),
    (uid.JPEGLosslessSV1, lossless_jpeg(np.full((8, 8), 90, np.uint8), 8)),
    (uid.JPEG2000Lossless, jpeg_2000(np.full((8, 8), 90, np.uint8)))])
def test_a_compressed_picture_of_another_size_is_refused(syntax, stream):
    with pytest.raises(InputError, match="Rows x Columns = 16 x 16"):
        parsed(compressed(syntax, stream, np.zeros((16, 16), np.uint8)))


def test_a_cut_jpeg_is_refused():
    whole = png(smooth(8), "JPEG")
    assert Image.open(io.BytesIO(whole)).size == (64, 48)
    with pytest.raises(InputError, match="do not decode"):
        parsed(compressed(uid.JPEGBaseline8Bit, whole[:-50], smooth(8), **stored(8)))
