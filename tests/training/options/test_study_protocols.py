"""The protocols of the studies have the studies' numbers, typed here from their repositories and not from the files."""

import re

import pytest

from medzoo.data.task_registry import list_tasks, task_info
from medzoo.paths import data_dir
from medzoo.training.optimization.optimizer import check_optimizer
from medzoo.training.options.protocol import list_protocols, list_rows, load_protocol, parse_overrides
from medzoo.training.segmentation.protocol_checks import check_protocol

# Section numbers are those of the notes on the studies' code; `patience` counts epochs without improvement until the stop.
# 3.1: RandomResizedCrop(224), flip, 7 degrees; validation Resize 256 + CenterCrop 224; test TenCrop
VIEWS_OF_HT = {
    "min_area": 0.08, "crop": 1.0, "flip": 0.5, "rotation": 7.0, "shift": 0.0, "shear": 0.0, "zoom": 0.0, "brightness": 0.0,
    "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "gamma": 0.0, "grey": 0.0, "sharpen": 0.0, "distort": 0.0, "blur": 0.0,
    "size": 224, "crop_share": 224 / 256, "augmented_test": "ten_crop",
}  # fmt: skip
# 3.1: stop when the counter of bad epochs is above 10; only the best validation loss is kept
STOP_OF_HT = {"selection": "best", "monitor": "loss", "patience": 10 + 1}
HT2021 = VIEWS_OF_HT | STOP_OF_HT | {
    "optimizer": "adam", "learning_rate": 2e-4, "weight_decay": 0.0, "gradient_clip": 0.0, "schedule": "plateau",
    "decay": 0.5, "plateau_epochs": 10 // 2, "warmup_epochs": 0.0, "final_learning_rate": 0.0, "epochs": 1000,
    "batch_size": 32, "head_std": 0.01, "head_bias": True, "dropout": 0.0, "precision": "fp32",
}  # fmt: skip
TX = VIEWS_OF_HT | STOP_OF_HT | {  # 3.4; --weight-decay 0 --warmup-lr 1e-6 --min-lr 1e-5 are defaults of its script
    "optimizer": "sgd", "learning_rate": 0.1, "schedule": "cosine", "warmup_epochs": 20.0, "epochs": 200, "batch_size": 64,
    "weight_decay": 0.0, "warmup_learning_rate": 1e-6, "final_learning_rate": 1e-5, "gradient_clip": 0.0,
}  # fmt: skip
JU = {  # 3.6; patience of Keras' EarlyStopping; no cropping; shear is in degrees
    "optimizer": "adam", "learning_rate": 1e-5, "schedule": "constant", "warmup_epochs": 0.0, "epochs": 200,
    "batch_size": 128, "dropout": 0.5, "patience": 30, "monitor": "loss", "selection": "best", "rotation": 10.0,
    "shift": 0.1, "shear": 0.1, "zoom": 0.1, "flip": 0.5, "min_area": 1.0, "frozen_epochs": 0, "weight_decay": 0.0,
    "gradient_clip": 0.0, "augmented_test": "none", "crop_share": 1.0, "size": 224,
}  # fmt: skip
JO = {  # 3.7, the line of CX8; the augmentation below the table
    "optimizer": "adamw", "learning_rate": 5e-4, "weight_decay": 1e-6, "schedule": "exponential", "decay": 0.97,
    "batch_size": 128, "epochs": 50, "selection": "last", "patience": 0, "warmup_epochs": 0.0, "gradient_clip": 0.0,
    "crop": 0.2, "min_area": 0.08, "flip": 0.2, "tone": 0.2, "brightness": 0.1, "contrast": 0.1, "saturation": 0.1, "hue": 0.2,
    "grey": 0.0, "blur": 0.2, "sharpen": 0.2, "sharpness": 2.0, "rotation": 0.0, "gamma": 0.0, "distort": 0.0, "size": 256,
    "head_bias": False, "class_weights": "none",
}  # fmt: skip
STUDIES = {
    "hosseinzadeh2021": HT2021,
    "hosseinzadeh2025": VIEWS_OF_HT | STOP_OF_HT | {  # 3.3; the weight decay is PyTorch's default for AdamW
        "optimizer": "adamw", "learning_rate": 2e-4, "schedule": "cosine", "warmup_epochs": 20.0, "epochs": 500,
        "patience": 50 + 1, "warmup_learning_rate": 1e-6, "final_learning_rate": 1e-5, "weight_decay": 0.01,
        "batch_size": 32, "gradient_clip": 0.0, "head_std": 0.01,
    },
    "ma2022": TX,
    "ma2022_simmim": TX | {"learning_rate": 0.01, "warmup_epochs": 0.0},  # 3.4; the README's command has no warm-up
    "juodelyte2023": JU,
    # 3.6, `freeze`: Adam's default rate for the head alone; the number of its epochs is medzoo's
    "juodelyte2023_frozen": JU | {"epochs": 20 + 200, "frozen_epochs": 20, "frozen_learning_rate": 1e-3},
    "jonske2023": JO,
    "krones2024": VIEWS_OF_HT | STOP_OF_HT | {  # 3.9
        "optimizer": "adamw", "learning_rate": 1e-5, "weight_decay": 0.05, "schedule": "cosine", "warmup_epochs": 5.0,
        "warmup_learning_rate": 1e-6, "final_learning_rate": 5e-7, "epochs": 30, "batch_size": 64, "gradient_clip": 0.0,
        "crop_share": 1.0, "augmented_test": "none",
    },
    "krones2024_resnet50": HT2021,  # 3.9: as 3.1
}  # fmt: skip
ROWS_OF_JU = {  # 2.0 for the sizes, 3.6 for the flip
    "chest_pneumonia": {"size": 112, "flip": 0.0}, "isic": {"size": 112}, "knee": {"size": 112}, "pcam": {"size": 96},
    "breast": {"size": 256}, "thyroid": {"size": 256},
}  # fmt: skip
ROWS_OF_JO = {  # 3.7; grey for ImageNet only
    "cx8": {"class_weights": (1.0, 1.0, 1.0, 0.001, *[1.0] * 11)},
    "imagenet": {"optimizer": "lars", "learning_rate": 4.8, "batch_size": 4096, "epochs": 100, "grey": 0.2},
}  # fmt: skip
ROWS = {"jonske2023": ROWS_OF_JO, "juodelyte2023": ROWS_OF_JU, "juodelyte2023_frozen": ROWS_OF_JU}
# 3.2: smp's U-Net; Dice over the batch; RandomSizedCrop with a side of 156 to 224 of 224 pixels and p .25; tones are one of two
# transforms with p .3, the other is gamma (80 to 120 %); distortions are one of three with p .3: elastic (120, 6, 3.6), grid
# (a limit of 0.3) and optical (a limit of 2); the counter of bad epochs must exceed 20
HT_MASKS = STOP_OF_HT | {
    "optimizer": "adam", "learning_rate": 1e-3, "weight_decay": 0.0, "schedule": "cosine", "warmup_epochs": 0.0,
    "final_learning_rate": 0.0, "epochs": 200, "patience": 20 + 1, "batch_size": 32, "size": 224, "gradient_clip": 0.0,
    "decoder": "unet", "segmentation_loss": "dice", "dice_over": "batch", "crop": 0.25, "flip": 0.0, "rotation": 0.0,
    "brightness": 0.2, "contrast": 0.2, "tone": 0.3 / 2, "gamma": 0.2, "gamma_chance": 0.3 / 2, "aspect": 1.0, "saturation": 0.0,
    "distort": 0.3, "elastic_alpha": 120.0, "elastic_sigma": 6.0, "elastic_affine": 3.6, "grid_limit": 0.3, "optical_limit": 2.0,
    "hue": 0.0, "grey": 0.0, "blur": 0.0, "sharpen": 0.0, "augmented_test": "none", "crop_share": 1.0, "precision": "fp32",
}  # fmt: skip
SEGMENTATIONS = {
    "hosseinzadeh2021_segmentation": HT_MASKS,
    "hosseinzadeh2025": HT_MASKS | {  # 3.3; its code warms up from 0 and ends at 0
        "optimizer": "adamw", "learning_rate": 2e-4, "weight_decay": 0.01, "warmup_epochs": 20.0, "epochs": 500,
        "warmup_learning_rate": 0.0, "patience": 50 + 1, "decoder": "upernet", "precision": "fp32",
    },
    "jonske2023": {  # 3.7: the line of LiTS
        "optimizer": "adamw", "learning_rate": 2e-4, "weight_decay": 1e-6, "schedule": "exponential", "decay": 0.97,
        "batch_size": 128, "epochs": 50, "selection": "last", "patience": 0, "warmup_epochs": 0.0, "gradient_clip": 0.0,
        "crop": 0.2, "min_area": 0.08, "flip": 0.2, "tone": 0.2, "brightness": 0.1, "contrast": 0.1, "saturation": 0.1,
        "hue": 0.2, "grey": 0.0, "blur": 0.2, "sharpen": 0.0, "gamma": 0.0, "distort": 0.0, "size": 256,
        "decoder": "unet", "segmentation_loss": "ce", "class_weights": "none",
    },
}  # fmt: skip
DRIVE_OF_HT = {
    "size": 512, "segmentation_loss": "ce", "min_area": 1.0, "brightness": 0.0, "contrast": 0.0, "gamma": 0.0, "distort": 0.0,
}  # fmt: skip
ROWS_OF_MASKS = {
    "hosseinzadeh2021_segmentation": {"drive": DRIVE_OF_HT},
    "hosseinzadeh2025": {"drive": DRIVE_OF_HT},
    "jonske2023": {  # 3.7; the colours of BraTS do not change
        "brats2020": {
            "learning_rate": 1e-3, "weight_decay": 1e-5, "decay": 0.95, "class_weights": (1.0, 5.0, 5.0, 5.0),
            "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0,
        },
        "lits": {"learning_rate": 2e-4, "class_weights": (1.0, 3.0, 10.0)},
    },
}  # fmt: skip
# 3.7: rows of the table that are in the text of the file, as a value of --set
SETTINGS_OF_JO = {
    "R (body region in CT)": ("lars", 0.01, 1e-4, 4096, 100),
    "I100, I1kS": ("lars", 2.4, 1e-6, 1024, 100),
    "RS": ("lars", 0.005, 1e-5, 1024, 100),
    "I10, I10S, I100S, I100XS, I1kXS, RXS, RXXS": ("adamw", 1e-4, 1e-6, 256, 100),
    "I10XS": ("adamw", 1e-4, 1e-6, 64, 100),
}


