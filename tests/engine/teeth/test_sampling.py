from types import SimpleNamespace

import pytest
import torch

from engine import networks, schedules
from engine.denoisers import from_x0
from engine.tasks.teeth import anatomy, metrics, rigid, sampling
from engine.tasks.teeth.dentition import turned
from engine.tasks.teeth.wishes import Wishes


@pytest.fixture(scope="module")
def model(frame):
    """An untrained network whose answers differ from tooth to tooth."""
    torch.manual_seed(0)
    network = networks.build("teeth", width=48, heads=4, seeing=1, depth=1, points=16).eval()
    torch.nn.init.normal_(network.last.weight, std=0.05)
    for name in ("axes", "centres", "mean", "spread"):
        getattr(network, name).copy_(getattr(frame, name))
    network.left.fill_(0.5)
    return SimpleNamespace(network=network, denoiser=torch.no_grad()(from_x0(network, schedules.vp_linear())))


def test_a_seed_means_the_same_and_samples_do_not_depend_on_their_number(model, crooked):
    many = sampling.arrange(model, crooked[:1], samples=3, seed=5, steps=3)
    one = sampling.arrange(model, crooked[:1], samples=1, seed=5, steps=3)
    # Batched matrix products round differently: 1e-3 mm.
    assert torch.allclose(many.centre[0], one.centre[0], atol=1e-3)
    other = sampling.arrange(model, crooked[:1], samples=1, seed=6, steps=3)
    assert (other.centre[0] - one.centre[0]).norm(dim=-1).max() > 0.05
    assert (many.centre[0] - many.centre[1]).norm(dim=-1).max() > 0.05


def test_position_in_space_does_not_matter(model, crooked):
    patient = crooked[:1]
    turn, shift = rigid.from_vector(torch.tensor([[0.2, 0.5, -0.3]])), torch.tensor([[10.0, -20.0, 5.0]])
    here = sampling.arrange(model, patient, samples=1, steps=3)
    there = sampling.arrange(model, turned(patient, turn, shift), samples=1, steps=3)
    expected = here.centre @ turn + shift
    present = patient.present[0]
    assert torch.allclose(there.centre[0, present], expected[0, present], atol=0.02)


def test_every_step_has_motions_and_the_last_is_the_result(model, crooked):
    seen = list(sampling.arranging(model, crooked[:1], samples=2, steps=4))
    assert [step.index for step, _ in seen] == [1, 2, 3, 4]
    assert all(motion.centre.shape == (2, 32, 3) for _, motion in seen)
    assert torch.equal(seen[-1][1].centre, sampling.arrange(model, crooked[:1], samples=2, steps=4).centre)


@pytest.mark.parametrize("solver", ["ddim", "heun", "ddpm"])
def test_other_solvers(model, crooked, solver):
    motion = sampling.arrange(model, crooked[:1], samples=1, steps=3, solver=solver)
    assert motion.centre.isfinite().all()


def test_wishes_hold_in_the_position_that_was_given(model, crooked):
    patient = turned(crooked[:1], rigid.from_vector(torch.tensor([[0.0, 0.4, 0.0]])), torch.tensor([[5.0, 0.0, 0.0]]))
    motion = sampling.arrange(model, patient, samples=2, steps=3, wishes=Wishes(fixed=(16, 26), limit_mm=0.8))
    away = (motion.centre - patient.centres).norm(dim=-1)[:, patient.present[0]]
    slots = [anatomy.slot_of(fdi) for fdi in (16, 26)]
    assert away.max() < 0.8 + 1e-3
    assert (motion.centre - patient.centres)[:, slots].abs().max() < 1e-3


def test_mean_of_samples_lies_among_them(model, crooked):
    motion = sampling.arrange(model, crooked[:1], samples=4, steps=3)
    samples = [motion[k:k + 1] for k in range(4)]
    away, turn = metrics.spread(samples)
    assert away.shape == (1, 32) and away[0, crooked.present[0]].min() > 0
    assert turn.isfinite().all()
