"""The two picture tasks with the shipped models: what they promise whatever the weights are."""

import numpy as np
import pytest
import torch

from engine import models, steering, tasks
from engine.errors import InputError
from engine.io.medical import Scan
from engine.io.pictures import Picture
from engine.solvers import row
from engine.steering.operators import Inpaint
from engine.step import Step
from engine.tasks.base import Result, check


def _picture(height=96, width=120, seed=0) -> Picture:
    y, x = np.mgrid[:height, :width]
    waves = np.stack([np.sin(x / 9), np.cos(y / 7), np.sin((x + y) / 11)], -1)
    return Picture(np.uint8(127 + 100 * waves))


def _hole(height=96, width=120) -> np.ndarray:
    hole = np.zeros((height, width), bool)
    hole[30:60, 40:80] = True
    return hole


def _given(kind: str):
    return {"picture": _picture, "mask": _hole, "scan": lambda: Scan(_picture().pixels[None])}[kind]()


def _run(name, inputs, **fields) -> tuple[list[Step], Result]:
    task = tasks.load(name)
    options = dict(task.defaults.options) | fields.pop("options", {})
    with torch.no_grad():
        *steps, result = task.run(inputs, task.defaults.replace(options=options, **fields))
    assert all(isinstance(step, Step) for step in steps) and isinstance(result, Result)
    return steps, result


@pytest.mark.parametrize("name", tasks.names())
def test_the_shipped_models_are_there(name):
    missing = [m for m in tasks.load(name).models if m not in models.names()]
    assert not missing, f"weights are missing: {missing}"


@pytest.mark.parametrize("name", tasks.names())
def test_every_example_makes_valid_inputs_and_options(name):
    task = tasks.load(name)
    for example in task.examples:
        inputs = example.make()
        assert {spec.name for spec in task.inputs if spec.required} <= set(inputs)
        options = dict(task.defaults.options) | dict(example.options)
        solvers = task.solvers(options)
        solver = task.defaults.solver if task.defaults.solver in solvers else solvers[0]
        check(task, task.defaults.replace(solver=solver, options=options))


def test_every_solver_restores_without_trouble():
    for entry in map(row, tasks.load("restoration").solvers({})):
        options = {"play": False, "diversity": 0.5}
        steps, result = _run("restoration", {"picture": _picture(40, 48)}, solver=entry.name, steps=4, options=options,
                             spacing=entry.spacings[0] if entry.spacings else "uniform")
        assert torch.isfinite(steps[-1].x).all() and result.arrays["samples"].values.shape == (1, 40, 48, 3), entry.name


def test_restoration_of_a_damaged_picture_measures_itself():
    _, result = _run("restoration", {"picture": _picture()}, options={"degradation": "noise", "play": True})
    measured = result.metrics
    assert measured["PSNR of the result (dB)"] > measured["PSNR of the input (dB)"] + 1
    assert set(result.arrays) == {"samples", "input", "reference"}


def test_a_picture_of_ones_own_is_never_damaged_unasked():
    _, result = _run("restoration", {"picture": _picture(40, 40)}, steps=1)
    assert np.array_equal(result.arrays["input"].values, _picture(40, 40).pixels) and "reference" not in result.arrays


def test_samples_mean_and_spread():
    _, result = _run("restoration", {"picture": _picture()}, samples=3,
                     options={"degradation": "lowlight", "play": False, "diversity": 1.0})
    samples = result.arrays["samples"].values.astype(float)
    np.testing.assert_allclose(result.arrays["mean"].values, samples.mean(0), atol=0.51)
    np.testing.assert_allclose(result.arrays["spread"].values, samples.std(0, ddof=1).mean(-1), atol=1e-3)
    assert result.arrays["spread"].values.max() > 0


def test_without_diversity_samples_are_equal_and_the_result_says_so():
    _, result = _run("restoration", {"picture": _picture(40, 40)}, samples=2, options={"play": False, "diversity": 0.0})
    assert np.array_equal(*result.arrays["samples"].values) and "equal" in " ".join(result.notes)


