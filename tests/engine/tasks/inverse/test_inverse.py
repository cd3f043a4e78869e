"""Inverse problems: what was measured, what is made of it, and how it is judged."""

import math

import pytest
import torch

from engine import models, report, steering
from engine.__main__ import _dump
from engine.errors import InputError
from engine.recipe import Recipe
from engine.steering.operators import AveragePool, Identity
from engine.tasks.inverse import baselines, evaluate, judging, measurements, solving
from tests.engine.steering.test_steering import EXACT

SIDE = 32


def picture(seed: int = 0) -> torch.Tensor:
    """A smooth picture with an edge, (1, 3, 32, 32)."""
    y, x = torch.meshgrid(torch.linspace(-1, 1, SIDE), torch.linspace(-1, 1, SIDE), indexing="ij")
    waves = torch.stack([torch.sin(3 * x + seed), torch.cos(2 * y - seed), torch.tanh(8 * (x + y))])
    return 0.7 * waves[None]


@pytest.mark.parametrize("name", measurements.names())
def test_every_kind_measures_and_can_be_shown(name):
    case = solving.measured(picture(), name, seed=1)
    shown = measurements.shown(case.measurement, case.y)
    assert shown.shape[:2] == (1, 3) and bool(shown.isfinite().all()) and float(shown.abs().max()) <= 1
    again, other = solving.measured(picture(), name, seed=1), solving.measured(picture(), name, seed=2)
    assert torch.equal(again.y, case.y) and torch.equal(other.y, case.y) == (case.noise == 0)


def test_bad_kinds_and_noise_are_refused():
    for given in (("moonlight", 0, None), ("box", 0, -0.1), ("box", 0, math.nan)):
        with pytest.raises(InputError):
            solving.measured(picture(), *given)


def test_consistency_is_one_for_the_truth_with_noise_and_zero_without():
    noisy = solving.measured(picture(), "noise", seed=3)
    # The norm of 3072 standard normal numbers over its expectation, sqrt(3072), varies by 1 / sqrt(2 * 3072).
    assert judging.consistency(picture(), noisy.y, Identity(), noisy.noise) == pytest.approx(1, abs=4 / 78)
    small = solving.measured(picture(), "small4", seed=3)
    assert judging.consistency(picture(), small.y, AveragePool(4), 0.0) < 1e-6
    assert judging.consistency(-picture(), small.y, AveragePool(4), 0.0) == pytest.approx(2)


@pytest.mark.parametrize("count", [3, 8, 40])
def test_coverage_of_one_more_normal_draw_is_nine_in_ten(count):
    generator = torch.Generator().manual_seed(count)
    draws = torch.randn(count + 1, 40_000, generator=generator) * 0.3 + 0.1
    # 40 000 independent pixels: a standard error of 0.0015.
    assert judging.coverage(draws[1:], draws[:1]) == pytest.approx(0.9, abs=0.006)
    assert judging.coverage(draws[1:] * 0.1, draws[:1]) < 0.75
    weights = torch.zeros(count)
    weights[0] = 1
    assert math.isnan(judging.coverage(draws[1:], draws[:1], weights))


def test_figures_of_the_truth_itself_are_perfect_and_weights_choose():
    truth = picture()
    case = solving.measured(truth, "small4", seed=0)
    wrong = torch.cat([truth, -truth, truth.flip(3)])
    found = judging.figures(wrong, truth, case.y, case.measurement, 0.0, torch.tensor([1.0, 0.0, 0.0]))
    assert found["psnr_db"] == found["psnr_mean_db"] == math.inf and found["ssim"] == 1 and found["spread"] == 0
    even = judging.figures(wrong, truth, case.y, case.measurement, 0.0)
    assert even["psnr_mean_db"] < 40 and even["spread"] > 0.1
    assert set(judging.figures(wrong, None, case.y, case.measurement, 0.0)) == {"consistency", "spread"}


