"""Order of the points does not matter, the start is the linear baseline, guidance and colours do what they say."""

import numpy as np
import pytest
import torch

from engine import denoisers, networks, schedules
from engine.models.model import Runner
from engine.networks import cloud_colour
from engine.networks.cloud_parts import Neighbourhood
from engine.networks.sketch_text import SketchEncoder, squash
from engine.rng import Rng
from engine.tasks.pointcloud import batches, captions, palette, sampling, targets, tokens, training
from engine.tasks.pointcloud.guiding import two_conditions
from engine.tasks.pointcloud.pool import Pool
from engine.tasks.pointcloud.shapes import PARTS

WORDS = captions.vocabulary()
_SMALL = {"cloud_geometry": {"width": 64, "latent": 64, "latents": 8, "rounds": 1, "capsules": 4},
          "cloud_pointwise": {"latent": 64, "capsules": 4, "widths": (32, 32)},
          "cloud_colour": {"parts": len(PARTS), "width": 64, "latent": 64, "latents": 8, "rounds": 1,
                           "palette": captions.colour_words()}}


def _network(kind: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return networks.build(kind, words=WORDS, **_SMALL[kind])


def _stirred(network: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def _told(kind: str, count: int, points: int) -> dict[str, torch.Tensor]:
    rng = Rng(3, count)
    ids = torch.from_numpy(np.stack([tokens.encode(text, WORDS).ids for text in ("a red chair", "a tall blue tower")]))
    if kind == "cloud_colour":
        return {"tokens": ids[:count], "points": rng.normal(points, 3).clamp(-1, 1)}
    return {"tokens": ids[:count], "sketch": (rng.uniform(1, 64, 64) > 0.9).float()}


@pytest.mark.parametrize("kind", _SMALL)
def test_order_of_points_does_not_matter(kind):
    network, told = _stirred(_network(kind)), _told(kind, 2, 40)
    x, t = Rng(0, 2).normal(40, 3), torch.tensor([0.2, 0.8])
    order = torch.from_numpy(np.random.default_rng(0).permutation(40))
    moved = told | ({"points": told["points"][:, order]} if "points" in told else {})
    with torch.no_grad():
        plain, mixed = network(x, t, **told), network(x[:, order], t, **moved)
    # Sums in another order: float32 noise of some 1e-6.
    assert (plain[:, order] - mixed).abs().max() < 1e-4 and plain.std() > 1e-3


@pytest.mark.parametrize("kind", ["cloud_geometry", "cloud_pointwise"])
def test_untrained_networks_are_the_linear_denoiser(kind):
    schedule, t = schedules.cosine(), torch.tensor([0.1, 0.7])
    x = Rng(0, 2).normal(30, 3)
    with torch.no_grad():
        x0 = denoisers.from_v(_network(kind), schedule)(x, t, **_told(kind, 2, 30))
    alpha = schedule(t)[0].float()[:, None, None]
    # For independent points of unit variance, E[x0 | x_t] = alpha x_t.
    assert torch.allclose(x0, alpha * x, atol=1e-5)


def _coloured_parts(colour: torch.Tensor, spread: float, grain: float, schedule, t: torch.Tensor
                    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noisy colours of two surely known parts of 15 points, encoded, and their exact posterior mean for normal parts.

    colour (2, 3): the parts' mean colours; spread, grain: deviations of parts and of points.
    """
    part = torch.arange(2).repeat_interleave(15)
    same = (part[:, None] == part[None]).float()
    law = spread**2 * same + grain * torch.eye(30)
    x0 = colour[part] + torch.linalg.cholesky(law) @ Rng(0, 1).normal(30, 3)[0]
    alpha, sigma = (level.float()[:, None, None] for level in schedule(t))
    x = alpha * x0 + sigma * Rng(1, len(t)).normal(30, 3)
    noisy = alpha.square() * law + sigma.square() * torch.eye(30)
    mean = colour[part] + alpha * law @ torch.linalg.solve(noisy, x - alpha * colour[part])
    encoded = torch.cat((60.0 * torch.nn.functional.one_hot(part, len(PARTS)), torch.zeros(30, 32)), dim=-1)
    return x, encoded.expand(len(t), -1, -1), mean


def test_untrained_colours_are_the_exact_posterior_of_parts_that_are_normal():
    schedule, t = schedules.cosine(), torch.tensor([0.02, 0.3, 0.7])
    network = networks.build("cloud_colour", words=WORDS, **_SMALL["cloud_colour"] | {"palette": ()})
    grain = cloud_colour.GRAIN**2 + cloud_colour.TEXTURE * float(torch.tensor(cloud_colour.PLAIN).sigmoid())
    x, encoded, mean = _coloured_parts(torch.zeros(2, 3), cloud_colour.ANY, grain, schedule, t)
    with torch.no_grad():
        x0 = denoisers.from_v(network, schedule)(x, t, tokens=_told("cloud_colour", 1, 1)["tokens"].expand(3, -1),
                                                 encoded=encoded)
    assert torch.allclose(x0, mean, atol=2e-3)


def test_colours_that_are_said_for_sure_are_the_mean_of_their_parts():
    schedule, t = schedules.cosine(), torch.tensor([0.02, 0.3, 0.7])
    network = networks.build("cloud_colour", words=WORDS, **_SMALL["cloud_colour"])
    grain = cloud_colour.GRAIN**2 + cloud_colour.TEXTURE * float(torch.tensor(cloud_colour.PLAIN).sigmoid())
    x, encoded, mean = _coloured_parts(network.means[[0, 4]], cloud_colour.TINT, grain, schedule, t)
    chances = torch.full((3, len(PARTS), len(network.means)), -60.0)
    chances[:, 0, 0] = chances[:, 1, 4] = chances[:, 2:, 8] = 0
    with torch.no_grad():
        v = network.coloured(x, t, encoded, chances, torch.zeros(3, len(PARTS), 64))
    alpha, sigma = (level.float()[:, None, None] for level in schedule(t))
    assert torch.allclose(alpha * x - sigma * v, mean, atol=2e-3)


def test_colours_in_half_precision_are_nearly_the_same():
    network, told = _stirred(_network("cloud_colour")), _told("cloud_colour", 2, 40)
    x, t = Rng(0, 2).normal(40, 3), torch.tensor([0.3, 0.9])
    with torch.no_grad():
        exact = network(x, t, **told)
        found = Runner(network, torch.device("cpu"), torch.bfloat16)(x, t, **told)
    # Eight bits of mantissa, through some twenty layers.
    assert found.dtype == torch.float32 and (found - exact).abs().mean() < 0.05 * exact.std()


def test_words_give_chances_and_synonyms_are_one_colour():
    network = _network("cloud_colour").text.eval()
    names = list(palette.NAMES)
    said = [tokens.encode(text, WORDS).ids for text in ("a cyan chair with violet legs", "a chair with legs", "")]
    with torch.no_grad():
        network.usual[1].weight.zero_()
        network.usual[1].bias.zero_()
        network.usual[1].bias[0] = -20.0
        chances = network(torch.from_numpy(np.stack(said)))[0].exp()
    # Nothing is pointed at as "none", so all goes to the colours that are said, or alike where there are none.
    assert torch.allclose(chances.sum(-1), torch.ones(3, len(PARTS)), atol=2e-3)
    of_words = chances[0][:, [names.index("turquoise"), names.index("purple")]]
    assert torch.allclose(of_words.sum(-1), torch.ones(len(PARTS)), atol=1e-3) and of_words.min() > 0
    assert torch.allclose(chances[1:], torch.full_like(chances[1:], 1 / (len(names) + 1)), atol=1e-4)


def test_surroundings_do_not_depend_on_how_many_points_there_are():
    """A plane of many points or few: flat, with the middle where the point is."""
    near, rng = Neighbourhood(), np.random.default_rng(0)
    moments = []
    for count in (500, 2000):
        plane = np.float32(rng.uniform(-1, 1, (1, count, 3)) * [1, 0, 1])
        plane[0, 0] = 0
        found, kernels, sums, _ = near(torch.from_numpy(plane))
        assert (kernels.sum(-1) < sums[..., 0]).all()
        moments.append(found[0, 0].unflatten(0, (3, 10)))
    few, many = moments
    # At the middle scale some 30 of 500 points count: 20 %. Covariance xx, xy, xz, yy, yz, zz of a disc: 1, 0, 0, ...
    assert torch.allclose(few[:2], many[:2], atol=0.5)
    assert torch.allclose(many[1, 3:9], torch.tensor([1.0, 0, 0, 0, 0, 1]), atol=0.4)
    assert (many[:, [4, 6, 7]].abs() < 1e-4).all()


def test_geometry_hears_sketch_words_and_the_other_points():
    network, told = _stirred(_network("cloud_geometry")), _told("cloud_geometry", 2, 20)
    x, t = Rng(0, 2).normal(20, 3), torch.tensor([0.5, 0.5])
    moved = x.clone()
    moved[:, 0] += 1
    with torch.no_grad():
        plain = network(x, t, **told)
        for other in (told | {"sketch": torch.zeros_like(told["sketch"])}, told | {"tokens": told["tokens"].flip(0)}):
            assert (network(x, t, **other) - plain).abs().max() > 1e-4
        assert (network(moved, t, **told) - plain)[:, 1:].abs().max() > 1e-5


def test_padding_of_words_changes_nothing():
    network, told = _stirred(_network("cloud_geometry")), _told("cloud_geometry", 2, 20)
    x, t = Rng(0, 2).normal(20, 3), torch.tensor([0.5, 0.5])
    with torch.no_grad():
        both = network(x, t, **told)
        alone = network(x[:1], t[:1], **{name: value[:1] for name, value in told.items()})
    assert torch.allclose(both[:1], alone, atol=1e-5)


def test_capsules_are_routed_as_their_votes_would_be():
    """The encoder never forms the votes W_k u_i; attention over them, written out, gives the same."""
    torch.manual_seed(0)
    encoder = SketchEncoder(32, capsules=5, size=8).eval()
    page = (Rng(0, 2).uniform(1, 64, 64) > 0.9).float()
    with torch.no_grad():
        found = encoder(page)
        line = torch.linspace(-1, 1, 64)
        y, x = torch.meshgrid(line, line, indexing="ij")
        features = encoder.stem(torch.cat((page, torch.stack((x, y)).expand(2, -1, -1, -1)), 1)) + encoder.place
        looked = torch.log_softmax(encoder.pixels(features).flatten(1), 1)
        capsules = squash(encoder.norm(features.flatten(2).transpose(1, 2)).unflatten(-1, (-1, 16)))
        looked = looked[..., None].expand(-1, -1, capsules.shape[2]).flatten(1)
        votes = torch.einsum("bid,kde->bkie", capsules.flatten(1, 2), encoder.transform)
        share = torch.softmax(torch.einsum("bkie,ke->bki", votes, encoder.queries) / 8**0.5 + looked[:, None], -1)
        expected = encoder.out(squash((share[..., None] * votes).sum(2))) + encoder.own
    assert torch.allclose(found, expected, atol=1e-5)


def test_squash_keeps_directions_and_bounds_lengths():
    v = Rng(0, 1).normal(50, 16)[0] * torch.logspace(-2, 2, 50)[:, None]
    out, length = squash(v), v.norm(dim=-1)
    assert torch.allclose(out.norm(dim=-1), length**2 / (1 + length**2), rtol=1e-3)
    assert torch.allclose(torch.cosine_similarity(out, v), torch.ones(50), atol=1e-5)


def test_two_weights_mix_three_answers():
    values = {(0, 0): 1.0, (1, 0): 10.0, (1, 1): 100.0}
    asked = []

    def denoise(x, t, a, b):
        asked.append(len(x))
        return torch.tensor([values[int(i), int(j)] for i, j in zip(a, b)])[:, None] + 0 * x

    def cond(a, b):
        return {"a": torch.tensor([a]), "b": torch.tensor([b])}

    for w1, w2 in ((1, 1), (0, 0), (1, 0), (2, 2), (1.5, 3)):
        guided = two_conditions(denoise, cond(1, 1), cond(1, 0), cond(0, 0), w1, w2)
        expected = 1 + w1 * (10 - 1) + w2 * (100 - 10)
        assert torch.allclose(guided(torch.zeros(2, 4), torch.tensor([0.5, 0.5])), torch.full((2, 4), float(expected)))
    assert asked == [2, 2, 2, 4, 6]


def test_colours_may_be_encoded_once_and_labels_travel_in_the_state():
    network, told, schedule = _stirred(_network("cloud_colour")), _told("cloud_colour", 2, 40), schedules.cosine()
    x, t = Rng(0, 2).normal(40, 3), torch.tensor([0.3, 0.9])
    with torch.no_grad():
        encoded = network.encode(told["points"])
        assert torch.allclose(network(x, t, **told), network(x, t, tokens=told["tokens"], encoded=encoded), atol=1e-6)
        state = torch.cat((x, Rng(1, 2).normal(40, len(PARTS))), dim=-1)
        x0 = denoisers.from_v(network, schedule)(state, t, **told)
        labels = sampling.labelled(denoisers.from_v(network, schedule), schedule, told["points"], len(PARTS))
    chance = torch.softmax(encoded[..., :len(PARTS)], -1)
    assert torch.allclose(x0[..., 3:], 2 * chance - 1, atol=1e-3)
    assert np.array_equal(labels, chance.argmax(-1).numpy())


def test_batches_drop_each_condition_and_losses_have_gradients():
    pool, rng = Pool(40), np.random.default_rng(0)
    blank, silent = [], []
    for _ in range(8):
        batch = batches.geometry(pool, WORDS, rng, 0.0)
        assert batch.x0.shape == (batches.COUNT, batches.POINTS, 3) and batch.x0.std() == pytest.approx(1, abs=0.25)
        blank += (batch.conditions["sketch"].amax((1, 2, 3)) == 0).tolist()
        assert torch.equal(batch.conditions["surface"][:, :batches.POINTS], batch.x0)
        silent += (batch.conditions["tokens"][:, 1] == 0).tolist()
    # 256 draws: a deviation of 2.5 %.
    assert np.mean(blank) == pytest.approx(batches.NO_SKETCH + batches.NEITHER, abs=0.075)
    assert np.mean(silent) == pytest.approx(batches.NO_TEXT + batches.NEITHER, abs=0.075)
    network, generator = _stirred(_network("cloud_geometry")), torch.Generator().manual_seed(0)
    targets.geometry_loss(network, batch, schedules.cosine(), "v", generator).backward()
    assert all(p.grad.abs().sum() > 0 for p in (network.enter.weight, network.context.text.words.weight,
                                                network.context.sketch.transform, network.out.weight))
    network, generator = _stirred(_network("cloud_colour")), torch.Generator().manual_seed(0)
    batch = batches.colour(pool, WORDS, rng, 0.0)
    training.colour_loss(network, batch, schedules.cosine(), "v", generator).backward()
    shares = batch.conditions["shares"].reshape(batches.CLOUDS, batches.COLOURINGS, len(PARTS), -1)
    there = torch.nn.functional.one_hot(batch.conditions["part"], len(PARTS)).amax(1) > 0
    assert torch.allclose(shares.sum(-1)[there[:, None].expand(-1, batches.COLOURINGS, -1)], torch.tensor(1.0))
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.out.parameters())
    assert network.part.enter.weight.grad.abs().sum() > 0 and network.text.words.weight.grad.abs().sum() > 0
    assert network.agree.weight.grad.abs().sum() > 0 and network.text.ask.weight.grad.abs().sum() > 0


def test_samples_repeat_and_do_not_depend_on_their_company():
    network, schedule = _stirred(_network("cloud_geometry")), schedules.cosine()
    denoise = denoisers.from_v(network, schedule)
    page = np.uint8(255 * (np.random.default_rng(0).random((64, 64)) > 0.9))
    ids = tokens.encode("a chair", WORDS).ids

    def last(samples, sketch=page, said=ids, weights=(1.5, 2.0)):
        with torch.no_grad():
            *_, step = sampling.geometry_steps(denoise, schedule, sketch, said, samples, 30, seed=5, steps=4,
                                               weights=weights)
        return step.x

    both = last(2)
    assert torch.equal(both, last(2)) and torch.allclose(both[:1], last(1), atol=1e-4)
    assert not torch.allclose(both, last(2, weights=(1, 1)), atol=1e-3)
    # A condition that is not given has no weight.
    assert torch.allclose(last(1, sketch=None, weights=(3, 2)), last(1, sketch=None, weights=(1, 2)), atol=1e-5)
    assert torch.allclose(last(1, said=None, weights=(2, 3)), last(1, said=None, weights=(2, 1)), atol=1e-5)


def test_noise_of_colours_says_nothing_of_the_noise_of_the_shape():
    """The shape's noise is still seen in its points: colours from the same noise would be tinted by place."""
    starts, schedule, ids = [], schedules.cosine(), tokens.encode("a red chair", WORDS).ids

    def denoise(x, t, **_):
        starts.append(x[0].flatten())
        return torch.zeros_like(x)

    with torch.no_grad():
        next(sampling.geometry_steps(denoise, schedule, None, ids, points=400, seed=3, steps=2))
        next(sampling.colour_steps(denoise, schedule, {"points": torch.zeros(1, 400, 3)}, ids, 400, seed=3, steps=2))
    # Five deviations of the correlation of 1200 independent pairs.
    assert abs(torch.corrcoef(torch.stack((starts[0], starts[-1])))[0, 1]) < 5 / 1200**0.5


def test_posterior_mean_of_two_points_is_a_hyperbolic_tangent():
    """x0 = +-y alike: E[x0 | x_t] = y tanh(alpha x_t . y / sigma^2)."""
    y, alpha, sigma = torch.tensor([0.6, -0.2, 0.9]), torch.full((1, 1, 1), 0.8), torch.full((1, 1, 1), 0.6)
    x = Rng(0, 1).normal(50, 3)
    found = targets.posterior_mean(x, alpha, sigma, torch.stack((y, -y))[None])
    expected = y * torch.tanh(0.8 * (x @ y) / 0.36)[..., None]
    assert torch.allclose(found, expected, atol=1e-5)


def test_posterior_mean_goes_from_the_point_itself_to_the_mean_of_all():
    cloud = Rng(0, 2).normal(60, 3)
    levels = [torch.full((2, 1, 1), value) for value in (1.0, 1e-3, 1e3)]
    assert torch.allclose(targets.posterior_mean(cloud[:, :20], levels[0], levels[1], cloud), cloud[:, :20], atol=1e-4)
    # alpha x . y / sigma^2 is at most some 1e-5 at that level.
    assert torch.allclose(targets.posterior_mean(cloud[:, :20], levels[0], levels[2], cloud),
                          cloud.mean(1, keepdim=True).expand(-1, 20, -1), atol=1e-3)


def test_the_stable_target_has_the_same_minimum_and_less_noise():
    """Over draws of x0 and noise with the same x_t, the plain target's mean is the stable one."""
    cloud, generator = Rng(0, 1).normal(8, 3), torch.Generator().manual_seed(0)
    alpha, sigma = torch.full((1, 1, 1), 0.7), torch.full((1, 1, 1), 0.7141)
    drawn = cloud[0, torch.randint(8, (400_000,), generator=generator)]
    x_t = 0.7 * drawn + 0.7141 * torch.randn(drawn.shape, generator=generator)
    near = (x_t - x_t[0]).norm(dim=1) < 0.15
    stable = targets.posterior_mean(x_t[near][None], alpha, sigma, cloud)[0]
    # Some 500 draws of unit variance: a deviation of 0.05 for the mean.
    assert (drawn[near].mean(0) - stable.mean(0)).abs().max() < 0.2
    assert stable.var(0).sum() < 0.5 * drawn[near].var(0).sum()
