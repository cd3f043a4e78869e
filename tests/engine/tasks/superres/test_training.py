"""Training data and judgement of super-resolution, on made-up views from above."""

import numpy as np
import pytest
import torch
from PIL import Image

from engine import training
from engine.tasks.superres import scene
from engine.tasks.superres.scaling import cropped, enlarged, shrunk
from engine.tasks.superres.training import COUNT, SIDE_PX, batch, specs, validate


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "eurosat_rgb" / "River"
    folder.mkdir(parents=True)
    for number in range(60):
        Image.fromarray(scene.aerial(64, number)).save(folder / f"River_{number}.png")
    return folder.parents[1]


def test_batches_are_pairs_of_sharp_and_enlarged_reductions():
    scenes = [scene.aerial(80, seed) for seed in range(3)]
    first, second = (batch(scenes, np.random.default_rng(0), 0.0) for _ in range(2))
    assert first.x0.shape == first.cond.shape == (COUNT, 3, SIDE_PX, SIDE_PX) and torch.equal(first.x0, second.x0)
    sharp = np.uint8(first.x0[5].permute(1, 2, 0).numpy() * 127.5 + 128)
    low = torch.from_numpy(shrunk(sharp).copy()).permute(2, 0, 1)[None] / 127.5 - 1
    torch.testing.assert_close(first.cond[5:6], enlarged(low), atol=1e-6, rtol=0)


def test_shrinking_and_enlarging_keep_what_is_flat_or_a_ramp():
    assert cropped(np.zeros((9, 14, 3))).shape == (8, 12, 3)
    ramp = np.broadcast_to((np.arange(64) * 3)[:, None, None], (64, 64, 3)).astype(np.uint8)
    low = torch.from_numpy(shrunk(ramp).copy()).permute(2, 0, 1)[None] / 127.5 - 1
    back = enlarged(low)[0, 0].numpy() * 127.5 + 127.5
    # Both filters reproduce ramps inside; rounding to 8 bits adds half a level, which the bicubic weights stretch.
    np.testing.assert_allclose(back[16:-16], ramp[16:-16, :, 0], atol=1)


def test_both_models_differ_only_in_their_objective(data):
    both = [make() for make in specs(data).values()]
    assert {spec.name for spec in both} == {"ediffsr", "ediffsr_regression"} <= set(training.names())
    first, second = ({k: v for k, v in vars(spec).items() if k in ("kind", "options", "schedule", "learning_rate")}
                     for spec in both)
    assert first == second and [spec.prediction for spec in both] == ["reverting", "regression"]


def test_the_truth_is_judged_best():
    held_out = [scene.aerial(64, seed) for seed in range(2)]
    truth = torch.from_numpy(np.stack(held_out)).permute(0, 3, 1, 2) / 127.5 - 1
    scores = validate(held_out, lambda x, t, cond: truth)
    assert scores["one sample, spectral error"] == 0 and scores["one sample, PSNR dB"] > scores["bicubic, PSNR dB"]


def test_the_sheet_shows_five_columns(data):
    spec = specs(data)["ediffsr"]()
    sheet = spec.sheet(lambda x, t, cond: cond)
    assert sheet.shape[1] == 5 * SIDE_PX and sheet.shape[0] % SIDE_PX == 0 and sheet.dtype == np.uint8
