"""Masks from files, arrays and boxes (row 8 of the bad inputs)."""

import io

import numpy as np
import pytest
from PIL import Image

from engine.errors import InputError
from engine.io import load_mask, mask_of, read_mask

SIZE = (20, 30)


def filed(values: np.ndarray, form: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(values).save(out, form)
    return out.getvalue()


@pytest.fixture
def area() -> np.ndarray:
    area = np.zeros(SIZE, bool)
    area[4:9, 11:25] = True
    return area


def with_alpha(alpha: np.ndarray, level: int) -> np.ndarray:
    return np.concatenate([np.full((*SIZE, 3), level, np.uint8), alpha[..., None].astype(np.uint8)], axis=2)


@pytest.mark.parametrize("make", [
    lambda a: a.astype(np.uint8) * 255,
    lambda a: a.astype(np.uint8),
    lambda a: a,
    lambda a: a.astype(np.uint16) * 65535,
    lambda a: np.repeat(a[..., None].astype(np.uint8) * 255, 3, axis=2),
    lambda a: with_alpha(a * 255, 0),
    lambda a: with_alpha(a * 255, 255),
], ids=["grey", "0 and 1", "one bit", "16 bit", "colour", "black with alpha", "white with alpha"])
def test_every_way_of_writing_a_mask_gives_the_same_area(area, make):
    found = read_mask(filed(make(area)), SIZE)
    assert found.area.dtype == bool and np.array_equal(found.area, area)
    assert not any("soft" in note for note in found.notes)


def test_float_masks_are_read(area):
    assert np.array_equal(load_mask(filed(area.astype(np.float32), "TIFF"), SIZE), area)


def test_soft_edges_are_cut_at_half_with_a_note():
    level = np.tile(np.linspace(0, 255, 30).astype(np.uint8), (20, 1))
    found = read_mask(filed(level), SIZE)
    assert np.array_equal(found.area, level > 127)
    assert found.notes == ("560 soft pixels of the mask were set to painted or kept, at half.",)


@pytest.mark.parametrize("values", [np.zeros(SIZE, np.uint8), with_alpha(np.zeros(SIZE), 255),
                                    with_alpha(np.zeros(SIZE), 0), np.full(SIZE, 90, np.uint8)])
def test_an_empty_mask_asks_for_paint(values):
    with pytest.raises(InputError, match="Paint the area to fill") as caught:
        load_mask(filed(values), SIZE)
    assert caught.value.field == "mask"


def test_a_full_mask_is_allowed():
    assert load_mask(filed(np.full(SIZE, 255, np.uint8)), SIZE).all()


@pytest.mark.parametrize("shape", [(30, 20), (20, 31), (1, 1)])
def test_another_size_is_refused(shape):
    with pytest.raises(InputError, match=f"{shape[1]} x {shape[0]} px. The picture is 30 x 20 px"):
        load_mask(filed(np.full(shape, 255, np.uint8)), SIZE)


@pytest.mark.parametrize("text", ["11,4,25,9", "box:11,4,25,9", " 11 , 4,25, 9 "])
def test_a_box_marks_its_pixels(area, text):
    assert np.array_equal(load_mask(text, SIZE), area)


@pytest.mark.parametrize("text", ["0,0,31,5", "0,0,5,21", "-1,0,5,5", "5,5,5,9", "9,9,5,5", "0,0,999999,999999"])
def test_a_box_outside_the_picture_is_refused(text):
    with pytest.raises(InputError, match="within 0, 0 to 30, 20"):
        load_mask(text, SIZE)


@pytest.mark.parametrize("text", ["1,2,3", "a,b,c,d", "1,2,3,4,5", ""])
def test_text_that_is_no_box_is_taken_for_a_file(text):
    with pytest.raises(InputError, match="not there"):
        load_mask(text, SIZE)


def test_arrays_from_an_editor_are_taken(area):
    layer = with_alpha(area * 255, 40)
    assert np.array_equal(mask_of(layer, SIZE).area, area)
    assert np.array_equal(mask_of(area, SIZE).area, area)
