"""The training loop on a tiny problem, its objectives, and where its data comes from."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from engine import models, schedules, training
from engine.denoisers import resnoise
from engine.errors import InputError
from engine.training import loop, objective, pictures
from engine.training.spec import Batch, Spec


def _spec(**changes) -> Spec:
    def batch(rng, progress):
        assert 0 <= progress <= 1
        return Batch(torch.full((4, 3, 8, 8), 0.5))

    return replace(Spec(
        name="tiny", task="none", title="Tiny", options={"widths": (16,), "depth": 1, "attention": 0},
        schedule=("cosine", {}), prediction="v", resolution_px=8, batch=batch,
        validate=lambda denoise: {"value": float(denoise(torch.zeros(1, 3, 8, 8), 0.9).mean())},
        sheet=lambda denoise: np.zeros((4, 4, 3), np.uint8), data="a constant", licences="none", ema=0.9), **changes)


def test_a_constant_is_learnt_and_the_run_continues(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "WARM_UP", 1)  # a busy machine makes few iterations in the budget
    card = loop.fit(_spec(), 0.04, tmp_path)
    assert card.training.iterations > 0 and card.parameters > 0 and len(card.sha256) == 64
    first = json.loads((tmp_path / "validation.jsonl").read_text().splitlines()[0])
    assert 0.02 < first["value"] < 1.0  # a network that learnt nothing answers with nearly 0, the truth is 0.5
    assert (tmp_path / "loss.png").is_file() and list(tmp_path.glob("sheet_*.png"))
    again = loop.fit(_spec(), 0.01, tmp_path, resume=True)
    assert again.training.iterations > card.training.iterations and again.training.samples > card.training.samples
    assert again.training.minutes > card.training.minutes


def test_shipped_files_are_what_models_load(tmp_path):
    loop.fit(_spec(), 0.01, tmp_path)
    model = models.load(f"local:{tmp_path}")
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    assert model.denoiser(x, 0.5).shape == x.shape


class _Perfect(torch.nn.Module):
    """Knows the clean picture, and answers with the exact target."""

    def __init__(self, clean, schedule, prediction):
        super().__init__()
        self.clean, self.schedule, self.prediction = clean, schedule, prediction

    def forward(self, x, t, label=None, cond=None):
        clean = self.clean[-len(x):]  # the loss also asks for the last few alone
        alpha, sigma = (v.float()[:, None, None, None] for v in self.schedule(t))
        if self.prediction == "v":
            eps = (x - alpha * clean) / sigma
            return alpha * eps - sigma * clean
        if self.prediction == "velocity":
            return (x - alpha * clean) / sigma - clean
        if self.prediction in ("reverting", "regression"):
            return (x - cond - alpha * (clean - cond)) / sigma
        shifted = x - (1 - self.schedule.retained(t).float()[:, None, None, None]) * cond[:, :3]
        return resnoise((shifted - alpha * clean) / sigma, clean, cond[:, :3], sigma)


@pytest.mark.parametrize(("prediction", "schedule"), [("v", schedules.cosine()), ("velocity", schedules.flow()),
                                                      ("resnoise", schedules.residual()),
                                                      ("reverting", schedules.mean_reverting()),
                                                      ("regression", schedules.mean_reverting())])
def test_the_exact_answer_has_no_loss(prediction, schedule):
    generator = torch.Generator().manual_seed(0)
    clean, degraded = torch.rand(2, 8, 3, 6, 6, generator=generator) * 2 - 1
    batch = Batch(clean, cond=None if prediction in ("v", "velocity") else degraded)
    value = objective.loss(_Perfect(clean, schedule, prediction), batch, schedule, prediction, generator)
    # Absolute errors keep the rounding of float32, at alpha = 0.005 two hundred times; squared ones do not show it.
    assert float(value) < (1e-4 if prediction in ("reverting", "regression") else 1e-8)
    off = objective.loss(_Perfect(clean + 0.1, schedule, prediction), batch, schedule, prediction, generator)
    assert float(off) > 1e-3 if prediction in ("reverting", "regression") else float(off) > 1e-4


@pytest.mark.parametrize("nodes", [1000, 4000])
def test_matching_is_the_published_loss_of_one_step_in_the_limit_of_short_steps(nodes):
    """IR-SDE's |x_(t-1) by the network - best x_(t-1)|, pictures and steps by the published formulas, float64."""
    schedule, generator = schedules.mean_reverting(nodes=nodes), torch.Generator().manual_seed(0)
    x0, mu, eps, wrong = torch.randn(4, 50, generator=generator, dtype=torch.float64)
    t = torch.randint(nodes // 20, nodes + 1, (50,), generator=generator).double() / nodes
    (before, _), (after, sigma) = schedule(t - 1 / nodes), schedule(t)
    x, rest = mu + after * (x0 - mu) + sigma * eps, schedule.rest
    kept = after / before
    theta = -kept.log()  # times the step
    score = -(eps + wrong) / sigma
    reached = x - (theta * (mu - x) - 2 * rest**2 * theta * score)
    share = 1 - after**2
    best = kept * (1 - before**2) / share * (x - mu) + before * (1 - kept**2) / share * (x0 - mu) + mu
    ours = objective.matching_weight(schedule, t - 0.5 / nodes) * wrong.abs() / nodes
    # Both sides differ by the square of theta, at most 1e-2 of the largest theta for 1000 nodes, and half-step shifts.
    assert ((reached - best).abs() - ours).abs().max() < 60 / nodes * ours.max()


@pytest.mark.parametrize("name", ["reverting", "regression"])
def test_both_super_resolution_objectives_improve_the_network(name):
    from engine import networks

    torch.manual_seed(0)
    network = networks.build("eanet", width=8, encoder=(1,), middle=1, decoder=(1,))
    generator, schedule = torch.Generator().manual_seed(0), schedules.mean_reverting()
    mu = torch.rand(8, 3, 16, 16, generator=generator) / 10  # its detail lets the network expect errors of about 0.14
    batch = Batch(mu + 0.2, cond=mu)
    optimiser, values = torch.optim.Adam(network.parameters(), 3e-3), []
    for _ in range(40):
        value = objective.loss(network, batch, schedule, name, generator)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(float(value.detach()))
    assert sum(values[-5:]) < 0.7 * sum(values[:5])


def test_weights_choose_the_pixels_that_count():
    generator = torch.Generator().manual_seed(0)
    clean = torch.zeros(4, 3, 8, 8)
    wrong = clean.clone()
    wrong[..., :4] = 1.0
    weight = torch.ones(4, 1, 8, 8)
    weight[..., :4] = 0
    schedule = schedules.cosine()
    network = _Perfect(wrong, schedule, "v")
    ignored = objective.loss(network, Batch(clean, weight=weight), schedule, "v", generator)
    counted = objective.loss(network, Batch(clean, weight=1 - weight), schedule, "v", generator)
    assert float(ignored) < 1e-8 < float(counted)


def test_learning_rate_rises_stays_and_falls_to_zero():
    assert loop._rate(0, 0.0) == pytest.approx(1 / loop.WARM_UP)
    assert loop._rate(10_000, 0.5) == 1.0
    assert loop._rate(10_000, 1.0) == pytest.approx(0.0, abs=1e-12)


def test_the_split_is_by_file_and_about_one_in_twenty(tmp_path):
    from PIL import Image

    (tmp_path / "flowers").mkdir()
    for i in range(400):
        Image.new("RGB", (9, 8)).save(tmp_path / "flowers" / f"rose_{i}.png")
    found = pictures.files(tmp_path, ("flowers", "absent"))
    share = sum(map(pictures.held_out, found)) / len(found)
    assert len(found) == 400 and 0.02 < share < 0.09
    assert [pictures.held_out(p) for p in found] == [pictures.held_out(p) for p in found]
    assert pictures.crop(pictures.read(found[:1])[0], 32, np.random.default_rng(0)).shape == (8, 8, 3)


def test_bad_requests_are_refused(tmp_path):
    for arguments, field in ((("nothing", str(tmp_path), 1.0), "task"), (("flowers", str(tmp_path), 0.0), "minutes"),
                             (("flowers", str(tmp_path), 1.0), "data")):
        with pytest.raises(InputError) as caught:
            training.train(*arguments, folder=tmp_path / "out")
        assert caught.value.field == field
