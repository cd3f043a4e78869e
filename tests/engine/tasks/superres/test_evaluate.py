"""The evaluation of super-resolution: its parts on known answers, and all of it with small networks."""

import numpy as np
import pytest
from PIL import Image

from engine.errors import InputError
from engine.models import shelf
from engine.tasks.superres import baselines, scene
from engine.tasks.superres.evaluate import evaluate, inconsistency, pictures_of
from engine.tasks.superres.scaling import shrunk
from engine.tasks.superres.task import TASK
from engine.training.pictures import held_out
from tests.engine.tasks.superres.tiny import ship


def _scene() -> np.ndarray:
    return scene.aerial(64, 3)


def test_a_perfect_method_has_perfect_figures():
    sharp = [_scene()]
    rows = {r["method"]: r for r in evaluate(lambda low, method, samples, seed: np.stack(sharp * samples), sharp)}
    best, bicubic = rows["ours, mean of 8"], rows["bicubic"]
    assert best["spectral_error"] == 0 and best["ssim"] == 1 and best["consistency"] == 0 and best["coverage"] == 1
    assert best["psnr_db"] > bicubic["psnr_db"] > 10 and bicubic["high_spectral_error"] > 0.3
    assert {"regression, equal size", "ours, one sample", *baselines.METHODS} <= set(rows)


def test_back_projection_agrees_best_with_what_was_given():
    low = shrunk(_scene())
    found = {name: inconsistency(method(low), low) for name, method in baselines.METHODS.items()}
    assert min(found, key=found.get) == "back-projection" and found["back-projection"] < found["bicubic"] / 2
    assert all(method(low).shape == (64, 64, 3) for method in baselines.METHODS.values())


def test_nearest_repeats_and_flat_stays_flat():
    low = np.random.default_rng(0).integers(0, 256, (5, 6, 3), np.uint8)
    assert np.array_equal(baselines.nearest(low)[2::4, 1::4], low)
    flat = np.full((8, 8, 3), 90, np.uint8)
    assert all((method(flat) == 90).all() for method in baselines.METHODS.values())


def test_only_held_out_files_are_measured(tmp_path):
    folder = tmp_path / "eurosat_rgb" / "Forest"
    folder.mkdir(parents=True)
    (tmp_path / "others").mkdir()
    names = [f"Forest_{number}.png" for number in range(60)]
    for name in names:
        Image.fromarray(_scene()).save(folder / name)
    Image.fromarray(_scene()).save(tmp_path / "others" / "x.png")
    kept = sum(held_out(folder / name) for name in names)
    assert 0 < kept < 20 and len(pictures_of(tmp_path)) == kept and len(pictures_of(tmp_path, 1)) == 1
    with pytest.raises(InputError, match="no pictures"):
        (tmp_path / "empty").mkdir()
        pictures_of(tmp_path / "empty")


def test_the_task_measures_itself(tmp_path, monkeypatch):
    ship(tmp_path / "models")
    monkeypatch.setattr(shelf, "ROOT", tmp_path / "models")
    Image.fromarray(_scene()).save(tmp_path / "scene.png")
    rows = TASK.evaluate(str(tmp_path), limit=1)
    assert [r["method"] for r in rows][-3:] == ["regression, equal size", "ours, one sample", "ours, mean of 8"]
    assert all(np.isfinite(r["psnr_db"]) for r in rows) and 0 <= rows[-1]["coverage"] <= 1
