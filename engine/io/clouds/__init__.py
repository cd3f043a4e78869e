"""Point clouds, and meshes as points on their surface, out of files of eight kinds."""

from engine.io.clouds.cloud import CloudFile
from engine.io.clouds.reader import read_cloud

__all__ = ["CloudFile", "read_cloud"]
