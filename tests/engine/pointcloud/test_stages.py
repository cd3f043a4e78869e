"""Stages of a run: every solver runs both of them under one count of steps; clouds are thinned evenly."""

import numpy as np
import pytest
import torch

from engine.recipe import Recipe
from engine.tasks.pointcloud import stages
from engine.tasks.pointcloud.task import TASK


@pytest.mark.parametrize("solver", TASK.samplers)
def test_every_solver_runs_both_stages(solver, untrained):
    recipe = Recipe(task="pointcloud", solver=solver, steps=4, samples=1, options={"colour_steps": 4})
    with torch.no_grad():
        *steps, result = TASK.run({"text": "a red mug"}, recipe)
    assert [step.index for step in steps] == list(range(1, len(steps) + 1)) and steps[-1].total == len(steps)
    assert np.isfinite(result.arrays["points"].values).all()


def test_points_are_spread_evenly_over_a_cloud_scanned_unevenly():
    rng = np.random.default_rng(0)
    line = np.concatenate((rng.uniform(0, 0.1, 5000), rng.uniform(0.1, 1, 500)))
    points = np.float32(np.stack([line, 0 * line, 0 * line], axis=1))
    found = stages.spread(points, 50)
    gaps = np.diff(np.sort(found[:, 0]))
    farthest = np.abs(points[:, :1] - found[:, 0]).min(1).max()
    # Every point was chosen because none was farther off, so no two are nearer than what is left uncovered.
    assert len(found) == 50 and gaps.min() >= farthest * (1 - 1e-4) and gaps.max() < 1 / 25
    assert np.array_equal(stages.spread(points[:40], 50), points[:40])