def values_of(protocol, names):
    return {name: getattr(protocol, name) for name in names}


def test_every_study_has_a_protocol():
    assert set(list_protocols()) == {"medzoo", "dinov2_linear", *STUDIES, *SEGMENTATIONS}


@pytest.mark.parametrize("name", SEGMENTATIONS)
def test_a_segmentation_has_the_numbers_of_its_study(name):
    protocol = load_protocol(name, "finetune", kind="segmentation", device="cpu", precision="fp32")
    assert values_of(protocol, SEGMENTATIONS[name]) == SEGMENTATIONS[name]
    if "hosseinzadeh" in name:
        assert protocol.min_area == pytest.approx((156 / 224) ** 2, abs=1e-3)
    check_protocol(protocol, ["structure"])
    assert list_rows(name, "finetune", "segmentation") == sorted(ROWS_OF_MASKS[name])
    for task, row in ROWS_OF_MASKS[name].items():
        own = load_protocol(name, "finetune", task=task, kind="segmentation", device="cpu", precision="fp32")
        expected = SEGMENTATIONS[name] | row
        assert values_of(own, expected) == expected
        check_protocol(own, task_info(task).classes)


def test_the_grid_of_dinov2():
    """dinov2/eval/linear.py: 13 rates, 1 and 4 blocks, 10 epochs of 1250 steps with 128 images; the rates are for 256."""
    from medzoo.training.probes.head_grid import LEARNING_RATES
    from medzoo.training.tokens.head_grid_probe import LR_BATCH

    rates = [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1]
    expected = {
        "learning_rates": tuple(rates),
        "last_layers": (1, 4),
        "steps": 10 * 1250,
        "batch_size": 128,
        "size": 224,
    }
    assert values_of(load_protocol("dinov2_linear", "head_grid"), expected) == expected
    assert list(LEARNING_RATES) == rates and LR_BATCH == 256


