import pytest
import torch

from engine.rng import Rng


def test_a_seed_repeats_its_noise_and_another_seed_does_not():
    assert torch.equal(Rng(7, 2).normal(3, 4), Rng(7, 2).normal(3, 4))
    assert not torch.equal(Rng(7, 2).normal(3, 4), Rng(8, 2).normal(3, 4))


def test_the_batch_size_never_changes_the_noise_of_a_sample():
    together = Rng(3, 4)
    draws = [together.normal(5), together.uniform(2), together.normal(2, 2)]
    for i in range(4):
        alone = Rng(3, 1, first=i)
        for drawn, again in zip(draws, [alone.normal(5), alone.uniform(2), alone.normal(2, 2)], strict=True):
            assert torch.equal(drawn[i:i + 1], again)


def test_samples_and_later_draws_are_different_noise():
    rng = Rng(0, 2)
    first, second = rng.normal(1000), rng.normal(1000)
    streams = torch.cat([first, second])
    # Correlation of 1000 independent pairs has a standard deviation of 0.03.
    assert (torch.corrcoef(streams) - torch.eye(4)).abs().max() < 0.15


def test_one_seed_is_not_a_shifted_copy_of_the_next():
    assert not torch.equal(Rng(0, 2).normal(4)[1], Rng(1, 1).normal(4)[0])


def test_normal_and_uniform_have_their_moments():
    normal, uniform = Rng(1, 2).normal(50_000), Rng(1, 2).uniform(50_000)
    # 100 000 draws: standard errors 0.003 and 0.0009; five of them.
    assert abs(normal.mean()) < 0.016 and abs(normal.std() - 1) < 0.012
    assert abs(uniform.mean() - 0.5) < 0.005 and uniform.min() >= 0 and uniform.max() < 1


def test_noise_takes_shape_and_dtype_of_the_state_but_is_drawn_in_float32():
    state = torch.zeros(2, 3, 4, dtype=torch.float64)
    noise = Rng(5, 2).normal_like(state)
    assert noise.shape == state.shape and noise.dtype == torch.float64
    assert torch.equal(noise, Rng(5, 2).normal(3, 4).double())


def test_the_global_generator_is_neither_used_nor_changed():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    noise = Rng(2, 1).normal(3)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(99)
    assert torch.equal(noise, Rng(2, 1).normal(3))


def test_a_state_with_another_number_of_samples_is_refused():
    with pytest.raises(AssertionError):
        Rng(0, 2).normal_like(torch.zeros(3, 1))
