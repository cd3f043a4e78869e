import numpy as np
import pytest
import torch

from engine import networks, schedules
from engine.tasks.teeth import evaluate, malocclusion, training
from engine.tasks.teeth.cases import Pool
from engine.training.spec import Batch


@pytest.fixture(scope="module")
def pool(patients):
    return Pool(patients, malocclusion.ANY, np.random.default_rng(0), stock=128, fresh=40)


def test_states_are_standardised(pool):
    """Mean 0 and deviation 1 over the stock, mirrored half the time, up to the scatter of some hundred cases."""
    x0, told = pool.batch(128, np.random.default_rng(1))
    shown = x0[told["present"]]
    assert shown.mean(0).abs().max() < 0.2 and (shown.std(0) - 1).abs().max() < 0.35


def test_geometric_start_leaves_less_than_nothing_does(pool):
    assert (pool.left <= 1).all() and pool.left[8, 2] < 0.9


def test_truth_of_a_batch_is_consistent_with_its_crowns(pool):
    """The state says by how much centres move: where they end, neighbours are closer to touching than before."""
    x0, told = pool.batch(16, np.random.default_rng(2))
    raw = x0 * pool.frame.spread + pool.frame.mean
    after = told["centres"] + raw[..., :3] * told["present"][..., None]
    # The average arrangement is near every aligned one, and further from crooked ones.
    assert after[told["present"]].norm(dim=-1).mean() < told["centres"][told["present"]].norm(dim=-1).mean() + 0.3


def test_stock_is_renewed(pool):
    before = pool._rows[1].clone()
    rng = np.random.default_rng(3)
    for _ in range(2):
        pool.batch(4, rng)
    changed = (pool._rows[1] != before).flatten(1).any(1).sum()
    assert 40 <= changed <= 128


def test_loss_is_smallest_at_the_truth(pool):
    x0, told = pool.batch(8, np.random.default_rng(4))
    network = networks.build("teeth", width=48, heads=4, seeing=1, depth=1, points=16)
    network.left.copy_(pool.left)

    class Knowing:
        encode, posterior = network.encode, network.posterior

        def __init__(self, off: float):
            self.off = off

        def __call__(self, x, t, cond):
            return x0 + self.off

    def value(off: float) -> float:
        return float(training.loss(pool.frame, Knowing(off), Batch(x0, conditions=told), schedules.vp_linear(), "x0",
                                   torch.Generator().manual_seed(0)))

    # The truth itself overlaps by what the samples cannot tell.
    assert value(0.0) == pytest.approx(0, abs=2e-3) and 0 < value(0.01) < value(0.1)


def test_surface_error_in_closed_form(pool):
    """The mean square distance of moved samples, against moving the samples themselves."""
    x0, told = pool.batch(4, np.random.default_rng(5))
    off = x0 + 0.2 * torch.randn(x0.shape, generator=torch.Generator().manual_seed(6)) * told["present"][..., None]
    found, _ = training._geometric(pool.frame, off, x0, told["points"], told["centres"], told["present"].float())
    moved = []
    for state in (off, x0):
        motion = pool.frame.decode(torch.zeros(4, 32, 3), state)
        turn = pool.frame.axes @ motion.rotation @ pool.frame.axes.transpose(-1, -2)
        shift = (motion.centre[..., None, :] @ pool.frame.axes.transpose(-1, -2))
        moved.append(told["points"] @ turn + shift)
    direct = (moved[0] - moved[1]).square().sum(-1).mean(-1)
    present = told["present"]
    assert torch.allclose(found[present], direct[present], rtol=1e-3, atol=1e-4)


def test_evaluation_without_models_and_data():
    rows = evaluate.evaluate({}, None, limit=2)
    assert {row["set"] for row in rows} == set(evaluate.SETS) and {row["crowns"] for row in rows} == {"invented"}
    truth = next(row for row in rows if row["method"] == "truth")
    assert truth["add_mm"] < 1e-3 and truth["rotation_deg"] < 0.05 and truth["six_keys"] > 0.9
    identity = next(row for row in rows if row["method"] == "identity" and row["set"] == "easy")
    assert 0.8 < identity["add_mm"] < 5