def test_the_attentive_probe_has_the_papers_queries():
    assert load_protocol("medzoo", "attentive").queries == 32  # notes on newer work, 3.2


@pytest.mark.parametrize("name", STUDIES)
def test_a_protocol_has_the_numbers_of_its_study(name):
    protocol = load_protocol(name, "finetune", device="cpu")
    assert values_of(protocol, STUDIES[name]) == STUDIES[name]
    check_optimizer(protocol.optimizer)


@pytest.mark.parametrize(("name", "task"), [(name, task) for name, rows in ROWS.items() for task in rows])
def test_a_task_of_a_study_has_its_own_numbers(name, task):
    expected = STUDIES[name] | ROWS[name][task]
    assert task in list_tasks()
    assert values_of(load_protocol(name, "finetune", task=task, device="cpu"), expected) == expected


@pytest.mark.parametrize("name", STUDIES)
def test_no_protocol_has_other_rows(name):
    assert list_rows(name, "finetune") == sorted(ROWS.get(name, ()))


def test_settings_in_a_text_can_be_typed():
    text = (data_dir("recipes") / "protocols" / "jonske2023.toml").read_text()
    names = ("optimizer", "learning_rate", "weight_decay", "batch_size", "epochs")
    found = re.findall(r'^#   (\w[^:]*):\s*(?:#\s+)?--set "([^"]*)"', text, re.MULTILINE)
    written = {key: tuple(parse_overrides(value)[name] for name in names) for key, value in found}
    assert written == SETTINGS_OF_JO


@pytest.mark.parametrize("name", list_protocols())
def test_every_setting_in_a_text_is_valid(name):
    for line in (data_dir("recipes") / "protocols" / f"{name}.toml").read_text().splitlines():
        for value in re.findall(r'--set "([^"]*)"', line):
            assert parse_overrides(value)


def test_two_studies_with_one_protocol_have_one_hash():
    one, other = (load_protocol(name, "finetune") for name in ("hosseinzadeh2021", "krones2024_resnet50"))
    assert one.hash() == other.hash() and one.name != other.name


def test_an_exact_probe_is_at_the_size_of_the_study():
    assert load_protocol("jonske2023", "linear").size == 256
