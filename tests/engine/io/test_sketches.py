"""Drawings of every kind give the same ink, canvases without a stroke give a sentence."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from engine.errors import InputError
from engine.io.sketches import MOST_PX, read_sketch

SIZE = 240


def filed(pixels: np.ndarray, form: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def drawn(side: int = SIZE) -> np.ndarray:
    """A house: True where the pen went."""
    page, unit = np.zeros((side, side), np.uint8), side / 240
    points = np.int32(np.array([(60, 180), (60, 110), (120, 60), (180, 110), (180, 180), (60, 180)]) * unit)
    cv2.polylines(page, [points], False, 1, max(1, round(4 * unit)))
    return page > 0


def grey(level: np.ndarray) -> np.ndarray:
    return np.repeat(np.uint8(np.clip(level, 0, 255))[..., None], 3, axis=2)


def agreement(ink: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of the ink with the truth."""
    found = ink > 0.5
    return float((found & truth).sum() / (found | truth).sum())


def on_transparent(colour: tuple[int, int, int]) -> bytes:
    pixels = np.zeros((SIZE, SIZE, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = colour, drawn() * 255
    return filed(pixels)


@pytest.mark.parametrize("data, said", [
    (filed(grey(255 - 255 * drawn())), ""), (filed(grey(255 - 60 * drawn())), ""),
    (filed(grey(20 + 220 * drawn())), "Light lines on a dark ground"),
    (on_transparent((0, 0, 0)), ""), (on_transparent((255, 255, 255)), ""), (on_transparent((200, 40, 40)), ""),
    (filed(np.dstack((grey(255 - 255 * drawn()), np.full((SIZE, SIZE), 255, np.uint8)))), "")],
    ids=["black", "pencil", "chalk", "transparent", "white on transparent", "red on transparent", "opaque"])
def test_clean_drawings_give_their_lines(data, said):
    sketch = read_sketch(data)
    assert sketch.ink.dtype == np.float32 and sketch.ink.min() >= 0 and sketch.ink.max() <= 1
    assert agreement(sketch.ink, drawn()) == 1
    assert said in " ".join(sketch.notes) and (bool(said) or not sketch.notes)


@pytest.mark.parametrize("form, options", [("JPEG", {"quality": 85}), ("WEBP", {"quality": 85})])
def test_lossy_pictures_give_almost_the_same(form, options):
    # Blocks of 8 px blur an edge by about a pixel, of lines that are four wide.
    assert agreement(read_sketch(filed(grey(255 - 255 * drawn()), form, **options)).ink, drawn()) > 0.75


@pytest.mark.parametrize("board", [False, True])
def test_photographs_of_paper_lose_shadow_and_grain(board):
    y, x = np.mgrid[0:480, 0:480] / 480
    truth = drawn(480)
    light = 235 - 110 * x - 50 * y + np.random.default_rng(0).normal(0, 4, (480, 480))
    page = np.where(truth, light * 0.35, light)
    sketch = read_sketch(filed(grey(255 - page if board else page), "JPEG", quality=90))
    assert any("uneven" in note for note in sketch.notes)
    assert agreement(sketch.ink, truth) > 0.75
    # Far from the lines there is no ink, neither in the dark corner nor from the grain.
    assert (sketch.ink[cv2.dilate(np.uint8(truth), np.ones((9, 9))) == 0] > 0.25).mean() < 1e-3


def test_large_pictures_are_read_smaller():
    sketch = read_sketch(filed(grey(255 - 255 * drawn(2000))))
    assert sketch.ink.shape == (MOST_PX, MOST_PX) and "was read at 1024 px" in sketch.notes[0]


def _dot(radius: int) -> np.ndarray:
    return cv2.circle(np.full((SIZE, SIZE, 3), 255, np.uint8), (100, 100), radius, (0, 0, 0), -1)


# Row 27
@pytest.mark.parametrize("data, said", [
    (filed(np.full((SIZE, SIZE, 3), 255, np.uint8)), "empty"), (filed(np.zeros((SIZE, SIZE, 3), np.uint8)), "empty"),
    (filed(np.zeros((SIZE, SIZE, 4), np.uint8)), "empty"),
    (filed(np.full((SIZE, SIZE, 4), 255, np.uint8) * np.uint8([0, 0, 0, 1])), "empty"),
    (filed(_dot(0)), "one dot of 1 x 1 px"), (filed(_dot(7)), "one dot of 15 x 15 px")],
    ids=["white", "black", "transparent", "opaque black", "one pixel", "one dab"])
def test_a_canvas_without_a_stroke_is_told(data, said):
    with pytest.raises(InputError, match=said) as caught:
        read_sketch(data)
    assert caught.value.fix.startswith("Draw at least one stroke") and caught.value.field == "sketch"


@pytest.mark.parametrize("data, said", [(b"", "empty"), (b"<svg></svg>", "SVG"), (b"\x89PNG\r\n\x1a\n1234", "damaged")])
def test_what_is_no_picture_is_refused_as_pictures_are(data, said):
    with pytest.raises(InputError, match=said):
        read_sketch(data)
