"""Corrections as the page sends them."""

import base64
import zlib

import numpy as np

PAINTED, ERASED = 1, 2


def packed(edits: np.ndarray) -> str:
    """(H, W) uint8 of 0, PAINTED and ERASED as base64 of deflated bytes."""
    return base64.b64encode(zlib.compress(edits.tobytes())).decode()
