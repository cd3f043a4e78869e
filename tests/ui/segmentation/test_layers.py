"""What the page gets of a mask: exact at every threshold, in step, and never too large."""

import base64
import zlib

import numpy as np
import pytest

from engine.recipe import Recipe
from engine.tasks.base import Array, Result
from ui.segmentation import layers


def _unpacked(text, shape):
    """What the script of the page does: inflate, and add up each row."""
    rows = np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8).reshape(shape)
    return np.cumsum(rows, -1, dtype=np.uint8)


def _result(probability, samples=None, instances=None, **options):
    height, width = probability.shape
    arrays = {"input": Array(np.zeros((height, width, 3), np.uint8), ("y", "x", "channel")),
              "probability": Array(probability, ("y", "x")),
              "samples": Array(samples if samples is not None else np.zeros((2, height, width), np.uint8),
                               ("sample", "y", "x")),
              "doubt": Array(np.full((height, width), 0.23, np.float32), ("y", "x"))}
    if instances is not None:
        arrays["instances"] = Array(instances, ("y", "x"))
    return Result(arrays, {}, Recipe(task="segmentation", solver="ddim", steps=2, options=options))


def test_packing_loses_nothing():
    values = np.random.default_rng(0).integers(0, 256, (3, 7, 11), dtype=np.uint8)
    assert (_unpacked(layers.packed(values), values.shape) == values).all()


@pytest.mark.parametrize("samples", [1, 3, 8, 16])
def test_every_threshold_of_two_decimals_gives_the_mask_of_the_engine(samples):
    rng = np.random.default_rng(1)
    masks = rng.integers(0, 256, (samples, 40, 40)).astype(np.uint8)
    chance = np.float32((masks / np.float32(255)).mean(0))
    chance[0, :19] = np.arange(5, 100, 5, dtype=np.float32) / 100  # on the thresholds themselves
    message = layers.message(_result(chance, masks), "a1")
    steps = _unpacked(message["probability"], (40, 40))
    for hundredths in range(5, 96):
        assert ((steps > 2 * hundredths) == (chance > hundredths / 100)).all()


def test_labels_above_255_survive_and_lower_thresholds_are_left_out():
    labels = np.arange(40 * 30, dtype=np.int32).reshape(40, 30)
    message = layers.message(_result(np.full((40, 30), 0.6, np.float32), instances=labels, threshold=0.1,
                                     target="nuclei"), "a1")
    low, high = _unpacked(message["labels"], (2, 40, 30)).astype(int)
    assert (low + 256 * high == labels).all()
    assert message["least"] == message["threshold"] == layers.LABELLED_ABOVE
    assert (message["noun"], message["nouns"]) == ("nucleus", "nuclei")


def test_doubt_keeps_its_unit():
    message = layers.message(_result(np.zeros((9, 9), np.float32)), "a1")
    top = message["doubt"]["top"]
    assert top == pytest.approx(0.3)
    # Half a step of 255 is what rounding may cost.
    assert _unpacked(message["doubt"]["data"], (9, 9)) / 255 * top == pytest.approx(0.23, abs=0.5 / 255 * top)


def test_large_noisy_pictures_are_made_smaller_until_they_fit():
    rng = np.random.default_rng(2)
    noise = rng.random((1500, 2600), dtype=np.float32)
    samples = rng.integers(0, 256, (2, 1500, 2600), dtype=np.uint8)
    message = layers.message(_result(noise, samples, rng.integers(0, 900, noise.shape, dtype=np.int32)), "a1")
    assert layers._bytes(message) <= layers.MESSAGE_BYTES
    width, height = message["size"]
    assert max(width, height) < 2600 and message["scale"] == pytest.approx(2600 / width, rel=0.01)
    assert width / height == pytest.approx(2600 / 1500, rel=0.01)


def test_what_is_sent_smaller_stays_in_step():
    values = np.arange(60 * 50).reshape(60, 50)
    small = layers._thinned(values, (20, 25))
    assert small.shape == (20, 25) and set(small.ravel()) <= set(values.ravel())
    assert (small[1:] > small[:-1]).all() and (layers._thinned(values, (60, 50)) == values).all()
