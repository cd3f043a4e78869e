"""The objectives for masks: their minimum is the truth, and training moves the networks towards it."""

import math

import pytest
import torch

from engine import networks, schedules
from engine.training import masks, objective
from engine.training.spec import Batch

SMALL = {"widths": (16, 32), "depth": 1}


class _Knows(torch.nn.Module):
    """Answers with fixed logits, whatever it is shown."""

    def __init__(self, logits):
        super().__init__()
        self.logits = logits

    def encode(self, picture):
        return self.logits.expand(len(picture), 1, *picture.shape[-2:])

    def forward(self, x, t, label=None, cond=None):
        return self.logits.expand(x.shape)


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_cross_entropy_is_least_at_the_true_chance(share):
    mask = torch.where(torch.arange(100) < 100 * share, 1.0, -1.0).reshape(1, 1, 10, 10)
    batch, schedule = Batch(mask, cond=torch.zeros(1, 3, 10, 10)), schedules.vp_linear()

    def value(chance):
        knows = _Knows(torch.tensor(math.log(chance / (1 - chance))))
        return float(objective.loss(knows, batch, schedule, "logits", torch.Generator().manual_seed(0)))

    entropy = -share * math.log(share) - (1 - share) * math.log(1 - share)
    assert value(share) == pytest.approx(2 * entropy, rel=1e-5)  # once with the noisy mask, once without
    assert value(share) < min(value(share + 0.05), value(share - 0.05))


def test_a_sure_and_right_network_has_no_loss():
    mask = torch.where(torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.3, 1.0, -1.0)
    batch = Batch(mask, cond=torch.zeros(2, 3, 8, 8))
    loss = objective.loss(_Knows(40 * mask), batch, schedules.vp_linear(), "plain_logits", torch.Generator())
    assert float(loss) < 1e-6
    assert float(masks.dice_loss(-40 * mask, mask)) > 0.9


def test_pixels_without_weight_do_not_count():
    mask = torch.ones(1, 1, 8, 8)
    wrong = mask.clone()
    wrong[..., :4] = -1
    weight = (wrong > 0).float()
    for counted, bound in ((weight, 1e-6), (1 - weight, None)):
        batch = Batch(mask, cond=torch.zeros(1, 3, 8, 8), weight=counted)
        loss = float(objective.loss(_Knows(40 * wrong), batch, schedules.vp_linear(), "logits", torch.Generator()))
        assert loss < bound if bound else loss == pytest.approx(80)  # 40 nats in each of the two parts


@pytest.mark.parametrize(("kind", "prediction", "options"),
                         [("medseg", "logits", {**SMALL, "mask_widths": (16,), "embedding": 32}),
                          ("mask_unet", "plain_logits", SMALL)])
def test_a_mask_that_can_be_seen_is_learnt(kind, prediction, options):
    torch.manual_seed(0)
    network = networks.build(kind, **options)
    generator, schedule = torch.Generator().manual_seed(0), schedules.vp_linear()
    optimiser, values = torch.optim.Adam(network.parameters(), 5e-3), []
    for _ in range(30):
        picture = torch.randn(4, 3, 4, 4, generator=generator).repeat_interleave(4, 2).repeat_interleave(4, 3)
        batch = Batch(torch.where(picture[:, :1] > 0, 1.0, -1.0), cond=picture)
        value = objective.loss(network, batch, schedule, prediction, generator)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(float(value.detach()))
    assert sum(values[-5:]) < 0.6 * sum(values[:5])