def test_coverage_counts_only_what_the_measurement_does_not_give_away():
    truth = picture()
    case = solving.measured(truth, "box", seed=0)
    hole = judging.open_to_doubt(case.measurement, 0.0, truth)
    assert hole.shape == truth.shape and int(hole.sum()) == 3 * (SIDE // 2) ** 2
    assert bool(judging.open_to_doubt(case.measurement, 0.1, truth).all())  # with noise the rest is in doubt, too
    noise = torch.randn(5, *truth.shape[1:], generator=torch.Generator().manual_seed(0))
    wrong = torch.where(hole, truth + 1 + 0.01 * noise, truth)
    assert judging.figures(wrong, truth, case.y, case.measurement, 0.0)["coverage"] == 0
    full = solving.measured(truth, "box", seed=0).measurement
    full.known = torch.ones_like(full.known)
    assert "coverage" not in judging.figures(wrong, truth, truth, full, 0.0)


def test_an_ensemble_of_which_one_counts_has_no_interval():
    draws = torch.randn(9, 1000, generator=torch.Generator().manual_seed(0))
    almost = torch.tensor([0.9] + [0.1 / 7] * 7)
    assert math.isnan(judging.coverage(draws[1:], draws[:1], almost))


def test_classical_methods_beat_what_they_start_from():
    truth = picture()
    for name in ("box", "small4", "blur", "noise"):
        case = solving.measured(truth, name, seed=0)
        start = case.measurement.pinv(case.y).clamp(-1, 1)
        before = float((start - truth).square().mean())
        for title, method in baselines.fitting(name).items():
            found = method(case.y, case.measurement, case.noise, (SIDE, SIDE))
            assert found.shape == truth.shape
            if title == "total variation" and name == "small4":  # averages of a smooth picture are hard to beat by it
                continue
            assert float((found - truth).square().mean()) < before, (name, title)
    assert baselines.fitting("phase") == {}


def test_samples_of_exact_methods_fit_the_measurement():
    model = models.load("flowers")
    case = solving.measured(picture(), "small4", seed=0)
    for name in EXACT:
        if steering.row(name).needs in case.measurement.offers and name != "afdps":
            with torch.no_grad():
                *_, step = solving.solve(case, model, Recipe(task="inverse", solver=name, steps=4, samples=2, seed=1))
            assert step.x.shape == (2, 3, SIDE, SIDE)


def test_evaluation_has_a_row_per_problem_method_and_budget_which_the_report_shows(tmp_path):
    rows = evaluate.measure(models.load("flowers"), [picture(0), picture(1)], ("small4", "blur"),
                            ("ddnm", "replacement"), samples=3)
    assert [row["samples"] for row in rows] == [1.0 if row["budget"] == "" else 3.0 for row in rows]
    keys = [(row["problem"], row["method"], row["budget"]) for row in rows]
    assert keys[:2] == [("small4", "bicubic", ""), ("small4", "total variation", "")]
    assert ("blur", "ours, DDNM", evaluate.EQUAL) in keys and ("blur", "ours, DDNM", evaluate.OWN) in keys
    for row in rows:
        assert row["pictures"] == 2 and row["seconds"] > 0 and math.isfinite(row["psnr_db"])
        assert math.isnan(row["coverage"]) == (not row["method"].startswith("ours"))
    _dump(tmp_path / "steering.json", rows)
    text = report.section(tmp_path)
    assert "Means over 2 held-out flowers" in text and "3 samples each" in text and text.count("| bicubic |") == 1


def test_rows_stand_after_each_picture_and_particles_are_many():
    model, pictures = models.load("flowers"), [picture(0), picture(1)]
    first, last = evaluate.measuring(model, pictures, ("small4",), (), samples=3)
    assert [row["pictures"] for row in (*first, *last)] == [1, 1, 2, 2]
    runs = evaluate._plan(model, solving.measured(pictures[0], "small4", 0), ("ddnm", "afdps"), 2)
    assert [(run.method, run.samples) for run in runs] == [("ddnm", 2)] * 2 + [("afdps", evaluate.PARTICLES)] * 2
    equal = {run.method: run.steps for run in runs if run.budget == evaluate.EQUAL}
    assert equal["afdps"] < equal["ddnm"] / 2


def test_pictures_to_measure_on_are_held_out_squares(tmp_path):
    import numpy as np
    from PIL import Image

    from engine.training.pictures import held_out

    folder = tmp_path / "flowers"
    folder.mkdir()
    for i in range(60):
        pixels = np.random.default_rng(i).integers(0, 255, (48, 64, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"rose_{i}.png")
    kept = [path for path in folder.iterdir() if held_out(path)]
    found = evaluate.pictures_of(tmp_path, SIDE)
    assert 0 < len(found) == len(kept) < 60 and found[0].shape == (1, 3, SIDE, SIDE)
    assert len(evaluate.pictures_of(tmp_path, SIDE, limit=1)) == 1
