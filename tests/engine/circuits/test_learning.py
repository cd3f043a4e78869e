"""Learning a circuit: EM climbs, finds what made the data, and its file holds what was learned."""

import pytest
import torch

from engine.circuits import FILE, data_digest, learning, read, write
from engine.errors import InputError
from engine.models.card import Architecture, Card, ScheduleSpec, Training
from tests.engine.circuits.test_mixture import circuit
from tests.oracles import normal


def drawn(law, count):
    """Pictures from a circuit, through its definition."""
    generator = torch.Generator().manual_seed(0)
    child = torch.multinomial(law.weights, count, replacement=True, generator=generator)
    latents = law.means[child] + law.variances[child].sqrt() * normal(count, law.means.shape[1], seed=11)
    noise = law.rest ** 0.5 * normal(count, len(law.mean), seed=12)
    return (law.mean + latents @ law.directions.T + noise).reshape(count, *law.shape)


TRUTH = circuit(2, 2, (3, 2, 2), 0.05)
DATA = drawn(TRUTH, 3000)


def test_em_climbs_and_comes_near_to_the_law_that_made_the_data():
    found = learning.fit(DATA[:2000], children=2, latents=2, rounds=80, pseudo=1.0)
    # The pseudo-counts weigh as 3 of 2000 pictures: what EM climbs is the likelihood but for that much.
    assert all(later > earlier - 1e-4 for earlier, later in zip(found.log_likelihood, found.log_likelihood[1:]))
    kept = DATA[2000:]
    gap = (TRUTH.log_likelihood(kept) - found.circuit.log_likelihood(kept)).mean()
    single = learning.fit(DATA[:2000], children=1, latents=2, rounds=2).circuit
    # 60 numbers learned from 2000 pictures cost about 60 / (2 x 2000) nats each; more where directions differ.
    assert -0.05 < gap < 0.15 and gap < (TRUTH.log_likelihood(kept) - single.log_likelihood(kept)).mean()
    assert found.log_likelihood[-1] * 12 == pytest.approx(float(found.circuit.log_likelihood(DATA[:2000]).mean()),
                                                          abs=1e-6)


def test_the_rest_is_what_the_directions_leave():
    centred = DATA.flatten(1) - DATA.flatten(1).mean(0)
    directions, rest = learning.principal(centred, 2)
    torch.testing.assert_close(directions.T @ directions, torch.eye(2).double())
    left = centred - centred @ directions @ directions.T
    assert rest == pytest.approx(float(left.square().sum(1).mean()) / 10)


def test_the_same_pictures_give_the_same_circuit():
    first, second = (learning.fit(DATA[:200].float(), children=3, latents=4, rounds=5).circuit for _ in range(2))
    assert torch.equal(first.means, second.means) and torch.equal(first.directions, second.directions)


def card(data="flowers", side=32):
    return Card(name="any", title="Any", architecture=Architecture(kind="unet"), prediction="v", resolution_px=side,
                schedule=ScheduleSpec(name="cosine"), training=Training(data=[data]))


def test_a_file_holds_the_circuit_and_its_data(tmp_path):
    digest = data_digest(card())
    path = write(TRUTH, tmp_path / FILE, digest)
    found = read(path, digest)
    # Directions are kept in 16 bits: ten binary places.
    torch.testing.assert_close(found.directions, TRUTH.directions, rtol=2 ** -10, atol=2 ** -14)
    torch.testing.assert_close(found.means, TRUTH.means, rtol=1e-6, atol=1e-6)
    assert found.shape == TRUTH.shape and found.rest == pytest.approx(TRUTH.rest)
    assert path.read_bytes() == write(TRUTH, tmp_path / "again.safetensors", digest).read_bytes()


def test_a_file_of_other_data_or_a_damaged_one_is_refused(tmp_path):
    path = write(TRUTH, tmp_path / FILE, data_digest(card()))
    for other in (card("cats"), card(side=64)):
        with pytest.raises(InputError, match="other data"):
            read(path, data_digest(other))
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:-100])
    for name in ("cut.safetensors", "missing.safetensors"):
        with pytest.raises(InputError):
            read(tmp_path / name)
