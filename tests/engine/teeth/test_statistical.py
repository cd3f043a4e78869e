import numpy as np
import pytest
import torch

from engine.errors import InputError
from engine.tasks.teeth import anatomy, even, keys, procedural, statistical


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A statistical model in the published form, made of average invented crowns where they stand."""
    path = tmp_path_factory.mktemp("data")
    average, rng = procedural.average(), np.random.default_rng(0)
    slots = [slot for slot in range(32) if not anatomy.WISDOM[slot]]
    world = (average.vertices @ average.axes + average.centres[..., None, :])[0, slots].numpy()
    modes = np.linalg.qr(rng.normal(size=(28, world[0].size, 4)))[0]
    np.savez(path / statistical.FILE, fdi=np.array(anatomy.SLOTS)[slots], mean=np.float32(world),
             eigvec=np.float16(modes), eigval=np.float32(np.tile((9, 4, 2, 1), (28, 1))),
             scale_cov=np.float32(0.003 * np.eye(28) + 0.003))
    return path


def test_mean_crowns_come_back(folder):
    model = statistical.read(statistical.found(folder))
    own = procedural.average().points[0]
    assert not model.present[anatomy.slot_of(18)] and model.present.sum() == 28
    for fdi in (11, 16, 46):
        slot = anatomy.slot_of(fdi)
        assert np.ptp(model.mean[slot], axis=0) == pytest.approx(np.ptp(own[slot].numpy(), axis=0), abs=1.0)


def test_patients_of_the_model_are_well_aligned(folder):
    """Random modes roughen surfaces: contacts as judged by the keys hold all the same, because others are refused."""
    teeth = statistical.patients(statistical.read(statistical.found(folder)), 2, np.random.default_rng(1))
    assert all(met.all() for met in keys.six_keys(teeth).values())
    assert not teeth.present[:, anatomy.slot_of(28)].any()


def test_sizes_vary_as_the_covariance_says(folder):
    model = statistical.read(statistical.found(folder))
    drawn = 1 + np.random.default_rng(0).normal(size=(4000, 28)) @ model.sizes.T
    kept = model.present
    # Four thousand samples: standard errors of 2 per cent.
    assert drawn[:, kept].std(0) == pytest.approx(np.full(28, 0.006**0.5), rel=0.06)
    assert np.corrcoef(drawn[:, kept].T)[0, 1] == pytest.approx(0.5, abs=0.05)


def test_missing_model_is_named(tmp_path):
    with pytest.raises(InputError, match=statistical.FILE):
        statistical.found(tmp_path)


def test_samples_are_spread_evenly():
    grid = np.stack(np.meshgrid(*[np.linspace(0, 9, 10)] * 2, [0.0]), -1).reshape(-1, 3)
    chosen = even.spread(grid, np.arange(100), 25)
    apart = np.linalg.norm(grid[chosen][:, None] - grid[chosen][None], axis=-1) + 99 * np.eye(25)
    assert len(set(chosen)) == 25 and apart.min() >= 1.4


def test_normals_of_samples_point_outwards():
    teeth = procedural.average()
    assert torch.allclose(teeth.normals[teeth.present].norm(dim=-1), torch.tensor(1.0), atol=1e-4)
    assert ((teeth.normals * teeth.points).sum(-1)[teeth.present] > 0).float().mean() > 0.9
