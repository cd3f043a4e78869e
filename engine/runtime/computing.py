"""The one thread that computes networks on the processor.

OpenMP gives every thread that computes a team of workers of its own. As soon as the workers of all teams are more than
the cores, GNU's libgomp no longer lets idle workers spin but sends them to sleep, which made every network call of
every thread half as long again. So one thread owns the only team, networks are computed there, and all other threads
compute their few sums alone. On an accelerator a call runs in the thread that makes it.
"""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from engine.runtime import device

Answer = TypeVar("Answer")

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_owner: int | None = None


def compute(function: Callable[..., Answer], *arguments) -> Answer:
    """function(*arguments) in the computing thread, one after another; its answer, or what it raised.

    The function runs under that thread's modes (gradients on, no autocast), not under the caller's. Called from the
    computing thread itself, or with an accelerator, it runs at once in the same thread.
    """
    if threading.get_ident() == _owner or device.choose().type != "cpu":
        return function(*arguments)
    return _thread().submit(function, *arguments).result()


def alone() -> None:
    """From now on the calling thread computes without a team. For threads that only do a solver's sums."""
    if threading.get_ident() != _owner:
        torch.set_num_threads(1)


def _thread() -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(1, "networks", _own_the_team)
        return _pool


def _own_the_team() -> None:
    global _owner
    _owner = threading.get_ident()
    torch.set_num_threads(device.THREADS)
