"""Shipped models: save and load, the shelf, the cache, the shared denoiser."""

import json
import threading

import pytest
import torch

from engine import denoisers, models, networks, schedules
from engine.errors import InputError
from engine.models import model, shelf

OPTIONS = {"widths": [16, 32], "depth": 1, "embedding": 32, "classes": 3}


def network():
    torch.manual_seed(0)
    net = networks.build("wavelet_unet", **OPTIONS)
    with torch.no_grad():  # blocks start as the identity; a network that ignores its inputs would test nothing
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net.eval()


def card(name="tiny", **fields) -> models.Card:
    return models.Card(**{**dict(
        name=name, task="inpainting", title="A tiny network", architecture={"kind": "wavelet_unet", "options": OPTIONS},
        schedule={"name": "cosine"}, prediction="v", resolution_px=16, classes=["a", "b", "c"],
        training={"data": "made", "licences": "none", "minutes": 1.5, "iterations": 3, "samples": 12, "device": "cpu"},
        metrics=[{"set": "held out", "PSNR dB": 23.456789}], failures=["everything"]), **fields})


@pytest.fixture
def shelved(tmp_path, monkeypatch):
    """A shelf with one model on it."""
    monkeypatch.setattr(shelf, "ROOT", tmp_path)
    models.save(network(), card(), tmp_path / "tiny")
    return tmp_path


def test_save_and_load_give_the_same_network(shelved):
    assert models.names() == ("tiny",)
    loaded, original = models.load("tiny"), network()
    assert loaded.card == models.card("tiny")
    assert loaded.card.parameters == networks.parameter_count(original)
    assert len(loaded.card.sha256) == 64
    assert loaded.schedule == schedules.cosine()
    assert all(p.dtype == torch.float32 and not p.requires_grad for p in loaded.network.parameters())
    x, t, label = torch.randn(2, 3, 16, 16), torch.tensor([0.2, 0.7]), torch.tensor([0, 3])
    with torch.no_grad():
        expected, got = original(x, t, label=label), loaded.network(x, t, label=label)
    # Kernels were rounded to 11 significant bits.
    torch.testing.assert_close(got, expected, rtol=5e-3, atol=5e-3 * float(expected.abs().max()))


def test_a_model_is_loaded_once_and_its_denoiser_made_once(shelved):
    found = []
    threads = [threading.Thread(target=lambda: found.append(models.load("tiny"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all(f is found[0] for f in found)
    assert found[0].denoiser is found[0].denoiser


def test_the_denoiser_answers_like_the_plain_network(shelved):
    loaded = models.load("tiny")
    x, t, label = torch.randn(2, 3, 16, 16), torch.tensor([0.2, 0.7]), torch.tensor([0, 2])
    with torch.no_grad():
        plain = denoisers.from_v(loaded.network, loaded.schedule)(x, t, label=label)
    shared = loaded.denoiser(x, t, label=label)
    assert shared.dtype == torch.float32 and shared.device == x.device
    # bfloat16, where the machine has it fast, keeps 8 bits through about 20 layers.
    torch.testing.assert_close(shared, plain, rtol=0.05, atol=0.05)


def test_the_cache_keeps_four_and_reloads_what_changed(shelved):
    first = models.load("tiny")
    other = network()
    with torch.no_grad():
        other.leave.bias.add_(1)
    models.save(other, card(), shelved / "tiny")
    changed = models.load("tiny")
    assert changed is not first and changed.card.sha256 != first.card.sha256
    for i in range(4):
        models.save(network(), card(f"tiny{i}"), shelved / f"tiny{i}")
        models.load(f"tiny{i}")
    assert models.load("tiny") is not changed


def test_damaged_weights_are_refused_and_the_loaded_model_stays(shelved):
    first = models.load("tiny")
    path = shelved / "tiny" / "model.safetensors"
    good = path.read_bytes()
    path.write_bytes(good[:-2] + b"\0\0")
    with pytest.raises(InputError, match="SHA-256"):
        models.load("tiny")
    assert torch.isfinite(first.denoiser(torch.zeros(1, 3, 8, 8), 0.5, label=torch.tensor([1]))).all()
    path.unlink()
    with pytest.raises(InputError, match=r"assets/models/tiny/model\.safetensors"):
        models.load("tiny")
    assert models.names() == ()


@pytest.mark.parametrize("change, said", [
    ({"sha256": ""}, "names no SHA-256"),
    ({"prediction": "tea_leaves"}, "'tea_leaves'"),
    ({"architecture": {"kind": "pickle", "options": {}}}, "architecture 'pickle'"),
    ({"architecture": {"kind": "wavelet_unet", "options": {"wings": 2}}}, "cannot be built"),
    ({"schedule": {"name": "moon", "options": {}}}, "'moon'"),
    ({"resolution_px": "large"}, "'resolution_px'"),
    ({"surprise": 1}, "'surprise'"),
])
def test_wrong_cards_are_refused(shelved, change, said):
    path = shelved / "tiny" / "card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError, match=said):
        models.load("tiny")


@pytest.mark.parametrize("text", ["", "[]", "{" * 2000, "\x00", "[" * 100_000])
def test_a_card_that_is_none_is_refused(shelved, text):
    (shelved / "tiny" / "card.json").write_text(text)
    with pytest.raises(InputError, match=r"card\.json"):
        models.load("tiny")


@pytest.mark.parametrize("name", ["no_such", "../tiny", "tiny/../tiny", "", "a\nb", "x" * 5000, "local:", "local"])
def test_unknown_names_are_refused(shelved, name):
    with pytest.raises(InputError) as caught:
        models.load(name)
    assert caught.value.field == "model"


def test_a_folder_in_our_format_loads_as_a_persons_own_model(shelved):
    loaded = models.load(f"local:{shelved / 'tiny'}")
    assert loaded.card.title == "A tiny network" and loaded.schedule == schedules.cosine()


def test_gradients_reach_the_state_but_never_the_weights():
    runner = model.Runner(network(), torch.device("cpu"), torch.float32)
    x = torch.randn(1, 3, 16, 16, requires_grad=True)
    runner(x, torch.tensor([0.3]), label=None).square().sum().backward()
    assert x.grad is not None and float(x.grad.abs().sum()) > 0
    assert all(p.grad is None for p in runner.network.parameters())


def test_a_card_prints_what_people_ask():
    text = "\n".join(card(sha256="0" * 64).lines())
    for part in ("A tiny network", "trained on: made", "PSNR dB 23.46", "fails: everything", "classes: a, b, c"):
        assert part in text
