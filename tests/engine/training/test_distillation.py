"""Spectrum-aware distillation: what has no loss, what weighs what, and that students learn."""

import copy

import pytest
import torch

from engine import networks, schedules
from engine.networks.bases import principal_components
from engine.training import distillation, objective
from engine.training.distillation import Distillation
from engine.training.spec import Batch

SIDE = 16
OPTIONS = {"components": 12, "size": SIDE, "classes": 2, "widths": (16, 32), "depth": 1, "attention": 1}


def _normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def clean():
    return torch.cumsum(torch.cumsum(_normal(24, 3, SIDE, SIDE), -1), -2).div(SIDE).tanh()


@pytest.fixture(scope="module")
def teacher(clean):
    torch.manual_seed(0)
    network = networks.build("gaussian_unet", **OPTIONS)
    for parameter in network.correction.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    network.load_state_dict(principal_components(clean, 12), strict=False)
    return network.requires_grad_(False).eval()


def _batch(clean):
    return Batch(clean, torch.arange(len(clean)) % 3)


def test_the_teacher_itself_has_no_loss_but_the_diffusion_loss(teacher, clean):
    schedule, batch = schedules.cosine(), _batch(clean)
    plain = objective.loss(teacher, batch, schedule, "v", torch.Generator().manual_seed(1))
    found = Distillation(teacher)(copy.deepcopy(teacher), batch, schedule, "v", torch.Generator().manual_seed(1))
    # Features are aligned with a ridge of 1e-4 of their power, which leaves less than 1e-4 of it.
    assert float(found) == pytest.approx(float(plain), abs=1e-4)
    other = networks.build("gaussian_unet", **OPTIONS)
    other.load_state_dict(principal_components(clean, 12), strict=False)
    none = Distillation(teacher, 0.0, 0.0)(other, batch, schedule, "v", torch.Generator().manual_seed(1))
    both = Distillation(teacher)(other, batch, schedule, "v", torch.Generator().manual_seed(1))
    assert float(both.detach()) > float(none.detach()) + 1e-2
    again = objective.loss(other, batch, schedule, "v", torch.Generator().manual_seed(1))
    assert float(none.detach()) == pytest.approx(float(again.detach()))


def test_features_are_the_teachers_levels_and_hooks_leave_no_trace(teacher):
    x, t = _normal(2, 3, SIDE, SIDE), torch.tensor([0.3, 0.7])
    with distillation.features(teacher) as found:
        teacher(x, t)
    assert [tuple(f.shape) for f in found] == [(2, 32, 4, 4), (2, 16, 8, 8)]
    teacher(x, t)
    assert len(found) == 2


def test_any_mixing_of_the_channels_can_be_undone():
    own = _normal(3, 6, 5, 5)
    goal = torch.einsum("dc,bchw->bdhw", _normal(4, 6, seed=1), own) + _normal(4, seed=2)[:, None, None]
    found = distillation.aligned(own, goal)
    # The ridge of 1e-4 of the power shrinks each coefficient by about as much.
    assert float((found - goal).square().mean() / goal.square().mean()) < 1e-6
    unrelated = distillation.aligned(own, _normal(3, 4, 5, 5, seed=3))
    assert float((unrelated - _normal(3, 4, 5, 5, seed=3)).square().mean()) > 0.5


def test_the_gradient_of_the_alignment_is_that_of_the_squared_difference():
    """The best map is a constant for gradients; so they agree with finite differences through the fit itself."""
    own, goal = _normal(3, 2, 4, 4).double().requires_grad_(), _normal(3, 2, 4, 4, seed=1).double()
    direction = _normal(3, 2, 4, 4, seed=2).double()

    def loss(value):
        return (distillation.aligned(value, goal) - goal).square().mean()

    gradient, = torch.autograd.grad(loss(own), own)
    with torch.no_grad():
        change = float(loss(own + 1e-4 * direction) - loss(own - 1e-4 * direction)) / 2e-4
    # The ridge is not part of the loss, which moves the gradient by its share of 1e-4.
    assert float((gradient * direction).sum()) == pytest.approx(change, rel=1e-2, abs=1e-5)


def test_with_equal_weights_the_frequency_loss_is_the_squared_difference():
    """Parseval. A single bright pixel has equal power everywhere, so every frequency weighs the same."""
    point = torch.zeros(2, 3, 8, 8)
    point[:, :, 3, 4] = 1.0
    difference = _normal(2, 5, 8, 8)
    torch.testing.assert_close(distillation.frequency_loss(difference, point), difference.square().mean())


def test_weak_frequencies_of_the_clean_picture_count_most():
    column = torch.arange(16) / 16
    strong = torch.cos(2 * torch.pi * column).expand(1, 3, 16, 16)
    weight = distillation.inverse_spectrum(strong + 0.05 * _normal(1, 3, 16, 16), (16, 16))
    assert weight.shape == (1, 1, 16, 16) and float(weight.max()) <= distillation.WEIGHT_LIMIT
    assert float(weight[0, 0, 0, 1]) < 0.05 * float(weight.mean())
    assert float(weight.mean()) == pytest.approx(1.0, rel=0.2)
    coarse, fine = (torch.cos(2 * torch.pi * n * column).expand(1, 3, 16, 16) for n in (1, 7))
    clean = strong + 0.05 * _normal(1, 3, 16, 16)
    assert distillation.frequency_loss(fine, clean) > 5 * distillation.frequency_loss(coarse, clean)
    assert distillation.inverse_spectrum(clean, (4, 4)).shape == (1, 1, 4, 4)


@pytest.mark.parametrize("gated", [True, False])
def test_a_student_comes_nearer_to_its_teacher(teacher, clean, gated):
    torch.manual_seed(1)
    student = networks.build("gaussian_unet", **{**OPTIONS, "widths": (8, 32), "gated": gated})
    student.load_state_dict({k: v for k, v in teacher.state_dict().items() if "." not in k}, strict=False)
    loss, schedule, generator = Distillation(teacher, 1.0, 1.0), schedules.cosine(), torch.Generator().manual_seed(2)
    optimiser, values = torch.optim.Adam(student.parameters(), 2e-3), []
    for _ in range(40):
        value = loss(student, _batch(clean), schedule, "v", generator)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(float(value.detach()))
    assert sum(values[-5:]) < 0.8 * sum(values[:5])
    assert all(p.grad is None for p in teacher.parameters())