@pytest.mark.parametrize("name", [name for name in tasks.names() if {spec.kind for spec in tasks.load(name).inputs}
                                  <= {"picture", "mask", "scan"}])
def test_the_same_recipe_gives_the_same_bytes(name):
    inputs = {spec.name: _given(spec.kind) for spec in tasks.load(name).inputs}
    first, second = (_run(name, inputs, steps=3, samples=2)[1] for _ in range(2))
    assert np.array_equal(first.arrays["samples"].values, second.arrays["samples"].values)
    other = _run(name, inputs, steps=3, samples=2, seed=1)[1]
    assert not np.array_equal(first.arrays["samples"].values, other.arrays["samples"].values)


@pytest.mark.parametrize(("measurement", "solver"), [("small4", "ddnm"), ("phase", "dps"), ("grey", "diffpir")])
def test_restoration_by_a_steered_prior_is_judged_against_the_truth(measurement, solver):
    options = {"method": "steered", "measurement": measurement, "noise": 0.05}
    steps, result = _run("restoration", {"picture": _picture()}, steps=4, samples=3, solver=solver, options=options)
    assert steps[-1].x.shape == (3, 3, 256, 256) and result.arrays["samples"].values.shape == (3, 256, 256, 3)
    assert {"input", "reference", "mean", "spread"} <= set(result.arrays)
    assert {"PSNR of the mean (dB)", "Truth inside the 90 % interval"} <= set(result.metrics)
    assert result.recipe.model == "flowers" and result.recipe.size == (32, 32)


def test_samplers_that_a_measurement_does_not_serve_are_not_offered():
    task = tasks.load("restoration")
    options = {"method": "steered", "measurement": "phase", "noise": 0.05}
    assert "dps" in task.solvers(options) and not {"ddnm", "ddrm", "ddim"} & set(task.solvers(options))
    with pytest.raises(InputError, match="solver"):
        check(task, task.defaults.replace(solver="ddrm", options=options))


def test_haze_is_judged_small_and_comes_back_at_full_size():
    steps, result = _run("restoration", {"picture": _picture(240, 400)}, steps=2, options={"degradation": "haze"})
    assert steps[-1].x.shape == (1, 3, 96, 160) and result.arrays["samples"].values.shape == (1, 240, 400, 3)
    assert any("carried to the full size" in note for note in result.notes)


def test_big_pictures_go_through_tiles():
    steps, result = _run("restoration", {"picture": _picture(400, 500)}, steps=1, options={"play": False})
    assert result.arrays["samples"].values.shape == (1, 400, 500, 3) and steps[-1].nfe == 2


@pytest.mark.parametrize("solver", ["ddim", *steering.names(Inpaint)])
def test_known_pixels_come_back_bit_exact(solver):
    picture, hole = _picture(150, 140), np.zeros((150, 140), bool)
    hole[50:80, 30:90] = True
    _, result = _run("inpainting", {"picture": picture, "mask": hole}, steps=4, samples=2, solver=solver,
                     options={"method": "general" if solver == "ddim" else "steered"})
    for sample in result.arrays["samples"].values:
        assert np.array_equal(sample[~hole], picture.pixels[~hole])
        assert not np.array_equal(sample[hole], picture.pixels[hole])


def test_without_diversity_samples_are_equal_and_it_is_said():
    _, result = _run("inpainting", {"picture": _picture(), "mask": _hole()}, steps=3, samples=2,
                     options={"diversity": 0.0})
    first, second = result.arrays["samples"].values
    assert np.array_equal(first, second) and any("diversity 0" in note for note in result.notes)
    _, result = _run("inpainting", {"picture": _picture(), "mask": _hole()}, steps=3, samples=2)
    assert not np.array_equal(*result.arrays["samples"].values) and not result.notes


