"""A protocol's random changes reach the images, each under its own name."""

from dataclasses import fields, replace

from medzoo.data.transforms.apply import Augmentation
from medzoo.training.inputs.augmentation import augmentation_of
from medzoo.training.options.protocol import load_protocol

# values that differ from each other and from every default
CHANGES = {
    "min_area": 0.31, "crop": 0.32, "flip": 0.33, "rotation": 3.4, "shift": 0.35, "shear": 3.6, "zoom": 0.37,
    "brightness": 0.38, "contrast": 0.39, "saturation": 0.41, "tone": 0.42, "blur": 0.43,
    "hue": 0.11, "gamma": 0.44, "gamma_chance": 0.45, "grey": 0.46, "sharpen": 0.47, "sharpness": 1.8,
    "aspect": 1.2, "distort": 0.48, "elastic_alpha": 49.0, "elastic_sigma": 5.1, "elastic_affine": 5.2, "grid_limit": 0.53,
    "optical_limit": 0.54,
}  # fmt: skip


def test_every_option_keeps_its_name_and_value():
    made = augmentation_of(replace(load_protocol("medzoo", "finetune"), **CHANGES))
    assert made == Augmentation(**CHANGES)
    assert {one.name for one in fields(Augmentation)} == {
        *CHANGES,
        "max_area",
        "solarize",
        "windows",
        "window_jitter",
        "blur_sigma",
    }
    # the last five are set by no protocol
