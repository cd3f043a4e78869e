"""Super-resolution with small networks that the tests make: what it promises whatever the weights are."""

import numpy as np
import pytest
import torch
from rasterio.io import MemoryFile
from rasterio.transform import from_origin

from engine import models, networks, schedules, tasks
from engine.errors import InputError
from engine.io import load_picture, save_result
from engine.io.pictures import Picture
from engine.models import shelf
from engine.solvers import row
from engine.step import Step
from engine.tasks.base import Result, check
from engine.tasks.superres.scaling import cropped, enlarged, shrunk
from engine.tasks.superres.task import MODELS, TASK
from tests.engine.tasks.superres.tiny import ship

PLACE = from_origin(500_000, 5_400_000, 10, 10)


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch):
    ship(tmp_path / "models")
    monkeypatch.setattr(shelf, "ROOT", tmp_path / "models")


def _picture(height=16, width=20) -> Picture:
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 3), np.cos(y / 2), np.sin((x + y) / 4)], -1)
    return Picture(np.uint8(127 + 100 * waves))


def _run(picture, **fields) -> tuple[list[Step], Result]:
    options = dict(TASK.defaults.options) | fields.pop("options", {})
    with torch.no_grad():
        *steps, result = TASK.run({"picture": picture}, TASK.defaults.replace(**{"steps": 3} | fields, options=options))
    assert all(isinstance(step, Step) for step in steps)
    return steps, result


def _regressed(picture, **options) -> Result:
    return _run(picture, solver="ddim", options={"method": "regression"} | options)[1]


def test_the_task_is_offered_once_its_models_are_shipped(tmp_path, monkeypatch):
    assert "superres" in tasks.names() and set(TASK.models) == set(MODELS.values()) <= set(models.names())
    (tmp_path / "models" / "ediffsr_regression" / "model.safetensors").unlink()
    assert "superres" not in tasks.names()
    with pytest.raises(InputError, match="weights of ediffsr_regression are missing"):
        _regressed(_picture())


def test_every_example_makes_valid_inputs_and_options():
    for example in TASK.examples:
        assert min(example.make()["picture"].size) >= 16
        recipe = TASK.defaults.replace(options=dict(TASK.defaults.options) | dict(example.options))
        assert check(TASK, recipe) == recipe


def test_four_times_finer_with_samples_mean_and_spread():
    steps, result = _run(_picture(), samples=3)
    samples = result.arrays["samples"].values
    assert samples.shape == (3, 64, 80, 3) and result.recipe.size == (64, 80) and result.recipe.model == "ediffsr"
    np.testing.assert_allclose(result.arrays["mean"].values, samples.mean(0), atol=0.51)
    assert result.arrays["spread"].values.max() > 0 and "reference" not in result.arrays and not result.metrics
    assert "Shrunk again" in result.notes[-1] and [step.index for step in steps] == [1, 2, 3]


def test_steps_are_pictures_that_start_as_noise_around_the_enlargement():
    steps, result = _run(_picture(), solver="ddim", steps=20)
    mu, rest = enlarged(_picture().tensor()), schedules.mean_reverting().rest
    # Near the start signal is 0.005; one step of 20 takes little of the noise, whose deviation is `rest`.
    assert float((steps[0].x - mu).std()) == pytest.approx(rest, rel=0.1)
    assert np.array_equal(result.arrays["input"].values, np.uint8(mu[0].permute(1, 2, 0).numpy() * 127.5 + 128))


def test_every_solver_runs():
    for entry in map(row, TASK.solvers({})):
        steps, result = _run(_picture(16, 16), solver=entry.name, spacing=(entry.spacings or ("quadratic",))[0])
        assert torch.isfinite(steps[-1].x).all(), entry.name
        assert result.arrays["samples"].values.shape == (1, 64, 64, 3), entry.name
        if "adaptive" not in entry.tags:
            assert steps[-1].nfe == TASK.calls(TASK.defaults.replace(solver=entry.name, steps=3)), entry.name


def test_the_same_recipe_gives_the_same_bytes_and_another_seed_others():
    first, second, other = (_run(_picture(), samples=2, seed=seed)[1].arrays["samples"].values for seed in (1, 1, 2))
    assert np.array_equal(first, second) and not np.array_equal(first, other)
    alone = _run(_picture(), seed=1)[1].arrays["samples"].values
    # Another batch sums in another order; in bfloat16 that can move a rounding to 8 bits by some levels.
    assert np.abs(alone[0].astype(int) - first[0]).mean() < 1


def test_without_diversity_the_seed_has_no_effect():
    first, second = (_run(_picture(), seed=seed, options={"diversity": 0.0})[1].arrays["samples"].values
                     for seed in (1, 2))
    assert np.array_equal(first, second)


def test_a_regression_is_one_answer():
    result = _regressed(_picture())
    assert (result.recipe.steps, result.recipe.samples, result.recipe.model) == (1, 1, "ediffsr_regression")
    assert TASK.solvers({"method": "regression"}) == ("ddim",) and TASK.calls(result.recipe) == 1
    assert "diversity" not in TASK.relevant({"method": "regression"})


