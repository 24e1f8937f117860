"""The possible changes of a training image, and their strengths."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Augmentation:
    """The possible changes of a training image; the default changes nothing.

    Args:
        min_area: smallest share of the area in a crop; 1 means no crop.
        aspect: largest aspect ratio of a crop, w/h in [1/aspect, aspect].
        flip: probability of a left-right flip.
        brightness: factor drawn from [1 - b, 1 + b].
        contrast: factor drawn from [1 - c, 1 + c], around the image's mean luminance.
        saturation: factor drawn from [1 - s, 1 + s], for colour images.
        tone: probability that brightness, contrast, saturation and hue change.
        grey: probability of a conversion to grey.
        blur: probability of a Gaussian blur.
        blur_sigma: its sigma is drawn from 0.1 pixels to 0.1 pixels and this share of the side.
        rotation: angle drawn from [-r, r] degrees.
        crop: probability of a crop.
        shift: distances to the right and down, each drawn from [-s, s], as a share of the side.
        shear: angle drawn from [-s, s] degrees; it moves rows to the left or right.
        zoom: factor drawn from [1 - z, 1 + z].
        hue: turn drawn from [-h, h], 1 is the whole circle of hues; for colour images.
        gamma: exponent drawn from [1 - g, 1 + g].
        gamma_chance: probability that the gamma changes. As far as possible, these are images without a change of tones.
        sharpen: probability of sharpening.
        sharpness: factor of the difference from a smoothed image; 1 changes nothing, below 1 smooths.
        distort: probability of a distortion; elastic, grid and optical distortions are equally likely.
        elastic_alpha: amplitude of an elastic distortion: the factor of smoothed noise in [-1, 1], pixels.
        elastic_sigma: of the Gaussian that smooths this noise, pixels.
        elastic_affine: largest movement of three points, pixels, in the affine map before an elastic distortion.
        grid_limit: the five columns and the five rows of a grid get a width drawn from [1 - g, 1 + g] of their own.
        optical_limit: coefficient of a lens drawn from [-o, o].
        max_area: largest share of the area in a crop.
        solarize: probability of a solarization: pixels at or above half of the range are inverted, 1 - x.
        windows: (low, high) of each window, as positions in the image's range; one of them is drawn for each view, and what is
            below or above it becomes 0 or 1. None leaves the range as it is.
        window_jitter: the width of a window changes by a factor drawn from [1 - j, 1 + j], and its middle moves by a share of the
            width drawn from [-j/2, j/2].

    The order is: crop, flip, one map, window, tones, gamma, blur, solarization, sharpening. The map consists of rotation, shift,
    shear and zoom (pixels from outside are black), and of the distortion (pixels from outside are reflected).
    """

    min_area: float = 1.0
    aspect: float = 4 / 3
    flip: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    tone: float = 1.0
    grey: float = 0.0
    blur: float = 0.0
    rotation: float = 0.0
    crop: float = 1.0
    shift: float = 0.0
    shear: float = 0.0
    zoom: float = 0.0
    hue: float = 0.0
    gamma: float = 0.0
    gamma_chance: float = 1.0
    sharpen: float = 0.0
    sharpness: float = 2.0
    distort: float = 0.0
    elastic_alpha: float = 120.0
    elastic_sigma: float = 6.0
    elastic_affine: float = 0.0
    grid_limit: float = 0.3
    optical_limit: float = 0.5
    max_area: float = 1.0
    solarize: float = 0.0
    windows: tuple[tuple[float, float], ...] = ()
    window_jitter: float = 0.0
    blur_sigma: float = 1 / 32

    @property
    def is_affine(self) -> bool:
        """Whether views are rotated, shifted, sheared or zoomed."""
        return bool(self.rotation or self.shift or self.shear or self.zoom)
