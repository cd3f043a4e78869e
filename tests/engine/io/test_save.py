"""Results on disk carry the recipe that made them, and nothing else about the person who ran it."""

import contextlib
import io
import json
import stat

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from engine.errors import InputError
from engine.io import encode, jpeg_frame, load_picture, read_recipe, save_result
from engine.io.save import KEYWORD
from engine.recipe import Recipe
from engine.tasks.base import Array, Result

RECIPE = Recipe(task="restoration", solver="ddim", steps=5, seed=7, size=(16, 24),
                options={"eta": 0.5, "degradation": "noise"})
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 16, 24, 3), dtype=np.uint8)


def result(pixels=PIXELS, recipe=RECIPE) -> Result:
    return Result(arrays={"samples": Array(pixels, ("sample", "y", "x", "channel")),
                          "mean": Array(pixels.mean(0).astype(np.uint8), ("y", "x", "channel")),
                          "spread": Array(pixels.std(0).mean(-1), ("y", "x"), "1/255")},
                  metrics={"PSNR dB": 23.5, "none": float("nan")}, recipe=recipe, notes=("A note.",))


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_the_recipe_travels_inside_every_format(form, tmp_path):
    path = tmp_path / "any name"
    path.write_bytes(encode(PIXELS[0], RECIPE, form))
    assert read_recipe(path) == (RECIPE, ())
    assert read_recipe(path.read_bytes()) == (RECIPE, ())
    if form != "JPEG":
        assert np.array_equal(load_picture(path).pixels, PIXELS[0])


def test_save_writes_pictures_and_one_sheet_that_read_back(tmp_path):
    paths = save_result(result(), tmp_path / "new" / "out")
    assert [p.name.split("-", 2)[2] for p in paths[:-1]] == ["samples-1.png", "samples-2.png", "mean.png"]
    assert np.array_equal(load_picture(paths[1]).pixels, PIXELS[1])
    assert all(read_recipe(path)[0] == RECIPE for path in paths)
    sheet = json.loads(paths[-1].read_text())
    assert sheet["metrics"] == {"PSNR dB": 23.5, "none": None} and sheet["notes"] == ["A note."]
    assert sheet["arrays"]["spread"] == {"axes": ["y", "x"], "shape": [16, 24], "unit": "1/255"}
    assert sheet["files"] == [p.name for p in paths[:-1]]
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o644 for p in paths)
    assert sorted(p.name for p in paths[0].parent.iterdir()) == sorted(p.name for p in paths)


def test_the_same_result_gives_the_same_bytes_and_another_one_other_names(tmp_path):
    first, again = save_result(result(), tmp_path / "a"), save_result(result(), tmp_path / "b")
    assert [(p.name, p.read_bytes()) for p in first] == [(p.name, p.read_bytes()) for p in again]
    other = save_result(result(255 - PIXELS), tmp_path / "a")
    assert not {p.name for p in first} & {p.name for p in other}


def test_a_folder_that_cannot_be_written_is_named_as_such(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="could not be saved") as caught:
        save_result(result(), tmp_path / "file" / "out")
    assert caught.value.field == "out"


def test_a_full_disk_leaves_no_half_file(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(InputError, match="No space left on device"):
        save_result(result(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_folder_of_an_own_model_is_not_saved(tmp_path):
    paths = save_result(result(recipe=RECIPE.replace(model="local:/home/jane.doe/models")), tmp_path)
    assert not any(b"jane" in path.read_bytes() for path in paths)


@pytest.mark.parametrize("data", [
    b"", b"x", b"GIF89a" + bytes(30), bytes(200), b"PK\3\4" + bytes(30),
    encode(PIXELS[0], RECIPE)[:60], encode(PIXELS[0], RECIPE, "JPEG")[:30], encode(PIXELS[0], RECIPE, "WEBP")[:30],
    b"[" * 100_000, b'{"recipe": ' * 3000, b"{" + b" " * 70_000 + b"}", b'{"recipe": {"version": 1}}', b'"text"',
], ids=range(13))
def test_files_without_a_usable_recipe_are_refused(data):
    with pytest.raises(InputError):
        read_recipe(data)


def test_a_picture_of_another_program_carries_no_recipe():
    out = io.BytesIO()
    Image.fromarray(PIXELS[0]).save(out, "PNG")
    with pytest.raises(InputError, match="carries no recipe"):
        read_recipe(out.getvalue())


@pytest.mark.parametrize("compressed", [True, False])
def test_a_huge_text_chunk_is_refused_and_compressed_ones_are_not_unpacked(compressed):
    text, out = PngInfo(), io.BytesIO()
    text.add_text(KEYWORD, "[" * 500_000, zip=compressed)
    Image.fromarray(PIXELS[0]).save(out, "PNG", pnginfo=text)
    with pytest.raises(InputError, match="carries no recipe" if compressed else "The limit is 65536"):
        read_recipe(out.getvalue())


def test_a_file_above_the_limit_is_refused(tmp_path):
    path = tmp_path / "x.json"
    with open(path, "wb") as stream:
        stream.truncate(70_000_000)
    with pytest.raises(InputError, match=r"70\.0 MB"):
        read_recipe(path)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.sampled_from(["PNG", "JPEG", "WEBP", "JSON", ""]))
def test_no_bytes_do_more_than_be_refused(tail, form):
    starts = {"PNG": encode(PIXELS[0], RECIPE)[:50], "JPEG": b"\xff\xd8\xff\xe1", "WEBP": b"RIFF\x40\0\0\0WEBPVP8L",
              "JSON": b'{"recipe": {', "": b""}
    with contextlib.suppress(InputError):
        read_recipe(starts[form] + tail)


def test_a_live_frame_is_small_and_keeps_the_proportions():
    pixels = np.random.default_rng(0).integers(0, 256, (600, 1000, 3), dtype=np.uint8)
    with Image.open(io.BytesIO(jpeg_frame(pixels))) as frame:
        assert frame.format == "JPEG" and frame.size == (256, 154)
    with Image.open(io.BytesIO(jpeg_frame(pixels[:40, :50, 0]))) as frame:
        assert frame.size == (50, 40) and frame.mode == "L"  # small pictures are not blown up
