import torch

from engine import networks, schedules
from engine.networks.teeth import TeethNetwork


def conditions(count: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    present = torch.rand(count, 32, generator=generator) > 0.2
    shapes = {"points": (32, 24, 3), "normals": (32, 24, 3), "centres": (32, 3), "base": (32, 9),
              "facets": (32, 20, 10)}
    told = {name: torch.randn(count, *shape, generator=generator) for name, shape in shapes.items()}
    told["facets"][..., 6] = told["facets"][..., 6].abs()
    return {name: value * present.reshape(count, 32, *[1] * (value.dim() - 2)) for name, value in told.items()} | {
        "present": present}


def woken() -> TeethNetwork:
    """A network whose last layer is not zero any more."""
    torch.manual_seed(0)
    network = TeethNetwork(width=48, heads=4, seeing=1, depth=2, points=16).eval()
    torch.nn.init.normal_(network.last.weight, std=0.1)
    return network


def test_untrained_is_the_posterior_of_a_normal_prior():
    """For x0 ~ N(base, left^2) the exact posterior mean is (base / left^2 + a x / s^2) / (1 / left^2 + a^2 / s^2)."""
    network = TeethNetwork(width=48, heads=4, seeing=1, depth=1, points=16).eval()
    network.left.fill_(0.5)
    told = conditions()
    x, t = torch.randn(3, 32, 9, generator=torch.Generator().manual_seed(1)), torch.tensor([0.1, 0.5, 0.9])
    alpha, sigma = (v.float()[:, None, None] for v in schedules.vp_linear()(t))
    expected = (told["base"] * 4 + alpha * x / sigma**2) / (4 + alpha**2 / sigma**2) * told["present"][..., None]
    assert torch.allclose(network(x, t, **told), expected, atol=1e-5)


def test_encoded_conditions_give_the_same_answer():
    network, told = woken(), conditions()
    x, t = torch.randn(3, 32, 9), torch.full((3,), 0.4)
    assert torch.allclose(network(x, t, **told), network(x, t, cond=network.encode(**told)), atol=1e-6)


def test_absent_teeth_have_no_influence_and_no_motion():
    network, told = woken(), conditions()
    x, t = torch.randn(3, 32, 9), torch.full((3,), 0.4)
    gone = ~told["present"]
    other = {name: value if name == "present" else torch.where(
        gone.reshape(3, 32, *[1] * (value.dim() - 2)), 0.0, value) for name, value in told.items()}
    noisy = torch.where(gone[..., None], 7.0, x)
    answer = network(x, t, **told)
    assert torch.allclose(answer, network(noisy, t, **other), atol=1e-5)
    assert (answer[gone] == 0).all()


def test_meshes_count_and_can_be_missing():
    """The order of the facets counts no more than that the first ones are the patches' middles."""
    network, told = woken(), conditions()
    x, t = torch.randn(3, 32, 9), torch.full((3,), 0.4)
    answer = network(x, t, **told)
    order = torch.cat((torch.arange(12), torch.tensor([15, 12, 19, 13, 18, 14, 17, 16])))
    assert torch.allclose(network(x, t, **told | {"facets": told["facets"][:, :, order]}), answer, atol=1e-5)
    points_only = network(x, t, **{name: value for name, value in told.items() if name != "facets"})
    assert (points_only - answer).abs().max() > 1e-4
    assert torch.equal(network(x, t, **told | {"facets": 0 * told["facets"]}), points_only)


def test_teeth_see_each_other():
    network, told = woken(), conditions()
    x, t = torch.randn(3, 32, 9), torch.full((3,), 0.4)
    present = told["present"][0].nonzero()[:, 0]
    moved = x.clone()
    moved[0, present[0]] += 1
    change = (network(moved, t, **told) - network(x, t, **told)).abs().amax(-1)[0]
    assert change[present[-1]] > 1e-6


def test_regressor_ignores_the_noisy_state():
    network = TeethNetwork(width=48, heads=4, seeing=1, depth=1, points=16, regress=True).eval()
    torch.nn.init.normal_(network.last.weight, std=0.1)
    told = conditions()
    answers = [network(torch.randn(3, 32, 9), torch.full((3,), t), **told) for t in (0.1, 0.9)]
    assert torch.allclose(*answers)


def test_it_is_known_by_name_and_small():
    assert networks.parameter_count(networks.build("teeth")) < 5e6
