"""The evaluations, with models of the test's own: they know the truth, or do nothing, or err by a known amount."""

import numpy as np
import pytest
from PIL import Image
from skimage import data

from engine.errors import InputError
from engine.tasks.inpainting import evaluate as inpainting
from engine.tasks.measuring import Averages, mean_picture, pictures_in, timed
from engine.tasks.restoration import evaluate as restoration
from engine.tasks.restoration.baselines import TRIED
from engine.tasks.restoration.degradations import NAMES
from engine.training.pictures import held_out


def photographs() -> list[np.ndarray]:
    parts = data.astronaut()[20:180:2, 100:300:2], data.coffee()[:144:2, :160:2]
    return [np.ascontiguousarray(part) for part in parts]


def saved(folder, names, size=(40, 36)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        noise = np.random.default_rng(i).integers(0, 256, (size[1], size[0], 3), np.uint8)
        Image.fromarray(noise).save(folder / name)


def by_method(rows, *keys) -> dict:
    return {tuple(row[k] for k in (*keys, "method")): row for row in rows}


# What both share.

def test_pictures_are_found_sorted_and_evenly_spaced(tmp_path):
    saved(tmp_path / "b", [f"{i}.png" for i in range(4)])
    saved(tmp_path / "a", ["x.JPG", "y.jpeg"])
    (tmp_path / "notes.txt").write_text("no picture")
    everything = pictures_in(tmp_path)
    assert len(everything) == 6 and all(p.shape == (36, 40, 3) and p.dtype == np.uint8 for p in everything)
    some = pictures_in(tmp_path, 3)
    assert [np.array_equal(p, everything[i]) for p, i in zip(some, (0, 2, 4))] == [True] * 3
    assert len(pictures_in(tmp_path, 99)) == 6


def test_trained_on_folders_give_only_what_was_held_out(tmp_path):
    names = [f"{i}.png" for i in range(60)]
    saved(tmp_path / "flowers", names)
    saved(tmp_path / "other", ["1.png"])
    kept = [name for name in names if held_out(tmp_path / name)]
    assert 0 < len(kept) < 15
    assert len(pictures_in(tmp_path, trained_on=("flowers",))) == len(kept) + 1
    assert len(restoration.pictures_of(tmp_path / "flowers")) == len(kept)


@pytest.mark.parametrize("make, said", [
    (lambda folder: None, "no pictures to measure on"),
    (lambda folder: saved(folder, ["small.png"], (64, 20)), "small.png is 64 x 20 px"),
    (lambda folder: (folder / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\n broken"), "damaged"),
])
def test_folders_that_cannot_be_measured_on(tmp_path, make, said):
    make(tmp_path)
    for find in (restoration.pictures_of, inpainting.sets_of):
        with pytest.raises(InputError, match=said) as error:
            find(tmp_path)
        assert error.value.field == "data"


def test_averages_keep_the_order_and_the_count():
    averages = Averages("set", "method")
    for psnr_db, seconds in ((20.0, 9.0), (23.0, 0.2), (23.0, 0.1)):
        averages.add(("b", "x"), {"psnr_db": psnr_db, "seconds": seconds})
    averages.add(("a", "x"), {"psnr_db": 1.0, "seconds": 0.1})
    assert averages.rows(strength=0.5) == [
        {"set": "b", "method": "x", "psnr_db": 22.0, "seconds": 0.2, "pictures": 3, "strength": 0.5},
        {"set": "a", "method": "x", "psnr_db": 1.0, "seconds": 0.1, "pictures": 1, "strength": 0.5}]


def test_means_are_rounded_and_times_are_taken():
    samples = np.array([[[[0, 10, 255]]], [[[1, 10, 255]]], [[[1, 11, 255]]]], np.uint8)
    assert mean_picture(samples).tolist() == [[[1, 10, 255]]]
    value, seconds = timed(lambda a, b: a + b, 2, 3)
    assert value == 5 and 0 <= seconds < 1


# Restoration.

def test_restoration_has_a_row_per_degradation_and_method():
    pictures, seen = photographs(), []

    def restore(degraded, degradation, samples, seed):
        seen.append((degradation, samples, seed))
        assert degraded.dtype == np.uint8 and degraded.shape == pictures[seed].shape
        return np.stack([degraded] * samples)

    rows = restoration.evaluate(restore, pictures)
    assert [(row["degradation"], row["method"]) for row in rows] == [
        (name, method) for name in NAMES for method in ("input", *TRIED[name], "ours, 5 steps", "ours, mean of 4")]
    assert seen == [(name, samples, seed) for name in NAMES for seed in (0, 1) for samples in (1, 4)]
    found = by_method(rows, "degradation")
    for name in NAMES:
        # What does nothing scores as the input does.
        for method in ("ours, 5 steps", "ours, mean of 4"):
            assert {k: v for k, v in found[name, method].items() if k not in ("method", "seconds")} == {
                k: v for k, v in found[name, "input"].items() if k not in ("method", "seconds")}
    assert all(row["pictures"] == 2 and row["strength"] == 0.5 and 0 <= row["seconds"] < 10 for row in rows)
    assert found["noise", "non-local means"]["psnr_db"] > found["noise", "input"]["psnr_db"] + 2


def test_the_truth_scores_best_and_errors_of_samples_average_out():
    pictures = [p // 2 + 64 for p in photographs()[:1]]

    def restore(degraded, degradation, samples, seed):
        signs = np.array([4, -4, 4, -4])[:samples, None, None, None]
        return np.uint8(pictures[seed] + signs)

    found = by_method(restoration.evaluate(restore, pictures), "degradation")
    for name in NAMES:
        single, mean = found[name, "ours, 5 steps"], found[name, "ours, mean of 4"]
        assert single["psnr_db"] == pytest.approx(20 * np.log10(255 / 4), abs=1e-3)  # four digits are kept
        assert mean["psnr_db"] == np.inf and mean["ssim"] == 1


def test_damage_is_the_same_each_time_and_grows_with_strength():
    def nothing(degraded, degradation, samples, seed):
        return np.stack([degraded] * samples)

    def inputs(strength):
        rows = restoration.evaluate(nothing, photographs()[:1], strength)
        return {row["degradation"]: row["psnr_db"] for row in rows if row["method"] == "input"}

    weak, strong = inputs(0.2), inputs(0.9)
    assert weak == inputs(0.2)
    # Drops and shadow fall elsewhere at another strength; one picture says little about them.
    assert all(weak[name] > strong[name] for name in NAMES if name not in ("drops", "shadow"))


def test_restoration_prefers_kodak24(tmp_path):
    saved(tmp_path / "kodak24", ["a.png", "b.png"])
    saved(tmp_path / "more", ["c.png"])
    assert len(restoration.pictures_of(str(tmp_path))) == 2
    assert len(restoration.pictures_of(tmp_path / "more")) == 1
    assert len(restoration.pictures_of(tmp_path, 1)) == 1


# Inpainting.

def repeat(holed, hole, samples, seed, diversity):
    return np.stack([holed] * samples)


def test_inpainting_has_a_row_per_set_hole_and_method_and_hides_the_truth():
    pictures, seen = photographs(), []

    def inpaint(holed, hole, samples, seed, diversity):
        truth = pictures[seed]
        assert hole.shape == truth.shape[:2] and hole.dtype == bool and hole.any() and not hole.all()
        assert np.array_equal(holed[~hole], truth[~hole]) and np.unique(holed[hole]).size == 1
        seen.append((samples, seed, hole.sum()))
        return np.stack([truth] * samples)

    rows = inpainting.measure(inpaint, {"photographs": pictures})
    methods = ("smooth fill", "biharmonic", "telea", "ours, one sample", "ours, one estimate", "ours, mean of 8")
    assert [(r["set"], r["hole"], r["method"]) for r in rows] == [
        ("photographs", hole, method) for hole in inpainting.HOLES for method in methods]
    assert [s[0] for s in seen] == [1, 1, 8] * 6
    assert [s[2] for s in seen[::3]] == [s[2] for s in seen[1::3]] == [s[2] for s in seen[2::3]]
    for row in rows:
        if row["method"].startswith("ours"):
            assert row["psnr_db"] == np.inf and row["ssim"] == 1
            assert row["spectral_error"] == 0 and row["boundary_jump"] == 0
        else:
            assert 5 < row["psnr_db"] < 60 and row["ssim"] < 1 and row["spectral_error"] > 0
        assert row["pictures"] == 2 and 0 <= row["seconds"] < 10


def test_a_classical_fill_beats_grey_and_shows_no_seam():
    rows = inpainting.measure(repeat, {"a": photographs()})
    found = by_method(rows, "hole")
    for hole in inpainting.HOLES:
        grey = found[hole, "ours, one sample"]
        # The biharmonic fill may overshoot; these two stay between the colours around the hole.
        for method in ("smooth fill", "telea"):
            assert found[hole, method]["psnr_db"] > grey["psnr_db"] + 1
            assert abs(found[hole, method]["boundary_jump"]) < 0.05 < grey["boundary_jump"]


def test_sets_of_a_data_folder(tmp_path):
    names = [f"{i}.png" for i in range(60)]
    saved(tmp_path / "flowers", names, (150, 140))
    saved(tmp_path / "kodak24", names[:30], (50, 60))
    sets = inpainting.sets_of(tmp_path)
    assert list(sets) == ["flowers, 128 px", "kodak24, 128 px", "kodak24, whole"]
    assert len(sets["flowers, 128 px"]) == sum(held_out(tmp_path / name) for name in names)
    assert {p.shape for p in sets["flowers, 128 px"]} == {(128, 128, 3)}
    assert len(sets["kodak24, 128 px"]) == 24 and {p.shape for p in sets["kodak24, 128 px"]} == {(50, 50, 3)}
    assert len(sets["kodak24, whole"]) == 6 and {p.shape for p in sets["kodak24, whole"]} == {(60, 50, 3)}
    assert {name: len(found) for name, found in inpainting.sets_of(tmp_path, 2).items()} == dict.fromkeys(sets, 2)
    assert list(inpainting.sets_of(tmp_path / "kodak24")) == ["kodak24, 128 px", "kodak24, whole"]
    saved(tmp_path / "holiday", ["a.png"])
    rows = inpainting.evaluate(repeat, tmp_path / "holiday", 1)
    assert {row["set"] for row in rows} == {"holiday, 128 px"}
