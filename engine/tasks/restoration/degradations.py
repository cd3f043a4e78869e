"""What goes wrong with pictures: procedural degradations with one strength each, for training and for play.

Every function takes a picture (H, W, 3) float32 in [0, 1] (display values), a strength in [0, 1] and a numpy Generator
and returns a picture of the same shape, range and dtype. Lengths are in pixels, so a crop looks like its picture.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

Picture = np.ndarray


def noise(picture: Picture, strength: float, rng: Generator) -> Picture:
    """Sensor noise of standard deviation 50/255 * strength: a read part and a shot part that grows with the signal."""
    shot = rng.uniform(0.0, 0.5)
    return _sensor_noise(picture, (50 / 255 * strength) ** 2, shot, rng)


def blur(picture: Picture, strength: float, rng: Generator) -> Picture:
    """Defocus (Gaussian of 0.5 to 2.5 px) or, one time in three, straight motion of 3 to 15 px; noise of 1/255."""
    if rng.random() < 1 / 3:
        kernel = motion_kernel(3 + 12 * strength, rng.uniform(0, np.pi))
    else:
        kernel = gaussian_kernel(0.5 + 2.0 * strength)
    blurred = cv2.filter2D(picture, -1, kernel, borderType=cv2.BORDER_REFLECT)
    return _sensor_noise(blurred, (1 / 255) ** 2, 0.0, rng)


def jpeg(picture: Picture, strength: float, rng: Generator) -> Picture:
    """JPEG of quality 50 (strength 0) down to 5 (strength 1) with halved colour resolution."""
    from PIL import Image

    buffer = io.BytesIO()
    quality = round(5 + 45 * (1 - strength) ** 2)
    Image.fromarray(np.uint8(picture * 255 + 0.5)).save(buffer, "JPEG", quality=quality, subsampling=2)
    return np.asarray(Image.open(buffer), np.float32) / 255


def low_light(picture: Picture, strength: float, rng: Generator) -> Picture:
    """1 to 5 stops too little light, a slight colour cast, sensor noise of the dark, 8-bit rounding."""
    linear = picture**2.2 * np.float32(2.0 ** -(1 + 4 * strength))
    linear = linear * rng.uniform(0.9, 1.1, 3).astype(np.float32)
    read = (0.001 + 0.002 * strength) ** 2
    shot = 10 ** rng.uniform(-4, -3) * strength
    linear += rng.standard_normal(picture.shape, np.float32) * np.sqrt(read + shot * linear)
    return np.round(np.clip(linear, 0, 1) ** (1 / 2.2) * 255).astype(np.float32) / 255


def rain(picture: Picture, strength: float, rng: Generator) -> Picture:
    """Bright streaks of 8 to 30 px, one wind direction, two depths, on a slightly paler picture."""
    height, width = picture.shape[:2]
    angle = np.pi / 2 + rng.uniform(-0.6, 0.6)
    layer = np.zeros((height, width), np.float32)
    for length, share in ((rng.uniform(8, 16), 0.6), (rng.uniform(16, 30), 0.4)):
        seeds = (rng.random((height, width), np.float32) < share * (0.003 + 0.012 * strength)).astype(np.float32)
        streaks = cv2.filter2D(seeds, -1, motion_kernel(length, angle) * length, borderType=cv2.BORDER_REFLECT)
        layer += cv2.GaussianBlur(streaks, (0, 0), rng.uniform(0.5, 0.9)) * rng.uniform(0.5, 1.0)
    layer = np.clip(layer, 0, 1)[..., None] * np.float32(rng.uniform(0.6, 0.95))
    veil = np.float32(0.1 * strength)
    return np.clip(picture * (1 - veil) + veil * 0.8 + layer * (0.9 - 0.5 * picture), 0, 1)


def drops(picture: Picture, strength: float, rng: Generator) -> Picture:
    """Water drops on the lens, 2 to 12 px in radius: an upside-down, blurred view with a bright rim."""
    height, width = picture.shape[:2]
    wrong = cv2.GaussianBlur(picture[::-1, ::-1], (0, 0), 3.0)
    alpha = np.zeros((height, width), np.float32)
    light = np.zeros((height, width), np.float32)
    for _ in range(rng.poisson(height * width * (0.0006 + 0.0018 * strength))):
        centre = int(rng.integers(width)), int(rng.integers(height))
        axes = np.maximum(np.int32(rng.uniform(2, 5 + 7 * strength) * rng.uniform(0.75, 1.25, 2)), 1)
        cv2.ellipse(alpha, centre, axes.tolist(), rng.uniform(0, 180), 0, 360, rng.uniform(0.75, 1.0), -1)
        glint = int(centre[0] - axes[0] * 0.4), int(centre[1] - axes[1] * 0.4)
        cv2.ellipse(light, glint, np.maximum(axes // 3, 1).tolist(), 0, 0, 360, rng.uniform(0.2, 0.8), -1)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.8)[..., None]
    light = cv2.GaussianBlur(light, (0, 0), 0.8)[..., None]
    gain = np.float32(rng.uniform(0.85, 1.15))
    return np.clip(picture * (1 - alpha) + alpha * (wrong * gain + light * (1 - wrong)), 0, 1)


def shadow(picture: Picture, strength: float, rng: Generator) -> Picture:
    """One to three soft-edged shadows, 15 to 80 px in radius, bluish, down to 25 % of the light."""
    height, width = picture.shape[:2]
    mask = np.zeros((height, width), np.float32)
    for _ in range(rng.integers(1, 4) + height * width // 40000):
        centre = rng.uniform((0, 0), (width, height))
        spokes = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(4, 9)))
        radii = rng.uniform(15, 80) * rng.uniform(0.5, 1.2, spokes.size)
        corners = centre + radii[:, None] * np.stack((np.cos(spokes), np.sin(spokes)), 1)
        cv2.fillPoly(mask, [np.int32(corners)], 1.0)
    mask = cv2.GaussianBlur(mask, (0, 0), rng.uniform(0.8, 4.0))[..., None]
    tint = np.array([0.92, 1.0, 1.12], np.float32) ** rng.uniform(0, 1)
    level = np.float32(0.75 - 0.5 * strength * rng.uniform(0.7, 1.0)) * tint
    return np.clip(picture * (1 - mask * (1 - level)), 0, 1)


def haze(picture: Picture, strength: float, rng: Generator) -> Picture:
    """Scattering I = J t + A (1 - t): air light A near white, transmission t smooth in space, 0.85 down to 0.2."""
    height, width = picture.shape[:2]
    coarse = cv2.resize(rng.random((3, 3), np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    ramp = np.linspace(rng.uniform(0, 1), rng.uniform(0, 1), height, dtype=np.float32)[:, None]
    depth = np.clip(0.6 + 0.4 * (0.5 * coarse + 0.5 * ramp), 0.4, 1.1)
    transmission = np.exp(-depth * (0.25 + 1.6 * strength))[..., None]
    air = np.float32(rng.uniform(0.7, 0.95)) * rng.uniform(0.96, 1.04, 3).astype(np.float32)
    return np.clip(picture * transmission + air * (1 - transmission), 0, 1)


@dataclass(frozen=True)
class Degradation:
    """A named degradation. The position in `DEGRADATIONS` is the label that the network knows it by.

    orientations: how many of those of `engine.tasks.restoration.faithful` leave the damage as likely as it was: rain
    falls, and drops glint at their upper left.
    """

    name: str
    title: str
    apply: Callable[[Picture, float, Generator], Picture]
    orientations: int = 8


DEGRADATIONS: tuple[Degradation, ...] = (
    Degradation("noise", "Noise", noise),
    Degradation("blur", "Blur", blur),
    Degradation("jpeg", "JPEG artefacts", jpeg),
    Degradation("lowlight", "Low light", low_light),
    Degradation("rain", "Rain streaks", rain, 2),
    Degradation("drops", "Drops on the lens", drops, 1),
    Degradation("shadow", "Shadow", shadow),
    Degradation("haze", "Haze", haze),
)
NAMES = tuple(d.name for d in DEGRADATIONS)


def degrade(name: str, picture: Picture, strength: float, seed: int) -> Picture:
    """Apply the degradation of this name; the same seed gives the same picture."""
    return DEGRADATIONS[NAMES.index(name)].apply(picture, strength, np.random.default_rng(seed))


def gaussian_kernel(sigma_px: float) -> np.ndarray:
    """Normalised Gaussian kernel, (2r+1, 2r+1) with r = 3 sigma rounded up."""
    radius = int(np.ceil(3 * sigma_px))
    line = cv2.getGaussianKernel(2 * radius + 1, sigma_px)
    return (line @ line.T).astype(np.float32)


def motion_kernel(length_px: float, angle: float) -> np.ndarray:
    """Normalised anti-aliased line of this length and angle (radians from the x axis)."""
    size = int(np.ceil(length_px)) | 1
    kernel = np.zeros((size, size), np.float32)
    centre = (size - 1) / 2
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length_px - 1) / 2
    ends = np.int32(np.round((centre + np.array([-reach, reach])) * 256))
    cv2.line(kernel, ends[0].tolist(), ends[1].tolist(), 1.0, 1, cv2.LINE_AA, 8)
    return kernel / max(kernel.sum(), 1e-6)


def _sensor_noise(picture: Picture, variance: float, shot: float, rng: Generator) -> Picture:
    local = variance * ((1 - shot) + 2 * shot * picture)
    noisy = picture + rng.standard_normal(picture.shape, np.float32) * np.sqrt(local, dtype=np.float32)
    return np.round(np.clip(noisy, 0, 1) * 255).astype(np.float32) / 255
