"""On which device and in which precision networks run."""

import gc
import os

import torch

from engine.errors import InputError
from engine.runtime.settings import limits

THREADS = torch.get_num_threads()
"""Threads that compute networks on the processor, as torch chose them when the program started."""

_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def choose() -> torch.device:
    """The device of this process: the one that the settings name, else the first CUDA or Apple GPU, else the CPU.

    Raises InputError when the settings name a device that this machine does not have.
    """
    wanted = limits().device
    if not wanted:
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu")
    try:
        device = torch.device(wanted)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(f"DIFFUSCOPE_DEVICE is {wanted[:40]!r}.", "This machine has no such device.",
                         "Please choose cpu, cuda or mps, or remove the variable.", field="device") from None
    return device


def precision(device: torch.device) -> torch.dtype:
    """dtype of the networks on `device`: bfloat16 where the hardware multiplies it faster than float32, else float32.

    That is AMX or AVX512-BF16 on a CPU and tensor cores since Ampere (compute capability 8.0) on a GPU. The states of
    the solvers stay float32. Raises InputError when the settings name another precision.
    """
    wanted = limits().precision
    if wanted:
        if wanted not in _PRECISIONS:
            raise InputError(f"DIFFUSCOPE_PRECISION is {wanted[:40]!r}.",
                             fix="Choose one of " + ", ".join(_PRECISIONS) + ".", field="precision")
        return _PRECISIONS[wanted]
    return torch.bfloat16 if _has_fast_bfloat16(torch.device(device)) else torch.float32


def facts(device: torch.device | None = None) -> dict[str, str | int]:
    """What a reader needs to judge a time: device, cores, threads, torch version, dtype. No host name, no path."""
    device = device or choose()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    if device.type == "cpu":
        name = torch.cpu.get_capabilities().get("cpu_name", name)
    return {"device": str(name), "cores": os.cpu_count() or 1, "threads": THREADS,
            "torch": torch.__version__, "dtype": str(precision(device)).removeprefix("torch.")}


def _has_fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        able = torch.cpu.get_capabilities()
        return bool(able.get("amx_bf16") or able.get("avx512_bf16"))
    return False


def out_of_memory(error: BaseException) -> bool:
    """Whether the error says that memory (of the machine or of an accelerator) ran out."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    # The allocator of the CPU raises a plain RuntimeError and says it only in words.
    text = str(error)
    return isinstance(error, RuntimeError) and ("can't allocate memory" in text or "not enough memory" in text)


def drop_caches() -> None:
    """Give memory that nobody uses any more back to the system and the accelerator."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    if torch.mps.is_available():
        torch.mps.empty_cache()
