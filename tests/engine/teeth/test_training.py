import numpy as np
import pytest
import torch

from engine import networks, schedules, training
from engine.denoisers import from_x0
from engine.tasks.teeth import anatomy, procedural, statistical
from engine.tasks.teeth import training as teeth


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Both specs on a model file of invented crowns, with few patients."""
    path = tmp_path_factory.mktemp("data")
    average, rng = procedural.average(), np.random.default_rng(0)
    slots = [slot for slot in range(32) if not anatomy.WISDOM[slot]]
    world = (average.vertices @ average.axes + average.centres[..., None, :])[0, slots].numpy()
    modes = np.linalg.qr(rng.normal(size=(28, world[0].size, 2)))[0]
    np.savez(path / statistical.FILE, fdi=np.array(anatomy.SLOTS)[slots], mean=np.float32(world),
             eigvec=np.float16(modes), eigval=np.float32(np.tile((4, 2), (28, 1))),
             scale_cov=np.float32(0.002 * np.eye(28)))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("_REAL", 3), ("_INVENTED", 3), ("_JUDGED", 1), ("_STOCK", 64)):
            patch.setattr(teeth, name, value)
        yield {name: make() for name, make in teeth.specs(path).items()}
    teeth._prepared.cache_clear()


def test_names_are_known():
    assert {"teeth", "teeth_regressor"} <= set(training.names())


@pytest.mark.parametrize("name", ["teeth", "teeth_regressor"])
def test_an_iteration_makes_the_loss_smaller(small, name):
    """Eight steps on one batch, the same noise: any working gradient lowers it."""
    spec = small[name]
    torch.manual_seed(0)
    network = networks.build(spec.kind, **spec.options, width=48, heads=4, seeing=1, depth=1, points=16)
    network.load_state_dict(dict(spec.buffers), strict=False)
    batch = spec.batch(np.random.default_rng(0), 0.0)
    assert batch.x0.shape == (teeth.COUNT, 32, 9)
    optimiser = torch.optim.Adam(network.parameters(), 4e-3)

    def loss() -> torch.Tensor:
        return spec.loss(network, batch, schedules.vp_linear(), "x0", torch.Generator().manual_seed(0))

    first = loss()
    for _ in range(8):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    assert loss() < 0.9 * first


def test_validation_and_sheet(small):
    spec = small["teeth"]
    network = networks.build("teeth", width=48, heads=4, seeing=1, depth=1, points=16)
    network.load_state_dict(dict(spec.buffers), strict=False)
    denoise = torch.no_grad()(from_x0(network.eval(), schedules.vp_linear()))
    scores = spec.validate(denoise, samples=2, steps=2)
    assert all(np.isfinite(value) for value in scores.values()) and "real easy ADD mm" in scores
    shown = spec.sheet(denoise, steps=2)
    assert shown.dtype == np.uint8 and shown.shape[2] == 3
