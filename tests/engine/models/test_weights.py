"""Weights are refused, by tensor name, before a network sees them."""

import hashlib
import json
import struct
import tracemalloc

import pytest
import torch
from torch import nn

from engine.errors import InputError
from engine.models import weights

SHAPES = {"a": (2, 3), "b": (4,)}


def packed(header: dict | bytes, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(begin: int, end: int, shape=(4,), dtype="F32") -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


GOOD = packed({"a": entry(0, 24, (2, 3)), "b": entry(24, 40)}, bytes(40))


def test_a_good_file_is_read_as_float32(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(GOOD)
    tensors, digest = weights.read(path, SHAPES, hashlib.sha256(GOOD).hexdigest())
    assert {k: tuple(v.shape) for k, v in tensors.items()} == SHAPES
    assert all(v.dtype == torch.float32 for v in tensors.values())
    assert digest == hashlib.sha256(GOOD).hexdigest()


@pytest.mark.parametrize("data, said", [
    (b"", "0 bytes"),
    (GOOD[:9], "9 bytes"),
    (struct.pack("<Q", 10**12) + b"{}", "claims 1000000000000 bytes"),
    (packed(b"{" + b" " * 5_000_000 + b"}"), "header claims 5000002 bytes"),
    (packed(b"[" * 3000 + b"]" * 3000), "not readable"),
    (packed(b"[]"), "lists no tensors"),
    (packed({}), "lists 0 tensors"),
    (packed({f"t{i}": entry(0, 0, (0,)) for i in range(20_001)}), "lists 20001 tensors"),
    (packed({"a": entry(0, 24, (2, 3)), "b": entry(20, 36)}, bytes(36)), "'b' overlaps"),
    (packed({"a": entry(0, 24, (2, 3)), "b": entry(28, 44)}, bytes(44)), "'b' leaves a gap"),
    (packed({"a": entry(0, 24, (2, 3)), "b": entry(24, 40)}, bytes(30)), "'b' ends at byte 40 of 30"),
    (GOOD + b"tail", "4 bytes that belong to no tensor"),
    (packed({"a": entry(0, 8, (2**62, 2**62, 2**62))}, bytes(8)), "'a' of shape"),
    (packed({"a": entry(0, 8, (-1, -2))}, bytes(8)), "'a' has an impossible shape"),
    (packed({"a": entry(0, 8, (2.0,))}, bytes(8)), "'a' has an impossible shape"),
    (packed({"a": entry(8, 0, ())}, bytes(8)), "'a' of shape"),
    (packed({"a": entry(0, 8, (1,), "F99")}, bytes(8)), "'a' has the unknown number type"),
    (packed({"a": entry(0, 8, (1,), ["F32"])}, bytes(8)), "'a' has the unknown number type"),
    (packed({"a": 3}), "'a' has no proper header entry"),
])
def test_damaged_headers_are_refused(tmp_path, data, said):
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    with pytest.raises(InputError, match=said.replace("(", r"\(")) as caught:
        weights.read(path, SHAPES)
    assert caught.value.field == "model" and caught.value.fix


def test_a_header_that_promises_much_costs_no_memory():
    tracemalloc.start()
    with pytest.raises(InputError):
        weights.check_header(struct.pack("<Q", 100_000_000) + b"{" * 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


def test_wrong_hash_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(GOOD)
    with pytest.raises(InputError, match="the card says 00000"):
        weights.read(path, SHAPES, "0" * 64)


@pytest.mark.parametrize("expected, said", [
    ({"a": (2, 3), "b": (5,)}, r"'b' has the shape \[4\]"),
    ({"a": (2, 3), "b": (4,), "c": (1,)}, "'c' is missing"),
    ({"a": (2, 3)}, "'b' belongs to no part"),
])
def test_tensors_of_another_network_are_refused(tmp_path, expected, said):
    path = tmp_path / "model.safetensors"
    path.write_bytes(GOOD)
    with pytest.raises(InputError, match=said):
        weights.read(path, expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(tmp_path, value):
    path = tmp_path / "model.safetensors"
    path.write_bytes(packed({"a": entry(0, 24, (2, 3)), "b": entry(24, 40)},
                            bytes(24) + struct.pack("<4f", 1, 2, value, 3)))
    with pytest.raises(InputError, match="'b' holds values that are not finite"):
        weights.read(path, SHAPES)


@pytest.mark.parametrize("name", ["m.pt", "m.CKPT", "m.pth", "m.bin", "m.pkl"])
def test_files_that_may_run_code_are_not_opened(tmp_path, name):
    path = tmp_path / name  # it does not even exist: a refusal that read it would speak of a missing file
    with pytest.raises(InputError, match="can run code"):
        weights.read(path, SHAPES)


def test_a_pickle_under_another_name_is_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    torch.save({"a": torch.zeros(2, 3)}, path)
    with pytest.raises(InputError, match="pickle under another name"):
        weights.read(path, SHAPES)


def test_a_missing_file_is_named_with_its_place(tmp_path):
    with pytest.raises(InputError, match=r"assets/models/flowers/model\.safetensors"):
        weights.read(tmp_path / "assets" / "models" / "flowers" / "model.safetensors", SHAPES)


def test_writing_keeps_vectors_exact_and_matrices_to_half_precision(tmp_path):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Linear(8, 8))
    network.register_buffer("count", torch.tensor(7))
    with torch.no_grad():
        network[2].weight[0, 0] = 1e6  # beyond float16: this one tensor goes to bfloat16
    digest = weights.write(network, tmp_path)
    state = network.state_dict()
    tensors, again = weights.read(tmp_path / weights.FILE, {k: tuple(v.shape) for k, v in state.items()}, digest)
    assert again == digest
    assert tensors["count"].item() == 7
    assert torch.equal(tensors["1.weight"], state["1.weight"]) and torch.equal(tensors["0.bias"], state["0.bias"])
    # Rounding to 11 significant bits (float16) errs by at most 2^-11, to 8 bits (bfloat16) by at most 2^-8.
    torch.testing.assert_close(tensors["0.weight"], state["0.weight"], rtol=2**-11, atol=1e-7)
    torch.testing.assert_close(tensors["2.weight"], state["2.weight"], rtol=2**-8, atol=0)
    assert [f.name for f in tmp_path.iterdir()] == [weights.FILE]

