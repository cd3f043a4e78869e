"""Pictures and volumes as clinicians have them: read without anything of the patient, measured, and exported."""

from engine.io.medical.reader import read
from engine.io.medical.scan import Scan, grey, inverted, slice_picture, window_of, windowed

__all__ = ["Scan", "grey", "inverted", "read", "slice_picture", "window_of", "windowed"]
