"""The computing thread: one for all callers, transparent for answers and errors."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from engine.runtime import computing, device
from engine.runtime.sharing import shared


def _where() -> tuple[int, int]:
    return threading.get_ident(), torch.get_num_threads()


def test_all_callers_compute_in_one_thread_that_has_the_team():
    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(lambda _: computing.compute(_where), range(16)))
    assert found == {(next(iter(found))[0], device.THREADS)}
    assert next(iter(found))[0] != threading.get_ident()


def test_a_call_from_inside_does_not_wait_for_itself():
    assert computing.compute(lambda: computing.compute(lambda: 7)) == 7


def test_errors_come_back_to_the_caller_and_the_thread_goes_on():
    with pytest.raises(ZeroDivisionError):
        computing.compute(lambda: 1 / 0)
    assert computing.compute(lambda: 1) == 1


def test_a_run_alone_leaves_the_team_of_the_computing_thread():
    def run() -> tuple[int, int]:
        computing.alone()
        return torch.get_num_threads(), computing.compute(_where)[1]

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(run).result() == (1, device.THREADS)


def test_networks_of_shared_denoisers_run_there_without_gradients():
    seen = []

    def denoise(x, t):
        seen.append((threading.get_ident(), torch.is_grad_enabled()))
        return x

    shared(denoise)(torch.ones(1, 2), 0.5)
    assert seen == [(computing.compute(threading.get_ident), False)]
