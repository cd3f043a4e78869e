"""Slim networks, built by name so that a model card can say which one it holds."""

from torch import nn

from engine.networks.bases import GaussianUNet, ResidualUNet
from engine.networks.cloud_colour import CloudColour
from engine.networks.contrast import ContrastUNet
from engine.networks.eanet import EANet
from engine.networks.forecaster import Forecaster
from engine.networks.illumination import IlluminationNet
from engine.networks.medseg import MaskUNet, MedSeg
from engine.networks.pointcloud import CloudGeometry, CloudPointwise
from engine.networks.style import PatchAutoencoder, StyleUNet
from engine.networks.teeth import TeethNetwork
from engine.networks.wavelet_unet import WaveletUNet

_KINDS: dict[str, type[nn.Module]] = {"wavelet_unet": WaveletUNet, "residual_unet": ResidualUNet,
                                     "gaussian_unet": GaussianUNet, "eanet": EANet, "illumination": IlluminationNet,
                                     "medseg": MedSeg, "mask_unet": MaskUNet, "contrast_unet": ContrastUNet,
                                     "forecaster": Forecaster,
                                     "cloud_geometry": CloudGeometry, "cloud_pointwise": CloudPointwise,
                                     "cloud_colour": CloudColour,
                                     "teeth": TeethNetwork,
                                     "patch_autoencoder": PatchAutoencoder, "style_unet": StyleUNet}


def build(kind: str, **options) -> nn.Module:
    """A new network with random weights. kind: a name of `kinds()`; options: its constructor's arguments."""
    return _KINDS[kind](**options)


def kinds() -> tuple[str, ...]:
    """Names that `build` knows."""
    return tuple(_KINDS)


def parameter_count(network: nn.Module) -> int:
    """Number of trainable numbers."""
    return sum(p.numel() for p in network.parameters())
