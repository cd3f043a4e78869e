"""Photographs, photographs in the dark and the searched start, with small networks: promises whatever the weights."""

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from engine import boundary, models
from engine.errors import InputError
from engine.io.pictures import Picture, load_picture
from engine.models import shelf
from engine.tasks.base import check
from engine.tasks.superres import comparing, dark, darkness, natural, scene, starts
from engine.tasks.superres.task import TASK, kinds
from tests.engine.tasks.superres.tiny import ship, ship_others


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    ship(folder)
    ship_others(folder, "flowers_x4", "flowers", "illumination")
    return folder


@pytest.fixture(autouse=True)
def shipped(root, monkeypatch):
    monkeypatch.setattr(shelf, "ROOT", root)


def _picture(side=40) -> Picture:
    return Picture(scene.aerial(side, 3))


def _run(picture=None, steps=2, solver="ddim", samples=1, seed=0, **options):
    recipe = TASK.defaults.replace(steps=steps, solver=solver, samples=samples, seed=seed, spacing="uniform",
                                   options=options)
    with torch.no_grad():
        *found, result = TASK.run({"picture": picture or _picture()}, recipe)
    return found, result


def test_a_kind_is_offered_once_its_models_are_shipped(tmp_path, monkeypatch):
    assert kinds() == ("satellite", "photograph", "dark") and "illumination" in TASK.models
    assert "kind" in TASK.relevant({}) and len(TASK.examples) == 4
    ship(tmp_path)
    monkeypatch.setattr(shelf, "ROOT", tmp_path)
    assert kinds() == ("satellite",) and "kind" not in TASK.relevant({}) and len(TASK.examples) == 2
    with pytest.raises(InputError) as caught:
        _run(kind="dark")
    assert caught.value.field == "kind"


def test_every_example_makes_valid_inputs_and_options():
    for example in TASK.examples:
        recipe = TASK.defaults.replace(options=dict(TASK.defaults.options) | dict(example.options))
        assert check(TASK, recipe) == recipe and min(example.make()["picture"].size) >= 64


@pytest.mark.parametrize("times", [2, 4])
@pytest.mark.parametrize(("way", "solver"), [("upsampler", "ddim"), ("upsampler", "dpmpp_2m"), ("steered", "ddnm")])
def test_a_photograph_made_finer_agrees_with_what_was_given(way, solver, times):
    low = _picture(20)
    found, result = _run(low, kind="photograph", way=way, times=str(times), solver=solver, samples=2)
    samples = result.arrays["samples"].values
    assert samples.shape == (2, 20 * times, 20 * times, 3) and found[-1].x.shape[2:] == (20 * times, 20 * times)
    # What lies outside the range of 8 bits is cut, and each pixel is rounded by up to half a level.
    inside = (samples[0] > 0) & (samples[0] < 255)
    misfits = samples[0].reshape(20, times, 20, times, 3).mean((1, 3)) - low.pixels
    whole = inside.reshape(20, times, 20, times, 3).all((1, 3))
    assert whole.mean() > 0.2 and np.abs(misfits[whole]).max() <= 0.6
    assert "Averaged to its size again" in result.notes[-1]


def test_without_agreement_the_upsampler_is_alone():
    apart, together = (_run(kind="photograph", agree=agree)[1].arrays["samples"].values[0] for agree in (False, True))
    assert natural.misfit(together, _picture().pixels) < natural.misfit(apart, _picture().pixels)


def test_without_texture_the_seed_has_no_effect():
    for kind in ("photograph", "dark"):
        first, second = (_run(kind=kind, texture=0.0, seed=seed)[1].arrays["samples"].values for seed in (1, 2))
        assert np.array_equal(first, second)
        assert not np.array_equal(first, _run(kind=kind, texture=1.0, seed=1)[1].arrays["samples"].values)


def test_a_sharp_photograph_is_made_small_and_compared():
    sharp = _picture(67)
    _, result = _run(sharp, kind="photograph", play=True)
    assert np.array_equal(result.arrays["reference"].values, sharp.pixels[:64, :64])
    assert "PSNR of the result (dB)" in result.metrics
    low = natural.averaged(sharp.pixels[:64, :64], 4)
    assert np.array_equal(result.arrays["input"].values, natural.bicubic(low, 4))
    assert natural.misfit(natural.bicubic(low, 4).repeat(2, 0).repeat(2, 1), low) < 20


def test_the_steered_prior_takes_small_pictures_and_refuses_large_ones():
    _, result = _run(_picture(8), kind="photograph", way="steered", times="2", solver="diffpir")
    assert result.arrays["samples"].values.shape == (1, 16, 16, 3)
    with pytest.raises(InputError, match="at most 256 px"):
        _run(_picture(72), kind="photograph", way="steered", solver="ddnm")
    with pytest.raises(InputError) as caught:
        _run(kind="photograph", way="steered", solver="dps")
    assert caught.value.field == "solver"


def test_a_dark_picture_comes_back_twice_as_large_and_brighter():
    dark = Picture(np.uint8(_picture(35).pixels * 0.3))
    found, result = _run(dark, kind="dark", samples=2, texture=1.0)
    assert result.arrays["samples"].values.shape == (2, 68, 68, 3) == (2, *found[-1].x.shape[2:], 3)
    assert result.arrays["input"].values.mean() == pytest.approx(0.45 * 255, abs=6) and "reference" not in result.arrays
    stops = [float(_run(dark, kind="dark", brightness=b)[1].notes[-2].split("by ")[1].split()[0]) for b in (0.0, -1.0)]
    assert stops[0] - stops[1] == pytest.approx(1, abs=0.11)


