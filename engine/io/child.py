"""Native parsers at work in a process of their own: a crafted file may end or exhaust that process, not this one.

A parser is a function `parse(data: bytes) -> dict[str, np.ndarray]` of a module. What it finds comes back as arrays of
numbers and texts, never as a pickle.
"""

import importlib
import io
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from engine.errors import InputError

_ROOT = str(Path(__file__).resolve().parents[2])
_PROBLEM = "problem"
# Parsers need one thread, and each further one reserves memory that counts against the limit.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

Found = Mapping[str, np.ndarray]


def parsed(parser: Callable[[bytes], Found], data: bytes, kind: str, field: str, seconds: int = 30,
           memory_bytes: int = 4_000_000_000) -> dict[str, np.ndarray]:
    """What `parser`, a function at the top of a module, finds in `data`, computed in a child process.

    kind: the file's format, for messages. Raises InputError with the parser's own sentences, or when the child ends
    before its time, takes longer than `seconds` or more than `memory_bytes`.
    """
    code = (f"import sys; sys.path.insert(0, {_ROOT!r}); from engine.io import child; "
            f"child.serve({parser.__module__!r}, {parser.__name__!r}, {seconds}, {memory_bytes})")
    try:
        done = subprocess.run([sys.executable, "-c", code], input=data, capture_output=True, timeout=seconds,
                              env=os.environ | _ONE_THREAD)
    except subprocess.TimeoutExpired:
        raise InputError(f"The {kind} file takes longer than {seconds} s to read.", "The limit protects other runs.",
                         "Give a smaller file.", field=field) from None
    if done.returncode != 0:
        raise InputError(f"The {kind} file is damaged.", "The program that reads it stopped.", "Save or copy it again.",
                         field=field)
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as archive:
        found = dict(archive)
    if _PROBLEM in found:
        what, why, fix = map(str, found[_PROBLEM])
        raise InputError(what, why, fix, field=field)
    return found


def serve(module: str, name: str, seconds: int, memory_bytes: int) -> None:
    """The child's side: limits, the parser on what stands on stdin, its findings on stdout."""
    _limit(seconds, memory_bytes)
    parser = getattr(importlib.import_module(module), name)
    try:
        found = parser(sys.stdin.buffer.read())
    except InputError as error:
        found = {_PROBLEM: np.array([error.what, error.why, error.fix])}
    out = io.BytesIO()
    np.savez(out, **found)
    sys.stdout.buffer.write(out.getvalue())


def _limit(seconds: int, memory_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; the time-out of the parent stays
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