def test_a_sharp_picture_is_shrunk_and_compared():
    sharp = _picture(67, 90)
    _, result = _run(sharp, samples=2, options={"play": True})
    assert np.array_equal(result.arrays["reference"].values, cropped(sharp.pixels))
    assert result.arrays["samples"].values.shape == (2, 64, 88, 3) and "PSNR of the mean (dB)" in result.metrics
    low = shrunk(cropped(sharp.pixels))
    _, direct = _run(Picture(low), samples=2)
    assert np.array_equal(direct.arrays["samples"].values, result.arrays["samples"].values)


def test_tiles_leave_no_seam():
    """A picture of several tiles that repeats itself every 12 px, a tile's step: what differs are tiles, not places."""
    y, x = np.mgrid[:40, :40]
    low = Picture(np.uint8(127 + 60 * np.stack([np.sin(np.pi * (x + shift * y) / 6) for shift in (0, 1, 2)], -1)))
    answer = _regressed(low).arrays["samples"].values[0].astype(int)
    inner = answer[32:-32, 32:-32]
    jumps = np.abs(np.diff(inner, axis=1)).max(axis=(0, 2))
    assert jumps.max() <= 2 * np.median(jumps) + 4


def _geotiff(values: np.ndarray, **options) -> bytes:
    count, height, width = values.shape
    with MemoryFile() as memory:
        with memory.open(**{"driver": "GTiff", "count": count, "height": height, "width": width, "crs": "EPSG:32633",
                            "dtype": values.dtype, "transform": PLACE} | options) as target:
            target.write(values)
        return memory.read()


def _opened(data: bytes):
    with MemoryFile(data) as memory, memory.open() as source:
        return source.crs, source.transform, source.read(), source.dataset_mask() > 0


def test_a_geotiff_comes_back_at_its_place(tmp_path):
    picture = load_picture(_geotiff(np.moveaxis(_picture().pixels, -1, 0)))
    _, result = _run(picture, samples=2)
    assert set(result.files) == {"samples-1.tif", "samples-2.tif", "mean.tif"}
    crs, transform, values, valid = _opened(result.files["samples-2.tif"])
    assert crs == "EPSG:32633" and valid.all()
    assert tuple(transform)[:6] == (2.5, 0, 500_000, 0, -2.5, 5_400_000)
    assert np.array_equal(np.moveaxis(values, 0, -1), result.arrays["samples"].values[1])
    paths = save_result(result, tmp_path / "out")
    again = load_picture(next(path for path in paths if path.name.endswith("mean.tif")))
    assert np.array_equal(again.pixels, result.arrays["mean"].values) and again.georeference.transform[0] == 2.5


def test_missing_data_stay_masked():
    values = np.moveaxis(_picture().pixels, -1, 0).copy()
    values[:, 4:9, 2:7] = 0
    values[:, 0, 0] = 1
    _, result = _run(load_picture(_geotiff(values, nodata=0)))
    *_, valid = _opened(result.files["samples-1.tif"])
    assert not valid[16:36, 8:28].any() and valid.sum() == 64 * 80 - 20 * 20
    assert any("no data" in note for note in result.notes)


def test_a_shrunk_geotiff_keeps_its_pixel_size():
    pixels = np.moveaxis(_picture(67, 90).pixels, -1, 0)
    _, result = _run(load_picture(_geotiff(pixels)), options={"play": True})
    _, transform, values, _ = _opened(result.files["samples-1.tif"])
    assert transform == PLACE and values.shape == (3, 64, 88)


def test_a_picture_without_a_place_gives_no_geotiff():
    assert not _run(_picture())[1].files


@pytest.mark.parametrize(("fields", "field"), [
    ({"steps": 500}, "steps"), ({"guidance": 2.0}, "guidance"), ({"samples": 20}, "samples"),
    ({"solver": "resfusion"}, "solver"), ({"options": {"method": "magic"}}, "method"),
    ({"options": {"diversity": 2.0}}, "diversity"), ({"options": {"play": "yes"}}, "play"),
    ({"model": "nothing"}, "model")])
def test_settings_out_of_range_are_refused(fields, field):
    with pytest.raises(InputError) as caught:
        _run(_picture(), **fields)
    assert caught.value.field == field


def test_pictures_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="million"):
        _run(Picture(np.zeros((1100, 1100, 3), np.uint8)))
    with pytest.raises(InputError, match="takes 16 px"):
        _run(_picture(12, 40), options={"play": True})


def test_a_model_for_something_else_is_refused(tmp_path):
    network = networks.build("eanet", width=8, encoder=(1,), middle=1, decoder=(1,))
    card = models.Card(name="other", task="superres", title="Other",
                       architecture={"kind": "eanet", "options": {"width": 8, "encoder": [1], "middle": 1,
                                                                  "decoder": [1]}},
                       schedule={"name": "cosine", "options": {}}, prediction="v", resolution_px=64)
    models.save(network, card, tmp_path / "other")
    with pytest.raises(InputError, match="predicts 'v'"):
        _run(_picture(), model=f"local:{tmp_path / 'other'}")
