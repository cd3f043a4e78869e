import math

import pytest
import torch

from engine import models, networks, schedules
from engine.errors import InputError
from engine.models import Architecture, Card, ScheduleSpec, shelf
from engine.rng import Rng
from engine.tasks.laboratory import problems, views


def store(folder, name="tiny", classes=(), **options):
    """A model on the shelf `folder` with random weights that answer something."""
    options = {"widths": [8, 8], "depth": 1, "attention": 0, "classes": len(classes), **options}
    torch.manual_seed(0)
    network = networks.build("wavelet_unet", **options)
    # A fresh network answers zero, whatever the class.
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    card = Card(name=name, title=f"Model {name}", architecture=Architecture(kind="wavelet_unet", options=options),
                schedule=ScheduleSpec(name="cosine"), prediction="v", resolution_px=16, classes=list(classes))
    return models.save(network, card, folder / name)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.setattr(shelf, "ROOT", tmp_path)
    store(tmp_path, classes=("cat", "dog"))
    store(tmp_path, "repair", cond_channels=3)
    return problems.load("tiny")


def test_models_that_need_only_noise_are_problems(tiny):
    assert problems.names() == ("mixture", "patches", "tiny")
    assert tiny.shape == (3, 16, 16) and tiny.labels == ("cat", "dog") and not tiny.exact
    with pytest.raises(InputError, match="Choose one of mixture, patches, tiny"):
        problems.load("repair")


@pytest.mark.parametrize("name", ["mixture", "tiny"])
def test_guidance_is_linear_in_its_weight(tiny, name):
    """x0 = u + w (c - u): any three weights lie on a line, and weight 1 is the plain class."""
    problem = problems.load(name)
    x, label = problem.noise(Rng(0, 3)), problem.labels[0]
    one, two, three = (problem.denoiser("own", w, label)(x, 0.5) for w in (1.0, 2.0, 3.0))
    # bfloat16 networks answer in batches of different sizes alike up to their rounding, 2^-8.
    share = 1e-9 if problem.exact else 0.05
    change = float((two - one).norm())
    assert change > 0 and float((three - two - (two - one)).norm()) < share * change


def test_guidance_needs_a_class_that_is_known(tiny):
    with pytest.raises(InputError, match="no class is chosen"):
        tiny.denoiser(weight=2.0)
    with pytest.raises(InputError, match="Choose one of cat, dog"):
        tiny.denoiser(label="cow")


@pytest.mark.parametrize("used", problems.SCHEDULES)
def test_a_schedule_changes_the_scale_of_the_state_and_nothing_else(tiny, used):
    """At the same log-SNR the denoiser of another schedule answers the same for the rescaled state."""
    for name in ("mixture", "tiny"):
        problem = problems.load(name)
        own, other, log_snr = problem.trained, problem.schedule(used), 0.3
        t, there = own.time_at(log_snr), other.time_at(log_snr)
        x = problem.noise(Rng(0, 2))
        scaled = x * (other(there)[0] / own(t)[0])
        answer = problem.denoiser(used)(scaled, there)
        # bfloat16 networks round their inputs, which the scaling changes in the last bit.
        tolerance = 1e-9 if problem.exact else 0.02
        torch.testing.assert_close(answer, problem.denoiser()(x, t), rtol=tolerance, atol=tolerance)


def test_start_noise_has_the_scale_of_the_start():
    problem = problems.load("patches")
    plain, wide = problem.noise(Rng(0, 4)), problem.noise(Rng(0, 4), "edm")
    torch.testing.assert_close(wide, plain * math.hypot(*schedules.edm()(80.0)), rtol=1e-12, atol=0)


def test_plans_are_fitted_on_other_components():
    (law,), scored = problems.fitting("patches"), problems.load("patches").law
    assert len(scored.weights) >= 500
    assert float(torch.cdist(law.means, scored.means).min()) > 0
    pairs = problems.fitting("mixture")
    assert len(pairs) == 3 and all(len(pair.weights) == 2 for pair in pairs)


def test_energy_distance_of_two_points_and_of_one_law():
    at = torch.zeros(5, 2)
    assert views.energy_distance(at, at + torch.tensor([3.0, 4.0])) == pytest.approx(10)
    x, y = torch.randn(2, 1000, 2, generator=torch.Generator().manual_seed(0))
    # The standard deviation of the estimate is about 1/1000 of the distances, which are near 2.
    assert abs(views.energy_distance(x, y)) < 0.01


def test_a_point_is_drawn_where_it_is():
    law = problems.load("mixture").law
    empty, one = (views.scatter(torch.tensor(points, dtype=torch.float64).reshape(-1, 2), law)
                  for points in ([], [[1.5, 1.5]]))
    rows, columns = (empty != one).any(-1).nonzero()
    side = views.SCATTER_PX
    assert len(rows) == 4
    assert abs(rows.mean() - side / 4) < 1.5 and abs(columns.mean() - 3 * side / 4) < 1.5


def test_pictures_are_shown_in_tiles():
    sheet = views.colour_tiles(torch.zeros(3, 3, 16, 16))
    assert sheet.shape == (130, 130, 3) and (sheet[:64, :64] == 128).all() and (sheet[66:, 66:] == 255).all()
    assert views.spectral_error(torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 16, 16)) == 0
