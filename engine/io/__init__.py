"""Files, parsed and checked at the edge: behind it nobody sees a path, and nobody checks again."""

from engine.io.pictures import Mask, Picture, load_mask, load_picture, mask_of, read_mask, to_pixels
from engine.io.save import encode, jpeg_frame, read_recipe, save_result

__all__ = ["Mask", "Picture", "encode", "jpeg_frame", "load_mask", "load_picture", "mask_of", "read_mask",
           "read_recipe", "save_result", "to_pixels"]
