"""Batches shared between runs: calls of one network that wait at the same moment become one call.

Any thread may call. While the network is busy, calls collect; when it is free, one of the waiting threads leads: it
takes the oldest call and all others that fit to it, makes one network call and hands out the answers. A run that was
answered a moment ago is about to call again, so the leader waits for it, but never longer than its short patience; a
run that is alone never waits.
"""

import threading
import time
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

from engine.runtime import computing, device
from engine.runtime.settings import limits

Denoiser = Callable[..., Tensor]

WORKING_BYTES_PER_INPUT_BYTE = 64
"""Rough peak of a slim U-Net's activations without gradients, relative to its input."""
PATIENCE = 1 / 8
"""Share of the last network call's duration that waiting for other runs may cost."""


def shared(denoise: Denoiser, max_batch: int | None = None) -> "Shared":
    """A denoiser (x_t, t, **cond) -> x0 that merges the calls of concurrent runs.

    Calls go together when their samples agree in shape, dtype and device and their conditions agree in names and, per
    sample, in shape, dtype and device; conditions that are not tensors must be equal. The network then sees x and the
    conditions concatenated and t as (B,) float64, which it also gets when a run is alone, so that the answer is the
    same. At most `max_batch` samples (default: the settings) and at most the settings' memory go into one network call;
    a larger call of one run is made in parts. A call that needs gradients is passed straight on; all others run without
    gradients. An exception in a merged call is found out again run by run, so that only its cause fails.
    """
    return Shared(denoise, max_batch)


