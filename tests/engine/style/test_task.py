"""The style task on small pictures."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from engine.errors import InputError
from engine.io.pictures import Picture
from engine.runtime.settings import limits
from engine.step import Step
from engine.tasks.base import Result
from engine.tasks.style import sampling
from engine.tasks.style.task import TASK


@pytest.fixture
def inputs():
    rng = np.random.default_rng(0)
    return {"content": Picture(rng.integers(0, 256, (60, 90, 3), np.uint8)),
            "style": Picture(rng.integers(0, 256, (80, 70, 3), np.uint8))}


def _run(inputs, steps=3, samples=1, seed=0, **options):
    recipe = TASK.defaults.replace(steps=steps, samples=samples, seed=seed, options={"size": "128"} | options)
    found = list(TASK.run(inputs, recipe))
    assert all(isinstance(step, Step) for step in found[:-1]) and isinstance(found[-1], Result)
    return found


def _picture(inputs, **options):
    return _run(inputs, **options)[-1].arrays["samples"].values[0].astype(int)


def test_steps_and_result_have_the_photographs_shape(inputs):
    *steps, result = _run(inputs, samples=2)
    assert [step.index for step in steps] == [1, 2, 3]
    assert {step.x0.shape for step in steps} == {(2, 3, 85, 128)}
    assert result.arrays["samples"].values.shape == (2, 85, 128, 3)
    assert result.recipe.size == (85, 128)


def test_dials_and_seed_have_an_effect_and_the_rest_is_the_same(inputs):
    first = _picture(inputs)
    assert np.array_equal(first, _picture(inputs))
    for other in ({"content_weight": 3.0}, {"style_weight": 0.5}, {"stroke": 2.0}, {"brush": 0.5}, {"seed": 1}):
        assert not np.array_equal(first, _picture(inputs, **other)), other


def test_without_style_the_photograph_stays(inputs):
    found = _run(inputs, steps=20, style_weight=0.0)[-1].arrays
    # What is left of the noise at the last time.
    assert np.abs(found["samples"].values[0].astype(int) - found["input"].values).max() <= 3


def test_the_table_holds_runs_from_one_start(inputs):
    result = _run(inputs, grid=True, content_weight=1.0, style_weight=1.0)[-1]
    assert result.arrays["samples"].values.shape == (9, 85, 128, 3)
    assert result.arrays["table"].values.shape == (255, 384, 3)
    for place, weight in ((4, 1.0), (0, 0.5)):
        alone = _picture(inputs, content_weight=weight, style_weight=weight)
        assert np.abs(result.arrays["samples"].values[place] - alone).max() <= 1


def test_outside_the_mask_the_photograph_stays(inputs):
    mask = np.zeros((60, 90), bool)
    mask[:, :30] = True
    result = _run(inputs | {"mask": mask}, steps=20)[-1]
    drawn, before = (result.arrays[name].values.astype(int) for name in ("samples", "input"))
    assert np.abs(drawn[0][:, 64:] - before[:, 64:]).max() <= 3
    assert not np.array_equal(drawn[0][:, :24], before[:, :24])


def test_a_mixture_runs_from_the_first_to_the_second_style(inputs):
    second = Picture(np.full((64, 64, 3), 200, np.uint8))
    both = inputs | {"second": second}
    assert np.array_equal(_picture(both, mix=0.0), _picture(inputs))
    assert np.array_equal(_picture(both, mix=1.0), _picture(inputs | {"style": second}))
    assert not np.array_equal(_picture(both, mix=0.5), _picture(inputs))


def test_kept_colours_are_those_of_the_photograph():
    grey = Picture(np.repeat(np.random.default_rng(0).integers(60, 190, (64, 64, 1), np.uint8), 3, axis=2))
    colourful = Picture(np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8))
    drawn = _picture({"content": grey, "style": colourful}, keep_colours=True)
    # Rounding of two conversions.
    assert np.ptp(drawn, axis=-1).max() <= 2


@pytest.mark.parametrize("style", [np.zeros((8, 9, 3), np.uint8), np.full((300, 20, 3), 255, np.uint8)])
def test_tiny_and_flat_styles_are_taken_with_a_word(inputs, style):
    result = _run(inputs | {"style": Picture(style)})[-1]
    assert any("strokes are enlarged" in note for note in result.notes)
    assert np.isfinite(list(result.metrics.values())).all()


def test_the_same_picture_twice_is_no_error(inputs):
    assert _run({"content": inputs["content"], "style": inputs["content"]})[-1].metrics[
        "Distance of the photograph to the style"] < 0.2


def test_too_many_pixels_are_refused(inputs, monkeypatch):
    monkeypatch.setattr("engine.tasks.pictures.limits", lambda: replace(limits(), image_pixels=8 * 85 * 128))
    with pytest.raises(InputError, match="9 samples of 128 x 85 px"):
        _run(inputs, grid=True)


def test_guidance_weights_of_one_need_one_call_and_others_three():
    calls = []

    def denoise(x, t, **cond):
        calls.append(len(x))
        assert all(len(value) == len(x) for value in cond.values())
        return x * cond["has_structure"][:, None, None, None] + cond["has_style"][:, None, None, None]

    cond = {"has_structure": torch.ones(2), "has_style": torch.ones(2)}
    x = torch.randn(2, 3, 4, 4)
    assert torch.allclose(sampling.two_scales(denoise, dict(cond), 1.0, 1.0)(x, 0.5), x + 1)
    # x_cs = x + 1, x_0s = 1, x_c0 = x: x0 = x + 1 + (2 - 1) x + (4 - 1) 1.
    assert torch.allclose(sampling.two_scales(denoise, dict(cond), 2.0, 4.0)(x, 0.5), 2 * x + 4, atol=1e-6)
    assert calls == [2, 6]
