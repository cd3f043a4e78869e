"""Slices before and after contrast: one grey scale, one scale per pair, regions, targets, framing, augmentation."""

import numpy as np
import pytest
import torch

from engine.errors import InputError
from engine.io.pictures import Picture
from engine.tasks.contrast import data, views
from engine.tasks.contrast.data import BRIGHTEST, HELD_OUT, Case
from engine.tasks.contrast.framing import added, framed, shrunk
from engine.tasks.contrast.jitter import varied
from engine.tasks.contrast.phantom import head
from engine.tasks.contrast.targets import TARGETS, as_picture
from tests.engine.contrast.made import SIDE_PX, slices, write


def _pair() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    before, after, lesion = head(128, 3)
    return np.float32(before * 200), np.float32(after * 200), lesion


def test_another_scale_of_the_scanner_is_taken_back():
    """After contrast stretched by any factor gives the same standardised slices: the deciles carry the factor."""
    before, after, _ = _pair()
    plain, stretched = (data.standardised(before[None], factor * after[None]) for factor in (1.0, 0.45))
    # The head's rim is found at 5 grey levels whatever the factor, so a few pixels of the fits differ.
    np.testing.assert_allclose(stretched, plain, atol=1.0)


def test_a_slice_without_contrast_standardises_to_itself_whatever_the_tone():
    before, _, _ = _pair()
    found = data.standardised(before[None], 250 * (before[None] / 250) ** 1.3)
    head_ = before > 20
    # Straight lines between nine deciles follow a curve of exponent 1.3 within 2 % of the range; noise adds the rest.
    assert np.abs(found[0] - before)[head_].mean() < 4 and np.abs(found[0][~head_ & (before == 0)]).max() == 0


def test_uptake_survives_standardisation_and_makes_the_region():
    before, after, lesion = _pair()
    found = data.standardised(before[None], 0.5 * after[None])[0]
    low, high = data.levels(before)
    region = data.enhancing(data.scaled(before, low, high), data.scaled(found, low, high))
    true = (after - before) > 0.3 * high
    assert region[true].mean() > 0.6 and true[region].mean() > 0.4 and (region & lesion).any()


def test_a_few_pixels_are_no_region():
    before = np.full((32, 32), 0.5)
    after = before.copy()
    after[4:6, 4:7] += 1
    assert not data.enhancing(before, after).any()
    after[10:16, 10:16] += 1
    assert data.enhancing(before, after)[10:16, 10:16].all()


def test_one_scale_per_pair_from_the_slice_before():
    case = data.cases(np.float32(slices(1, 5)))[0]
    assert np.percentile(case.before, 99.5) == pytest.approx(1, abs=1e-5) and case.before.max() <= BRIGHTEST
    assert case.after.max() <= BRIGHTEST and case.before.min() == case.after.min() == 0


def test_empty_slices_are_left_out():
    patient = np.float32(slices(2, 5))
    patient[1] = 0
    assert len(data.cases(patient)) == 1


def test_the_patient_left_out_is_not_learned_from(tmp_path):
    train, kept = data.split(write(tmp_path))
    assert (len(train), len(kept)) == (8, 4)
    own = data.cases(np.float32(slices(4, 20)))
    assert all(np.array_equal(a.before, b.before) for a, b in zip(kept, own))
    assert not any(np.array_equal(a.before, b.before) for a in train for b in kept)


def test_bad_folders_and_files_are_named(tmp_path):
    with pytest.raises(InputError, match="0 npz files"):
        data.split(tmp_path)
    write(tmp_path)
    path = tmp_path / data.FOLDER / f"{HELD_OUT}.npz"
    np.savez(path, slices=np.zeros((2, 3, 8, 8), np.uint8))
    with pytest.raises(InputError, match="uint8 of N x 4"):
        data.split(tmp_path)
    path.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(InputError, match="cannot be read"):
        data.split(tmp_path)


@pytest.mark.parametrize("target", TARGETS.values(), ids=str)
def test_targets_are_undone(target):
    before, after = (BRIGHTEST * torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    torch.testing.assert_close(target.decode(target.encode(after, before), before), after)
    nothing = torch.zeros_like(before) if target.base == "zero" else as_picture(before)
    torch.testing.assert_close(target.encode(before, before), nothing)


def test_varied_slices_stay_in_step():
    before, _, _ = head(SIDE_PX, 1)
    before = np.float32(before).clip(0, 1)
    case = Case(before, before, before > 0.8)
    other = varied(case, np.random.default_rng(0))
    head_ = other.after > 0
    # Without contrast only the noise of the slice before, at most 0.02, parts them.
    assert np.abs(other.after - other.before)[head_].std() < 0.025 and np.abs(other.after - case.after).mean() > 0.01
    assert other.region.any() and other.region.dtype == bool
    assert np.array_equal(varied(case, np.random.default_rng(0)).before, other.before)


def _grey(values: np.ndarray) -> Picture:
    return Picture(np.repeat(np.uint8(values)[..., None], 3, axis=2))


def test_the_answer_of_no_change_is_the_picture_at_its_own_size():
    for shape in ((128, 128), (300, 200), (90, 160)):
        picture = _grey(np.random.default_rng(0).uniform(0, 255, shape))
        slice_ = framed(picture)
        assert slice_.small.shape == (128, 128)
        assert np.array_equal(added(slice_, slice_.small[None])[0], slice_.whole) and slice_.whole.shape == shape


def test_a_change_lands_where_it_belongs():
    slice_ = framed(_grey(np.pad(np.full((100, 60), 100.0), ((50, 50), (20, 20)))))
    mark = np.zeros(slice_.whole.shape, np.float32)
    mark[60:90, 30:50] = 0.5
    found = added(slice_, (slice_.small + shrunk(mark))[None])[0] - slice_.whole
    # Inside and outside of one pixel of 128 around the mark, which is 200 / 128 px wide.
    np.testing.assert_allclose(found[63:87, 33:47], 0.5, atol=1e-5)
    assert np.abs(found[:56]).max() == np.abs(found[94:]).max() == 0


def test_colour_and_inverted_slices_are_noted_and_empty_ones_refused():
    values = np.zeros((64, 64))
    values[16:48, 16:48] = 180
    assert framed(_grey(values)).notes == ()
    colour = np.repeat(np.uint8(values)[..., None], 3, axis=2)
    colour[20, 20] = 255, 0, 0
    assert "grey" in framed(Picture(colour)).notes[0]
    assert "inverted" in framed(_grey(255 - values)).notes[0]
    for level in (0, 200):
        with pytest.raises(InputError, match="varies by 0"):
            framed(_grey(np.full((32, 32), level)))


def test_the_difference_view_shows_sign_and_size():
    before = np.full((4, 4), 0.8)
    after = before.copy()
    after[0], after[1] = 0.8 + views.FULL_COLOUR, 0.8 - views.FULL_COLOUR
    shown = views.difference(before, after).astype(int)
    assert shown.shape == (4, 4, 3) and np.ptp(shown[2:], axis=-1).max() == 0
    assert (shown[0, :, 0] > shown[0, :, 2] + 100).all() and (shown[1, :, 2] > shown[1, :, 0] + 100).all()
    assert shown[0].mean() > shown[2].mean()
