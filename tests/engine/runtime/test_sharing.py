import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from engine import denoisers, grids, solvers
from engine.rng import Rng
from engine.runtime.sharing import shared
from tests.engine.runtime.fakes import SCHEDULE, SHAPE, small_network

BATCH_TOLERANCE = 1e-4
"""The promise of the design; float32 convolutions round differently in other batch sizes."""


class Gate:
    """A network that remembers its batches and whose first call waits until it is opened."""

    def __init__(self, answer=lambda x, t, **cond: x * t.reshape(-1, 1, 1, 1).to(x)):
        self.answer, self.batches, self.conds = answer, [], []
        self.entered, self.opened = threading.Event(), threading.Event()

    def __call__(self, x, t, **cond):
        self.batches.append(x.shape[0])
        self.conds.append(cond)
        self.entered.set()
        assert self.opened.wait(10)
        return self.answer(x, t, **cond)


def together(gate, calls):
    """Start the first call, let the others gather behind it, then open the gate. Answers (or exceptions) in order."""
    def attempt(call):
        try:
            return call()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(attempt, calls[0])]
        assert gate.entered.wait(10)
        futures += [pool.submit(attempt, call) for call in calls[1:]]
        time.sleep(0.1)  # nothing tells from outside that a call waits
        gate.opened.set()
        return [future.result(10) for future in futures]


def pictures(count, seed=0):
    return Rng(seed, count).normal(*SHAPE)


def test_waiting_calls_become_one_and_each_gets_its_own_answer():
    gate = Gate()
    network = shared(gate)
    inputs = [pictures(n, seed=n) for n in (1, 2, 1, 3)]
    answers = together(gate, [lambda x=x, k=k: network(x, 0.1 * (k + 1)) for k, x in enumerate(inputs)])
    assert gate.batches == [1, 6]
    for k, (x, answer) in enumerate(zip(inputs, answers, strict=True)):
        assert torch.equal(answer, x * (torch.tensor(0.1 * (k + 1), dtype=torch.float64).to(x)))


def test_per_sample_times_and_conditions_travel_with_their_samples():
    gate = Gate(lambda x, t, label, scale: x * label.reshape(-1, 1, 1, 1) * scale + t.reshape(-1, 1, 1, 1).to(x))
    network = shared(gate)
    x = pictures(2)
    calls = [lambda k=k: network(x, torch.tensor([k, k + 0.5]), label=torch.tensor([k, 10 * k]), scale=2.0)
             for k in (1, 2, 3)]
    answers = together(gate, calls)
    assert gate.batches == [2, 4]
    for k, answer in zip((1, 2, 3), answers, strict=True):
        assert torch.allclose(answer[0], x[0] * k * 2 + k)
        assert torch.allclose(answer[1], x[1] * 10 * k * 2 + k + 0.5)


@pytest.mark.parametrize("other", [
    lambda network: network(torch.zeros(1, 3, 4, 4), 0.5),
    lambda network: network(torch.zeros(1, *SHAPE, dtype=torch.float64), 0.5),
    lambda network: network(torch.zeros(1, *SHAPE), 0.5, cond=torch.zeros(1, 1)),
    lambda network: network(torch.zeros(1, *SHAPE), 0.5, weight=2.0),
    lambda network: network(torch.zeros(1, *SHAPE), 0.5, table=torch.zeros(7)),
])
def test_calls_that_do_not_fit_stay_apart(other):
    gate = Gate(lambda x, t, **cond: x)
    network = shared(gate)
    together(gate, [lambda: network(pictures(1), 0.5), lambda: network(pictures(1), 0.5), lambda: other(network)])
    assert gate.batches == [1, 1, 1]


def test_the_cap_splits_batches_and_single_calls():
    gate = Gate()
    network = shared(gate, max_batch=4)
    answers = together(gate, [lambda: network(pictures(3), 1.0)] * 4)
    assert gate.batches == [3, 3, 3, 3]
    assert all(torch.equal(answer, pictures(3)) for answer in answers)
    gate.batches.clear()
    assert torch.equal(network(pictures(10), 1.0), pictures(10))
    assert gate.batches == [4, 4, 2]


