"""The search for a start noise, on Gaussians whose flow from start to result is a known linear map."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from engine import boundary, schedules
from engine.boundary import Setup, Start
from engine.errors import InputError
from engine.rng import Rng
from tests.oracles import normal

SCHEDULE, VARIANCE = schedules.cosine(), 0.25
SHAPE = (3, 4, 4)
SETUP = Setup("ab" * 32, "dpmpp_2m", 20, SHAPE)


def denoise(x, t, mean):
    """The exact denoiser of N(mean, VARIANCE), whose flow is x0 = mean + root(VARIANCE) (x - alpha mean), nearly."""
    alpha, sigma = SCHEDULE(t)
    return mean + alpha * VARIANCE / (alpha ** 2 * VARIANCE + sigma ** 2) * (x - alpha * mean)


def problem(shared, references=8, own=0.3, seed=0):
    """A judge by mean squares. All truths lie at the start noise `shared`, up to `own` times noise of each."""
    means = normal(references, *SHAPE, seed=seed).float()
    truths = means + math.sqrt(VARIANCE) * (shared + own * normal(references, *SHAPE, seed=seed + 1).float())
    return boundary.judge(SETUP, denoise, SCHEDULE, conditions={"mean": means},
                          compare=lambda x0, which: (x0 - truths[which]).square().mean((1, 2, 3)))


SHARED = normal(*SHAPE, seed=7).float()


def unrelated(noise, which):
    """Every start and reference has its own luck."""
    return (1e3 * (noise.double().flatten(1) @ normal(48, seed=9)) * (which + 1.7).sqrt()).sin()


def found(judge, **options):
    return boundary.search(judge, SETUP, **{"references": 8, "candidates": 64} | options)


def test_the_judge_runs_the_solver_on_its_own_reference():
    noise, which = normal(3, *SHAPE).float(), torch.tensor([2, 0, 2])
    means = normal(3, *SHAPE, seed=1).float()
    ends = []
    boundary.judge(SETUP, denoise, SCHEDULE, lambda x0, which: ends.append(x0) or which, {"mean": means})(noise, which)
    alpha, sigma = SCHEDULE(SCHEDULE.start)
    spread = math.sqrt(VARIANCE / (alpha ** 2 * VARIANCE + sigma ** 2))
    exact = means[which] + spread * (sigma * noise - alpha * means[which])
    assert (ends[0] - exact).abs().max() < 0.01  # twenty steps of second order leave 0.004


def test_the_search_finds_what_an_exhaustive_one_finds():
    judge = problem(SHARED)
    start = found(judge)
    noise = Rng(0, 64, first=2 ** 34).normal(*SHAPE)
    everything = torch.stack([judge(noise, torch.full((64,), i)) for i in range(8)], 1)
    assert start.chosen == everything.mean(1).argmin()
    assert torch.equal(start.noise, noise[start.chosen])
    assert torch.allclose(start.scores, everything[:, :2].mean(1).double(), atol=1e-6)
    # It is the candidate nearest to where the truths lie, as the flow is the same contraction everywhere.
    assert start.chosen == (noise - SHARED).flatten(1).norm(dim=1).argmin()


def test_references_agree_on_what_they_share():
    ours, chance = found(problem(SHARED)), found(unrelated)
    assert ours.agreement > 0.5 and ours.shared
    assert abs(chance.agreement) < 3 / math.sqrt(chance.checked - 1)
    assert found(lambda noise, which: noise[:, 0, 0, 0]).agreement == pytest.approx(1, abs=1e-12)
    assert found(lambda noise, which: torch.ones(len(noise))).agreement == 0


def test_the_start_is_better_on_references_that_the_search_did_not_see():
    seen = problem(SHARED)
    result = boundary.gain(problem(SHARED, references=12, seed=20), found(seen), 12)
    assert result.clear and result.rank <= 0.2 and result.searched < result.random
    # The mean of N(0, 1) errs less than a draw: variance v |SHARED|^2 against v (1 + |SHARED|^2).
    assert result.zero < result.random
    assert result.random - result.zero == pytest.approx(VARIANCE, rel=0.2)


def test_chance_brings_no_gain():
    start = found(unrelated)
    result = boundary.gain(lambda noise, which: unrelated(noise, which + 100), start, 30)
    assert abs(result.random - result.searched) < 3 * result.error


def test_the_same_seed_finds_the_same_start_whatever_the_batch():
    first, again, one_by_one, other = (found(problem(SHARED), batch=batch, seed=seed)
                                       for batch, seed in ((16, 0), (16, 0), (1, 0), (16, 1)))
    assert torch.equal(first.noise, again.noise) and torch.equal(first.scores, again.scores)
    assert torch.equal(first.noise, one_by_one.noise)
    assert torch.allclose(first.scores, one_by_one.scores, atol=1e-6)  # batch sizes sum in another order
    assert not torch.equal(first.noise, other.noise)


@pytest.mark.parametrize(("candidates", "references", "expected"), [
    (100, 8, [(100, 2), (25, 4), (7, 8)]), (64, 4, [(64, 2), (16, 4)]), (8, 20, [(8, 2), (2, 4), (1, 8)]),
    (100, 11, [(100, 2), (25, 4), (7, 8), (2, 11)])])
def test_each_round_keeps_a_quarter_and_doubles_the_references(candidates, references, expected):
    assert boundary.rounds(candidates, references) == expected


def test_no_run_is_made_twice_and_their_number_is_known_before():
    done, reports = [], []

    def judge(noise, which):
        done.extend(zip(noise[:, 0, 0, 0].tolist(), which.tolist()))
        return noise.flatten(1).norm(dim=1)

    found(judge, candidates=100, checked=24, on_progress=lambda finished, most: reports.append((finished, most)))
    most = boundary.most_runs(100, 8, 24)
    assert most == 200 + 25 * 2 + 7 * 4 + 24 * 6
    assert len(set(done)) == len(done) <= most
    assert reports[-1] == (len(done), most) and all(a < b for (a, _), (b, _) in itertools.pairwise(reports))


def test_runs_that_diverge_lose():
    start = found(lambda noise, which: torch.where(noise[:, 0, 0, 0] < 1, torch.nan, noise[:, 0, 0, 0]))
    assert start.noise[0, 0, 0] >= 1
    with pytest.raises(InputError, match="diverged"):
        found(lambda noise, which: torch.full((len(noise),), torch.nan))


@pytest.mark.parametrize("field", ["references", "candidates", "checked"])
def test_too_few_of_anything_are_refused(field):
    with pytest.raises(InputError) as error:
        found(problem(SHARED), **{field: 3})
    assert error.value.field == field


@pytest.mark.parametrize("solver", ["ddpm", "usf", "magic"])
def test_solvers_whose_result_is_not_a_function_of_the_start_are_refused(solver):
    with pytest.raises(InputError) as error:
        boundary.judge(Setup("", solver, 8, SHAPE), denoise, SCHEDULE, lambda x0, which: which)
    assert error.value.field == "solver"


def test_spearman_on_known_ranks():
    a = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    assert boundary.spearman(a, a.exp()) == pytest.approx(1)
    assert boundary.spearman(a, -a ** 3) == pytest.approx(-1)
    # 1 - 6 sum d^2 / (n (n^2 - 1)) with two neighbours swapped.
    assert boundary.spearman(a, a[[1, 0, 2, 3, 4]]) == pytest.approx(1 - 6 * 2 / (5 * 24))


@pytest.mark.parametrize("metric", boundary.METRICS)
def test_pictures_are_compared_in_their_own_coordinates(metric):
    truths = normal(2, 3, 16, 16).clamp(-0.9, 0.9)
    shift = 0.3 * normal(2, 3, 16, 16, seed=1)
    noisy = normal(2, 3, 16, 16, seed=2)
    which, compare = torch.tensor([1, 0, 1]), boundary.against(truths, metric, shift)
    exact, slight, strong = (compare((truths - shift)[which] + level * noisy[which], which) for level in (0, 0.1, 0.4))
    assert (exact < 1e-6).all() and (exact < slight).all() and (slight < strong).all()


def test_another_size_mirrors_the_noise():
    start = Start(normal(*SHAPE).float(), SETUP, torch.zeros(8), 3, 0.5, 8, "structure")
    large = start.at(10, 6)
    assert large.shape == (3, 10, 6)
    assert torch.equal(large[:, :4, :4], start.noise) and torch.equal(start.at(4, 4), start.noise)
    assert torch.equal(large[:, 4:8], large[:, :4].flip(1)) and torch.equal(large[:, 8:], large[:, :2])
    assert torch.equal(large[..., 4:], large[..., 2:4].flip(-1))
    assert torch.equal(start.at(3, 2), start.noise[:, :3, :2])
    assert start.at(8, 8).var(correction=0).item() == pytest.approx(start.noise.var(correction=0).item(), rel=1e-5)


def test_a_stored_start_comes_back_and_belongs_to_its_setup_only(tmp_path):
    start = found(problem(SHARED))
    path = start.write(tmp_path)
    again = Start.read(tmp_path, SETUP)
    assert torch.equal(again.noise, start.noise) and torch.equal(again.scores, start.scores)
    assert (again.setup, again.chosen, again.agreement, again.checked, again.metric) == (
        start.setup, start.chosen, start.agreement, start.checked, start.metric)
    first = path.read_bytes()
    assert start.write(tmp_path).read_bytes() == first
    others = [replace(SETUP, **changed) for changed in ({"model_sha256": "cd" * 32}, {"solver": "ddim"}, {"steps": 21},
                                                        {"shape": (3, 4, 5)}, {"spacing": "log_snr"})]
    assert len({setup.file for setup in (SETUP, *others)}) == 6
    for other in others:
        with pytest.raises(InputError, match="No start was searched"):
            Start.read(tmp_path, other)
        (tmp_path / other.file).write_bytes(first)
        with pytest.raises(InputError, match="another setup"):
            Start.read(tmp_path, other)


@pytest.mark.parametrize("damage", [
    lambda data: b"", lambda data: data[:-5], lambda data: data[:40], lambda data: data.replace(b"chosen", b"chasen"),
    lambda data: data.replace(b"start noise 1", b"start noise 9"), lambda data: b"\x80\x02" + data])
def test_a_damaged_file_is_refused(tmp_path, damage):
    path = Start(normal(*SHAPE).float(), SETUP, torch.zeros(8), 3, 0.5, 8, "structure").write(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError):
        Start.read(tmp_path, SETUP)


@pytest.mark.parametrize("given", [
    {"noise": torch.zeros(3, 4, 5)}, {"noise": torch.full(SHAPE, torch.nan)}, {"chosen": 8}, {"agreement": math.nan},
    {"checked": 1}])
def test_a_start_that_does_not_fit_is_refused(given):
    whole = {"noise": torch.zeros(SHAPE), "setup": SETUP, "scores": torch.zeros(8), "chosen": 0, "agreement": 0.0,
             "checked": 8, "metric": "structure"}
    Start(**whole)
    with pytest.raises(InputError) as error:
        Start(**whole | given)
    assert error.value.field == "start" and error.value.why and error.value.fix