def test_what_lies_under_the_mask_has_no_influence():
    hole = _hole()
    changed = _picture().pixels.copy()
    changed[hole] = 255 - changed[hole]
    first, second = (_run("inpainting", {"picture": p, "mask": hole}, steps=3, samples=1)[1].arrays["samples"].values
                     for p in (_picture(), Picture(changed)))
    assert np.array_equal(first[:, hole], second[:, hole])


def test_far_holes_of_a_large_picture_and_a_full_mask():
    hole = np.zeros((300, 700), bool)
    hole[20:50, 20:60] = hole[250:280, 640:690] = True
    _, result = _run("inpainting", {"picture": _picture(300, 700), "mask": hole}, steps=3, samples=1)
    assert result.arrays["samples"].values.shape == (1, 300, 700, 3)
    _run("inpainting", {"picture": _picture(), "mask": np.ones((96, 120), bool)}, steps=3, samples=1)


def test_guidance_moves_the_prior_and_reported_calls_are_right():
    options = {"method": "steered", "flower": "rose", "repeats": 2, "jump": 2}
    inputs = {"picture": _picture(), "mask": _hole()}
    weak, strong = (_run("inpainting", inputs, steps=6, samples=1, guidance=w, solver="ddnm", options=options)
                    for w in (0.0, 6.0))
    assert not np.array_equal(weak[1].arrays["samples"].values, strong[1].arrays["samples"].values)
    task = tasks.load("inpainting")
    recipe = task.defaults.replace(steps=6, samples=1, solver="ddnm", options=dict(task.defaults.options) | options)
    assert strong[0][-1].nfe == task.calls(recipe)
    assert [s.index for s in strong[0]] == list(range(1, strong[0][-1].total + 1))


def test_a_model_of_ones_own_is_the_prior(tmp_path):
    """A tiny diffusers pipeline that the test saves itself: steered at its own 16 px, and free with a full mask."""
    from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

    torch.manual_seed(0)
    unet = UNet2DModel(sample_size=16, block_out_channels=(32, 32), layers_per_block=1, norm_num_groups=8,
                       down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"))
    DDPMPipeline(unet, DDPMScheduler()).save_pretrained(tmp_path, safe_serialization=True)
    options = {"method": "steered"}
    for hole in (_hole(), np.ones((96, 120), bool)):
        steps, result = _run("inpainting", {"picture": _picture(), "mask": hole}, model=f"local:{tmp_path}", steps=3,
                             samples=1, solver="replacement", options=options)
        assert steps[-1].x.shape == (1, 3, 16, 16) and len(result.recipe.model_sha256) == 64
        assert np.array_equal(result.arrays["samples"].values[0][~hole], _picture().pixels[~hole])
    assert str(tmp_path) not in result.recipe.write()
    with pytest.raises(InputError, match="has its own model"):
        _run("inpainting", {"picture": _picture(), "mask": _hole()}, model=f"local:{tmp_path}")


@pytest.mark.parametrize(("mask", "words"), [(np.zeros((96, 120), bool), "painted"), (np.ones((9, 9), bool), "size")])
def test_bad_masks_are_refused(mask, words):
    with pytest.raises(InputError, match=words):
        _run("inpainting", {"picture": _picture(), "mask": mask})


@pytest.mark.parametrize(("fields", "field"), [
    ({"steps": 500}, "steps"), ({"guidance": 50.0}, "guidance"), ({"samples": 20}, "samples"),
    ({"solver": "nothing"}, "solver"), ({"options": {"degradation": "dust"}}, "degradation"),
    ({"options": {"strength": 2.0}}, "strength"), ({"options": {"diversity": "much"}}, "diversity")])
def test_settings_out_of_range_are_refused(fields, field):
    with pytest.raises(InputError) as caught:
        _run("restoration", {"picture": _picture()}, **fields)
    assert caught.value.field == field


def test_more_pixels_than_fit_are_refused():
    with pytest.raises(InputError, match="million"):
        _run("restoration", {"picture": Picture(np.zeros((2000, 3000, 3), np.uint8))}, samples=8)
