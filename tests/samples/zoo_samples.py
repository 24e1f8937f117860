"""A card, a small network and a registry entry for the tests of the zoo."""

import timm
import torch

import medzoo.zoo.variants  # noqa: F401 - timm knows them from here on

CARD = {
    "name": "test_resnet-drawn",
    "license": "apache-2.0",
    "data": ["drawn"],
    "method": "supervised",
    "input": {"size": 64, "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]},
    "labels": ["a", "b", "c"],
}


def small_model(architecture: str = "test_resnet", num_classes: int = 3, seed: int = 0, **arguments) -> torch.nn.Module:
    torch.manual_seed(seed)
    return draw_statistics(timm.create_model(architecture, num_classes=num_classes, **arguments).eval())


def draw_statistics(model: torch.nn.Module) -> torch.nn.Module:
    """Give normalisation, tokens and heads values that a wrong load would not have."""
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
        elif name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1 or "token" in name or "head" in name:
            torch.nn.init.uniform_(parameter, 0.1, 0.9)
    return model


OWN_ENTRY = """
architecture = "test_resnet"
[input]
size = 64
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
[pretraining]
data = ["ours"]
[upstream]
format = "timm"
access = "manual"
instructions = "Ask."
[license]
id = "mit"
redistributable = true
"""

ENTRY = """
architecture = "test_resnet"
[input]
size = 64
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
[pretraining]
method = "supervised"
data = ["drawn"]
[upstream]
{upstream}
format = "timm"
[license]
id = "{license}"
url = "https://example.org/terms"
redistributable = {redistributable}
"""

# Formats whose first convolution expects BGR.
BGR = {
    "keras-resnet50", "keras-densenet121", "keras-inceptionv3", "keras-irv2", "radimagenet-torch-resnet50",
    "radimagenet-torch-densenet121", "radimagenet-torch-inceptionv3", "warvito-radimagenet-resnet50",
}  # fmt: skip
