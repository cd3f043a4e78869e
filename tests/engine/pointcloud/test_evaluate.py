"""The evaluation's columns with untrained networks: what must be exact is, what must be worse is."""

import numpy as np
import pytest
import torch

from engine import denoisers, networks, schedules
from engine.tasks.pointcloud import captions, evaluate, sampling
from engine.tasks.pointcloud.pool import example
from engine.tasks.pointcloud.shapes import PARTS, names

_SIZES = {"cloud_geometry": {"rounds": 1, "capsules": 4},
          "cloud_colour": {"rounds": 1, "parts": len(PARTS), "palette": captions.colour_words()}}


class _Model:
    """What the evaluation needs of an `engine.models.Model`."""

    def __init__(self, kind: str):
        torch.manual_seed(0)
        self.network = networks.build(kind, words=captions.vocabulary(), width=64, latent=64, latents=8,
                                      **_SIZES[kind]).eval()
        self.schedule = schedules.cosine()
        self.denoiser = denoisers.from_v(self.network, self.schedule)


@pytest.fixture(scope="module")
def models() -> evaluate.Models:
    return evaluate.Models(_Model("cloud_geometry"), _Model("cloud_colour"))


def test_the_truth_itself_is_perfect():
    cases = [example(name) for name in names(4, kept=True)]
    row = evaluate.figures(lambda case, seed: evaluate.Cloud(case.points, case.rgb, case.part), cases)
    assert row["chamfer_x1000"] == row["emd"] == 0 and row["f_score"] == row["part_miou"] == 1
    assert row["colour_accuracy"] == 1


def test_every_method_has_every_column(models, tmp_path):
    rows = evaluate.evaluate(models, tmp_path, limit=2, training=12)
    assert [row["method"] for row in rows] == ["retrieval", "ours, sketch and text", "ours, sketch only",
                                               "ours, text only", "true shape, drawn anew"]
    by_name = {row["method"]: row for row in rows}
    assert len({tuple(row) for row in rows}) == 1 and all(row["clouds"] == 2 for row in rows)
    assert by_name["true shape, drawn anew"]["chamfer_x1000"] < 5 < by_name["ours, text only"]["chamfer_x1000"]


def test_more_points_keep_those_that_were_there(models):
    points = example("mug-1").points[:300]
    found = sampling.upsampled(models.geometry, points, None, "a mug", count=1000, steps=3)
    assert found.shape == (1000, 3) and np.array_equal(found[:300], points) and np.isfinite(found).all()


def test_colours_keep_their_place_and_repeat(models):
    points = np.stack([example("mug-1").points[:200]] * 2)
    rgb = sampling.colour(models.colour, points, "a red mug", seed=3)
    assert rgb.shape == (2, 200, 3) and rgb.min() >= 0 and rgb.max() <= 1
    assert np.array_equal(rgb, sampling.colour(models.colour, points, "a red mug", seed=3))
    assert sampling.parts(models.colour, points).shape == (2, 200)
