"""Annotated pictures: normalisation, training windows, borders between nuclei, invented cases, and the split."""

import numpy as np
import pytest
import torch
from PIL import Image

from engine.tasks.segmentation import jitter, nuclei, procedural, training, vessels
from engine.tasks.segmentation.data import LOWEST_SPAN, Case, normalised, window


def _case(side: int = 64) -> Case:
    mask = np.zeros((side, side), bool)
    mask[20:40, 30:44] = True
    picture = np.repeat(np.float32(mask)[..., None], 3, axis=2)
    return Case("square", picture, (mask,), np.float32(mask) + 1)


def test_normalising_takes_any_depth_and_undoes_any_stretch():
    rng = np.random.default_rng(0)
    picture = rng.random((40, 40, 3))
    expected = normalised(picture)
    assert expected.dtype == np.float32 and expected.min() == 0 and expected.max() == 1
    assert np.allclose(normalised(0.2 + 0.5 * picture), expected, atol=1e-6)
    assert np.allclose(normalised(np.uint16(picture * 65535)), expected, atol=1e-3)
    assert np.allclose(normalised(np.uint8(picture * 255)), expected, atol=0.01)  # one grey level of 255


def test_an_even_picture_stays_even():
    faint = np.full((32, 32, 3), 0.5) + np.random.default_rng(0).normal(0, 0.001, (32, 32, 3))
    assert np.ptp(normalised(faint)) < 0.01 / LOWEST_SPAN and np.isfinite(normalised(np.zeros((8, 8, 3)))).all()


def test_only_counted_pixels_set_the_range():
    picture, counted = np.zeros((20, 20, 3)), np.zeros((20, 20), bool)
    counted[5:15] = True
    picture[5:10], picture[10:15] = 0.4, 0.6
    assert np.allclose(normalised(picture, counted)[5:10], 0) and np.allclose(normalised(picture, counted)[10:15], 1)


def test_a_window_moves_picture_mask_and_weight_together():
    case, rng = _case(), np.random.default_rng(0)
    seen = 0
    for _ in range(40):
        picture, mask, weight = window(case, 32, 1.0, rng)
        assert picture.shape == (32, 32, 3) and mask.dtype == bool
        # All three were interpolated from the same edges, so they agree everywhere.
        assert np.array_equal(mask, picture[..., 0] > 0.5)
        assert np.allclose(weight, picture[..., 0] + 1, atol=1e-5)
        seen += mask.any()
    assert seen > 25  # every second window is centred near the foreground, and many others meet it


def test_windows_of_a_small_picture_show_all_of_it():
    case = _case(32)
    picture, mask, _ = window(case, 64, 1.0, np.random.default_rng(0))
    assert picture.shape == (64, 64, 3) and mask.any()


@pytest.mark.parametrize("change", [jitter.microscopy, jitter.photograph])
def test_changed_pictures_stay_pictures(change):
    rng = np.random.default_rng(0)
    picture = rng.random((16, 16, 3)).astype(np.float32)
    different = 0
    for _ in range(20):
        changed = change(picture, rng)
        assert changed.shape == picture.shape and changed.dtype == np.float32
        assert changed.min() >= 0 and changed.max() <= 1
        different += not np.allclose(changed, picture, atol=0.01)
    assert different > 10


def test_stains_without_a_change_of_amount_leave_the_picture(monkeypatch):
    class Still:
        def normal(self, mean, deviation, size):
            return np.zeros(size)

    picture = np.random.default_rng(0).uniform(0.1, 1, (8, 8, 3))
    assert np.allclose(jitter.stains(picture, Still()), picture)


def test_borders_lie_between_different_nuclei_only():
    ids = np.zeros((20, 20), np.int32)
    ids[4:10, 2:8], ids[4:10, 9:15], ids[14:18, 4:8] = 3, 8, 1  # one pixel apart; four rows below the first
    found = nuclei.borders(ids)
    assert found[6, 8] == 1 and found[6, 7] == 1 and found[6, 9] == 1
    assert found[:, :5].sum() == 0 and found[6, 13] == 0 and nuclei.borders(np.zeros((5, 5), np.int32)).sum() == 0


def test_field_of_view_is_the_bright_disc():
    y, x = np.mgrid[:100, :100]
    disc = (y - 50) ** 2 + (x - 50) ** 2 < 40**2
    picture = np.uint8(disc[..., None] * np.array([180, 90, 40]))
    picture[48:52, 48:52] = 0  # a dark spot inside
    found = vessels.field_of_view(picture)
    assert (found != disc).mean() < 0.01 and found[50, 50]


@pytest.mark.parametrize("kind", procedural.KINDS)
def test_invented_cases_show_what_their_mask_says(kind):
    made = [procedural.KINDS[kind](np.random.default_rng(i), 64) for i in range(4)]
    again = procedural.KINDS[kind](np.random.default_rng(0), 64)
    assert np.array_equal(made[0].picture, again.picture)
    assert all(m.picture.shape == (64, 64, 3) and len(m.masks) == procedural.ANNOTATORS for m in made)
    filled = [m for m in made if m.masks[0].any() and not m.masks[0].all()]
    assert filled
    for case in filled:
        differing = np.any([mask != case.masks[0] for mask in case.masks[1:]], axis=0)
        assert 0 < differing.sum() < 0.25 * case.masks[0].size
        inside, outside = (case.picture[m].mean(axis=0) for m in (case.masks[0], ~case.masks[0]))
        assert np.abs(inside - outside).max() > 0.03


def _folder(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "nuclei_dsb2018").mkdir()
    for i in range(30):
        ids = np.zeros((32, 32), np.uint8)
        ids[4:12, 4:12], ids[16:28, 10:24] = 1, 2
        picture = np.uint8(np.clip(80 * (ids > 0)[..., None] + rng.normal(60, 10, (32, 32, 3)), 0, 255))
        Image.fromarray(picture).save(tmp_path / "nuclei_dsb2018" / f"n{i}.png")
        Image.fromarray(ids).save(tmp_path / "nuclei_dsb2018" / f"n{i}_inst.png")
    return tmp_path


def test_both_nuclei_models_train_on_the_same_windows(tmp_path):
    made = training.specs(_folder(tmp_path))
    ours, theirs = made["segmentation_nuclei"](), made["segmentation_nuclei_unet"]()
    first, second = (spec.batch(np.random.default_rng(0), 0.0) for spec in (ours, theirs))
    assert torch.equal(first.x0, second.x0) and torch.equal(first.cond, second.cond)
    assert first.x0.shape == first.weight.shape == (training.COUNT, 1, training.SIDE_PX, training.SIDE_PX)
    assert set(first.x0.unique().tolist()) == {-1.0, 1.0} and first.cond.abs().max() <= 1
    assert (ours.kind, theirs.kind) == ("medseg", "mask_unet")


def test_a_perfect_network_is_judged_perfect():
    cases = [_case(50), _case(64)]

    def knows(x, t, cond):
        return torch.where(cond[:, :1] > 0, 1.0, -1.0)  # the square is white

    scores = training.validate(cases, knows, samples=2, steps=2)
    assert scores["Dice of the mean of 2"] == scores["Dice of one"] == 1.0
    assert scores["Brier"] == scores["calibration error"] == 0.0
    assert training.sheet([procedural.cup(np.random.default_rng(0))], knows, samples=3, steps=1).shape == (128, 768, 3)
