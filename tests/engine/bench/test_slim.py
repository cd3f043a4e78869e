"""The table of slim models: what it compares, and where it finds students."""

import pytest
import torch

from engine import models, training
from engine.bench import slim
from engine.models.card import Card
from engine.networks import build, parameter_count
from engine.networks.cost import picture_multiply_adds

needs_teacher = pytest.mark.skipif(slim.TEACHER not in models.names(), reason="these weights are not installed")


def _pictures(count=16, seed=0):
    x = torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return x.cumsum(-1).div(8).clamp(-1, 1)


def test_spectral_errors_of_known_changes():
    real = 0.5 * _pictures()
    assert slim.spectral_errors(real, real) == (0.0, 0.0, pytest.approx(1.0))
    error, high, ratio = slim.spectral_errors(real / 2, real)
    # A quarter of the power is log10(4) less, up to the power of rounding that is added to both.
    assert error == pytest.approx(0.602, abs=0.02) and high == pytest.approx(0.602, abs=0.05)
    assert ratio == pytest.approx(0.25, rel=0.1)
    blurred = (real + real.roll(1, -1) + real.roll(1, -2) + real.roll((1, 1), (-1, -2))) / 4
    error, high, ratio = slim.spectral_errors(blurred, real)
    assert high > error and ratio < 0.5


@needs_teacher
def test_students_are_found_where_training_puts_them(tmp_path, monkeypatch):
    card = models.card(slim.TEACHER)
    options = {**card.architecture.options, "widths": [16, 32, 32], "gated": False}
    network = build("gaussian_unet", **options)
    own = Card(**card.model_dump() | {"name": "flowers_slim", "architecture": {"kind": "gaussian_unet",
                                                                               "options": options}})
    models.save(network, own, tmp_path / "flowers_slim")
    monkeypatch.setattr(training, "home", lambda name: tmp_path / name)
    (_, rows), = slim.measure(quick=True)
    assert [row["model"] for row in rows] == ["flowers", "flowers_slim"]
    small = rows[1]
    assert small["parameters, millions"] == round(parameter_count(network) / 1e6, 2)
    assert small["multiply-adds, millions"] == round(picture_multiply_adds(network, (3, 32, 32), 5) / 1e6, 1)
    assert small["multiply-adds, millions"] < rows[0]["multiply-adds, millions"] / 4
    # Without training the student is its linear base, whose pictures are further away than the teacher's own.
    assert small["kernel distance"] > rows[0]["kernel distance"]


@needs_teacher
def test_pictures_do_not_depend_on_how_many_are_made():
    model = models.load(slim.TEACHER)
    few, more = slim.pictures_of(model, 2, 5), slim.pictures_of(model, 3, 5)
    # Networks may compute in bfloat16, whose sums differ with the size of the batch.
    torch.testing.assert_close(few, more[:2], atol=0.1, rtol=0)
