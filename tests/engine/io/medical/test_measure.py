"""Measurements against bodies of known size."""

import numpy as np
import pytest

from engine.io.medical.exports import measurements_csv
from engine.io.medical.measure import measured


def found(*arguments, **options):
    return {(m.quantity, m.unit): m for m in measured(*arguments, **options)}


def discs(radius: float, centres, size=128) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    return np.any([(y - cy) ** 2 + (x - cx) ** 2 <= radius**2 for cy, cx in centres], axis=0)[None]


def test_discs_have_their_number_area_and_diameter():
    mask = discs(15, [(30, 30), (30, 90), (90, 60)])
    values = found(mask[None], spacing_mm=(1, 0.5, 0.25))
    # A disc on a grid misses its area by about its border's length times a fraction of a pixel.
    assert values["area", "px"].median == pytest.approx(3 * np.pi * 15**2, rel=0.02)
    assert values["area", "mm2"].median == pytest.approx(values["area", "px"].median * 0.125)
    assert values["count", ""].median == 3 and values["mean equivalent diameter", "px"].median == pytest.approx(
        30, rel=0.01)
    # As wide as a disc of the same area in mm2.
    assert values["mean equivalent diameter", "mm"].median == pytest.approx(30 * np.sqrt(0.125), rel=0.01)
    assert not any(quantity == "volume" for quantity, _ in values)


def test_a_ball_has_its_volume_and_diameter():
    z, y, x = np.mgrid[:20, :40, :40]
    ball = ((z - 10) * 2) ** 2 + (y - 20) ** 2 + (x - 20) ** 2 <= 15**2
    values = found(ball[None], spacing_mm=(2, 1, 1))
    assert values["volume", "mm3"].median == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.02)
    assert values["volume", "voxels"].median == ball.sum()
    assert values["mean equivalent diameter", "mm"].median == pytest.approx(30, rel=0.01)
    # The largest slice is the one through the centre.
    assert values["area", "mm2"].median == ball[10].sum() == ball.sum((1, 2)).max()


def test_intervals_are_those_of_the_samples():
    masks = np.zeros((101, 1, 20, 20), bool)
    for sample in range(101):
        masks[sample].flat[:sample] = True
    area = found(masks)["area", "px"]
    assert (area.low, area.median, area.high, area.samples) == (5, 50, 95, 101)


def test_labels_count_what_touches():
    labels = np.zeros((1, 1, 8, 8), int)
    labels[..., :4, :4], labels[..., :4, 4:], labels[..., 6:, 6:] = 1, 7, 3
    assert found(labels > 0, labels)["count", ""].median == 3
    assert found(labels > 0)["count", ""].median == 2
    diameters = np.sqrt(4 * np.array([16, 16, 4]) / np.pi)
    assert found(labels > 0, labels)["mean equivalent diameter", "px"].median == pytest.approx(diameters.mean())


def test_counts_are_those_of_samples_and_whole():
    labels = np.zeros((6, 1, 1, 16), int)
    for sample, count in enumerate((4, 5, 5, 6, 6, 9)):
        labels[sample, ..., :count] = np.arange(1, count + 1)
    count = found(labels > 0, labels)["count", ""]
    assert {count.low, count.median, count.high} <= {4.0, 5.0, 6.0, 9.0} and count.low < count.median < count.high


@pytest.mark.parametrize("spacing_mm", [None, (2, 1, 1)])
@pytest.mark.parametrize("depth", [1, 3])
def test_what_is_not_counted_has_the_same_extent_and_no_more(spacing_mm, depth):
    masks = np.zeros((2, depth, 8, 8), bool)
    masks[:, 0, ::3, ::3] = True
    whole, rest = measured(masks, None, spacing_mm), measured(masks, None, spacing_mm, counted=False)
    assert rest == tuple(one for one in whole if one.quantity in ("area", "volume")) and len(rest) < len(whole)


def test_diagonal_neighbours_belong_together():
    assert found(np.eye(5, dtype=bool)[None, None])["count", ""].median == 1


def test_empty_masks_have_no_diameter():
    masks = np.zeros((3, 1, 8, 8), bool)
    values = found(masks, spacing_mm=(1, 1, 1))
    assert values["area", "mm2"].high == 0 and values["count", ""].median == 0
    assert values["mean equivalent diameter", "mm"].median is None
    masks[1, 0, 2:4, 2:4] = True
    only = found(masks)["mean equivalent diameter", "px"]
    assert only.samples == 1 and only.median == pytest.approx(np.sqrt(16 / np.pi))


def test_rows_go_into_the_table():
    text = measurements_csv(m.row() for m in measured(np.ones((2, 1, 8, 8), bool), spacing_mm=(1, 2, 2))).decode()
    assert text.splitlines()[0] == "quantity,unit,median,5th percentile,95th percentile,samples"
    assert "area,mm2,256,256,256,2" in text.splitlines()
