"""What a user writes, for a type checker in strict mode: tests/test_typed_api.py compares the revealed types. It is never run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, reveal_type

import torch
from PIL import Image

import medzoo


def main(folder: Path) -> None:
    """Find, load, transform, train elsewhere, predict, compare, publish."""
    reveal_type(medzoo.list_models("resnet50-*", modality="CT", downloaded=True))  # names
    entry = reveal_type(medzoo.info("resnet50-radimagenet"))  # entry
    reveal_type(entry.pretraining.data if entry.pretraining is not None else ())  # data
    reveal_type(entry.license.redistributable)  # redistributable
    reveal_type(medzoo.fetch("resnet50-imagenet", to=folder))  # fetched
    medzoo.load("resnet50-imagenet", num_classes="pretrained", dtype=torch.bfloat16, device=torch.device("cpu"))
    model = reveal_type(medzoo.load("resnet50-imagenet", num_classes=0, in_chans=1, token=None))  # model
    transform = reveal_type(medzoo.transform(model, size=224))  # transform
    to_tensor: Callable[[Any], torch.Tensor] = transform
    reveal_type(transform(Image.new("L", (64, 64))))  # tensor
    batch = torch.stack([to_tensor(folder / "a.png"), to_tensor(folder / "b.dcm")])
    with torch.inference_mode():
        features: torch.Tensor = model(batch)
    print(features.shape)
    task = reveal_type(medzoo.load_task("phantom_oct", seed=1))  # task
    reveal_type(task.classes)  # classes
    pixels = reveal_type(medzoo.read_image(folder / "a.png"))  # pixels
    reveal_type(pixels.array)  # array
    reveal_type(medzoo.embed(model, (task, "test"), batch_size=8).array)  # features
    reveal_type(medzoo.predict(folder, [folder / "a.png"], by="patient"))  # frame
    reveal_type(medzoo.compare("resnet18-random", "resnet50-random", "phantom_oct", only=["representation"]))  # rows
    table = reveal_type(medzoo.table("results", control="resnet50-imagenet"))  # table
    reveal_type(table.to_markdown())  # markdown
    reveal_type(table.to_frame())  # long
    card = {"name": "resnet50-ours", "license": "mit", "data": ["ours"]}
    saved = reveal_type(medzoo.save(model, folder / "net", card=card))  # saved
    reveal_type(medzoo.push(saved, "lab/net", private=True, dry_run=True))  # pushed
    reveal_type(medzoo.convert("ResNet50.pt", "resnet50-radimagenet", out=folder))  # converted
    report = reveal_type(medzoo.check("resnet50-imagenet"))  # report
    reveal_type(report.passed)  # passed
    reveal_type(medzoo.__version__)  # version
    try:
        medzoo.load("resnet50-imagenet", device="cuda")
    except medzoo.errors.DeviceMemoryError as error:
        reveal_type(error.code)  # code
