"""What teaches what, and the tables."""

import numpy as np
import pytest
import torch

from engine import networks, schedules
from engine.tasks.forecast import baselines, evaluate, metrics, sampling, training
from engine.tasks.forecast.data import starts
from engine.tasks.forecast.space import area_weights

SIZE = {"width": 16, "depth": 2}


@pytest.fixture(scope="module")
def spec(record):
    return training.spec(record, 32, "invented", **SIZE)


@pytest.fixture(scope="module")
def network(spec):
    torch.manual_seed(0)
    built = networks.build(spec.kind, **spec.options)
    built.load_state_dict(dict(spec.buffers), strict=False)
    return built


def test_the_buffers_are_those_of_the_network_and_stay_exact_on_disk(spec, network):
    stored = {name for name, _ in network.named_buffers()} - {"group", "shaper.time.frequencies"}
    assert set(spec.buffers) == stored
    # Vectors keep 32 bits in the file; matrices would be rounded to 16.
    assert all(value.dim() == 1 and value.dtype == torch.float32 for value in spec.buffers.values())


def test_targets_are_white(spec):
    drawn = torch.cat([spec.batch(np.random.default_rng(i), 0).x0 for i in range(150)])
    # 4800 draws of some 1800 cases: a variance of 1800 values is known to 3 %, four of those and the largest of 12.
    torch.testing.assert_close(drawn.var(0), torch.ones(12), atol=0.15, rtol=0)


def test_withheld_days_teach_trust_and_no_weight_of_the_reader(spec, network):
    schedule, batch = schedules.cosine(), spec.batch(np.random.default_rng(0), 0)
    changed = sampling.silent(network).train()
    torch.nn.init.normal_(changed.reader.leave.weight, std=0.1)
    gradients = {}
    for name, value in (("withheld", True), ("taught", False)):
        conditions = dict(batch.conditions) | {"withheld": torch.full((32, 1), value)}
        changed.zero_grad()
        training.loss(changed, type(batch)(batch.x0, conditions=conditions), schedule, "v",
                      torch.Generator().manual_seed(0)).backward()
        gradients[name] = [0.0 if p.grad is None else float(p.grad.abs().sum())
                           for p in (changed.trust, changed.reader.leave.weight, changed.breadth)]
    assert gradients["withheld"][0] > 0 and gradients["withheld"][1] == 0
    assert gradients["taught"][0] == 0 and gradients["taught"][1] > 0
    assert gradients["withheld"][2] > 0 and gradients["taught"][2] > 0


def test_remainders_of_taught_days_are_enlarged_to_those_of_withheld_days(spec, network, monkeypatch):
    seen, noised = [], training.noised
    monkeypatch.setattr(training, "noised", lambda batch, *rest: (seen.append(batch.x0), noised(batch, *rest))[1])
    batch, changed = spec.batch(np.random.default_rng(0), 0), sampling.silent(network)
    changed.breadth.data = torch.log(torch.tensor([0.9, 0.6]))[:, None].expand(2, 8).clone()
    training.loss(changed, batch, schedules.cosine(), "v", torch.Generator().manual_seed(0))
    factor = torch.where(batch.conditions["withheld"], 1.0, 1.5)
    torch.testing.assert_close(seen[0], factor * batch.x0)


def test_the_loss_of_an_untrained_network_is_that_of_the_linear_law(spec, network):
    """The mean's error is E eta^2 = 1, its likelihood 1/2; v = alpha eps - sigma eta has variance 1 whatever t."""
    schedule, losses = schedules.cosine(), []
    with torch.no_grad():
        for seed in range(40):
            losses.append(float(training.loss(network, spec.batch(np.random.default_rng(seed), 0), schedule, "v",
                                              torch.Generator().manual_seed(seed))))
    assert np.mean(losses) == pytest.approx(2.5, abs=0.1)


def test_an_untrained_model_scores_as_the_linear_inverse_model(record, network):
    at, weights = starts(record, 3, 24), area_weights(record.field.lat)
    ours = list(evaluate.ensemble(sampling.plain_emulator(network.eval(), schedules.cosine()), record, at, 3, 20))
    linear = list(baselines.linear_inverse(record, at, 3, 20, np.random.default_rng(0)))
    truth = record.field.values[at + 3]
    # Same law, other draws: of 24 starts x 20 members, the CRPS differs by a per cent or so.
    assert metrics.fair_crps(ours[2], truth, weights) == pytest.approx(
        metrics.fair_crps(linear[2], truth, weights), rel=0.03)
    assert metrics.spread_skill(ours[2], truth, weights) == pytest.approx(1, abs=0.15)


def test_every_method_is_judged_at_every_lead(record):
    rows = evaluate.judged(record, starts(record, 3, 40), None)
    assert {(row["lead_h"], row["method"]) for row in rows} == {
        (lead, method) for lead in (24, 48, 72) for method in
        ("climatology", "persistence", "damped persistence", "analogs", "linear inverse model")}
    crps = {(row["lead_h"], row["method"]): row["crps"] for row in rows}
    # The record is linear and Gaussian: nothing beats its own law, and persistence is the worst at three days.
    assert min(value for (lead, _), value in crps.items() if lead == 24) == crps[24, "linear inverse model"]
    assert max(value for (lead, _), value in crps.items() if lead == 72) == crps[72, "persistence"]
    assert all(row["starts"] == 40 for row in rows)


def test_climatology_and_damped_persistence_are_calibrated(record):
    at, rng, weights = starts(record, 3), np.random.default_rng(0), area_weights(record.field.lat)
    for make in (baselines.climatology, baselines.damped_persistence):
        members = make(record, at, 1, 20, rng)
        assert members.shape == (len(at), 20, 8, 12)
        # A validation part of a year holds few independent spells.
        assert metrics.spread_skill(members, record.field.values[at + 1], weights) == pytest.approx(1, abs=0.15)


def test_sheet_and_validation_run_on_an_untrained_network(spec, network):
    from engine.models.model import Runner, adapter

    denoise = adapter("v")(Runner(network.eval(), torch.device("cpu"), torch.float32), schedules.cosine())
    with torch.no_grad():
        scores, picture = spec.validate(denoise), spec.sheet(denoise)
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.std() > 0
    ours, linear = (scores[f"{name}, 24 h, CRPS K"] for name in ("ours", "linear"))
    assert ours == pytest.approx(linear, rel=0.1)
