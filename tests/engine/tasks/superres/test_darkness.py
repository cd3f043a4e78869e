"""What a sensor in the dark records, what the network is told of it, and the training on both."""

import numpy as np
import pytest
import torch
from PIL import Image

from engine import training
from engine.tasks.superres import darkness, scene
from engine.tasks.superres.dark_training import SIDE_PX, batch, condition_of, recorded, specs, validate


def _clean(side=64, seed=1) -> np.ndarray:
    return scene.aerial(side, seed)


def test_display_and_light_are_inverse():
    values = np.linspace(0, 1, 256, dtype=np.float32)
    np.testing.assert_allclose(darkness.to_display(darkness.to_linear(values)), values, atol=1e-6)
    assert darkness.to_display(np.array([-1.0, 2.0])).tolist() == [0.0, 1.0]


def test_demosaicking_keeps_what_the_mosaic_holds_and_ramps_between():
    y, x = np.mgrid[:12, :16].astype(np.float32)
    colour = np.stack([x, x + y, y], -1)
    mosaic = darkness.mosaicked(colour)
    assert mosaic[4, 6] == colour[4, 6, 0] and mosaic[5, 7] == colour[5, 7, 2]
    assert mosaic[4, 7] == colour[4, 7, 1] and mosaic[5, 6] == colour[5, 6, 1]
    found = darkness.demosaicked(mosaic)
    np.testing.assert_allclose(found[2:-2, 2:-2], colour[2:-2, 2:-2], atol=1e-4)
    np.testing.assert_allclose(darkness.demosaicked(np.full((6, 8), 0.3, np.float32)), 0.3, atol=1e-6)


def test_a_bright_record_shows_the_scene_at_half_its_side():
    smooth = np.full((32, 32, 3), (0.7, 0.4, 0.5), np.float32)
    light = darkness.recorded(smooth, 0.0, np.random.default_rng(0))
    assert light.colour.shape == (16, 16, 3) and light.mosaic.shape == (16, 16)
    # The mean over 256 pixels of noise with at most 3e-3 of the signal as variance is within some 0.02 of it.
    np.testing.assert_allclose(darkness.brightened(light).mean((0, 1)), smooth[0, 0], atol=0.02)


def test_less_light_is_less_and_brightening_makes_up_for_it():
    clean, rng = np.float32(_clean()) / 255, np.random.default_rng
    bright, dark = (darkness.recorded(clean, stops, rng(0)) for stops in (0.0, 3.0))
    assert dark.mosaic.mean() == pytest.approx(bright.mosaic.mean() / 8, rel=0.1)
    shown = darkness.brightened(dark)
    assert np.abs(shown.mean() - darkness.brightened(bright).mean()) < 0.03
    assert np.diff(shown, axis=0).std() > np.diff(darkness.brightened(bright), axis=0).std()  # the noise of the dark
    again = darkness.recorded(clean, 3.0, rng(0))
    assert np.array_equal(again.mosaic, dark.mosaic)


@pytest.mark.parametrize("stops", [0.0, 1.5, 4.0])
def test_missing_stops_are_found(stops):
    usual = darkness.to_linear(np.full((8, 8, 3), 0.45, np.float32))
    assert darkness.missing_stops(usual * 2.0**-stops) == pytest.approx(stops, abs=0.02)


def test_missing_stops_stay_in_their_range():
    assert darkness.missing_stops(np.zeros((4, 4, 3), np.float32)) == darkness.MOST_STOPS
    assert darkness.missing_stops(np.ones((4, 4, 3), np.float32)) == 0.0


def test_the_condition_holds_preview_sensor_and_stops():
    colour = np.full((6, 8, 3), 0.5, np.float32)
    cond = darkness.condition(darkness.of_picture(colour, 2.0))
    assert cond.shape == (1, darkness.CHANNELS, 12, 16) and cond.abs().max() <= 1
    shown = 2 * darkness.to_display(darkness.to_linear(np.float32(0.5)) * 4) - 1
    torch.testing.assert_close(cond[:, :7], torch.full_like(cond[:, :7], float(shown)), atol=1e-5, rtol=0)
    torch.testing.assert_close(cond[:, 7:], torch.full_like(cond[:, 7:], 2 * 2 / darkness.MOST_STOPS - 1))


def test_a_record_as_a_picture_has_256_levels():
    light = recorded(_clean(), 2.0, np.random.default_rng(0), as_picture=True)
    levels = darkness.to_display(light.colour) * 255
    np.testing.assert_allclose(levels, np.round(levels), atol=1e-3)
    assert condition_of(_clean(), 2.0, np.random.default_rng(0), True).shape == (1, 8, 64, 64)


def test_batches_are_pairs_of_one_scene():
    scenes = [scene.aerial(160, seed) for seed in range(3)]
    first, second = (batch(scenes, np.random.default_rng(0), 1.0) for _ in range(2))
    assert first.x0.shape == (4, 3, SIDE_PX, SIDE_PX) and first.cond.shape == (4, 8, SIDE_PX, SIDE_PX)
    assert torch.equal(first.x0, second.x0) and torch.equal(first.cond, second.cond)
    assert batch(scenes, np.random.default_rng(3), 0.0).x0.shape[2] in (64, SIDE_PX)
    means = [v.mean((1, 2, 3)) for v in (first.x0, first.cond[:, :3])]
    assert (means[0] - means[1]).abs().max() < 0.5


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "flowers"
    folder.mkdir(parents=True)
    for number in range(60):
        Image.fromarray(scene.aerial(128, number)).save(folder / f"{number}.png")
    return folder.parent


def test_the_models_differ_only_in_the_melding(data):
    both = {name: make() for name, make in specs(data).items()}
    assert set(both) <= set(training.names()) and all(spec.name == name for name, spec in both.items())
    assert [spec.options for spec in both.values()] == [{"meld": "learned"}, {"meld": "concat"}]
    sheet = both["illumination"].sheet(lambda x, t, cond: cond[:, :3])
    assert sheet.shape[1] == 5 * SIDE_PX and sheet.shape[0] % SIDE_PX == 0 and sheet.dtype == np.uint8


def test_the_truth_is_judged_best():
    held_out = [_clean(64, seed) for seed in range(3)]
    truth = torch.from_numpy(np.stack(held_out)).permute(0, 3, 1, 2) / 127.5 - 1
    scores = validate(held_out, lambda x, t, cond: truth)
    assert len(scores) == 9
    assert all(value > scores[f"brightened, {name.split(', ')[1]}, PSNR dB"] for name, value in scores.items()
               if name.startswith("estimate"))