def test_the_cap_follows_memory(monkeypatch):
    monkeypatch.setattr("engine.runtime.sharing.WORKING_BYTES_PER_INPUT_BYTE", 2_000_000_000 // (3 * 8 * 8 * 4 * 5))
    gate = Gate()
    gate.opened.set()
    shared(gate)(pictures(12), 1.0)
    assert gate.batches == [5, 5, 2]


def test_only_the_culprit_of_a_merged_call_fails():
    def answer(x, t):
        if (x > 100).any():
            raise ZeroDivisionError("culprit")
        return x + 1

    gate = Gate(answer)
    network = shared(gate)
    bad = torch.full((1, *SHAPE), 200.0)
    answers = together(gate, [lambda: network(pictures(1), 1.0), lambda: network(pictures(1, 1), 1.0),
                              lambda: network(bad, 1.0), lambda: network(pictures(1, 2), 1.0)])
    assert [type(a) for a in answers] == [torch.Tensor, torch.Tensor, ZeroDivisionError, torch.Tensor]
    assert gate.batches == [1, 3, 1, 1, 1]
    assert torch.equal(answers[3], pictures(1, 2) + 1)
    assert torch.equal(network(pictures(1), 1.0), pictures(1) + 1), "the next call works"


def test_running_out_of_memory_together_is_tried_apart():
    def answer(x, t):
        if x.shape[0] > 1:
            raise torch.OutOfMemoryError("too many")
        return x

    gate = Gate(answer)
    network = shared(gate)
    answers = together(gate, [lambda: network(pictures(1), 1.0)] * 3)
    assert all(torch.equal(a, pictures(1)) for a in answers)


def test_a_call_that_needs_gradients_goes_alone_and_keeps_them():
    gate = Gate()
    network = shared(gate)

    def differentiate():
        x = pictures(1).requires_grad_()
        with torch.enable_grad():
            return torch.autograd.grad(network(x, 2.0 * torch.ones(1)).sum(), x)[0]

    answers = together(gate, [lambda: network(pictures(1), 1.0), differentiate, lambda: network(pictures(1), 1.0)])
    assert torch.equal(answers[1], torch.full((1, *SHAPE), 2.0))
    assert gate.batches == [1, 1, 1]


def test_answers_carry_no_graph_and_can_be_used_in_one():
    layer = torch.nn.Conv2d(3, 3, 1)
    network = shared(lambda x, t: layer(x))
    with torch.inference_mode():
        plain = network(pictures(1), 1.0)
    assert not plain.requires_grad and not plain.is_inference()
    assert layer(plain).requires_grad


def test_merged_answers_are_close_to_those_of_a_run_alone():
    torch.manual_seed(0)
    net = small_network()
    denoise = denoisers.from_v(lambda x, t: net(x), SCHEDULE)

    def trajectory(network, k):
        rng = Rng(k, 1)
        times = grids.make("uniform", SCHEDULE, 8 + k)
        name = ("ddim", "dpmpp_2m", "ddpm", "heun", "unipc_2", "euler")[k]
        *_, last = solvers.solve(name, network, rng.normal(3, 24, 24), times, SCHEDULE, rng=rng)
        return last.x

    batches = []

    def watched(x, t):
        batches.append(x.shape[0])
        return denoise(x, t)

    with torch.no_grad():
        alone = [trajectory(shared(denoise), k) for k in range(6)]
        again = [trajectory(shared(denoise), k) for k in range(6)]
    assert all(torch.equal(a, b) for a, b in zip(alone, again, strict=True)), "alone, a run repeats bit for bit"
    network = shared(watched)
    with ThreadPoolExecutor(6) as pool:
        merged = list(pool.map(lambda k: trajectory(network, k), range(6)))
    assert max(batches) > 1, "nothing was merged"
    for a, b in zip(alone, merged, strict=True):
        assert (a - b).abs().max() < BATCH_TOLERANCE


def test_runs_in_step_share_most_calls():
    """Six runs that come back right after each answer should mostly find each other, without any registration."""
    def slow(x, t):
        batches.append(x.shape[0])
        time.sleep(0.01)
        return x

    batches, steps, runs = [], 20, 6
    network = shared(slow)

    def run(k):
        for _ in range(steps):
            network(pictures(1), 0.5)

    with ThreadPoolExecutor(runs) as pool:
        list(pool.map(run, range(runs)))
    assert sum(batches) == steps * runs
    # Perfect is 20 calls; without any waiting for each other, two alternating groups would make at least 40.
    assert len(batches) <= 1.6 * steps


def test_alone_nobody_waits():
    network = shared(lambda x, t: x)
    x = pictures(1)
    network(x, 0.5)
    times = []
    for _ in range(200):
        start = time.perf_counter()
        network(x, 0.5)
        times.append(time.perf_counter() - start)
    # The shortest wait for others would be 2 ms; the bookkeeping takes some 30 microseconds.
    assert sorted(times)[100] < 1e-3


def test_a_run_that_left_holds_nobody_up_for_long():
    gate = Gate(lambda x, t: x)
    network = shared(gate)
    together(gate, [lambda: network(pictures(1), 0.5)] * 3)
    start = time.perf_counter()
    for _ in range(5):
        network(pictures(1), 0.5)
    # At most one wait of an eighth of the gated call (0.1 s); five would be 60 ms and more.
    assert time.perf_counter() - start < 0.05


def test_an_interrupt_of_the_leader_strands_nobody():
    class Interrupt(BaseException):
        pass

    hits = []

    def answer(x, t):
        hits.append(x.shape[0])
        if len(hits) == 2:
            raise Interrupt
        return x

    gate = Gate(answer)
    network = shared(gate)
    interrupted = []

    def call():
        try:
            return network(pictures(1), 0.5)
        except Interrupt:
            interrupted.append(True)
            return None

    answers = together(gate, [call] * 4)
    assert len(interrupted) == 1
    assert sum(isinstance(a, torch.Tensor) for a in answers) == 3