def test_a_sharp_picture_is_darkened_and_compared():
    _, result = _run(_picture(67), kind="dark", play=True, stops=2.0)
    assert result.arrays["reference"].values.shape == (64, 64, 3) and "2.0 stops, as the exposure" in result.notes[-2]
    assert "condition has a share" in result.notes[-1]
    assert "stops" in TASK.relevant({"kind": "dark", "play": True}) and "brightness" in TASK.relevant({"kind": "dark"})


def test_all_bits_of_a_deep_file_are_used(tmp_path):
    """A picture so dark that 8 bits hold four levels of it comes back with as many as it has."""
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[None, :, None] * np.ones((64, 1, 3), np.float32)
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.uint16(ramp * 1000))
    deep = load_picture(path)
    assert deep.deep.shape == (64, 64, 3) and len(np.unique(deep.pixels)) < 6
    recovered, shallow = (dark.record(picture, {"play": False, "values": "display", "brightness": 0.0}, 0)[0].colour
                          for picture in (deep, Picture(deep.pixels)))
    assert len(np.unique(recovered)) == 64 and len(np.unique(shallow)) < 6
    _, result = _run(deep, kind="dark", values="linear")
    assert result.arrays["samples"].values.shape == (1, 128, 128, 3)


def test_a_mosaic_is_read_as_a_sensor_counts(tmp_path):
    colour = np.zeros((32, 32, 3), np.float32) + np.float32([0.1, 0.2, 0.15])
    path = tmp_path / "mosaic.png"
    cv2.imwrite(str(path), np.uint16(np.rint(darkness.mosaicked(colour) * 4095 / colour.max())))
    light = dark.record(load_picture(path), {"play": False, "values": "linear", "brightness": 0.0}, 0)[0]
    assert light.mosaic.max() == 1 and light.mosaic.min() == pytest.approx(0.5, abs=1e-3)
    np.testing.assert_allclose(light.colour, light.colour.mean(), atol=1e-3)  # grey in the mean: grey throughout


@pytest.fixture
def searched(root):
    """A start noise beside the tiny weights, as a search stores it."""
    model = models.load(starts.MODEL)
    noise = torch.randn(3, 64, 64, generator=torch.Generator().manual_seed(5))
    start = boundary.Start(noise, starts.setup(model), torch.zeros(8, dtype=torch.float64), 0, 0.0, 8, "structure")
    path = start.write(root / starts.MODEL)
    yield start
    path.unlink()


def test_a_searched_start_is_the_same_for_every_seed_and_sample(searched):
    assert starts.there() and "start" in TASK.relevant({})
    _, result = _run(_picture(16), samples=2, seed=1, start="searched")
    samples = result.arrays["samples"].values
    assert np.array_equal(samples[0], samples[1]) and "best of 8 on 16" in result.notes[-1]
    assert np.array_equal(samples, _run(_picture(16), samples=2, seed=2, start="searched")[1].arrays["samples"].values)
    assert not np.array_equal(samples, _run(_picture(16), samples=2, seed=2)[1].arrays["samples"].values)
    with pytest.raises(InputError, match="draws noise in every step"):
        _run(_picture(16), solver="ancestral" if "ancestral" in TASK.solvers({}) else "ddpm", start="searched")


def test_a_start_is_judged_by_what_a_run_makes_of_it(searched):
    """The judge's noise, run by the task itself from the same start, has the score that the judge gives."""
    sharp, model = scene.aerial(64, 2), models.load(starts.MODEL)
    score = starts.judge(model, [sharp], steps=2)(searched.noise[None], torch.tensor([0]))
    recipe = TASK.defaults.replace(steps=2, options={"start": "searched", "play": True})
    with torch.no_grad():
        *_, result = TASK.run({"picture": Picture(sharp)}, recipe)
    assert float(score) == pytest.approx(1 - result.metrics["SSIM of the result"], abs=2e-3)


def test_without_a_search_there_is_no_start():
    assert not starts.there() and "start" not in TASK.relevant({})
    with pytest.raises(InputError, match="No start was searched"):
        _run(_picture(16), start="searched")


def test_the_evaluation_has_rows_of_every_kind(searched, tmp_path, monkeypatch):
    monkeypatch.setattr(comparing, "STEPS", (2,))
    monkeypatch.setattr(comparing, "STOPS", (2.0,))
    monkeypatch.setattr(comparing, "SAMPLES", 2)
    (tmp_path / "kodak24").mkdir()
    Image.fromarray(scene.aerial(128, 1)).save(tmp_path / "kodak24" / "one.png")
    rows = comparing.of_starts([scene.aerial(64, seed) for seed in range(2)]) + comparing.of_darkness(tmp_path)
    rows += comparing.of_photographs(lambda low, options, samples, seed, **fields: np.stack(
        [natural.bicubic(low, 4)] * samples), tmp_path)
    assert {row["kind"] for row in rows} == {"start noise, 2 steps", "dark kodak24, 2 stops", "photographs, kodak24"}
    assert all(np.isfinite(row["psnr_db"]) for row in rows)
    by = {row["method"]: row for row in rows if row["kind"].startswith("photographs")}
    assert by["ours, estimate"]["psnr_db"] == by["bicubic"]["psnr_db"]
    assert by["bicubic, corrected"]["consistency"] < by["bicubic"]["consistency"]


def test_known_stops_are_told_to_the_network():
    light = darkness.recorded(np.float32(scene.aerial(64, 1)) / 255, 2.0, np.random.default_rng(0))
    assert float(darkness.condition(light)[0, 7, 0, 0]) == pytest.approx(2 * 2 / 6 - 1)