class Shared:
    """See `shared`. denoise: the denoiser inside."""

    def __init__(self, denoise: Denoiser, max_batch: int | None = None):
        self.denoise = denoise
        self._max_batch = max_batch
        self._changed = threading.Condition()
        self._waiting: list[_Call] = []
        self._busy = False
        self._expected: dict[int, Hashable] = {}
        self._patient_until = 0.0

    def __call__(self, x: Tensor, t: float | Tensor, **cond: Any) -> Tensor:
        if torch.is_grad_enabled() and _needs_gradient(x, t, *cond.values()):
            return self.denoise(x, t, **cond)
        call = _Call(x, t, cond)
        with self._changed:
            self._waiting.append(call)
            self._changed.notify_all()
            try:
                while not call.done:
                    wait_s = self._wait_s()
                    if wait_s == 0:
                        self._lead()
                    else:
                        self._changed.wait(wait_s)
            finally:
                if call in self._waiting:
                    self._waiting.remove(call)
        return call.take()

    def _wait_s(self) -> float | None:
        """How long to wait before looking again: 0 means lead now, None means until something changes."""
        if self._busy:
            return None
        left = self._patient_until - time.perf_counter()
        if left <= 0:
            self._expected.clear()
            return 0
        here, kind = {call.thread for call in self._waiting}, self._waiting[0].key
        missing = any(key == kind and thread not in here for thread, key in self._expected.items())
        return left if missing else 0

    def _lead(self) -> None:
        """Answer the oldest waiting call and those that fit to it. Called, and left, with the lock held."""
        batch = self._next_batch()
        self._waiting = [call for call in self._waiting if call not in batch]
        self._busy = True
        self._changed.release()
        started = time.perf_counter()
        try:
            self._answer(batch)
        finally:
            self._changed.acquire()
            now = time.perf_counter()
            self._busy = False
            # An interrupt of the leader (a signal) must not strand the others.
            self._waiting = [call for call in batch if not call.done] + self._waiting
            self._expected.update((call.thread, call.key) for call in batch)
            self._patient_until = now + max(limits().gather_s, PATIENCE * (now - started))
            self._changed.notify_all()

    def _next_batch(self) -> list["_Call"]:
        first = self._waiting[0]
        batch, samples, cap = [], 0, self._cap(first)
        for call in self._waiting:
            if call.key == first.key and (not batch or samples + call.samples <= cap):
                batch.append(call)
                samples += call.samples
        return batch

    def _cap(self, call: "_Call") -> int:
        cap = self._max_batch or limits().batch
        return max(1, min(cap, limits().batch_bytes // (call.sample_bytes * WORKING_BYTES_PER_INPUT_BYTE)))

    def _answer(self, batch: list["_Call"]) -> None:
        if len(batch) > 1 and self._answer_together(batch):
            return
        for call in batch:
            try:
                call.finish(self._in_parts(call))
            except Exception as error:
                call.fail(error)

    def _answer_together(self, batch: list["_Call"]) -> bool:
        ran_out = False
        try:
            answers = self._compute(*_merged(batch)).split([call.samples for call in batch])
        except Exception as error:
            ran_out = device.out_of_memory(error)
        else:
            for call, answer in zip(batch, answers, strict=True):
                # A view would keep the whole batch alive for as long as one run needs its part.
                call.finish(answer.clone())
            return True
        if ran_out:
            device.drop_caches()
        return False

    def _in_parts(self, call: "_Call") -> Tensor:
        cap = self._cap(call)
        if call.samples <= cap:
            return self._compute(call.x, call.t, call.cond)
        return torch.cat([self._compute(*call.part(slice(i, i + cap))) for i in range(0, call.samples, cap)])

    def _compute(self, x: Tensor, t: Tensor, cond: dict[str, Any]) -> Tensor:
        return computing.compute(self._without_gradients, x, t, cond)

    def _without_gradients(self, x: Tensor, t: Tensor, cond: dict[str, Any]) -> Tensor:
        # The leader's own modes must not leak into the answers of the others.
        with torch.inference_mode(False), torch.no_grad():
            return self.denoise(x, t, **cond)


class _Call:
    """One waiting call: its inputs with every per-sample entry (B, *), and later its answer."""

    def __init__(self, x: Tensor, t: float | Tensor, cond: dict[str, Any]):
        self.x, self.samples, self.thread = x, x.shape[0], threading.get_ident()
        # float64 on the CPU: schedules compute there, and adapters move the coefficients themselves.
        self.t = torch.as_tensor(t, dtype=torch.float64, device="cpu").expand(self.samples)
        self.cond = {name: self._per_sample(value) for name, value in cond.items()}
        tensors = [x, *(value for value in self.cond.values() if self._is_stacked(value))]
        self.sample_bytes = max(1, sum(value[:1].nbytes for value in tensors))
        self.key = (_kind(x), frozenset((name, self._kind(value)) for name, value in self.cond.items()))
        self.done = False
        self._answer: Tensor | None = None
        self._error: Exception | None = None

    def part(self, which: slice) -> tuple[Tensor, Tensor, dict[str, Any]]:
        cond = {name: value[which] if self._is_stacked(value) else value for name, value in self.cond.items()}
        return self.x[which], self.t[which], cond

    def finish(self, answer: Tensor) -> None:
        self._answer, self.done = answer, True

    def fail(self, error: Exception) -> None:
        self._error, self.done = error, True

    def take(self) -> Tensor:
        """The answer, once. Raises what the network raised for this call."""
        error, self._error = self._error, None
        if error is not None:
            try:
                raise error
            finally:
                del error  # its traceback holds this frame
        answer, self._answer = self._answer, None
        return answer

    def _per_sample(self, value: Any) -> Any:
        if isinstance(value, Tensor) and value.ndim and value.shape[0] == 1 != self.samples:
            return value.expand(self.samples, *value.shape[1:])
        return value

    def _is_stacked(self, value: Any) -> bool:
        return isinstance(value, Tensor) and value.ndim > 0 and value.shape[0] == self.samples

    def _kind(self, value: Any) -> Hashable:
        if self._is_stacked(value):
            return _kind(value)
        # Whatever cannot be compared in one moment belongs to this call alone.
        return (type(value), value) if isinstance(value, (str, int, float, bool, type(None))) else id(self)


def _kind(value: Tensor) -> Hashable:
    return value.shape[1:], value.dtype, value.device


def _merged(batch: list[_Call]) -> tuple[Tensor, Tensor, dict[str, Any]]:
    cond = {name: torch.cat([call.cond[name] for call in batch]) if batch[0]._is_stacked(value) else value
            for name, value in batch[0].cond.items()}
    return torch.cat([call.x for call in batch]), torch.cat([call.t for call in batch]), cond


def _needs_gradient(*values: Any) -> bool:
    return any(isinstance(value, Tensor) and value.requires_grad for value in values)
