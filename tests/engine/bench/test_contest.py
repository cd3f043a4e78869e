import math

import pytest
import torch

from engine import schedules
from engine.bench import solvers as bench
from engine.bench.contest import Contest, ours, theirs
from engine.bench.diffusers_side import BETAS
from engine.bench.kernel_distance import features, kernel_distance

pytest.importorskip("diffusers")
# The largest discretisation error of these runs is near 1; diffusers' float32 adds 1e-6.
SAME = 1e-4


@pytest.fixture(scope="module")
def contest():
    return bench.law("mixture", quick=True)


def test_the_noise_table_is_that_of_the_schedule(contest):
    wanted = torch.linspace(BETAS["beta_start"], BETAS["beta_end"], BETAS["num_train_timesteps"], dtype=torch.float64)
    torch.testing.assert_close(torch.tensor(contest.betas, dtype=torch.float64), wanted, rtol=1e-9, atol=1e-12)


def test_a_table_for_a_continuous_schedule_keeps_its_levels():
    problem = bench.problems.load("mixture")
    cosine = schedules.cosine()
    object.__setattr__(problem := type(problem)(**{**vars(problem)}), "trained", cosine)
    made = Contest(problem, lambda x, t: x, torch.zeros(1, 2), torch.zeros(1, 2))
    kept = (1 - torch.tensor(made.betas, dtype=torch.float64)).cumprod(0)
    for i in (0, 500, 999):
        assert float(kept[i]) == pytest.approx(cosine((i + 1) / 1000 * cosine.t_max)[0] ** 2, rel=1e-9)


@pytest.mark.parametrize("own, other", [("DDIM", "Euler"), ("DPM-Solver++ 2M", "DPM-Solver++ 2M"),
                                        ("UniPC-2", "UniPC-2 bh2"), ("UniPC-3", "UniPC-3 bh2")])
def test_both_sides_run_the_same_method_alike(contest, own, other):
    """On the trailing uniform grid of 10 steps, whose times both sides share."""
    first = next(e for e in ours(False) if e.method == own and e.spacing == "uniform")
    second = next(e for e in theirs(False) if e.method == other and e.spacing == "uniform")
    assert contest.error(first, 10) == pytest.approx(contest.error(second, 10), abs=SAME)


def test_every_one_of_ours_keeps_its_budget_and_gives_an_error(contest):
    """`Contest.sample` counts the calls in the denoiser."""
    needs = {"plan", "statistics", "transport"}
    for entry in ours():
        error = contest.error(entry, 16)
        row, options = entry.how
        may_fail = row.needs in needs or options.get("base") in ("ddpm", "fpndm")
        assert may_fail or error < 10, entry.title


def test_every_one_of_theirs_gives_an_error(contest):
    """Without variants, which have known failures; the noise form cannot end on a Karras grid without its variant."""
    failed = {e.title for e in theirs(False) if (contest.error(e, 16) or math.inf) > 100}
    assert all(title.startswith(("DPM-Solver 2M", "DPM-Solver 3M", "UniPC-3 bh1")) for title in failed), failed


def test_a_budget_that_is_too_small_gives_no_error(contest):
    prk = next(e for e in theirs(False) if e.method == "PNDM")
    assert contest.error(prk, 8) is None


def test_rows_and_summary_take_the_best(contest):
    entries = [e for e in ours() if e.method == "DPM-Solver++ 2M"] + [e for e in theirs(False) if e.method == "DDIM"]
    scores = {entry: {5: 0.1 * (i + 1), 10: None} for i, entry in enumerate(entries)}
    rows = bench._rows(scores, (5, 10))
    assert rows[0] == {"side": "ours", "method": "DPM-Solver++ 2M", "spacing": "uniform", "5": 0.1, "10": None}
    summary, = bench._summary(contest, scores, [5])
    other = min(found[5] for entry, found in scores.items() if entry.side == "diffusers")
    assert summary["ours / diffusers"] == pytest.approx(0.1 / other, abs=1e-3)
    assert summary["best of ours"].startswith("DPM-Solver++ 2M, uniform")


def test_kernel_distance_is_nothing_within_a_law_and_grows_with_the_difference():
    x, y = torch.randn(2, 400, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    same, close, far = (kernel_distance(y + shift, x)[0] for shift in (0.0, 0.3, 1.0))
    # k = (x.y / d + 1)^3 has the spread of a few units at most; means over pairs of 100 swing by a hundredth of that.
    assert abs(same) < 30 < close < far


def test_features_see_colour_and_texture_and_nothing_of_the_order():
    noise = torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(1)).clamp(-1, 1)
    found = features(noise)
    assert found.shape == (6, 448) and found.dtype == torch.float64
    torch.testing.assert_close(features(noise.flip(0)), found.flip(0))
    smooth = torch.nn.functional.avg_pool2d(noise, 3, 1, 1)
    for other in (smooth, noise * torch.tensor([1.0, 0.5, 0.0])[:, None, None]):
        assert float((features(other) - found).norm(dim=1).min()) > float((found[1:] - found[:-1]).norm(dim=1).max())
