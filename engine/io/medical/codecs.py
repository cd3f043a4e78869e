"""Compressed pictures of DICOM files: who decodes which kind, and whether all went well."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

READ = "Uncompressed pictures, RLE, JPEG of 8 bits, JPEG Lossless, JPEG-LS and JPEG 2000 are read."
_LAST = "gdcm"
"""Takes the kinds that nobody else does. For the others it is passed over, as it forgives damage more readily."""

_COMPLAINTS = (b"corrupt jpeg data", b"premature end")
"""The JPEG library answers damage with a sentence on the error output and goes on with values of its own."""


def decoder_for(syntax: "UID", bits: int) -> str | None:
    """Name of pydicom's plugin for a transfer syntax and so many stored bits, "" where none is needed; None when this
    installation has none.
    """
    from pydicom.pixels import get_decoder
    from pydicom.uid import JPEGExtended12Bit

    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        return None
    if not decoder.is_available or (syntax == JPEGExtended12Bit and bits > 8):
        return None
    plugins = sorted(decoder.available_plugins, key=lambda name: name == _LAST)
    return plugins[0] if plugins else ""


def pixels(dataset: "Dataset", raw: bool) -> np.ndarray:
    """The decoded frames, as `pydicom.pixels.pixel_array` gives them, of a file that `decoder_for` has a decoder for.

    raw: without a change of colour space. Raises what decoders raise, and ValueError when one of them filled up what
    was missing.
    """
    from pydicom.pixels import pixel_array

    plugin = decoder_for(dataset.file_meta.TransferSyntaxUID, int(dataset.BitsStored)) or ""
    if plugin != _LAST:
        return pixel_array(dataset, raw=raw, decoding_plugin=plugin)
    with tempfile.TemporaryFile() as said:
        with _errors_to(said.fileno()):
            found = pixel_array(dataset, raw=raw, decoding_plugin=plugin)
        said.seek(0)
        if any(words in said.read().lower() for words in _COMPLAINTS):
            raise ValueError("the decoder filled up what was missing")
    return found


@contextmanager
def _errors_to(target: int) -> Iterator[None]:
    """Lets what native code writes to the error output go to another file."""
    kept = os.dup(2)
    os.dup2(target, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
