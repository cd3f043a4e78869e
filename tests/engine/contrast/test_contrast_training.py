"""Contrast synthesis in training: the network's start, the tumour-aware loss, batches, judging, baselines, the grid."""

import numpy as np
import pytest
import torch

from engine import networks, schedules, training
from engine.tasks.contrast import baselines, evaluate, losses
from engine.tasks.contrast.data import BRIGHTEST, Case, split
from engine.tasks.contrast.sampling import condition, draw
from engine.tasks.contrast.targets import TARGETS, as_picture
from engine.tasks.contrast.training import specs
from engine.tasks.contrast.variants import HANDLINGS, grid
from engine.training.spec import Batch
from tests.engine.contrast.made import OPTIONS, write


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data"))


def _network(target):
    return networks.build("contrast_unet", base=target.base, deviation=target.deviation, spread=target.spread,
                          **OPTIONS)


@pytest.mark.parametrize("target", TARGETS.values(), ids=lambda target: target.name)
def test_an_untrained_network_adds_nothing_at_any_noise(target):
    before = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    cond = torch.cat([condition(plane[0].numpy()) for plane in before])
    network, schedule = _network(target).eval(), schedules.cosine()
    x = torch.randn(before.shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        for t in (schedule.t_min, 0.5, schedule.t_max):
            found = target.decode(network(x, torch.full((3,), t), cond=cond), before)
            torch.testing.assert_close(found, before, atol=1e-6, rtol=0)
        drawn = draw(lambda x, t, cond: network(x, torch.full((len(x),), float(t)), cond=cond), target, cond, 2)
    assert drawn.shape == (2, 3, 16, 16)
    torch.testing.assert_close(drawn[1], before[:, 0], atol=1e-6, rtol=0)


def test_noise_alone_is_not_shown_to_the_wavelet_network():
    network, schedule = _network(TARGETS["subtraction"]), schedules.cosine()
    seen = []
    network.correction.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    x, cond = torch.randn(1, 1, 16, 16), condition(np.zeros((16, 16), np.float32))
    for t in (schedule.t_min, schedule.t_max):
        network(x, torch.tensor([t]), cond=cond)
    # Nearly clean: x0 in units of its deviation. At the end of time alpha is below 1 %.
    torch.testing.assert_close(seen[0], x / network.deviation, rtol=0.01, atol=0)
    assert seen[1].abs().max() < 0.02


def test_the_loss_of_a_constant_error_has_its_closed_form():
    """On a flat slice: no gradients, no variation, SSIM is its term of means; a region's error counts when told."""
    level, error = 0.5, 0.1
    before, region = torch.full((2, 1, 16, 16), level), torch.zeros(2, 1, 16, 16)
    region[:, :, 4:8, 4:8] = 1
    plain, first = 0.30 * error + 0.05 * error**2, (0.01 * BRIGHTEST) ** 2
    off = level + error
    unlike = 0.60 * 0.1 * (1 - (2 * level * off + first) / (level**2 + off**2 + first))
    found = losses.total(before + error, before, before, region, torch.tensor([0.0, 0.0]))
    # Variances are differences of squares in float32: about 1e-7 beside the constant 2e-3 of SSIM, counted thirtyfold.
    assert float(found) == pytest.approx(0.3 * (plain + unlike) + 0.05 * error, rel=1e-3)
    told = losses.total(before + error, before, before, region, torch.tensor([1.0, 0.0]))
    pixels, windows = 16 / 16**2, 16 / 10**2
    expected = 0.6 * (plain * pixels + unlike * windows) / 2 + 0.05 * error / 2
    assert float(told - found) == pytest.approx(expected, rel=5e-3)


def test_dissimilarity_is_that_of_the_reference():
    from skimage.metrics import structural_similarity

    first, second = torch.rand(2, 1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    wanted = 1 - structural_similarity(first[0, 0].numpy(), second[0, 0].numpy(), data_range=BRIGHTEST, win_size=7,
                                       use_sample_covariance=False)
    assert float(losses.dissimilarity(first, second, torch.ones_like(first))) == pytest.approx(wanted, abs=1e-5)


def test_errors_in_a_region_count_more_where_it_is_told():
    after, region = torch.full((2, 1, 16, 16), 0.5), torch.zeros(2, 1, 16, 16)
    region[..., :8] = 1
    inside = losses.total(after + 0.1 * region, after, after, region, torch.ones(2))
    outside = losses.total(after + 0.1 * (1 - region), after, after, region, torch.ones(2))
    untold = losses.total(after + 0.1 * region, after, after, region, torch.zeros(2))
    assert inside > 1.5 * outside and inside > 1.5 * untold


def test_the_truth_costs_only_its_own_variation():
    after = torch.full((1, 1, 16, 16), 0.7)
    assert float(losses.total(after, after, after / 2, torch.ones_like(after), torch.ones(1))) == 0


@pytest.mark.parametrize("name", ["contrast_sub", "contrast_pc"])
def test_batches_hold_what_the_loss_takes(data, name):
    spec = specs(data)[name]()
    target = spec.loss.target
    batch = spec.batch(np.random.default_rng(0), 0.0)
    assert batch.cond.shape[1] == 2 and set(batch.cond[:, 1].unique().tolist()) <= {-1.0, 0.0, 1.0}
    before, after, region = batch.weight.split(1, dim=1)
    torch.testing.assert_close(batch.cond[:, :1], as_picture(before))
    told = batch.cond[:, 1:].abs().amax((1, 2, 3)) > 0
    torch.testing.assert_close(batch.cond[told, 1:], 2 * region[told] - 1)
    assert batch.x0.abs().max() <= target.limit
    network = _network(target)
    loss = spec.loss(network, batch, schedules.cosine(), "x0", torch.Generator().manual_seed(0))
    truth = losses.total(before, after, before, region, told.float())
    torch.testing.assert_close(loss, truth, rtol=1e-4, atol=1e-6)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


def test_a_few_steps_lower_the_loss(data):
    spec = specs(data)["contrast_sub"]()
    torch.manual_seed(0)
    network, generator = _network(spec.loss.target), torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    whole = spec.batch(np.random.default_rng(0), 0.0)
    middle = [values[..., 16:48, 16:48] for values in (whole.x0, whole.cond, whole.weight)]
    batch = Batch(middle[0], cond=middle[1], weight=middle[2])
    found = []
    for _ in range(40):
        loss = spec.loss(network, batch, schedules.cosine(), "x0", generator)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        found.append(float(loss.detach()))
    assert np.mean(found[-5:]) < 0.9 * np.mean(found[:3])


def test_the_specs_can_be_trained_and_stay_small(data):
    made = specs(data)
    assert set(made) <= set(training.names()) and set(made) == {target.model for target in TARGETS.values()}
    for spec in (make() for make in made.values()):
        assert networks.parameter_count(networks.build(spec.kind, **spec.options)) <= 4_000_000
        assert "brats_gli_00001" in spec.data


def test_the_truth_is_judged_best_and_the_sheet_has_nine_columns(data):
    _, kept = split(data)
    spec = specs(data)["contrast_pc"]()
    known = {case.before.tobytes(): case.after for case in kept}

    def oracle(x, t, cond):
        slices = [np.ascontiguousarray((plane.numpy() + 1) * 0.8) for plane in cond[:, 0]]
        nearest = [min(kept, key=lambda case: np.abs(case.before - plane).sum()) for plane in slices]
        return torch.stack([as_picture(torch.from_numpy(known[case.before.tobytes()]))[None] for case in nearest])

    scores = spec.validate(oracle)
    assert scores["one sample, MAE"] < 1e-3 < scores["no change, MAE"] and scores["one sample, SSIM"] > 0.999
    sheet = spec.sheet(oracle)
    assert sheet.shape[1] == 9 * kept[0].before.shape[1] and sheet.dtype == np.uint8 and sheet.shape[2] == 3


def _known_law(count: int, law) -> list[Case]:
    rng = np.random.default_rng(0)
    before = [np.float32(rng.uniform(0.05, 1, (24, 24))) for _ in range(count)]
    return [Case(values, np.float32(law(values)), values > 0.9) for values in before]


def test_baselines_find_laws_of_their_own_kind():
    cases = _known_law(4, lambda v: 0.2 + 0.9 * v**1.5)
    assert np.abs(baselines.gamma(cases)(cases[0].before) - cases[0].after).max() < 1e-4
    from scipy.ndimage import gaussian_filter

    cases = _known_law(4, lambda v: 0.5 * v + 0.4 * gaussian_filter(v, 2.0))
    # The ridge holds the weights back by about a thousandth.
    assert np.abs(baselines.regression(cases)(cases[1].before) - cases[1].after).max() < 0.02
    empty = np.zeros((8, 8), np.float32)
    assert np.array_equal(baselines.gamma(cases)(empty), empty)


def test_rows_and_grid_name_what_was_measured(data):
    _, kept = split(data)
    rows = evaluate.evaluate(lambda case, target, told, samples, seed: np.repeat(case.after[None], samples, 0),
                             {"no change": baselines.identity}, kept[:2])
    assert [row["method"] for row in rows][:2] == ["no change", "ours, subtraction, one sample"] and len(rows) == 7
    assert rows[1]["mae"] == 0 and rows[1]["ssim"] == 1 and rows[1]["recall"] == 1 and rows[0]["mae"] > 0
    assert rows[0]["recall"] == 0 and rows[2]["coverage"] == 1 and rows[1]["slices"] == 2
    cells = grid(rows)
    assert len(cells) == 2 * len(HANDLINGS) and sum(cell["state"] == "measured" for cell in cells) == 2
    assert all((cell["mae"] is None) == (cell["state"] == "not trained") for cell in cells)
    assert grid(rows[:1])[0].keys() == cells[0].keys()


def test_slices_without_a_region_do_not_count_for_regions():
    flat = Case(np.full((16, 16), 0.5, np.float32), np.full((16, 16), 0.5, np.float32), np.zeros((16, 16), bool))
    row, *_ = evaluate.evaluate(lambda case, *_: case.after[None], {"no change": baselines.identity}, [flat])
    assert "region_mae" not in row and row["mae"] == 0
    assert [len(evaluate.evenly([flat] * 10, n)) for n in (None, 3, 50)] == [10, 3, 10]
