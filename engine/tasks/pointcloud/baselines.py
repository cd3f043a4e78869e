"""The simplest honest answer to a sketch and a sentence: the training shape whose own are most like them."""

from collections.abc import Sequence

import numpy as np

from engine.tasks.pointcloud import tokens
from engine.tasks.pointcloud.pool import Example

_CELL_PX = 4
_BLUR_PX = 2.0


class Retrieval:
    """Nearest of the training examples by joint features: blurred ink and words, each of unit length, added.

    The features are cosines, so sketch and text count alike; one that is not given does not count.
    """

    def __init__(self, examples: Sequence[Example], words: tuple[str, ...]):
        self.examples, self._words = examples, words
        self._drawn = np.stack([_ink(example.sketch) for example in examples])
        said = np.stack([self._said(example.text) for example in examples])
        # Rare words tell more than articles: inverse document frequency.
        self._rarity = np.log(len(examples) / (1 + (said > 0).sum(0)))
        self._told = _unit(said * self._rarity)

    def nearest(self, sketch: np.ndarray | None, text: str = "") -> Example:
        """The training example most like a sketch (64, 64) uint8 and a text."""
        likeness = np.zeros(len(self.examples))
        if sketch is not None:
            likeness = likeness + self._drawn @ _ink(sketch)
        if text.strip():
            likeness = likeness + self._told @ _unit(self._said(text) * self._rarity)
        return self.examples[int(np.argmax(likeness))]

    def _said(self, text: str) -> np.ndarray:
        ids = tokens.encode(text, self._words).ids
        return np.float32(np.bincount(ids, minlength=len(self._words) + tokens.FIRST_WORD)[tokens.FIRST_WORD:] > 0)


def _ink(sketch: np.ndarray) -> np.ndarray:
    """The blurred sketch at a quarter of its size, of unit length, (256,)."""
    import cv2

    blurred = cv2.GaussianBlur(np.float32(sketch), (0, 0), _BLUR_PX)
    small = cv2.resize(blurred, None, fx=1 / _CELL_PX, fy=1 / _CELL_PX, interpolation=cv2.INTER_AREA)
    return _unit(small.ravel() - small.mean())


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)
