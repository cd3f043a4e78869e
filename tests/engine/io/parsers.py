"""Parsers for a child process that do what parsers should not."""

import os
import time

import numpy as np

from engine.errors import InputError


def doubled(data: bytes) -> dict[str, np.ndarray]:
    return {"numbers": np.frombuffer(data, np.uint8) * 2, "text": np.array("näme")}


def refused(data: bytes) -> dict[str, np.ndarray]:
    raise InputError("What.", "Why.", "Fix.")


def aborted(data: bytes) -> dict[str, np.ndarray]:
    os.abort()


def endless(data: bytes) -> dict[str, np.ndarray]:
    time.sleep(60)
    return {}


def greedy(data: bytes) -> dict[str, np.ndarray]:
    return {"much": np.ones(10**9)}
