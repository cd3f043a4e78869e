import subprocess
import sys

import pytest
import torch

from engine.errors import InputError
from engine.runtime import device
from engine.runtime.settings import Limits, limits, read


@pytest.fixture
def environment(monkeypatch):
    """Sets DIFFUSCOPE_ variables for one test, with fresh limits before and after."""
    def change(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"DIFFUSCOPE_{name.upper()}", value)
        limits.cache_clear()

    yield change
    monkeypatch.undo()
    limits.cache_clear()


def test_variables_replace_defaults_and_keep_their_kind():
    values = {"DIFFUSCOPE_WORKERS": "5", "DIFFUSCOPE_PREVIEW_S": " .5 ", "DIFFUSCOPE_DEVICE": "cpu", "WORKERS": "9"}
    found = read(values)
    assert (found.workers, found.preview_s, found.device) == (5, 0.5, "cpu")
    assert found.queue == Limits().queue


@pytest.mark.parametrize(("name", "value"), [("WORKERS", "two"), ("WORKERS", "2.5"), ("WORKERS", "0"), ("QUEUE", "-1"),
                                             ("PREVIEW_S", "nan"), ("PREVIEW_S", "inf")])
def test_a_bad_value_is_named(name, value):
    with pytest.raises(InputError, match=f"DIFFUSCOPE_{name} is '{value}'"):
        read({f"DIFFUSCOPE_{name}": value})


def test_limits_need_no_torch():
    code = "import sys, engine.runtime.settings as s; s.limits(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_settings_choose_device_and_precision(environment):
    environment(device="cpu", precision="float32")
    assert device.choose() == torch.device("cpu")
    assert device.precision(torch.device("cpu")) == torch.float32
    environment(precision="bfloat16")
    assert device.precision(torch.device("cpu")) == torch.bfloat16
    assert device.facts()["dtype"] == "bfloat16"


@pytest.mark.parametrize("wanted", ["tpu", "cuda:99", "nonsense:x"])
def test_a_device_that_is_not_there_is_named(environment, wanted):
    environment(device=wanted)
    with pytest.raises(InputError, match=wanted):
        device.choose()


def test_an_unknown_precision_is_named(environment):
    environment(precision="float8")
    with pytest.raises(InputError, match="float32, bfloat16"):
        device.precision(torch.device("cpu"))


def test_memory_errors_are_told_from_others():
    try:
        torch.empty(2**60)
    except RuntimeError as error:
        assert device.out_of_memory(error)
    assert device.out_of_memory(MemoryError())
    assert not device.out_of_memory(RuntimeError("shapes do not match"))
